//! The keys that end a session and leave the container running.
//!
//! The engine looks for them too (it is told which), but an engine that is stuck must not keep the
//! user: so they are also looked for here, and do not reach the engine if found.

/// `ctrl-p`, `ctrl-q`.
const DEFAULT: [u8; 2] = [16, 17];

/// Keys from text as `ctrl-p,ctrl-q` or `a,ctrl-@`; the default for empty or unusable text.
pub(super) fn keys(text: &str) -> Vec<u8> {
    let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
    keys.filter(|keys| !keys.is_empty()).unwrap_or_else(|| DEFAULT.to_vec())
}

fn key(text: &str) -> Option<u8> {
    match text.strip_prefix("ctrl-").map(str::as_bytes) {
        Some([letter @ b'a'..=b'z']) => Some(letter - b'a' + 1),
        Some([b'@']) => Some(0),
        Some([mark @ (b'[' | b'\\' | b']' | b'^' | b'_')]) => Some(mark - b'[' + 27),
        Some(_) => None,
        None => match text.as_bytes() {
            [letter] => Some(*letter),
            _ => None,
        },
    }
}

/// The keys were typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Detached {
    /// What was typed before them.
    pub(super) before: Vec<u8>,
}

/// Looks for the keys in what is typed.
#[derive(Debug)]
pub(super) struct Detector {
    keys: Vec<u8>,
    matched: usize,
}

impl Detector {
    /// A detector of these keys.
    pub(super) fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    /// What of the typed bytes goes on. The beginning of the sequence is held back until the next
    /// byte says whether it is one.
    pub(super) fn pass(&mut self, typed: &[u8]) -> Result<Vec<u8>, Detached> {
        let mut passed = Vec::with_capacity(typed.len());
        for byte in typed {
            if self.keys.get(self.matched) != Some(byte) {
                passed.extend(self.keys.iter().take(self.matched));
                self.matched = 0;
            }
            if self.keys.get(self.matched) == Some(byte) {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return Err(Detached { before: passed });
                }
            } else {
                passed.push(*byte);
            }
        }
        Ok(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_as_docker_names_them() {
        assert_eq!(keys(""), DEFAULT);
        assert_eq!(keys("ctrl-a"), [1]);
        assert_eq!(keys("ctrl-@,a,ctrl-[,ctrl-_"), [0, b'a', 27, 31]);
        assert_eq!(keys("ctrl-A"), DEFAULT, "unusable");
        assert_eq!(keys("zz"), DEFAULT, "unusable");
    }

    #[test]
    fn the_sequence_is_found_in_any_cut_and_does_not_pass() {
        let mut detector = Detector::new(DEFAULT.to_vec());
        assert_eq!(detector.pass(b"ls\x10"), Ok(b"ls".to_vec()));
        assert_eq!(detector.pass(b"\x11x"), Err(Detached { before: vec![] }));
        let mut detector = Detector::new(DEFAULT.to_vec());
        assert_eq!(detector.pass(b"a\x10\x11"), Err(Detached { before: b"a".to_vec() }));
    }

    #[test]
    fn a_beginning_that_does_not_go_on_passes_late() {
        let mut detector = Detector::new(DEFAULT.to_vec());
        assert_eq!(detector.pass(b"\x10"), Ok(vec![]));
        assert_eq!(detector.pass(b"x"), Ok(b"\x10x".to_vec()));
        assert_eq!(detector.pass(b"\x10\x10"), Ok(b"\x10".to_vec()));
        assert_eq!(detector.pass(b"\x11"), Err(Detached { before: vec![] }));
    }
}
