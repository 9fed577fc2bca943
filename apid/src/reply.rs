//! What a handler answers, and the body that carries it.

use crate::stream::hijack::Hijack;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::{Body, Frame, SizeHint};
use serde::Serialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Pieces of a streamed answer that wait for the client before their producer has to wait.
const STREAM_DEPTH: usize = 16;

/// The answer to a request.
#[derive(Debug)]
pub(crate) enum Reply {
    /// A status and nothing else.
    Empty(StatusCode),
    /// A status, a content type and a whole body.
    Whole(StatusCode, &'static str, Bytes),
    /// 200, a content type, and a body that comes as it comes; each piece is sent at once.
    Stream(&'static str, Streamed),
    /// The connection is no longer HTTP's.
    Hijack(Hijack),
}

impl Reply {
    /// 204
    pub(crate) const DONE: Self = Self::Empty(StatusCode::NO_CONTENT);

    /// 200 with JSON.
    pub(crate) fn json<T: Serialize>(value: &T) -> Self {
        Self::json_with(StatusCode::OK, value)
    }

    /// JSON, one line, with the newline that Docker's encoder writes.
    pub(crate) fn json_with<T: Serialize>(status: StatusCode, value: &T) -> Self {
        Self::Whole(status, JSON, json_line(value))
    }

    /// 200 with what `produce` sends until it ends. It is dropped when the client goes away.
    pub(crate) fn stream<F>(content_type: &'static str, produce: impl FnOnce(Sink) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (sink, pieces) = mpsc::channel(STREAM_DEPTH);
        let producer = tokio::spawn(produce(Sink(sink)));
        Self::Stream(content_type, Streamed { pieces, producer })
    }
}

/// The content type of JSON, as Docker writes it.
pub(crate) const JSON: &str = "application/json";

/// A value and a newline.
pub(crate) fn json_line<T: Serialize>(value: &T) -> Bytes {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

/// Where a streamed answer is written to.
#[derive(Debug)]
pub(crate) struct Sink(mpsc::Sender<Bytes>);

/// The client has gone away.
#[derive(Debug)]
pub(crate) struct Gone;

impl Sink {
    /// Send one piece, waiting for a client that reads slowly.
    pub(crate) async fn send(&self, piece: Bytes) -> Result<(), Gone> {
        self.0.send(piece).await.or(Err(Gone))
    }
}

/// The body of a streamed answer; its producer ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Streamed {
    pieces: mpsc::Receiver<Bytes>,
    producer: JoinHandle<()>,
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.producer.abort();
    }
}

/// A body as hyper takes it.
#[derive(Debug)]
pub(crate) enum ReplyBody {
    /// All of it; none once it is sent.
    Whole(Option<Bytes>),
    /// As it comes.
    Streamed(Streamed),
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Streamed(streamed) => {
                streamed.pieces.poll_recv(cx).map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Self::Streamed(_) => SizeHint::default(),
        }
    }
}
