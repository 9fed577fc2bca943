//! Root, capabilities, and the ways to get them back.

use crate::Error;
use rustix::process::{DumpableBehavior, getegid, geteuid, getgid, getuid, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

/// Refuse to go on as root.
///
/// # Errors
///
/// [`Error::Root`] when the real or effective user or group is 0.
pub fn refuse_root() -> Result<(), Error> {
    let root = getuid().is_root()
        || geteuid().is_root()
        || getgid().as_raw() == 0
        || getegid().as_raw() == 0;
    if root { Err(Error::Root) } else { Ok(()) }
}

/// Give up all capabilities, and the ways to gain some by `execve`; hide this process's memory
/// from other processes of the same user (`PR_SET_DUMPABLE`, which also turns core dumps off).
pub(crate) fn drop_all() -> Result<(), Error> {
    let step =
        |deed| move |errno: rustix::io::Errno| Error::Privilege { deed, source: errno.into() };
    set_no_new_privs(true).map_err(step("prctl(PR_SET_NO_NEW_PRIVS)"))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(step("prctl(PR_SET_DUMPABLE, 0)"))?;

    let held = capabilities(None).map_err(step("capget"))?;
    if held.effective.contains(CapabilitySet::SETPCAP) {
        for bit in 0..=CAP_LAST_POSSIBLE {
            let one = CapabilitySet::from_bits_retain(1 << bit);
            match remove_capability_from_bounding_set(one) {
                // The kernel has fewer capabilities than the word has bits.
                Ok(()) | Err(rustix::io::Errno::INVAL) => {}
                Err(errno) => return Err(step("prctl(PR_CAPBSET_DROP)")(errno)),
            }
        }
    }
    clear_ambient_capability_set().map_err(step("prctl(PR_CAP_AMBIENT_CLEAR_ALL)"))?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(step("capset"))?;

    let left = capabilities(None).map_err(step("capget"))?;
    let left = left.effective | left.permitted | left.inheritable;
    if left.is_empty() {
        Ok(())
    } else {
        Err(Error::CapabilitiesLeft { left: format!("{left:?}") })
    }
}

/// `capget(2)` moves 64 bits.
const CAP_LAST_POSSIBLE: u32 = 63;
