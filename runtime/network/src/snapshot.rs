//! What of an engine is in the kernel, for the check that nothing is left.

use crate::socket::Socket;
use crate::{Error, Instance, link, nftables};

/// What an engine has in the calling thread's network namespace. Sorted, so that two can be compared.
///
/// The table `bulkhead_guard` belongs to all engines of a host and is not counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Names of bridges and of the host's ends of veth pairs.
    pub links: Vec<String>,
    /// nf_tables tables: `inet bulkhead`, `netdev bulkhead`.
    pub tables: Vec<String>,
}

impl Snapshot {
    /// Whether nothing is there.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty() && self.tables.is_empty()
    }
}

/// Look.
///
/// # Errors
/// The kernel's.
pub fn snapshot(instance: &Instance) -> Result<Snapshot, Error> {
    let prefix = instance.alias_prefix();
    let links = link::all(&mut Socket::route()?)?.into_iter();
    let ours = links.filter(|link| link.alias.starts_with(&prefix));
    let mut links: Vec<String> = ours.map(|link| link.name).collect();
    links.sort();

    let name = instance.table();
    let tables = nftables::tables(&mut Socket::netfilter()?)?.into_iter();
    let ours = tables.filter(|(_, table)| *table == name);
    let mut tables: Vec<String> =
        ours.map(|(family, table)| format!("{} {table}", nftables::family(family))).collect();
    tables.sort();
    Ok(Snapshot { links, tables })
}
