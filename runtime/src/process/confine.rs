//! Capabilities, no_new_privs and system-call filters (class F3, F6, G9).

use super::user::User;
use super::{Limits, hide};
use crate::error::{Error, Step};
use bulkhead_policy::{Confinement, seccomp};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::sync::OnceLock;

/// What a process may do at most.
#[derive(Debug)]
pub(crate) struct Bounds<'a> {
    /// Resource limits that the process is to set for itself.
    pub own_limits: Option<Limits<'a>>,
    /// Bounding set; permitted and effective of a root process.
    pub capabilities: u64,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    /// Programs of [`filters`].
    pub filters: Vec<Vec<u8>>,
}

/// The filters of a container, in the order in which they are loaded: the floor first, so that it
/// holds for the loading of the others too.
pub(crate) fn filters(confinement: &Confinement, program: Option<&[u8]>) -> Vec<Vec<u8>> {
    let mut filters = Vec::new();
    if confinement.seccomp_floor {
        filters.push(seccomp::to_bytes(seccomp::floor()));
    }
    if confinement.seccomp_default {
        let capabilities = confinement.capabilities;
        filters.push(match PREPARED.get() {
            Some((prepared, filter)) if *prepared == capabilities => filter.clone(),
            _ => seccomp::to_bytes(&seccomp::default_profile(capabilities)),
        });
    }
    if confinement.seccomp_program {
        filters.extend(program.map(<[u8]>::to_vec));
    }
    filters
}

static PREPARED: OnceLock<(u64, Vec<u8>)> = OnceLock::new();

/// Compile the floor and the default profile for these capabilities, so that processes forked from
/// this one need not: it takes about as long as mounting a root filesystem. The first call counts.
pub fn prepare_filters(capabilities: u64) {
    seccomp::floor();
    PREPARED
        .get_or_init(|| (capabilities, seccomp::to_bytes(&seccomp::default_profile(capabilities))));
}

/// From the container's root with all capabilities to `user` within `bounds`. No way back.
pub(crate) fn confine(user: &User, bounds: &Bounds<'_>) -> Result<(), Error> {
    let bounding = CapabilitySet::from_bits_retain(bounds.capabilities);
    if let Some(limits) = bounds.own_limits {
        limits.set(None)?;
    }
    drop_bounding(bounding)?;
    rustix::thread::clear_ambient_capability_set().step("prctl(PR_CAP_AMBIENT_CLEAR_ALL)")?;
    let is_root = user.uid == 0;
    become_user(user)?;
    let last = if is_root { bounding } else { CapabilitySet::empty() };
    if bounds.no_new_privs {
        set_capabilities(last)?;
        rustix::thread::set_no_new_privs(true).step("prctl(PR_SET_NO_NEW_PRIVS)")?;
        load(&bounds.filters)
    } else {
        // Without no_new_privs the kernel wants CAP_SYS_ADMIN of whoever loads a filter.
        set_capabilities(last | CapabilitySet::SYS_ADMIN)?;
        load(&bounds.filters)?;
        set_capabilities(last)
    }
}

fn drop_bounding(keep: CapabilitySet) -> Result<(), Error> {
    for bit in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if keep.contains(capability) {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            // Beyond the last one that this kernel has.
            Err(Errno::INVAL) if bit > 0 => break,
            Err(errno) => return Err(errno).step("prctl(PR_CAPBSET_DROP)"),
        }
    }
    Ok(())
}

fn become_user(user: &User) -> Result<(), Error> {
    let groups: Vec<Gid> = user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_groups(&groups).step("setgroups")?;
    rustix::thread::set_thread_res_gid(gid, gid, gid).step("setresgid")?;
    rustix::thread::set_keep_capabilities(true).step("prctl(PR_SET_KEEPCAPS)")?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).step("setresuid")?;
    rustix::thread::set_keep_capabilities(false).step("prctl(PR_SET_KEEPCAPS)")?;
    hide()
}

fn set_capabilities(set: CapabilitySet) -> Result<(), Error> {
    let sets =
        CapabilitySets { effective: set, permitted: set, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).step("capset")
}

fn load(filters: &[Vec<u8>]) -> Result<(), Error> {
    filters.iter().try_for_each(|filter| {
        bulkhead_sys::process::load_filter(filter).step("system-call filter")
    })
}
