//! Images.

use crate::error::ApiError;
use crate::extract::Call;
use crate::reply::{JSON, Reply, json_line};
use crate::version;
use bytes::{Buf as _, Bytes};
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::Incoming;
use serde_json::json;
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
    let images = call.app.engine.images();
    let (archive, pump) = archive(call.body);
    Ok(Reply::stream(JSON, |client| async move {
        let mut load = std::pin::pin!(images.load(Box::new(archive)));
        let loaded = tokio::select! {
            loaded = &mut load => loaded,
            () = pump => load.await,
        };
        let lines = match loaded {
            Ok(lines) => lines.iter().map(|line| json!({"stream": format!("{line}\n")})).collect(),
            Err(error) => {
                let message = ApiError::from(error).message().to_owned();
                vec![json!({"errorDetail": {"message": message}, "error": message})]
            }
        };
        for line in lines {
            if client.send(json_line(&line)).await.is_err() {
                return;
            }
        }
    }))
}

/// `POST /images/create`: pulling and importing, neither of which is there yet.
pub(super) async fn create(call: Call) -> Result<Reply, ApiError> {
    Err(ApiError::not_implemented(if call.query.text("fromSrc").is_empty() {
        "pulling images is not implemented by this engine yet; bring them by `docker load`"
    } else {
        "importing file systems is not implemented by this engine yet; bring images by `docker load`"
    }))
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
