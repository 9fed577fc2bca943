//! The layer store, which only root can write, and the workers that fill it.
//!
//! A layer is a directory named by the digest that the worker computed itself while it unpacked
//! the stream; apid hands over bytes and can neither name nor edit a layer. The worker runs as
//! root of a user namespace over the storage range, so no inode here belongs to a user of the host.

use crate::dirs::Dirs;
use crate::refusal::{kernel, text};
use crate::reply::ReplyTo;
use bulkhead_proto::{LayerId, Refusal, UnpackRequest, UnpackedLayer};
use bulkhead_sys::fork::{self, Forked, SingleThreaded};
use rustix::fs::{Mode, OFlags};
use rustix::thread::UnshareFlags;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// First uid and gid of the range that owns all files of layers: systemd's foreign range.
pub(crate) const STORAGE_BASE: u32 = 0x7FFE_0000;
/// Workers at a time.
pub(crate) const MAX_WORKERS: usize = 8;
/// The longest result line: `ok`, two digests, three numbers; or an error's text.
const MAX_RESULT_BYTES: usize = 2048;

/// A running worker.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Where its result comes; closed when it ends.
    pub result: OwnedFd,
    /// Who waits for it.
    pub reply: ReplyTo,
    staging: PathBuf,
    expected: Option<LayerId>,
    said: Vec<u8>,
    /// Kept so that the process is reaped with us and not before.
    _pidfd: OwnedFd,
}

/// What a worker needs to be started.
#[derive(Debug)]
pub(crate) struct Workshop<'a> {
    pub proof: SingleThreaded,
    pub dirs: &'a Dirs,
    /// The worker's program.
    pub program: &'a OwnedFd,
    /// A number for the staging directory.
    pub number: u64,
}

impl Workshop<'_> {
    /// Start a worker on a stream.
    pub(crate) fn start(
        &self,
        request: &UnpackRequest,
        source: &OwnedFd,
        reply: ReplyTo,
    ) -> Result<Worker, Refusal> {
        let staging = self.dirs.staging().join(self.number.to_string());
        let made = self.start_in(request, source, reply, &staging);
        if made.is_err() {
            discard(self.dirs, &staging);
        }
        made
    }

    fn start_in(
        &self,
        request: &UnpackRequest,
        source: &OwnedFd,
        reply: ReplyTo,
        staging: &Path,
    ) -> Result<Worker, Refusal> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            kernel(format_args!("worker: {what}: {error}"))
        };
        std::fs::create_dir(staging).map_err(|error| failed("mkdir", &error))?;
        std::os::unix::fs::chown(staging, Some(STORAGE_BASE), Some(STORAGE_BASE))
            .map_err(|error| failed("chown", &error))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::open(staging, flags, Mode::empty())
            .map_err(|error| failed("open", &error))?;
        let pipe = || rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
        let (result, result_end) = pipe().map_err(|error| failed("pipe", &error))?;
        let (go, go_end) = pipe().map_err(|error| failed("pipe", &error))?;
        let (unshared, unshared_end) = pipe().map_err(|error| failed("pipe", &error))?;
        let child = fork::fork(self.proof).map_err(|error| failed("fork", &error))?;
        let Forked::Parent { pidfd, pid } = child else {
            drop((go_end, unshared));
            let plan = Child {
                source,
                directory: &directory,
                result: &result_end,
                go: &go,
                unshared: unshared_end,
                program: self.program,
                max_bytes: request.max_bytes.unwrap_or(u64::MAX),
            };
            plan.run();
        };
        drop((result_end, go, unshared_end));
        // The child has its user namespace when it closes its end, or has died.
        let mut byte = [0; 1];
        let ready =
            rustix::io::read(&unshared, &mut byte).map_err(|error| failed("read", &error))?;
        if ready != 1 {
            return Err(kernel("worker: unshare failed"));
        }
        let map = format!("0 {STORAGE_BASE} {}\n", crate::ranges::RANGE_IDS);
        for file in ["uid_map", "gid_map"] {
            std::fs::write(format!("/proc/{pid}/{file}"), &map)
                .map_err(|error| failed(file, &error))?;
        }
        rustix::io::write(&go_end, &[1]).map_err(|error| failed("write", &error))?;
        rustix::io::ioctl_fionbio(&result, true).map_err(|error| failed("fionbio", &error))?;
        Ok(Worker {
            result,
            reply,
            staging: staging.to_owned(),
            expected: request.expected,
            said: Vec::new(),
            _pidfd: pidfd,
        })
    }
}

struct Child<'a> {
    source: &'a OwnedFd,
    directory: &'a OwnedFd,
    result: &'a OwnedFd,
    go: &'a OwnedFd,
    unshared: OwnedFd,
    program: &'a OwnedFd,
    max_bytes: u64,
}

impl Child<'_> {
    /// From a copy of the shim to the worker's program. Nothing but five descriptors comes along.
    fn run(self) -> ! {
        match self.exec() {
            Ok(never) => match never {},
            Err(error) => {
                let line = format!("error {error}\n");
                rustix::io::write(self.result, line.as_bytes()).unwrap_or_default();
                fork::exit(1)
            }
        }
    }

    fn exec(&self) -> Result<std::convert::Infallible, bulkhead_sys::Error> {
        let what = |call: &'static str| {
            move |errno: rustix::io::Errno| bulkhead_sys::Error::new(call, errno.into())
        };
        fork::reset_signals()?;
        let keep =
            [self.source, self.directory, self.result, self.go, &self.unshared, self.program];
        fork::close_all_but(&keep.map(AsFd::as_fd))?;
        let namespaces = UnshareFlags::NEWUSER
            | UnshareFlags::NEWNS
            | UnshareFlags::NEWNET
            | UnshareFlags::NEWIPC
            | UnshareFlags::NEWUTS;
        fork::unshare(namespaces)?;
        rustix::io::write(&self.unshared, &[1]).map_err(what("write"))?;
        let mut byte = [0; 1];
        if rustix::io::read(self.go, &mut byte).map_err(what("read"))? != 1 {
            return Err(bulkhead_sys::Error::new(
                "read(go)",
                std::io::ErrorKind::UnexpectedEof.into(),
            ));
        }
        let root = (rustix::thread::Uid::ROOT, rustix::thread::Gid::ROOT);
        rustix::thread::set_thread_groups(&[]).map_err(what("setgroups"))?;
        rustix::thread::set_thread_res_gid(root.1, root.1, root.1).map_err(what("setresgid"))?;
        rustix::thread::set_thread_res_uid(root.0, root.0, root.0).map_err(what("setresuid"))?;
        fork::exec_with(
            self.program.as_fd(),
            &[c"bulkhead-worker".into(), c"unpack".into(), number(self.max_bytes)],
            &[(self.source.as_fd(), 0), (self.directory.as_fd(), 3), (self.result.as_fd(), 4)],
        )
    }
}

fn number(value: u64) -> std::ffi::CString {
    std::ffi::CString::new(value.to_string()).unwrap_or_default()
}

impl Worker {
    /// Read what the worker says; its layer once it has ended.
    pub(crate) fn advance(&mut self, dirs: &Dirs) -> Option<Result<UnpackedLayer, Refusal>> {
        let mut buffer = [0; MAX_RESULT_BYTES];
        loop {
            match rustix::io::read(&self.result, &mut buffer) {
                Err(rustix::io::Errno::AGAIN) => return None,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Some(Err(self.failed(dirs, &errno.to_string()))),
                Ok(0) => return Some(self.finish(dirs)),
                Ok(count) => {
                    self.said.extend(buffer.get(..count).unwrap_or_default());
                    if self.said.len() > MAX_RESULT_BYTES {
                        return Some(Err(self.failed(dirs, "worker says too much")));
                    }
                }
            }
        }
    }

    fn failed(&self, dirs: &Dirs, what: &str) -> Refusal {
        discard(dirs, &self.staging);
        Refusal::Invalid { what: text(format_args!("layer: {what}")) }
    }

    fn finish(&mut self, dirs: &Dirs) -> Result<UnpackedLayer, Refusal> {
        let said = String::from_utf8_lossy(&self.said).into_owned();
        let line = said.trim_end();
        if let Some(error) = line.strip_prefix("error ") {
            return Err(self.failed(dirs, error));
        }
        let Some(mut layer) = parse_result(line) else {
            return Err(self.failed(dirs, "the worker died"));
        };
        if self.expected.is_some_and(|expected| expected != layer.id) {
            let what = format!("its content has digest sha256:{}", layer.id);
            return Err(self.failed(dirs, &what));
        }
        let place = dirs.layer(&layer.id);
        match std::fs::rename(&self.staging, &place) {
            Ok(()) => {}
            Err(_) if place.exists() => {
                layer.known = true;
                discard(dirs, &self.staging);
            }
            Err(error) => return Err(self.failed(dirs, &format!("rename: {error}"))),
        }
        Ok(layer)
    }
}

/// `ok <diffid> <digest> <packed bytes> <bytes> <entries>`
fn parse_result(line: &str) -> Option<UnpackedLayer> {
    let mut words = line.split(' ');
    let ok = words.next()? == "ok";
    let id: LayerId = words.next()?.parse().ok()?;
    let digest: LayerId = words.next()?.parse().ok()?;
    let mut next_number = || words.next()?.parse().ok();
    let (packed_bytes, bytes, entries) = (next_number()?, next_number()?, next_number()?);
    (ok && words.next().is_none()).then_some(UnpackedLayer {
        id,
        digest: *digest.as_bytes(),
        packed_bytes,
        bytes,
        entries,
        known: false,
    })
}

/// Into the trash with a tree of the storage range. Its range is never leased, so nothing waits
/// for the janitor.
pub(crate) fn discard(dirs: &Dirs, tree: &Path) {
    let name = format!("{STORAGE_BASE}-{}", crate::monitor::now_ns());
    // Left in staging it is found at the next start.
    std::fs::rename(tree, dirs.trash().join(name)).unwrap_or_default();
}

/// The layers behind `after`, in order.
pub(crate) fn list(
    dirs: &Dirs,
    after: Option<LayerId>,
    most: usize,
) -> std::io::Result<Vec<LayerId>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dirs.layers())? {
        if let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse().ok())
            && after.is_none_or(|after| id > after)
        {
            all.push(id);
        }
    }
    all.sort_unstable();
    all.truncate(most);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_result_line_names_a_layer() {
        let digest = "ab".repeat(32);
        let good = format!("ok {digest} {digest} 1 2 3");
        assert_eq!(parse_result(&good).unwrap().entries, 3);
        for bad in [
            "",
            "ok",
            &good.replace("ok", "no"),
            &good.replace('a', "A"),
            &good.replace(" 3", ""),
            &format!("{good} 4"),
            &good.replace('1', "-1"),
            &good.replacen("ab", "..", 1),
        ] {
            assert!(parse_result(bad).is_none(), "{bad}");
        }
    }
}
