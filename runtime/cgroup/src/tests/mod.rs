//! Tests on the kernel that runs them; they need root. Where the host has both versions, they run on
//! the host as it is, on its v1 mounts alone, and on its v2 mount alone.

mod devices;
mod lifecycle;
mod limits;

use crate::hierarchy::{all_mounts, only};
use crate::{Cgroup, Hierarchy, Parent};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Which mounts a test uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mounts {
    AsTheyAre,
    V1,
    V2,
}

/// An engine's group that goes when the test ends, with all that is in it.
struct Host {
    hierarchy: Hierarchy,
    parent: Option<Parent>,
    name: String,
}

impl Host {
    /// None: this host has no such mounts.
    fn new(mounts: Mounts) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let hierarchy = match mounts {
            Mounts::AsTheyAre => Hierarchy::detect().unwrap(),
            Mounts::V1 => only(false)?,
            Mounts::V2 => only(true)?,
        };
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bulkhead-test-{}-{count}", std::process::id());
        let parent = Some(hierarchy.parent(&name).unwrap());
        Some(Self { hierarchy, parent, name })
    }

    fn parent(&self) -> &Parent {
        self.parent.as_ref().unwrap()
    }

    fn each() -> impl Iterator<Item = Self> {
        [Mounts::AsTheyAre, Mounts::V1, Mounts::V2].into_iter().filter_map(Self::new)
    }

    /// A host that can limit memory and so on.
    fn limiting() -> impl Iterator<Item = Self> {
        [Mounts::AsTheyAre, Mounts::V1].into_iter().filter_map(Self::new)
    }

    fn create(&self, name: &str) -> Cgroup {
        self.parent().create(name).unwrap()
    }

    /// The files of this name in the groups `name`, by plain paths.
    fn paths(&self, name: &str, file: &str) -> Vec<PathBuf> {
        let path = |mount: String| PathBuf::from(mount).join(&self.name).join(name).join(file);
        all_mounts().into_iter().map(path).filter(|path| path.exists()).collect()
    }

    /// What the only file of this name says.
    fn read(&self, name: &str, file: &str) -> String {
        let paths = self.paths(name, file);
        let [path] = paths.as_slice() else { panic!("{file}: {paths:?}") };
        std::fs::read_to_string(path).unwrap().trim_end().to_owned()
    }

    /// Read a file by its name on v2, or by that on v1.
    fn read_either(&self, name: &str, v2: &str, v1: &str) -> String {
        self.read(name, if self.hierarchy.version() == 2 { v2 } else { v1 })
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let parent = self.parent.take().unwrap();
        for name in parent.list().unwrap() {
            parent.open(&name).unwrap().remove().unwrap();
        }
        parent.remove().unwrap();
        assert_eq!(self.paths(".", "."), Vec::<PathBuf>::new());
    }
}

/// A shell in a group; it runs its script once it is there.
struct Shell(Child);

impl Shell {
    fn in_group(cgroup: &Cgroup, script: &str) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", &format!("read -r go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        cgroup.attach(child.id()).unwrap();
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        Self(child)
    }

    /// The exit code, or the negative signal.
    fn end(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        let status = self.0.wait().unwrap();
        status.code().unwrap_or_else(|| -status.signal().unwrap())
    }

    /// Wait for a line of its output.
    fn line(&mut self) -> String {
        let output = self.0.stdout.as_ref().unwrap();
        let mut line = Vec::new();
        let mut byte = [0];
        while rustix::io::read(output, &mut byte).unwrap() == 1 && byte != *b"\n" {
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
