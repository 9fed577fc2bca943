//! Connections: accepted, limited, served, and let go at the end.

use crate::config::Settings;
use crate::error::ApiError;
use crate::extract::{Call, MAX_NAME_BYTES, Query};
use crate::listen::Listener;
use crate::reply::{Reply, ReplyBody};
use crate::router::{percent_decode, split_version};
use crate::routes::{self, Found};
use crate::stream::hijack::{Hijack, Hijacked};
use crate::stream::socket::{ClientSocket, Serving};
use crate::version::ApiVersion;
use bulkhead_engine::Engine;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// The most connections at once; more have to wait until one ends.
const MAX_CONNECTIONS: usize = 4096;
/// The most headers of a request.
const MAX_HEADERS: usize = 100;
/// The largest head of a request in bytes. `X-Registry-Config` holds all of a user's logins.
const MAX_HEAD_BYTES: usize = 256 * 1024;
/// How long a connection may take for the head of a request, or be idle. Docker's value.
const HEAD_TIMEOUT: Duration = Duration::from_secs(300);
/// How long requests may go on after the end was asked for.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// How long accepting pauses when the system has no more of something.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What every request may need.
#[derive(Debug)]
pub(crate) struct App {
    /// The engine.
    pub(crate) engine: Engine,
    /// As configured.
    pub(crate) settings: Settings,
    /// `ID` of `GET /info`.
    pub(crate) id: String,
}

/// Serve until `stop` turns true, then let requests finish for a while.
pub(crate) async fn serve(
    app: Arc<App>,
    listeners: Vec<Listener>,
    mut stop: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (alive, mut last_gone) = mpsc::channel::<Infallible>(1);
    for listener in listeners {
        let hall = Hall { app: Arc::clone(&app), stop: stop.clone(), _alive: alive.clone() };
        tokio::spawn(hall.accept(listener, Arc::clone(&slots)));
    }
    drop(alive);
    stopped(&mut stop).await;
    if tokio::time::timeout(SHUTDOWN_GRACE, last_gone.recv()).await.is_err() {
        tracing::warn!("some requests did not finish in time");
    }
}

/// Resolves when the end is asked for, and when nobody can ask any more.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// What a connection needs to be served.
#[derive(Debug, Clone)]
struct Hall {
    app: Arc<App>,
    stop: watch::Receiver<bool>,
    /// Held, not used: the channel closes when the last connection is gone.
    _alive: mpsc::Sender<Infallible>,
}

impl Hall {
    async fn accept(mut self, listener: Listener, slots: Arc<Semaphore>) {
        loop {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            let socket = tokio::select! {
                socket = listener.accept() => socket,
                () = stopped(&mut self.stop) => return,
            };
            match socket {
                Ok(socket) => {
                    tokio::spawn(self.clone().connection(socket, slot));
                }
                Err(error) => {
                    tracing::warn!("accept: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn connection(mut self, socket: ClientSocket, _slot: OwnedSemaphorePermit) {
        let serving = socket.serving();
        let slot = HijackSlot::default();
        let service = {
            let (app, serving, slot) = (Arc::clone(&self.app), serving.clone(), slot.clone());
            service_fn(move |request| {
                // From this moment, not from the future's first poll: the library looks for the
                // client's end in between.
                let serving = serving.begin();
                Box::pin(handle(Arc::clone(&app), request, serving, slot.clone()))
            })
        };
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES)
            .max_header_size(MAX_HEAD_BYTES)
            .title_case_headers(true)
            .serve_connection(TokioIo::new(socket), service);
        let mut stopping = false;
        let end = loop {
            tokio::select! {
                end = poll_fn(|cx| connection.poll_without_shutdown(cx)) => break end,
                () = stopped(&mut self.stop), if !stopping => {
                    if serving.is_streaming() {
                        return;
                    }
                    Pin::new(&mut connection).graceful_shutdown();
                    stopping = true;
                }
            }
        };
        let parts = connection.into_parts();
        let mut socket = parts.io.into_inner();
        if let Some(hijack) = slot.take() {
            let client = Hijacked::new(parts.read_buf, socket);
            let headers = hijack_headers();
            tokio::select! {
                () = hijack.serve(client, &headers) => {}
                () = stopped(&mut self.stop) => {}
            }
            return;
        }
        if let Err(error) = end {
            tracing::debug!("connection: {error}");
        }
        // The client may have closed first.
        drop(tokio::io::AsyncWriteExt::shutdown(&mut socket).await);
    }
}

/// Where a handler leaves a hijack for its connection.
#[derive(Debug, Clone, Default)]
struct HijackSlot(Arc<Mutex<Option<Hijack>>>);

impl HijackSlot {
    fn put(&self, hijack: Hijack) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(hijack);
    }

    fn take(&self) -> Option<Hijack> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Tells the HTTP library to let go of a connection without writing a byte.
#[derive(Debug)]
struct LetGo;

impl fmt::Display for LetGo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was hijacked")
    }
}

impl std::error::Error for LetGo {}

async fn handle(
    app: Arc<App>,
    request: Request<Incoming>,
    serving: Serving,
    slot: HijackSlot,
) -> Result<Response<ServedBody>, LetGo> {
    let (parts, body) = request.into_parts();
    let what = format!("{} {}", parts.method, parts.uri.path());
    let reply = dispatch(app, parts, body).await.unwrap_or_else(|error| error.into_reply(&what));
    let (status, content_type, body) = match reply {
        Reply::Hijack(hijack) => {
            slot.put(hijack);
            return Err(LetGo);
        }
        Reply::Empty(status) => (status, None, ReplyBody::Whole(None)),
        Reply::Whole(status, kind, bytes) => (status, Some(kind), ReplyBody::Whole(Some(bytes))),
        Reply::Stream(kind, stream) => {
            serving.streams();
            (hyper::StatusCode::OK, Some(kind), ReplyBody::Streamed(stream))
        }
    };
    tracing::debug!("{what}: {}", status.as_u16());
    let is_ping = what.ends_with("/_ping");
    let mut response = Response::new(ServedBody { body, _serving: serving });
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some(kind) = content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    let ping: &[(&str, &str)] = if is_ping { PING_HEADERS } else { &[] };
    for (name, value) in COMMON_HEADERS.iter().chain(ping) {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    headers.insert("api-version", api_version());
    Ok(response)
}

async fn dispatch(app: Arc<App>, parts: Parts, body: Incoming) -> Result<Reply, ApiError> {
    let path = percent_decode(parts.uri.path())
        .ok_or_else(|| ApiError::bad("the path is not percent-encoded UTF-8"))?;
    let query = Query::parse(parts.uri.query().unwrap_or_default())
        .ok_or_else(|| ApiError::bad("the query is not percent-encoded UTF-8"))?;
    let (version, path) = split_version(&path);
    let found = routes::find(parts.method.as_str(), path).ok_or_else(ApiError::page_not_found)?;
    let version = match version {
        Some(text) => ApiVersion::negotiate(text).map_err(ApiError::bad)?,
        None => ApiVersion::NEWEST,
    };
    let (handler, name) = match found {
        Found::Absent(absent, name) => return Err(absent.error(name)),
        Found::Route(route, name) => (route.handler, name),
    };
    if name.len() > MAX_NAME_BYTES {
        return Err(ApiError::bad("the name is too long"));
    }
    let name = name.trim_start_matches('/').to_owned();
    handler(Call { app, version, name, query, headers: parts.headers, body }).await
}

/// Of every answer.
const COMMON_HEADERS: &[(&str, &str)] = &[
    ("server", concat!("Bulkhead/", env!("CARGO_PKG_VERSION"), " (linux)")),
    ("ostype", "linux"),
    ("docker-experimental", "false"),
];

/// Of `/_ping`. Builder version 1: there is no BuildKit behind this API.
const PING_HEADERS: &[(&str, &str)] = &[
    ("builder-version", "1"),
    ("swarm", "inactive"),
    ("cache-control", "no-cache, no-store, must-revalidate"),
    ("pragma", "no-cache"),
];

fn api_version() -> HeaderValue {
    HeaderValue::try_from(ApiVersion::NEWEST.to_string())
        .unwrap_or_else(|_| HeaderValue::from_static(""))
}

fn hijack_headers() -> String {
    format!(
        "Api-Version: {}\r\nDocker-Experimental: false\r\nOstype: linux\r\nServer: Bulkhead/{} (linux)\r\n",
        ApiVersion::NEWEST,
        env!("CARGO_PKG_VERSION"),
    )
}

/// A body that ends the serving of its request when it is done with.
struct ServedBody {
    body: ReplyBody,
    _serving: Serving,
}

impl Body for ServedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
