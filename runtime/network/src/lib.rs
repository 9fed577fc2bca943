//! Bridges, veth pairs, addresses and firewall rules of an engine, by netlink alone.
//!
//! The kernel is the only store: a bridge's alias (`ip -d link`) says which engine it belongs to and
//! what it is, so that everything can be listed, compared and removed after a restart. Each engine
//! has one table in nf_tables families `inet` (forwarding between networks and the outside) and
//! `netdev` (what a container may send), see [`Instance`].
//!
//! All functions work on the network namespace of the calling thread and need `CAP_NET_ADMIN` there.
//! They are synchronous and keep nothing open. IPv6 is off on every interface made here.
#![forbid(unsafe_code)]

mod bridge;
mod endpoint;
mod error;
mod firewall;
mod forwarding;
mod instance;
mod link;
mod lock;
mod message;
mod nftables;
mod route;
mod snapshot;
mod socket;
mod subnet;
mod uapi;

pub use bridge::{
    MAX_NETWORKS, Network, create_network, list_networks, open_network, remove_all, remove_network,
};
pub use endpoint::{
    EndpointPlan, attach, configure_inside, detach_dead, loopback_up, plan_endpoint,
};
pub use error::Error;
pub use instance::{Instance, InvalidTag};
pub use snapshot::{Snapshot, snapshot};
