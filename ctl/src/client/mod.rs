//! The engine's API as a client sees it: HTTP/1.1 over a unix socket or TCP.
//!
//! hyper on a runtime of one thread: measured at 0.1 ms more than bare reads and writes for a
//! process that connects, asks and ends, of which 0.03 ms are the runtime.
//!
//! No ping goes first. Requests name the newest version this program knows; a server that is older
//! says so with a 400, and the request is sent again in the server's version.

mod call;
mod endpoint;
mod error;
mod frames;
mod hijack;

use std::cell::RefCell;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, channel::Channel};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE, USER_AGENT};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UnixStream};

pub(crate) use call::{Call, segment};
pub(crate) use endpoint::Endpoint;
pub(crate) use error::Error;
pub(crate) use frames::{Frames, Lines};
pub(crate) use hijack::{Hijacked, Socket};

use crate::output::json::Json;

/// The API version this program speaks.
pub(crate) const API_VERSION: &str = "1.51";

/// Bytes to send: all at once, or as they come.
pub(crate) type Body = Either<Full<Bytes>, Channel<Bytes, std::io::Error>>;
type Sender = SendRequest<Body>;

/// A client of one engine. Connections that are free again are used again.
pub(crate) struct Client {
    endpoint: Endpoint,
    version: RefCell<String>,
    idle: RefCell<Vec<Sender>>,
}

impl Client {
    /// A client; nothing is connected yet.
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        let version =
            std::env::var("DOCKER_API_VERSION").ok().filter(|version| !version.is_empty());
        let version = version.unwrap_or_else(|| API_VERSION.to_owned());
        Self {
            endpoint,
            version: RefCell::new(version.trim_start_matches('v').to_owned()),
            idle: RefCell::default(),
        }
    }

    /// The engine's address.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The API version in use.
    pub(crate) fn version(&self) -> String {
        self.version.borrow().clone()
    }

    /// Send, and read an answer without content or whose content does not matter.
    pub(crate) async fn done(&self, call: Call) -> Result<(), Error> {
        self.bytes(&call).await.map(drop)
    }

    /// Send, and read a JSON answer.
    pub(crate) async fn json(&self, call: Call) -> Result<Json, Error> {
        let bytes = self.bytes(&call).await?;
        let target = || call.target(&self.version());
        serde_json::from_slice(&bytes).map_err(|source| Error::Answer { target: target(), source })
    }

    /// Send, and have the answer's content as it comes.
    pub(crate) async fn frames(&self, call: Call) -> Result<Frames, Error> {
        let (response, _sender) = self.send(&call, false).await?;
        Ok(Frames::new(response))
    }

    /// Send content as it comes, and have the answer's as it comes.
    ///
    /// The version is settled first, as what was sent cannot be sent again.
    pub(crate) async fn upload(
        &self,
        call: Call,
        content_type: &str,
        body: Channel<Bytes, std::io::Error>,
    ) -> Result<Frames, Error> {
        self.done(Call::get("/_ping")).await?;
        let mut sender = self.sender().await?;
        let request =
            self.request(&call).header(CONTENT_TYPE, content_type).body(Either::Right(body))?;
        let response = refuse(sender.send_request(request).await?).await?;
        Ok(Frames::new(response))
    }

    /// Send, and have the connection itself as a stream of bytes in both directions.
    pub(crate) async fn hijack(&self, call: Call) -> Result<Hijacked, Error> {
        let (response, _sender) = self.send(&call, true).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::NotUpgraded(response.status().as_u16()));
        }
        Hijacked::new(hyper::upgrade::on(response).await?)
    }

    async fn bytes(&self, call: &Call) -> Result<Bytes, Error> {
        let (response, sender) = self.send(call, false).await?;
        let bytes = response.into_body().collect().await?.to_bytes();
        self.idle.borrow_mut().push(sender);
        Ok(bytes)
    }

    async fn send(
        &self,
        call: &Call,
        upgrade: bool,
    ) -> Result<(Response<Incoming>, Sender), Error> {
        match self.send_once(call, upgrade).await {
            Err(Error::Daemon { status: 400, message }) => {
                let Some(older) = supported_version(&message, &self.version()) else {
                    return Err(Error::Daemon { status: 400, message });
                };
                self.version.replace(older);
                self.send_once(call, upgrade).await
            }
            answer => answer,
        }
    }

    async fn send_once(
        &self,
        call: &Call,
        upgrade: bool,
    ) -> Result<(Response<Incoming>, Sender), Error> {
        let mut sender = self.sender().await?;
        let mut builder = self.request(call);
        if upgrade {
            builder = builder.header(CONNECTION, "Upgrade").header(UPGRADE, "tcp");
        }
        if call.body.is_some() {
            builder = builder.header(CONTENT_TYPE, "application/json");
        }
        let body = call.body.clone().map(Bytes::from).unwrap_or_default();
        let request = builder.body(Either::Left(Full::new(body)))?;
        let response = refuse(sender.send_request(request).await?).await?;
        Ok((response, sender))
    }

    fn request(&self, call: &Call) -> hyper::http::request::Builder {
        Request::builder()
            .method(call.method.clone())
            .uri(call.target(&self.version()))
            .header(HOST, "localhost")
            .header(USER_AGENT, concat!("Bulkhead-Client/", env!("CARGO_PKG_VERSION"), " (linux)"))
    }

    /// A connection that is free: one used before if the server kept it open, else a new one.
    async fn sender(&self) -> Result<Sender, Error> {
        loop {
            let Some(mut idle) = self.idle.borrow_mut().pop() else { break };
            if idle.ready().await.is_ok() {
                return Ok(idle);
            }
        }
        let failed = |source| Error::Connect { endpoint: self.endpoint.to_string(), source };
        match &self.endpoint {
            Endpoint::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(failed)?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                drop(tokio::spawn(connection.with_upgrades()));
                Ok(sender)
            }
            Endpoint::Tcp(address) => {
                let stream = TcpStream::connect(address).await.map_err(failed)?;
                let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                drop(tokio::spawn(connection.with_upgrades()));
                Ok(sender)
            }
        }
    }
}

/// An answer of 400 and above is an error with the server's words.
async fn refuse(response: Response<Incoming>) -> Result<Response<Incoming>, Error> {
    let status = response.status();
    if status.as_u16() < 400 {
        return Ok(response);
    }
    let bytes = response.into_body().collect().await?.to_bytes();
    let json: Json = serde_json::from_slice(&bytes).unwrap_or_default();
    let mut message = json.at("message").text().trim().to_owned();
    if message.is_empty() {
        message = String::from_utf8_lossy(&bytes).trim().to_owned();
    }
    if message.is_empty() {
        message = format!(
            "request returned {status}, check if the server supports the requested API version"
        );
    }
    Err(Error::Daemon { status: status.as_u16(), message })
}

/// The version a server that is too old says it knows.
fn supported_version(message: &str, used: &str) -> Option<String> {
    let (_, version) = message.split_once("Maximum supported API version is ")?;
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    let version = version.get(..end)?.trim_end_matches('.');
    (!version.is_empty() && version != used).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_server_names_its_version() {
        let message = "client version 1.51 is too new. Maximum supported API version is 1.47";
        assert_eq!(supported_version(message, "1.51").as_deref(), Some("1.47"));
        assert_eq!(supported_version(message, "1.47"), None, "it was already tried");
        assert_eq!(supported_version("bad parameter", "1.51"), None);
    }
}
