//! The audit log: who asked for what, what was decided, how it went.
//!
//! One JSON object a line, appended with one write(2). Each line ends in the SHA-256 of the line
//! before it and of its own text, so that a line cannot be changed, removed or put in without
//! every later hash being wrong: `bulkhead-shim --verify-audit FILE` checks. Nothing here is ever
//! parsed by the running shim but the last 64 hex digits of the last line, when it starts.

use crate::sha256::{hex, sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, Read, Seek, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The longest text of one field; the rest is cut.
const MAX_FIELD_BYTES: usize = 1024;
const GENESIS: [u8; 64] = [b'0'; 64];
/// What stands between a line's text and its hash.
const HASH_KEY: &str = ",\"hash\":\"";

/// How a request went.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verdict {
    /// Policy admits it; it is done next.
    Permit,
    /// Policy does not admit it.
    Deny,
    /// It was admitted and failed.
    Failed,
    /// The bytes were no request; the connection was closed.
    Protocol,
    /// Something that nobody asked for: start, recovery, clean-up.
    Note,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Permit => "permit",
            Self::Deny => "deny",
            Self::Failed => "failed",
            Self::Protocol => "protocol",
            Self::Note => "note",
        }
    }
}

/// One line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'a> {
    /// The peer as the kernel attests it: uid and pid; none: the shim itself.
    pub peer: Option<(u32, i32)>,
    /// The request's name.
    pub request: &'a str,
    /// What it is about: an id, or nothing.
    pub subject: &'a str,
    pub verdict: Verdict,
    /// The rule that decided.
    pub rule: &'a str,
    /// For people.
    pub detail: &'a str,
}

/// The open log.
#[derive(Debug)]
pub(crate) struct AuditLog {
    file: File,
    last: [u8; 64],
}

impl AuditLog {
    /// Open or begin the log at `path`.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = {
            use std::os::unix::fs::OpenOptionsExt;
            File::options().read(true).append(true).create(true).mode(0o600).open(path)?
        };
        let last = last_hash(&mut file)?;
        Ok(Self { file, last })
    }

    /// Append a line.
    ///
    /// # Errors
    /// As write(2): the caller must then refuse to act, since nothing privileged happens unrecorded.
    pub(crate) fn append(&mut self, record: &Record<'_>) -> io::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut line = String::with_capacity(320);
        // Writing to a String cannot fail.
        write!(line, "{{\"time\":{}.{:09}", now.as_secs(), now.subsec_nanos()).unwrap_or_default();
        if let Some((uid, pid)) = record.peer {
            write!(line, ",\"uid\":{uid},\"pid\":{pid}").unwrap_or_default();
        }
        field(&mut line, "request", record.request);
        field(&mut line, "subject", record.subject);
        field(&mut line, "verdict", record.verdict.name());
        field(&mut line, "rule", record.rule);
        field(&mut line, "detail", record.detail);
        let hash = hex(&sha256(&[&self.last, line.as_bytes()]));
        line.push_str(HASH_KEY);
        line.push_str(&hash);
        line.push_str("\"}\n");
        self.file.write_all(line.as_bytes())?;
        if let Ok(hash) = hash.as_bytes().try_into() {
            self.last = hash;
        }
        Ok(())
    }
}

fn field(line: &mut String, name: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    write!(line, ",\"{name}\":\"").unwrap_or_default();
    let cut = value.floor_char_boundary(MAX_FIELD_BYTES);
    for character in value.get(..cut).unwrap_or_default().chars() {
        match character {
            '"' | '\\' => {
                line.push('\\');
                line.push(character);
            }
            control if control.is_control() => {
                write!(line, "\\u{:04x}", u32::from(control)).unwrap_or_default();
            }
            other => line.push(other),
        }
    }
    line.push('"');
}

/// The hash at the end of the file's last whole line. A line that a crash cut short is ended first.
fn last_hash(file: &mut File) -> io::Result<[u8; 64]> {
    let length = file.seek(io::SeekFrom::End(0))?;
    if length == 0 {
        return Ok(GENESIS);
    }
    let tail = length.min(2 * 8 * MAX_FIELD_BYTES as u64);
    file.seek(io::SeekFrom::Start(length - tail))?;
    let mut bytes = Vec::new();
    file.take(tail).read_to_end(&mut bytes)?;
    if bytes.last() != Some(&b'\n') {
        file.write_all(b"\n")?;
    }
    let lines = bytes.split(|byte| *byte == b'\n').rev();
    let hash = lines.filter_map(split_hash).map(|(_, hash)| hash).next();
    hash.ok_or_else(|| io::Error::other("audit log has no hash in its last lines"))
}

/// A line's text and its hash.
fn split_hash(line: &[u8]) -> Option<(&[u8], [u8; 64])> {
    let rest = line.strip_suffix(b"\"}")?;
    let (rest, hash) = rest.split_last_chunk::<64>()?;
    Some((rest.strip_suffix(HASH_KEY.as_bytes())?, *hash))
}

/// Check every line of a log against the one before it.
///
/// # Errors
/// The first line that does not fit, by number; or as read(2).
pub(crate) fn verify(path: &Path) -> io::Result<u64> {
    let mut last = GENESIS;
    let mut count = 0;
    for line in io::BufReader::new(File::open(path)?).split(b'\n') {
        let line = line?;
        count += 1;
        let wrong = || io::Error::other(format!("line {count} does not continue the chain"));
        let Some((text, hash)) = split_hash(&line) else { return Err(wrong()) };
        if hex(&sha256(&[&last, text])).as_bytes() != hash {
            return Err(wrong());
        }
        last = hash;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(detail: &str) -> Record<'_> {
        Record {
            peer: Some((990, 1)),
            request: "Create",
            subject: "ab",
            verdict: Verdict::Permit,
            rule: "default",
            detail,
        }
    }

    #[test]
    fn a_changed_or_missing_line_breaks_the_chain() {
        let dir = std::env::temp_dir().join(format!("bulkhead-audit-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("audit.log");
        {
            let mut log = AuditLog::open(&path).unwrap();
            log.append(&note("one")).unwrap();
            log.append(&note("two \" \\ \n")).unwrap();
        }
        let mut log = AuditLog::open(&path).unwrap();
        log.append(&note("three")).unwrap();
        assert_eq!(verify(&path).unwrap(), 3, "a reopened log goes on");

        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("three", "threE")).unwrap();
        assert!(verify(&path).unwrap_err().to_string().contains("line 3"));
        let without: String = text.split_inclusive('\n').skip(1).collect();
        std::fs::write(&path, without).unwrap();
        assert!(verify(&path).unwrap_err().to_string().contains("line 1"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
