//! What a running container does, read from `/proc` and the cgroup file systems without privilege:
//! `top` and `stats`.

mod stats;
mod top;

pub(crate) use stats::stats;
pub(crate) use top::top;

use std::path::{Path, PathBuf};

/// A process's cgroup directories by controller; with version 2 they are all the same.
#[derive(Debug)]
struct Groups {
    /// `proc_pid_cgroup(5)`: controllers, and the path below their mount.
    lines: Vec<(String, String)>,
}

impl Groups {
    /// Those of a process on the host.
    fn of(pid: u32) -> std::io::Result<Self> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let line = |line: &str| {
            let mut parts = line.splitn(3, ':').skip(1);
            Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
        };
        Ok(Self { lines: text.lines().filter_map(line).collect() })
    }

    /// Everything is on version 2.
    fn is_unified(&self) -> bool {
        Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
    }

    /// The directory of one controller.
    fn controller(&self, name: &str) -> Option<PathBuf> {
        let of = |(controllers, _): &&(String, String)| {
            if self.is_unified() {
                controllers.is_empty()
            } else {
                controllers.split(',').any(|controller| controller == name)
            }
        };
        let (controllers, path) = self.lines.iter().find(of)?;
        let relative = path.trim_start_matches('/');
        let mount = Path::new("/sys/fs/cgroup");
        Some(if controllers.is_empty() {
            mount.join(relative)
        } else {
            // Joint mounts such as `cpu,cpuacct` have a link by each name.
            mount.join(name).join(relative)
        })
    }

    /// A file with one number in a controller's directory; `max` is none.
    fn number(&self, controller: &str, file: &str) -> Option<u64> {
        self.text(controller, file)?.trim().parse().ok()
    }

    /// A file in a controller's directory.
    fn text(&self, controller: &str, file: &str) -> Option<String> {
        std::fs::read_to_string(self.controller(controller)?.join(file)).ok()
    }
}
