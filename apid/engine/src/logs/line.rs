//! One line of Docker's `json-file` format:
//! `{"log":"text\n","stream":"stdout","attrs":{...},"time":"2024-01-01T00:00:00.000000001Z"}`.
//!
//! Bytes are escaped as Go's `encoding/json` does with HTML escaping, which is what tools that
//! compare log files expect.

use crate::stream::StreamKind;
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::BufRead;

/// Docker cuts a line without end into pieces of this many bytes (`daemon/logger/copier.go`).
pub(crate) const MAX_LINE_BYTES: usize = 16 * 1024;

/// Cut the first line off `bytes`: what of it to log, whether it ended with a newline, and what is
/// left. None: more bytes may complete it. `last`: there will not be more.
pub(crate) fn split(bytes: &[u8], last: bool) -> Option<(&[u8], bool, &[u8])> {
    let window = bytes.get(..MAX_LINE_BYTES).unwrap_or(bytes);
    if let Some(end) = newline(window) {
        return Some((window.get(..end)?, true, bytes.get(end + 1..)?));
    }
    let complete = window.len() == MAX_LINE_BYTES || (last && !window.is_empty());
    complete.then(|| (window, false, bytes.get(window.len()..).unwrap_or_default()))
}

/// Where the first newline is. `skip_until` is the standard library's `memchr(3)`.
pub(super) fn newline(window: &[u8]) -> Option<usize> {
    let mut rest = window;
    let taken = rest.skip_until(b'\n').ok()?;
    let last = taken.checked_sub(1)?;
    (window.get(last) == Some(&b'\n')).then_some(last)
}

/// Append one line of the file.
pub(crate) fn append(
    out: &mut Vec<u8>,
    text: &[u8],
    newline: bool,
    stream: StreamKind,
    attributes: &str,
    clock: &mut Clock,
) {
    out.extend_from_slice(b"{\"log\":\"");
    escape(out, text);
    if newline {
        out.extend_from_slice(b"\\n");
    }
    out.extend_from_slice(match stream {
        StreamKind::Stdout => b"\",\"stream\":\"stdout\"",
        StreamKind::Stderr => b"\",\"stream\":\"stderr\"",
    });
    if !attributes.is_empty() {
        out.extend_from_slice(b",\"attrs\":");
        out.extend_from_slice(attributes.as_bytes());
    }
    out.extend_from_slice(b",\"time\":\"");
    clock.append(out);
    out.extend_from_slice(b"\"}\n");
}

/// Times of lines that were read together: one nanosecond apart, so that a reader can go on after
/// the last time it saw.
#[derive(Debug)]
pub(crate) struct Clock {
    /// `2024-01-01T00:00:00`
    second: String,
    nanosecond: u32,
}

impl Clock {
    /// From this time on.
    pub(crate) fn at(now: jiff::Timestamp) -> Self {
        let whole = now.as_second();
        let text = jiff::Timestamp::from_second(whole).unwrap_or_default().to_string();
        Self {
            second: text.trim_end_matches('Z').to_owned(),
            nanosecond: u32::try_from(now.subsec_nanosecond()).unwrap_or(0),
        }
    }

    /// Go's `RFC3339Nano`: zeros at the end of the fraction are left out.
    fn append(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.second.as_bytes());
        let mut digits = [b'0'; 9];
        let mut rest = self.nanosecond;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        let kept = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        if kept > 0 {
            out.push(b'.');
            out.extend_from_slice(digits.get(..kept).unwrap_or_default());
        }
        out.push(b'Z');
        // A million lines in one batch stay within the second nearly always; if not, they are the
        // last nanosecond's.
        self.nanosecond = (self.nanosecond + 1).min(999_999_999);
    }
}

/// Which bytes stand for themselves.
fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..0x80) && !matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&')
}

fn escape(out: &mut Vec<u8>, mut text: &[u8]) {
    loop {
        let run = text.iter().position(|byte| !is_plain(*byte)).unwrap_or(text.len());
        let (plain, rest) = text.split_at_checked(run).unwrap_or((text, &[]));
        out.extend_from_slice(plain);
        let Some((byte, behind)) = rest.split_first() else { return };
        text = if byte.is_ascii() {
            escape_ascii(out, *byte);
            behind
        } else {
            let end = rest.iter().position(u8::is_ascii).unwrap_or(rest.len());
            let (foreign, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            escape_non_ascii(out, foreign);
            behind
        };
    }
}

fn escape_ascii(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        _ => {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or(b'0');
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[digit(byte >> 4), digit(byte & 0xf)]);
        }
    }
}

fn escape_non_ascii(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\u{2028}' => out.extend_from_slice(b"\\u2028"),
                '\u{2029}' => out.extend_from_slice(b"\\u2029"),
                _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

/// A line read back.
#[derive(Debug, Deserialize)]
pub(crate) struct Line<'l> {
    /// With its newline, if it had one.
    #[serde(borrow, default)]
    pub log: Cow<'l, str>,
    /// `stdout` or `stderr`.
    #[serde(borrow, default)]
    pub stream: Cow<'l, str>,
    /// RFC 3339.
    #[serde(borrow, default)]
    pub time: Cow<'l, str>,
    /// Extra attributes.
    #[serde(default)]
    pub attrs: BTreeMap<String, String>,
}

impl Line<'_> {
    /// Which stream; lines of unknown streams are shown as output.
    pub(crate) fn kind(&self) -> StreamKind {
        if self.stream == "stderr" { StreamKind::Stderr } else { StreamKind::Stdout }
    }

    /// When; nanoseconds since 1970.
    pub(crate) fn at_ns(&self) -> Option<i64> {
        let at: jiff::Timestamp = self.time.parse().ok()?;
        i64::try_from(at.as_nanosecond()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &[u8], newline: bool) -> String {
        let mut clock = Clock::at("2024-05-06T07:08:09.120000000Z".parse().unwrap());
        let mut out = Vec::new();
        append(&mut out, text, newline, StreamKind::Stdout, "", &mut clock);
        String::from_utf8(out).unwrap()
    }

    /// What dockerd 28 wrote for these bytes.
    #[test]
    fn lines_are_byte_for_byte_as_dockers() {
        for (text, log) in [
            (&b"plain"[..], r"plain\n"),
            (b"tab\tcr\r", r"tab\u0009cr\r\n"),
            (br#"q"b\"#, r#"q\"b\\\n"#),
            (b"<a&b>", r"\u003ca\u0026b\u003e\n"),
            (b"\x1b[0m\x7f", "\\u001b[0m\x7f\\n"),
            ("gr\u{fc}n \u{1f600}".as_bytes(), "gr\u{fc}n \u{1f600}\\n"),
            (b"bad \xff\xfe end", r"bad \ufffd\ufffd end\n"),
            ("sep\u{2028}".as_bytes(), r"sep\u2028\n"),
        ] {
            let wanted = format!(
                "{{\"log\":\"{log}\",\"stream\":\"stdout\",\"time\":\"2024-05-06T07:08:09.12Z\"}}\n"
            );
            assert_eq!(line(text, true), wanted);
        }
        assert!(line(b"no end", false).starts_with(r#"{"log":"no end","#));
    }

    #[test]
    fn attributes_stand_between_stream_and_time() {
        let mut out = Vec::new();
        let mut clock = Clock::at("2024-05-06T07:08:09Z".parse().unwrap());
        append(&mut out, b"x", true, StreamKind::Stderr, r#"{"a":"b"}"#, &mut clock);
        let text = String::from_utf8(out).unwrap();
        let wanted =
            r#"{"log":"x\n","stream":"stderr","attrs":{"a":"b"},"time":"2024-05-06T07:08:09Z"}"#;
        assert_eq!(text.trim_end(), wanted);
        let back: Line<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!((back.kind(), back.attrs["a"].as_str()), (StreamKind::Stderr, "b"));
    }

    #[test]
    fn times_of_one_batch_grow() {
        let mut clock = Clock::at("2024-05-06T07:08:09.000000009Z".parse().unwrap());
        let mut out = Vec::new();
        clock.append(&mut out);
        clock.append(&mut out);
        let wanted = "2024-05-06T07:08:09.000000009Z2024-05-06T07:08:09.00000001Z";
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }

    #[test]
    fn a_line_without_end_is_cut_at_16_kib() {
        let long = vec![b'a'; MAX_LINE_BYTES + 10];
        let (piece, newline, rest) = split(&long, false).unwrap();
        assert_eq!((piece.len(), newline, rest.len()), (MAX_LINE_BYTES, false, 10));
        assert!(split(rest, false).is_none(), "more may come");
        assert_eq!(split(rest, true), Some((rest, false, &[][..])));
        assert_eq!(split(b"a\nb", false), Some((&b"a"[..], true, &b"b"[..])));
        assert_eq!(split(b"", true), None);
    }

    #[test]
    fn a_full_piece_before_its_newline_is_a_piece_and_an_empty_line() {
        let mut exact = vec![b'a'; MAX_LINE_BYTES];
        exact.push(b'\n');
        let (_, newline, rest) = split(&exact, false).unwrap();
        assert!(!newline);
        assert_eq!(split(rest, false), Some((&b""[..], true, &b""[..])));
    }
}
