//! Giving up rights: what a monitor and a janitor are left with.

use bulkhead_sys::Error;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{CapabilitySet, CapabilitySets, Gid, Uid};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
use std::collections::BTreeMap;

/// The first uid of monitors: behind systemd's foreign range, below 2^31. Each monitor has this
/// plus the index of its container's id range, so no two containers' monitors share one.
const MONITOR_UID_BASE: u32 = 0x7FFF_0000;

/// All that a monitor calls: wait for three descriptors, reap one process, write one record.
const MONITOR_SYSCALLS: &[libc::c_long] = &[
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_accept4,
    libc::SYS_getsockopt,
    libc::SYS_waitid,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_close,
    libc::SYS_clock_gettime,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_exit_group,
    // The allocator.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
];

/// The filter that monitors load; compiled once, before the first fork.
pub(crate) fn monitor_filter() -> Result<BpfProgram, seccompiler::BackendError> {
    let rules: BTreeMap<i64, _> = MONITOR_SYSCALLS.iter().map(|call| (*call, vec![])).collect();
    let refuse = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    SeccompFilter::new(rules, refuse, SeccompAction::Allow, TargetArch::x86_64)?.try_into()
}

/// From root to a process that may do nothing but what it holds descriptors for. There is no way
/// back: no capability, no_new_privs, the filter.
pub(crate) fn become_monitor(range_index: u32, filter: &BpfProgram) -> Result<(), Error> {
    let id = MONITOR_UID_BASE + range_index;
    let what = |call: &'static str| move |errno: rustix::io::Errno| Error::new(call, errno.into());
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(what("prctl(PR_SET_DUMPABLE)"))?;
    keep_bounding(CapabilitySet::empty())?;
    rustix::thread::set_thread_groups(&[]).map_err(what("setgroups"))?;
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    rustix::thread::set_thread_res_gid(gid, gid, gid).map_err(what("setresgid"))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).map_err(what("setresuid"))?;
    set_capabilities(CapabilitySet::empty())?;
    // setresuid made the process dumpable or not by sysctl; not, whatever that says.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(what("prctl(PR_SET_DUMPABLE)"))?;
    rustix::thread::set_no_new_privs(true).map_err(what("prctl(PR_SET_NO_NEW_PRIVS)"))?;
    seccompiler::apply_filter(filter)
        .map_err(|error| Error::new("seccomp", std::io::Error::other(error.to_string())))
}

/// Give up these capabilities for good, in this process and all it forks.
pub(crate) fn keep_only_but(never: CapabilitySet) -> Result<(), Error> {
    let sets =
        rustix::thread::capabilities(None).map_err(|errno| Error::new("capget", errno.into()))?;
    keep_bounding(CapabilitySet::all() - never)?;
    set_capabilities(sets.permitted - never)
}

/// Keep root's uid and these capabilities only.
pub(crate) fn keep_only(capabilities: CapabilitySet) -> Result<(), Error> {
    keep_bounding(capabilities)?;
    set_capabilities(capabilities)?;
    rustix::thread::set_no_new_privs(true)
        .map_err(|errno| Error::new("prctl(PR_SET_NO_NEW_PRIVS)", errno.into()))
}

fn set_capabilities(set: CapabilitySet) -> Result<(), Error> {
    let sets =
        CapabilitySets { effective: set, permitted: set, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).map_err(|errno| Error::new("capset", errno.into()))
}

fn keep_bounding(keep: CapabilitySet) -> Result<(), Error> {
    for bit in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if keep.contains(capability) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // Past the kernel's last capability.
            Err(rustix::io::Errno::INVAL) => break,
            Err(errno) => return Err(Error::new("prctl(PR_CAPBSET_DROP)", errno.into())),
        }
    }
    Ok(())
}
