//! From a process in the container's namespaces to the one that the permit describes.

mod confine;
mod program;
pub(crate) mod user;

pub use confine::prepare_filters;
pub(crate) use confine::{Bounds, confine, filters};
pub(crate) use program::Program;

use crate::error::{Error, Step};
use crate::resolve::{self, Make};
use bulkhead_policy::proto::{ContainerPath, Rlimit, Sysctl};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Uid};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, Resource};
use std::os::fd::BorrowedFd;

/// Nobody in any namespace may look into this process, or take its descriptors, until it execs
/// (class A3). Every change of ids may undo it.
pub(crate) fn hide() -> Result<(), Error> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .step("prctl(PR_SET_DUMPABLE)")
}

/// Whether a process can be hidden that joins others: with `fs.suid_dumpable` 1 they could look into it
/// for a moment, each time when it changes its ids.
pub(crate) fn check_hideable() -> Result<(), Error> {
    let sysctl = std::fs::read("/proc/sys/fs/suid_dumpable").unwrap_or_default();
    if sysctl.first() == Some(&b'1') {
        let what = "joining a container while the host's fs.suid_dumpable is 1".to_owned();
        return Err(Error::Unsupported { what });
    }
    Ok(())
}

/// Become the container's root: what is made from here on is its.
pub(crate) fn become_container_root() -> Result<(), Error> {
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    rustix::thread::set_thread_groups(&[]).step("setgroups")?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).step("setresgid(0)")?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).step("setresuid(0)")?;
    hide()
}

/// Kernel parameters, by a procfs that only this process has touched (class B5, G2).
pub(crate) fn set_sysctls(proc: BorrowedFd<'_>, sysctls: &[Sysctl]) -> Result<(), Error> {
    for Sysctl { name, value } in sysctls {
        let at = || format!("sysctl {name}={value}");
        if name.as_bytes().iter().any(|byte| matches!(byte, b'/' | 0)) {
            return Err(Error::invalid(at()));
        }
        let path = format!("sys/{}", String::from_utf8_lossy(name.as_bytes()).replace('.', "/"));
        let how = ResolveFlags::BENEATH
            | ResolveFlags::NO_XDEV
            | ResolveFlags::NO_SYMLINKS
            | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat2(proc, path, flags, Mode::empty(), how)
            .and_then(|file| rustix::io::write(file, value.as_bytes()))
            .step_at(at)?;
    }
    Ok(())
}

/// Enter the working directory below `root`, which this process's root is; made, owned by the user,
/// if missing. No descriptor that this process holds can be named by it (class A2).
pub(crate) fn enter_cwd(
    root: BorrowedFd<'_>,
    cwd: &ContainerPath,
    user: &user::User,
) -> Result<(), Error> {
    let failed = |errno: Errno| Error::Program {
        errno: errno.raw_os_error(),
        step: format!("chdir to cwd \"{cwd}\""),
    };
    let directory = match resolve::open(root, cwd.as_bytes()) {
        Err(Errno::NOENT) => {
            let made = resolve::open_or_make(root, cwd.as_bytes(), Make::Directory)?;
            let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
            rustix::fs::chownat(&made, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
                .step_at(|| format!("chown cwd {cwd}"))?;
            made
        }
        found => found.map_err(failed)?,
    };
    rustix::process::fchdir(&directory).map_err(failed)?;
    // The kernel says "(unreachable)" of what is not below this process's root.
    let path = rustix::process::getcwd(Vec::new()).map_err(failed)?;
    if path.as_bytes().first() == Some(&b'/') { Ok(()) } else { Err(failed(Errno::XDEV)) }
}

/// Resource limits. One that was asked for holds or is an error; a default of the policy is as high
/// as this process may set it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits<'a> {
    pub all: &'a [Rlimit],
    pub asked: &'a [Rlimit],
}

impl Limits<'_> {
    /// Set them for a process that is this one's child and not yet waited for; none: for this one.
    pub(crate) fn set(&self, pid: Option<u32>) -> Result<(), Error> {
        let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        for limit in self.all {
            let resource = resource(limit.resource)
                .ok_or_else(|| Error::invalid(format!("resource limit {}", limit.resource)))?;
            let set = |soft: u64, hard: u64| {
                let finite = |value: u64| (value != u64::MAX).then_some(value);
                let new = rustix::process::Rlimit { current: finite(soft), maximum: finite(hard) };
                rustix::process::prlimit(pid, resource, new)
            };
            let result = match set(limit.soft, limit.hard) {
                Err(Errno::PERM) if !self.asked.contains(limit) => {
                    let most = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
                    set(limit.soft.min(most), limit.hard.min(most))
                }
                result => result,
            };
            result.step_at(|| format!("prlimit({resource:?})"))?;
        }
        Ok(())
    }
}

/// By number, as in `asm-generic/resource.h`.
fn resource(number: u8) -> Option<Resource> {
    const ALL: [Resource; 16] = [
        Resource::Cpu,
        Resource::Fsize,
        Resource::Data,
        Resource::Stack,
        Resource::Core,
        Resource::Rss,
        Resource::Nproc,
        Resource::Nofile,
        Resource::Memlock,
        Resource::As,
        Resource::Locks,
        Resource::Sigpending,
        Resource::Msgqueue,
        Resource::Nice,
        Resource::Rtprio,
        Resource::Rttime,
    ];
    ALL.get(usize::from(number)).copied()
}

/// A new session keyring, so that none of the shim's is there. A kernel without keyrings needs none.
pub(crate) fn forget_keys() -> Result<(), Error> {
    bulkhead_sys::process::new_session_keyring().map(drop).step("session keyring")
}

/// A file of the container for reading: only a regular one, and never waiting (class B13).
pub(crate) fn open_regular(
    root: BorrowedFd<'_>,
    path: &str,
) -> Result<Option<(std::os::fd::OwnedFd, u64)>, Error> {
    let at = || path.to_owned();
    let file = match resolve::open_as(root, path.as_bytes(), OFlags::RDONLY | OFlags::NONBLOCK) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        opened => opened.step_at(at)?,
    };
    let stat = rustix::fs::fstat(&file).step_at(at)?;
    if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
        return Err(Error::invalid(format!("{path} of the container is not a regular file")));
    }
    Ok(Some((file, u64::try_from(stat.st_size).unwrap_or(u64::MAX))))
}
