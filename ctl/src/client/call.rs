//! One request to the API: method, path, query, body.

use std::fmt::Write as _;

use hyper::Method;
use serde_json::Value;

/// A request whose body is JSON or nothing.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(super) method: Method,
    path: String,
    query: String,
    pub(super) body: Option<String>,
}

impl Call {
    /// A GET. Path segments that come from a user go through [`segment`].
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self::of(Method::GET, path)
    }

    /// A POST.
    pub(crate) fn post(path: impl Into<String>) -> Self {
        Self::of(Method::POST, path)
    }

    /// A DELETE.
    pub(crate) fn delete(path: impl Into<String>) -> Self {
        Self::of(Method::DELETE, path)
    }

    fn of(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: String::new(), body: None }
    }

    /// With a query parameter, left out if the value is empty.
    pub(crate) fn query(mut self, name: &str, value: impl AsRef<str>) -> Self {
        let value = value.as_ref();
        if !value.is_empty() {
            self.query.push(if self.query.is_empty() { '?' } else { '&' });
            self.query.push_str(name);
            self.query.push('=');
            encode(value, &mut self.query);
        }
        self
    }

    /// With a query parameter `name=1`, if it is on.
    pub(crate) fn switch(self, name: &str, on: bool) -> Self {
        self.query(name, if on { "1" } else { "" })
    }

    /// With a JSON body.
    pub(crate) fn body(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string());
        self
    }

    /// Path and query below the version.
    pub(super) fn target(&self, version: &str) -> String {
        format!("/v{version}{}{}", self.path, self.query)
    }
}

/// A name for use as a segment of a path. Slashes stay, as image names have them.
pub(crate) fn segment(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    encode(name, &mut encoded);
    encoded
}

fn encode(text: &str, encoded: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'_'
            | b'.'
            | b'~'
            | b'/'
            | b':'
            | b'@' => {
                encoded.push(char::from(byte));
            }
            _ => write!(encoded, "%{byte:02X}").unwrap_or(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded_and_empty_values_left_out() {
        let call = Call::get("/containers/json")
            .switch("all", true)
            .switch("size", false)
            .query("filters", r#"{"a":["b c"]}"#)
            .query("limit", "");
        assert_eq!(
            call.target("1.51"),
            "/v1.51/containers/json?all=1&filters=%7B%22a%22:%5B%22b%20c%22%5D%7D"
        );
    }

    #[test]
    fn names_cannot_leave_their_segment() {
        assert_eq!(segment("library/busybox:1.36"), "library/busybox:1.36");
        assert_eq!(segment("x?force=1#y"), "x%3Fforce%3D1%23y");
    }
}
