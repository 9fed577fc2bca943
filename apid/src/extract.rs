//! A request's parts, as handlers want them.

use crate::error::ApiError;
use crate::server::App;
use crate::version::ApiVersion;
use bulkhead_engine::Filters;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::HeaderMap;
use hyper::body::{Body as _, Incoming};
use hyper::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// The largest JSON body in bytes. The shim takes at most 4 MiB of one container.
pub(crate) const MAX_JSON_BYTES: usize = 8 * 1024 * 1024;
/// The longest name of a container, image, exec or network in a path, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 4096;

/// A request that found its handler.
#[derive(Debug)]
pub(crate) struct Call {
    /// The daemon.
    pub(crate) app: Arc<App>,
    /// The version that the client speaks.
    pub(crate) version: ApiVersion,
    /// What stood for `{}` in the pattern, without a leading slash.
    pub(crate) name: String,
    /// What stood behind `?`.
    pub(crate) query: Query,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body, not read yet.
    pub(crate) body: Incoming,
}

impl Call {
    /// The body as JSON.
    ///
    /// # Errors
    ///
    /// 400 with Docker's sentences: not JSON by its header or its text, or no body at all.
    pub(crate) async fn json<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        let bytes = self.json_bytes().await?;
        if bytes.is_empty() {
            return Err(ApiError::bad("invalid JSON: got EOF while reading request body"));
        }
        read_json(&bytes)
    }

    /// The body as JSON; without a body, the default.
    pub(crate) async fn json_or_default<T: DeserializeOwned + Default>(
        self,
    ) -> Result<T, ApiError> {
        let bytes = self.json_bytes().await?;
        if bytes.is_empty() { Ok(T::default()) } else { read_json(&bytes) }
    }

    /// Whether the client wants to speak another protocol than HTTP from now on. Docker looks at
    /// nothing but this header's presence.
    pub(crate) fn wants_upgrade(&self) -> bool {
        self.headers.contains_key(hyper::header::UPGRADE)
    }

    /// The `filters` parameter.
    ///
    /// # Errors
    ///
    /// 400: not JSON of either shape.
    pub(crate) fn filters(&self) -> Result<Filters, ApiError> {
        Ok(Filters::parse(self.query.text("filters"))?)
    }

    async fn json_bytes(self) -> Result<Bytes, ApiError> {
        if !self.body.is_end_stream() {
            check_content_type(&self.headers)?;
        }
        collect(self.body, MAX_JSON_BYTES).await
    }
}

/// A whole body.
///
/// # Errors
///
/// 413 beyond `limit` bytes; 400 when the client breaks off.
pub(crate) async fn collect(body: Incoming, limit: usize) -> Result<Bytes, ApiError> {
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(ApiError::too_large(format!("the request body is longer than {limit} bytes")))
        }
        Err(error) => Err(ApiError::bad(format!("reading the request body: {error}"))),
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Err(ApiError::bad("malformed Content-Type header (): mime: no media type"));
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let kind = text.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(ApiError::bad(format!(
        "unsupported Content-Type header ({text}): must be 'application/json'"
    )))
}

fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| ApiError::bad(format!("invalid JSON: {error}")))
}

/// A decoded query string. Of a name that stands there twice, the first counts, as in Go.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Decode; none: a bad escape.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let decode = |part: &str| crate::router::percent_decode(&part.replace('+', " "));
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Some((decode(name)?, decode(value)?))
            })
            .collect::<Option<_>>()
            .map(Self)
    }

    /// The value, or nothing if the name is not there.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// Every value of a name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// The value; empty if it is not there.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// Docker's idea of truth: everything but nothing, `0`, `no`, `false` and `none`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        !matches!(
            self.text(name).trim().to_ascii_lowercase().as_str(),
            "" | "0" | "no" | "false" | "none"
        )
    }

    /// As [`Self::flag`], but when the name is not there at all.
    pub(crate) fn flag_or(&self, name: &str, default: bool) -> bool {
        if self.get(name).is_some() { self.flag(name) } else { default }
    }

    /// A whole number.
    ///
    /// # Errors
    ///
    /// 400 with Go's words.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let text = self.text(name);
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_cause| {
            ApiError::bad(format!("strconv.Atoi: parsing \"{text}\": invalid syntax"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truth_is_dockers() {
        let query = Query::parse("a=1&b=0&c=False&d=none&e=&f&g=yes&h=+no+").unwrap();
        let truths = ["a", "b", "c", "d", "e", "f", "g", "h", "missing"].map(|n| query.flag(n));
        assert_eq!(truths, [true, false, false, false, false, false, true, false, false]);
        assert!(query.flag_or("missing", true));
        assert!(!query.flag_or("e", true));
    }

    #[test]
    fn the_first_of_two_counts_and_escapes_are_decoded() {
        let query = Query::parse("a=x&a=y&f=%7B%22l%22%3A%5B%22a+b%22%5D%7D").unwrap();
        assert_eq!(query.text("a"), "x");
        assert_eq!(query.text("f"), r#"{"l":["a b"]}"#);
        assert!(Query::parse("a=%zz").is_none());
    }

    #[test]
    fn numbers_are_numbers() {
        let query = Query::parse("t=10&u=ten&v=").unwrap();
        assert_eq!(query.number::<i64>("t").unwrap(), Some(10));
        assert_eq!(query.number::<i64>("v").unwrap(), None);
        assert!(query.number::<i64>("u").unwrap_err().message().contains("ten"));
    }
}
