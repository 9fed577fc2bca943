//! What the daemon tells the engine at start. Parsing `daemon.json` is the daemon's.

use ipnet::Ipv4Net;
use std::net::Ipv4Addr;
use std::path::PathBuf;

/// How an engine is set up. Nothing here changes while it runs.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// apid's own directory (`lib/apid`), for `engine.db` and `containers/`; it must be there.
    pub state_dir: PathBuf,
    /// The shim's socket (`run/shim/shim.sock`).
    pub shim_socket: PathBuf,
    /// What the engine calls itself towards the shim, for its log: program and version.
    pub client_name: String,
    /// The default bridge's own address and prefix (Docker's `bip`); none: chosen.
    pub bip: Option<Ipv4Net>,
    /// Where networks take their subnets from; empty: Docker's pools.
    pub address_pools: Vec<AddressPool>,
    /// Maximum transmission unit of the default bridge in bytes.
    pub mtu: u32,
    /// Containers on the default bridge may reach each other.
    pub inter_container: bool,
    /// Source addresses are translated on the way out.
    pub masquerade: bool,
    /// The log driver of containers that name none: `json-file` or `none`.
    pub log_driver: String,
    /// Options of the log driver of containers that name none.
    pub log_opts: Vec<(String, String)>,
    /// Name servers of containers that name none; empty: the host's.
    pub dns: Vec<Ipv4Addr>,
    /// Resolver options of containers that name none.
    pub dns_options: Vec<String>,
    /// Search domains of containers that name none; empty: the host's.
    pub dns_search: Vec<String>,
    /// Containers that do not say get the built-in init as pid 1.
    pub init: bool,
    /// The most events kept for `since`; the oldest go first.
    pub events_kept: u64,
}

/// A range that subnets of networks are cut from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressPool {
    /// The range.
    pub base: Ipv4Net,
    /// The prefix length of each subnet.
    pub size: u8,
}

impl EngineConfig {
    /// Docker's defaults.
    pub fn new(state_dir: impl Into<PathBuf>, shim_socket: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            shim_socket: shim_socket.into(),
            client_name: concat!("bulkhead-apid/", env!("CARGO_PKG_VERSION")).to_owned(),
            bip: None,
            address_pools: Vec::new(),
            mtu: 1500,
            inter_container: true,
            masquerade: true,
            log_driver: "json-file".to_owned(),
            log_opts: Vec::new(),
            dns: Vec::new(),
            dns_options: Vec::new(),
            dns_search: Vec::new(),
            init: false,
            events_kept: 10_000,
        }
    }
}
