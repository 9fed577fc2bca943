//! Starts the worker.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// The range's first id on the host.
pub(crate) const STORAGE_BASE: u32 = 0x7FFE_0000;

/// What came of one run.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: ExitStatus,
    /// The result line, without its newline.
    pub(crate) line: String,
    /// The staging directory's place; the rest of its parent is a canary.
    pub(crate) root: PathBuf,
    _directory: TempDir,
}

/// A result line taken apart.
#[derive(Debug, PartialEq)]
pub(crate) struct Unpacked {
    pub(crate) diff_id: String,
    pub(crate) digest: String,
    pub(crate) packed_bytes: u64,
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
}

impl Run {
    pub(crate) fn unpacked(&self) -> Unpacked {
        assert!(self.status.success(), "{}", self.line);
        let words: Vec<&str> = self.line.split(' ').collect();
        let ["ok", diff_id, digest, packed_bytes, bytes, entries] = words[..] else {
            panic!("not a result line: {:?}", self.line);
        };
        Unpacked {
            diff_id: diff_id.to_owned(),
            digest: digest.to_owned(),
            packed_bytes: packed_bytes.parse().unwrap(),
            bytes: bytes.parse().unwrap(),
            entries: entries.parse().unwrap(),
        }
    }

    /// It was refused, with these words, and nothing outside was touched.
    #[track_caller]
    pub(crate) fn refused(&self, words: &str) {
        assert_eq!(self.status.code(), Some(1), "{}", self.line);
        assert!(self.line.starts_with("error "), "{:?}", self.line);
        assert!(self.line.contains(words), "{:?} does not say {words:?}", self.line);
        self.canary_is_intact();
    }

    /// Nothing beside the staging directory has changed.
    #[track_caller]
    pub(crate) fn canary_is_intact(&self) {
        let outside = self.root.parent().unwrap();
        let mut names: Vec<_> =
            fs::read_dir(outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["canary", "result", "root"]);
        assert_eq!(fs::read(outside.join("canary")).unwrap(), b"canary");
        let mode = fs::metadata(outside.join("canary")).unwrap();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o7777, 0o640);
        assert_eq!(std::os::unix::fs::MetadataExt::nlink(&mode), 1);
    }
}

/// Unpack bytes.
pub(crate) fn unpack(archive: &[u8]) -> Run {
    unpack_at_most(archive, 1 << 40)
}

/// Unpack bytes, with a limit on contents.
pub(crate) fn unpack_at_most(archive: &[u8], most_bytes: u64) -> Run {
    run(&["unpack", &most_bytes.to_string()], &[], |mut stdin| {
        // A worker that refuses early closes its end.
        stdin.write_all(archive).unwrap_or_default();
    })
}

/// Run with these arguments, below `wrapper` (such as `strace`), and a writer of its input.
pub(crate) fn run(
    arguments: &[&str],
    wrapper: &[&str],
    feed: impl FnOnce(std::process::ChildStdin),
) -> Run {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    fs::create_dir(&root).unwrap();
    chown(&root, Some(STORAGE_BASE), Some(STORAGE_BASE)).unwrap();
    let canary = directory.path().join("canary");
    fs::write(&canary, "canary").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
    fs::set_permissions(&canary, mode).unwrap();
    let result = directory.path().join("result");
    File::create(&result).unwrap();

    // The program is run by descriptor, as the shim does: its path is closed to the range's ids.
    let script = r#"exec 3<"$1" 4>"$2" 7<"$3"; shift 3; exec "$@""#;
    let mut child = Command::new("sh")
        .args(["-c", script, "sh"])
        .args([&root, &result])
        .arg(env!("CARGO_BIN_EXE_bulkhead-worker"))
        .args(wrapper)
        .args(["nsenter", "--user", "--mount", "--net", "--ipc", "--uts", "--target"])
        .arg(namespace().to_string())
        .args(["--setuid", "0", "--setgid", "0", "/proc/self/fd/7"])
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    feed(child.stdin.take().unwrap());
    let status = child.wait().unwrap();
    let line = fs::read_to_string(&result).unwrap();
    assert!(line.is_empty() || line.ends_with('\n'), "{line:?}");
    assert_eq!(line.lines().count(), usize::from(!line.is_empty()), "{line:?}");
    let line = line.trim_end_matches('\n').to_owned();
    Run { status, line, root, _directory: directory }
}

/// The pid of a process that keeps the namespaces. It ends when this process does: its input does.
fn namespace() -> u32 {
    static HOLDER: OnceLock<(Child, u32)> = OnceLock::new();
    HOLDER
        .get_or_init(|| {
            let mut holder = Command::new("unshare")
                .args(["--user", "--mount", "--net", "--ipc", "--uts"])
                .args(["sh", "-c", "echo; exec cat"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut ready = String::new();
            let output = holder.stdout.take().unwrap();
            BufReader::new(output.take(1)).read_line(&mut ready).unwrap();
            let pid = holder.id();
            for map in ["uid_map", "gid_map"] {
                fs::write(format!("/proc/{pid}/{map}"), format!("0 {STORAGE_BASE} 65536")).unwrap();
            }
            (holder, pid)
        })
        .1
}
