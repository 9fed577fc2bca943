//! What a container should not be able to do, tried.

use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use rustix::net::{AddressFamily, RawProtocol, SocketFlags, SocketType};
use rustix::thread::UnshareFlags;
use std::num::NonZeroU32;

/// What, and how it went.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    vec![
        ("mount a file system", told(mount())),
        ("make a device node for the host's memory", told(node())),
        ("open a raw socket", told(raw_socket())),
        ("write /proc/sys/kernel/core_pattern", told(write("/proc/sys/kernel/core_pattern"))),
        ("write /proc/sysrq-trigger", told(write("/proc/sysrq-trigger"))),
        ("change a cgroup limit", told(write_first(&CGROUP_FILES))),
        ("load a kernel module", told(module())),
        ("make a user namespace, a way to kernel bugs", told(user_namespace())),
    ]
}

const CGROUP_FILES: [&str; 2] = ["/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"];

fn told(result: Result<(), Errno>) -> String {
    match result {
        Ok(()) => "done: the policy lets it".to_owned(),
        Err(errno) => {
            let text = std::io::Error::from(errno).to_string();
            let text = text.split(" (os error").next().unwrap_or_default();
            format!("refused: {}", text.to_lowercase())
        }
    }
}

/// Never put anywhere, so that it is gone at once if it is granted.
fn mount() -> Result<(), Errno> {
    let tmpfs = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&tmpfs)?;
    let (flags, none) = (FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty());
    rustix::mount::fsmount(&tmpfs, flags, none).map(drop)
}

fn node() -> Result<(), Errno> {
    let path = "/dev/shm/mem";
    let memory = rustix::fs::makedev(1, 1);
    rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::RUSR, memory)?;
    rustix::fs::unlink(path)
}

fn raw_socket() -> Result<(), Errno> {
    // IPPROTO_ICMP
    let protocol =
        NonZeroU32::new(1).map(|icmp| rustix::net::Protocol::from_raw(RawProtocol::from(icmp)));
    let (family, kind) = (AddressFamily::INET, SocketType::RAW);
    rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, protocol).map(drop)
}

/// Opened only: if it were granted, nothing is to happen.
fn write(path: &str) -> Result<(), Errno> {
    rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map(drop)
}

fn write_first(paths: &[&str]) -> Result<(), Errno> {
    let there = paths.iter().find(|path| std::fs::metadata(path).is_ok());
    there.map_or(Err(Errno::NOENT), |path| write(path))
}

fn module() -> Result<(), Errno> {
    rustix::system::init_module(&[], c"")
}

/// Last: from then on this process is in it.
fn user_namespace() -> Result<(), Errno> {
    bulkhead_sys::fork::unshare(UnshareFlags::NEWUSER)
        .map_err(|error| Errno::from_raw_os_error(error.errno().unwrap_or(0)))
}
