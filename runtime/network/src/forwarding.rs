//! IPv4 forwarding of the host.
//!
//! Containers reach the outside by `ip_forward`, which makes the host a router for all its interfaces.
//! When it was off, it is switched on together with a rule that drops what passes between two
//! interfaces that are not a bridge of ours. The rule's table, shared by the engines of this host, is
//! the record that it was off: it goes, and `ip_forward` with it, when the last bridge goes. An
//! administrator who wants the host to be a router deletes the table: `nft delete table inet
//! bulkhead_guard`.

use crate::Error;
use crate::link::{self, GROUP};
use crate::nftables::{BaseChain, Change, Step, Table, has_table};
use crate::socket::Socket;
use crate::uapi::nf;

const SWITCH: &str = "/proc/sys/net/ipv4/ip_forward";
pub(crate) const GUARD: Table<'_> = Table { family: nf::NFPROTO_INET, name: "bulkhead_guard" };

/// Switch forwarding on, and the guard first, if it is off. Call with the lock held.
pub(crate) fn ensure(netfilter: &mut Socket) -> Result<(), Error> {
    if is_on()? {
        return Ok(());
    }
    let chain = BaseChain {
        name: "forward",
        kind: "filter",
        hook: nf::NF_INET_FORWARD,
        priority: nf::PRIORITY_FILTER,
        policy: nf::NF_ACCEPT,
        device: None,
    };
    let ours = GROUP.to_ne_bytes();
    let mut change = Change::new();
    change.table(GUARD, 0);
    change.empty_chain(GUARD, chain);
    change.rule(
        GUARD,
        chain.name,
        &[
            Step::Meta(nf::NFT_META_IIFGROUP),
            Step::IsNot(&ours),
            Step::Meta(nf::NFT_META_OIFGROUP),
            Step::IsNot(&ours),
            Step::Verdict(nf::NF_DROP),
        ],
    );
    change.commit(netfilter)?;
    switch(true)
}

/// Switch forwarding off if we switched it on and no engine has a bridge. Call with the lock held.
pub(crate) fn release(route: &mut Socket, netfilter: &mut Socket) -> Result<(), Error> {
    if !has_table(netfilter, GUARD)? {
        return Ok(());
    }
    if link::bridges(route)?.iter().any(|bridge| bridge.group == GROUP) {
        return Ok(());
    }
    switch(false)?;
    let mut change = Change::new();
    change.delete_table(GUARD);
    change.commit(netfilter)
}

fn is_on() -> Result<bool, Error> {
    let value =
        std::fs::read(SWITCH).map_err(|source| Error::kernel(format!("read({SWITCH})"), source))?;
    Ok(value.first() != Some(&b'0'))
}

fn switch(on: bool) -> Result<(), Error> {
    let value: &[u8] = if on { b"1" } else { b"0" };
    std::fs::write(SWITCH, value)
        .map_err(|source| Error::kernel(format!("write({SWITCH})"), source))
}
