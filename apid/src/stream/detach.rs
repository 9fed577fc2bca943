//! The keys by which a client leaves a terminal without ending what runs there.

use crate::error::ApiError;

/// What Docker clients send when they do not say: `ctrl-p`, `ctrl-q`.
const DEFAULT: [u8; 2] = [16, 17];

/// Looks for the keys in what a client types. Keys that may be the beginning of the sequence are
/// held back until the next byte tells.
#[derive(Debug, Clone)]
pub(crate) struct DetachKeys {
    keys: Vec<u8>,
    seen: usize,
}

impl DetachKeys {
    /// From the `detachKeys` parameter: `ctrl-p,ctrl-q` or `a,b`; empty: the default.
    ///
    /// # Errors
    ///
    /// 400 in Docker's words.
    pub(crate) fn parse(text: &str) -> Result<Self, ApiError> {
        let invalid = || ApiError::bad(format!("Invalid detach keys ({text}) provided"));
        if text.is_empty() {
            return Ok(Self { keys: DEFAULT.to_vec(), seen: 0 });
        }
        let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
        Ok(Self { keys: keys.ok_or_else(invalid)?, seen: 0 })
    }

    /// What of `typed` goes on to the process, and whether the sequence is complete.
    pub(crate) fn filter(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let mut passed = Vec::with_capacity(typed.len());
        for byte in typed {
            if self.keys.get(self.seen) != Some(byte) {
                passed.extend(self.keys.iter().take(self.seen));
                self.seen = 0;
            }
            if self.keys.get(self.seen) == Some(byte) {
                self.seen += 1;
                if self.seen == self.keys.len() {
                    return (passed, true);
                }
            } else {
                passed.push(*byte);
            }
        }
        (passed, false)
    }
}

/// One key by Docker's name for it.
fn key(name: &str) -> Option<u8> {
    match name.as_bytes() {
        [byte] => Some(*byte),
        b"DEL" => Some(127),
        [b'c', b't', b'r', b'l', b'-', byte @ (b'a'..=b'z')] => Some(byte - b'a' + 1),
        [b'c', b't', b'r', b'l', b'-', byte @ (b'@' | b'['..=b'_')] => Some(byte - b'@'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_found_across_reads_and_the_rest_passes() {
        let mut keys = DetachKeys::parse("").unwrap();
        assert_eq!(keys.filter(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(keys.filter(b"c\x10\x10"), (b"\x10c\x10".to_vec(), false));
        assert_eq!(keys.filter(b"\x11d"), (Vec::new(), true));
    }

    #[test]
    fn keys_have_dockers_names() {
        for (text, bytes) in
            [("a", &b"a"[..]), ("ctrl-a,ctrl-z", b"\x01\x1a"), ("ctrl-@,ctrl-_,DEL", b"\0\x1f\x7f")]
        {
            assert_eq!(DetachKeys::parse(text).unwrap().keys, bytes, "{text}");
        }
        for text in ["ctrl-", "ctrl-A", "ab", ",", "ctrl-1"] {
            assert!(DetachKeys::parse(text).is_err(), "{text}");
        }
    }
}
