//! What the worker gives up before it reads a byte of a layer.
//!
//! | gone | by |
//! |---|---|
//! | the host's root | the user namespace it is started in; it refuses to run without |
//! | gaining anything by `execve` | `no_new_privs`, and no `execve` |
//! | capabilities but five, over files of the storage range | `capset(2)` |
//! | every file but those below the staging directory | Landlock, as far as the kernel has it |
//! | memory without end, core dumps, many descriptors | `setrlimit(2)` |
//! | every system call but those listed | seccomp; any other ends the process |

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreatedAttr, Scope,
};
use libc::{
    SYS_brk, SYS_close, SYS_exit, SYS_exit_group, SYS_fchmod, SYS_fchown, SYS_fchownat, SYS_fcntl,
    SYS_fsetxattr, SYS_fstat, SYS_futex, SYS_getdents64, SYS_linkat, SYS_lseek, SYS_madvise,
    SYS_mkdirat, SYS_mknodat, SYS_mmap, SYS_mprotect, SYS_mremap, SYS_munmap, SYS_newfstatat,
    SYS_openat2, SYS_read, SYS_restart_syscall, SYS_rt_sigprocmask, SYS_rt_sigreturn,
    SYS_sched_yield, SYS_sigaltstack, SYS_symlinkat, SYS_syncfs, SYS_unlinkat, SYS_utimensat,
    SYS_write,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter_all_threads,
};

use crate::error::Error;

/// Address space: zstd's window of 128 MiB, chunks, stacks, and what the allocator reserves for
/// three threads.
const MAX_ADDRESS_BYTES: u64 = 512 * 1024 * 1024;
/// Descriptors: removing a directory tree keeps one open a level.
const MAX_DESCRIPTORS: u64 = 512;
/// The newest Landlock that the rules know; older kernels enforce what they can.
const NEWEST_LANDLOCK: ABI = ABI::V7;
/// What root of a user namespace needs to write files of any owner and mode, and no more.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::SETFCAP);

/// The system calls that are left. Nothing here opens a path that is not below a descriptor,
/// starts a program, makes a socket, or makes memory executable.
const CALLS: &[libc::c_long] = &[
    // The stream, the files, the result.
    SYS_read,
    SYS_write,
    SYS_close,
    SYS_lseek,
    // Below the staging directory.
    SYS_openat2,
    SYS_mkdirat,
    SYS_mknodat,
    SYS_symlinkat,
    SYS_linkat,
    SYS_unlinkat,
    SYS_getdents64,
    SYS_fstat,
    SYS_newfstatat,
    SYS_fchown,
    SYS_fchownat,
    SYS_fchmod,
    SYS_utimensat,
    SYS_fsetxattr,
    SYS_syncfs,
    // Memory and threads; those with conditions below.
    SYS_brk,
    SYS_mremap,
    SYS_munmap,
    SYS_madvise,
    SYS_futex,
    SYS_sched_yield,
    SYS_sigaltstack,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_restart_syscall,
    SYS_exit,
    SYS_exit_group,
];

/// Admitted when, of the bits in the second word, the argument of this number has those in the
/// third: memory never becomes executable; descriptors are asked for their flags only, as a debug
/// build's standard library does before it closes one.
const CONDITIONAL_CALLS: &[(libc::c_long, u8, libc::c_int, libc::c_int)] = &[
    (SYS_mmap, 2, libc::PROT_EXEC, 0),
    (SYS_mprotect, 2, libc::PROT_EXEC, 0),
    (SYS_fcntl, 1, libc::c_int::MAX, libc::F_GETFD),
];

/// Give up all but system calls. Threads may still be started, and inherit it.
pub(crate) fn enter(staging: &OwnedFd) -> Result<(), Error> {
    refuse_host_root()?;
    set_no_new_privs(true).map_err(Error::call("prctl(PR_SET_NO_NEW_PRIVS)"))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(Error::call("prctl(PR_SET_DUMPABLE)"))?;
    fence_in(staging).map_err(|error| Error::Sandbox(format!("Landlock: {error}")))?;
    drop_capabilities()?;
    // Not a right, but a call: entries' modes are taken as they are.
    rustix::process::umask(rustix::fs::Mode::empty());
    limit(Resource::As, MAX_ADDRESS_BYTES)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Nofile, MAX_DESCRIPTORS)
}

/// Give up system calls, in all threads.
pub(crate) fn close() -> Result<(), Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Sandbox(format!("seccomp: {error}"));
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        CALLS.iter().map(|call| (*call, Vec::new())).collect();
    for (call, argument, mask, value) in CONDITIONAL_CALLS {
        let condition = SeccompCondition::new(
            *argument,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::MaskedEq(mask.unsigned_abs().into()),
            value.unsigned_abs().into(),
        );
        let rule = condition.and_then(|condition| SeccompRule::new(vec![condition]));
        rules.insert(*call, vec![rule.map_err(|error| failed(&error))?]);
    }
    let architecture =
        TargetArch::try_from(std::env::consts::ARCH).map_err(|error| failed(&error))?;
    let filter =
        SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, architecture);
    let program: seccompiler::BpfProgram =
        filter.and_then(TryInto::try_into).map_err(|error| failed(&error))?;
    apply_filter_all_threads(&program).map_err(|error| failed(&error))
}

/// Whatever starts it, a tar of unknown origin is not unpacked by the host's root.
fn refuse_host_root() -> Result<(), Error> {
    let map = std::fs::read_to_string("/proc/self/uid_map")?;
    let outside = map.split_whitespace().nth(1);
    if outside.is_none_or(|id| id == "0") {
        return Err(Error::Sandbox("not started in a user namespace of its own".to_owned()));
    }
    Ok(())
}

fn fence_in(staging: &OwnedFd) -> Result<(), landlock::RulesetError> {
    // Refer: hard links between directories. Char: whiteouts; the kernel admits no other device.
    let below = AccessFs::WriteFile
        | AccessFs::ReadDir
        | AccessFs::RemoveDir
        | AccessFs::RemoveFile
        | AccessFs::MakeChar
        | AccessFs::MakeDir
        | AccessFs::MakeReg
        | AccessFs::MakeFifo
        | AccessFs::MakeSym
        | AccessFs::Refer;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST_LANDLOCK))?
        .handle_access(AccessNet::from_all(NEWEST_LANDLOCK))?
        .scope(Scope::from_all(NEWEST_LANDLOCK))?
        .create()?
        .add_rule(PathBeneath::new(staging, below))?
        .restrict_self()
        .map(drop)
}

fn drop_capabilities() -> Result<(), Error> {
    for bit in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        match remove_capability_from_bounding_set(one) {
            // The kernel has fewer capabilities than the word has bits.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(errno) => return Err(Error::call("prctl(PR_CAPBSET_DROP)")(errno)),
        }
    }
    clear_ambient_capability_set().map_err(Error::call("prctl(PR_CAP_AMBIENT)"))?;
    let sets =
        CapabilitySets { effective: KEPT, permitted: KEPT, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(Error::call("capset"))
}

fn limit(resource: Resource, most: u64) -> Result<(), Error> {
    let limits = Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(resource, limits).map_err(io::Error::from)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_system_calls_stays_short() {
        assert!(CALLS.len() + CONDITIONAL_CALLS.len() <= 45);
    }
}
