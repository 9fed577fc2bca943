//! One engine at a time changes networks: checks of overlap and the host-wide switch of
//! [`crate::forwarding`] are more than one call.
//!
//! The lock is an nf_tables table with an owner (`NFT_TABLE_F_OWNER`, Linux 5.12): it is of the
//! network namespace, only root can make it, and the kernel removes it with its owner's socket.

use crate::Error;
use crate::nftables::{Change, Table};
use crate::socket::Socket;
use crate::uapi::nf;
use rustix::io::Errno;
use std::time::{Duration, Instant};

const LOCK: Table<'_> = Table { family: nf::NFPROTO_INET, name: "bulkhead_lock" };
/// A holder needs some milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// nf_tables has no way to wait for a table to go without a busier listener.
const RETRY: Duration = Duration::from_millis(2);

/// Held until dropped; the socket is for the holder's use.
#[derive(Debug)]
pub(crate) struct Lock {
    pub(crate) netfilter: Socket,
}

impl Lock {
    pub(crate) fn take() -> Result<Self, Error> {
        let mut netfilter = Socket::netfilter()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut change = Change::new();
            change.new_table(LOCK, nf::NFT_TABLE_F_OWNER);
            let error = match change.commit(&mut netfilter) {
                Ok(()) => return Ok(Self { netfilter }),
                Err(error) => error,
            };
            // A table that another socket owns cannot be named: EPERM.
            let held = [Errno::EXIST, Errno::PERM].map(|errno| Some(errno.raw_os_error()));
            if !held.contains(&error.errno()) {
                return Err(error);
            }
            if Instant::now() > deadline {
                return match error.errno() == Some(Errno::PERM.raw_os_error()) {
                    true => Err(error),
                    false => Err(Error::InUse { what: "network configuration".to_owned() }),
                };
            }
            std::thread::sleep(RETRY);
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut change = Change::new();
        change.delete_table(LOCK);
        // If it fails, closing the socket does the same, only slower.
        drop(change.commit(&mut self.netfilter));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_ends_with_its_holders_socket() {
        std::thread::spawn(|| {
            #[allow(deprecated, reason = "a network namespace shares no descriptors")]
            rustix::thread::unshare(rustix::thread::UnshareFlags::NEWNET).unwrap();
            let mut killed = Lock::take().unwrap();
            // As the kernel does with a process that is killed.
            drop(std::mem::replace(&mut killed.netfilter, Socket::netfilter().unwrap()));
            let begin = Instant::now();
            drop(Lock::take().unwrap());
            assert!(begin.elapsed() < PATIENCE);
        })
        .join()
        .unwrap();
    }
}
