//! Answers read as they come: `logs`, `events`, progress of a load.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;

use super::Error;
use crate::output::json::Json;

/// The longest JSON message taken from a stream of them, in bytes.
const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// The content of an answer in the pieces in which it arrives.
pub(crate) struct Frames {
    content_type: String,
    body: Incoming,
}

impl Frames {
    pub(super) fn new(response: Response<Incoming>) -> Self {
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or("");
        Self { content_type: content_type.to_owned(), body: response.into_body() }
    }

    /// What the server says the content is; empty if it says nothing.
    pub(crate) fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The next piece; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(data) = frame?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// All that is left.
    pub(crate) async fn all(mut self) -> Result<Vec<u8>, Error> {
        let mut all = Vec::new();
        while let Some(data) = self.next().await? {
            all.extend_from_slice(&data);
        }
        Ok(all)
    }

    /// As a sequence of JSON messages.
    pub(crate) fn messages(self) -> Lines {
        Lines { frames: self, buffer: BytesMut::new(), ended: false }
    }
}

/// JSON messages one after the other, with or without line ends between them.
pub(crate) struct Lines {
    frames: Frames,
    buffer: BytesMut,
    ended: bool,
}

impl Lines {
    /// The next message; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Json>, Error> {
        loop {
            let mut parser = serde_json::Deserializer::from_slice(&self.buffer).into_iter::<Json>();
            let failure = match parser.next() {
                Some(Ok(message)) => {
                    let used = parser.byte_offset();
                    drop(self.buffer.split_to(used));
                    return Ok(Some(message));
                }
                Some(Err(error)) => Some(error),
                None => None,
            };
            if self.ended && failure.is_none() {
                return Ok(None);
            }
            if let Some(source) = failure
                && (self.ended || !source.is_eof() || self.buffer.len() > MAX_MESSAGE_BYTES)
            {
                return Err(Error::Answer { target: "a stream of messages".to_owned(), source });
            }
            match self.frames.next().await? {
                Some(data) => self.buffer.extend_from_slice(&data),
                None => self.ended = true,
            }
        }
    }
}
