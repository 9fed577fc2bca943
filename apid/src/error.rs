//! From what went wrong to what the client reads. The only place that knows status codes of
//! failures.

use crate::reply::Reply;
use bulkhead_engine::{EngineError, ErrorKind};
use bulkhead_types::ErrorBody;
use hyper::StatusCode;
use std::error::Error as _;

/// A failed request.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
}

impl ApiError {
    /// 400: the request itself is wrong.
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    /// 404 for a path that no version of the API has.
    pub(crate) fn page_not_found() -> Self {
        Self { status: StatusCode::NOT_FOUND, message: "page not found".to_owned() }
    }

    /// 404 for a thing of this kind.
    pub(crate) fn no_such(kind: &str, name: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: format!("{kind} {name} not found") }
    }

    /// 413: more bytes than a limit admits.
    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, message: message.into() }
    }

    /// 501: this engine does not do that.
    pub(crate) fn not_implemented(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_IMPLEMENTED, message: message.into() }
    }

    /// 503: not as long as things are as they are.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message: message.into() }
    }

    /// What the client reads.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Log it once if it is ours, and make the answer.
    pub(crate) fn into_reply(self, what: &str) -> Reply {
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!("{what}: {}", self.message);
        } else {
            tracing::debug!("{what}: {}", self.message);
        }
        if self.status == StatusCode::NOT_MODIFIED {
            return Reply::Empty(self.status);
        }
        Reply::json_with(self.status, &ErrorBody { message: self.message })
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let status = match error.kind() {
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Conflict => StatusCode::CONFLICT,
            ErrorKind::BadParameter => StatusCode::BAD_REQUEST,
            ErrorKind::Denied => StatusCode::FORBIDDEN,
            ErrorKind::NotModified => StatusCode::NOT_MODIFIED,
            ErrorKind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut message = error.message().to_owned();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !message.contains(&text) {
                message = format!("{message}: {text}");
            }
            cause = error.source();
        }
        Self { status, message }
    }
}
