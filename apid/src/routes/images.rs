//! Images.

use crate::error::ApiError;
use crate::extract::Call;
use crate::reply::{JSON, Reply, json_line};
use crate::version;
use bulkhead_engine::{EngineError, ImportOptions};
use bytes::{Buf as _, Bytes};
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::Incoming;
use serde_json::{Value, json};
use std::io;
use tokio::sync::mpsc;

/// Pieces of an archive that wait for their reader.
const BODY_DEPTH: usize = 4;

/// `GET /images/json`: 200.
pub(super) async fn list(call: Call) -> Result<Reply, ApiError> {
    let mut images = call.app.engine.images().list(call.query.flag("all"), call.filters()?).await?;
    for image in &mut images {
        version::image_summary(call.version, image);
    }
    Ok(Reply::json(&images))
}

/// `GET /images/{name}/json`: 200.
pub(super) async fn inspect(call: Call) -> Result<Reply, ApiError> {
    let image = call.app.engine.images().inspect(&call.name).await?;
    Ok(Reply::json(&version::image_inspect(call.version, image)))
}

/// `GET /images/{name}/history`: 200.
pub(super) async fn history(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::json(&call.app.engine.images().history(&call.name).await?))
}

/// `POST /images/{name}/tag`: 201.
pub(super) async fn tag(call: Call) -> Result<Reply, ApiError> {
    let (repository, tag) = (call.query.text("repo"), call.query.text("tag"));
    call.app.engine.images().tag(&call.name, repository, tag).await?;
    Ok(Reply::Empty(StatusCode::CREATED))
}

/// `DELETE /images/{name}`: 200.
pub(super) async fn remove(call: Call) -> Result<Reply, ApiError> {
    let removed = call.app.engine.images().remove(&call.name, call.query.flag("force")).await?;
    Ok(Reply::json(&removed))
}

/// `POST /images/prune`: 200.
pub(super) async fn prune(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::json(&call.app.engine.images().prune(call.filters()?).await?))
}

/// `POST /images/load`: 200 and lines of JSON, the last of which may be an error.
pub(super) async fn load(call: Call) -> Result<Reply, ApiError> {
    if !call.query.text("platform").is_empty() {
        return Err(ApiError::not_implemented(
            "choosing platforms of an archive is not implemented: this host's is loaded",
        ));
    }
    let images = call.app.engine.images();
    Ok(Reply::stream(JSON, |client| async move {
        let lines = match with_archive(call.body, |archive| images.load(archive)).await {
            Ok(lines) => lines.iter().map(|line| json!({"stream": format!("{line}\n")})).collect(),
            Err(error) => vec![failure(error)],
        };
        for line in lines {
            if client.send(json_line(&line)).await.is_err() {
                return;
            }
        }
    }))
}

/// `POST /images/create`: importing with `fromSrc=-`, 200 and lines of JSON. Pulling is not there
/// yet, nor is fetching from a URL.
pub(super) async fn create(call: Call) -> Result<Reply, ApiError> {
    match call.query.text("fromSrc") {
        "-" => {}
        "" => {
            return Err(ApiError::not_implemented(
                "pulling images is not implemented by this engine yet; bring them by `docker load`",
            ));
        }
        _ => {
            return Err(ApiError::not_implemented(
                "importing from a URL is not implemented; fetch it and send it as `fromSrc=-`",
            ));
        }
    }
    super::containers::check_platform(call.query.text("platform"))?;
    let options = ImportOptions {
        repository: call.query.text("repo").to_owned(),
        tag: call.query.text("tag").to_owned(),
        message: call.query.text("message").to_owned(),
        changes: call.query.all("changes").map(str::to_owned).collect(),
    };
    let images = call.app.engine.images();
    Ok(Reply::stream(JSON, |client| async move {
        let line = match with_archive(call.body, |archive| images.import(archive, options)).await {
            Ok(id) => json!({"status": id}),
            Err(error) => failure(error),
        };
        // A client that is gone does not want to know.
        drop(client.send(json_line(&line)).await);
    }))
}

/// A failure after the head of the answer has been sent.
fn failure(error: EngineError) -> Value {
    let error = ApiError::from(error);
    json!({"errorDetail": {"message": error.message()}, "error": error.message()})
}

/// Let `work` read a request's body as a thread does, until it is done with it.
async fn with_archive<F: Future>(
    body: Incoming,
    work: impl FnOnce(Box<dyn io::Read + Send>) -> F,
) -> F::Output {
    let (archive, pump) = archive(body);
    let mut work = std::pin::pin!(work(Box::new(archive)));
    tokio::select! {
        done = &mut work => done,
        () = pump => work.await,
    }
}

/// A request's body as something that a thread can read, and the future that moves it there.
fn archive(mut body: Incoming) -> (Archive, impl Future<Output = ()> + Send) {
    let (sender, pieces) = mpsc::channel(BODY_DEPTH);
    let pump = async move {
        while let Some(frame) = body.frame().await {
            let piece = match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(piece)) => Ok(piece),
                // Trailers.
                Ok(Err(_)) => continue,
                Err(error) => Err(io::Error::other(error)),
            };
            // The reader has what it wants.
            if sender.send(piece).await.is_err() {
                return;
            }
        }
    };
    (Archive { pieces, piece: Bytes::new() }, pump)
}

/// See [`archive`].
#[derive(Debug)]
struct Archive {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl io::Read for Archive {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len());
        if let Some(filled) = buffer.get_mut(..length) {
            self.piece.copy_to_slice(filled);
        }
        Ok(length)
    }
}
