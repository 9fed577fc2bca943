//! What a container sees of networks: `NetworkMode`, names, hosts and resolver.

use super::Wish;
use crate::config::EngineConfig;
use crate::error::{EngineError, Result};
use crate::network::{Dns, ExtraHost};
use bulkhead_proto::NetworkMode;
use bulkhead_types::EndpointSettings;
use std::net::IpAddr;

/// What the engine does about it at start.
#[derive(Debug, Clone)]
pub(crate) struct NetworkPlan {
    /// It gets an address on the default bridge.
    pub bridge: bool,
    /// Its own hardware address; none: made from the IP address.
    pub mac: Option<String>,
    pub dns: Dns,
    pub extra_hosts: Vec<ExtraHost>,
    /// `host.domain host`, for its line of `/etc/hosts`.
    pub names: String,
}

pub(super) struct Translated {
    pub mode: NetworkMode,
    pub hostname: String,
    pub plan: NetworkPlan,
}

/// The fields of `HostConfig` that matter here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'h> {
    pub mode: &'h str,
    pub dns: &'h Option<Vec<String>>,
    pub dns_options: &'h Option<Vec<String>>,
    pub dns_search: &'h Option<Vec<String>>,
    pub extra_hosts: &'h Option<Vec<String>>,
    pub uts_host: bool,
}

pub(super) fn translate(
    wish: Wish<'_>,
    asked: &Asked<'_>,
    engine: &EngineConfig,
) -> Result<Translated> {
    let config = wish.config;
    let mode = match asked.mode {
        _ if config.network_disabled => NetworkMode::None,
        "none" => NetworkMode::None,
        "host" => NetworkMode::Host,
        "bridge" => NetworkMode::Endpoints,
        other => {
            let id = other.strip_prefix("container:").and_then(|id| id.parse().ok());
            let id =
                id.ok_or_else(|| EngineError::not_found(format!("network {other} not found")))?;
            NetworkMode::Container { id }
        }
    };
    if asked.uts_host && !config.hostname.is_empty() {
        return Err(EngineError::bad("conflicting options: hostname and the UTS mode"));
    }
    if let NetworkMode::Container { .. } = mode {
        conflicts_with_container_mode(wish, asked)?;
    }
    let mac = wish_of_endpoint(wish.endpoint, &config.mac_address)?;
    let hostname = match (config.hostname.as_str(), mode) {
        ("", NetworkMode::Host) => host_name(),
        ("", _) => crate::id::short(&wish.id.to_string()).to_owned(),
        (given, _) => given.to_owned(),
    };
    check_hostname(&hostname, &config.domainname)?;
    let names = if config.domainname.is_empty() {
        hostname.clone()
    } else {
        format!("{hostname}.{} {hostname}", config.domainname)
    };
    let plan = NetworkPlan {
        bridge: mode == NetworkMode::Endpoints,
        mac,
        dns: dns(asked, engine)?,
        extra_hosts: asked.extra_hosts.iter().flatten().map(extra_host).collect::<Result<_>>()?,
        names,
    };
    Ok(Translated { mode, hostname, plan })
}

/// The host's own name, cut to what a container may have.
fn host_name() -> String {
    let names = rustix::system::uname();
    let name = names.nodename().to_str().unwrap_or_default();
    if check_hostname(name, "").is_ok() { name.to_owned() } else { "host".to_owned() }
}

/// moby `runconfig`, `validateNetContainerMode`.
fn conflicts_with_container_mode(wish: Wish<'_>, asked: &Asked<'_>) -> Result<()> {
    let conflict = |what: &str| {
        Err(EngineError::bad(format!("conflicting options: {what} and the network mode")))
    };
    let given = |list: &Option<Vec<String>>| super::some(list);
    if !wish.config.hostname.is_empty() {
        return conflict("hostname");
    }
    if given(asked.dns) {
        return conflict("dns");
    }
    if given(asked.extra_hosts) {
        return conflict("custom host-to-IP mapping");
    }
    if !wish.config.mac_address.is_empty() {
        return conflict("mac-address");
    }
    Ok(())
}

/// What it wants of the default bridge; its hardware address.
fn wish_of_endpoint(endpoint: &EndpointSettings, old_mac: &str) -> Result<Option<String>> {
    let EndpointSettings { ipam_config, links, aliases, mac_address, driver_opts, .. } = endpoint;
    let address = ipam_config.as_ref().is_some_and(|ipam| *ipam != Default::default());
    if address {
        return Err(EngineError::bad(
            "invalid config for network bridge: invalid endpoint settings:\nuser specified IP \
             address is supported on user defined networks only",
        ));
    }
    if super::some(aliases) {
        return Err(EngineError::bad(
            "invalid config for network bridge: invalid endpoint settings:\nnetwork-scoped \
             aliases are only supported for user-defined networks",
        ));
    }
    super::not_done("NetworkingConfig.Links", super::some(links), "links between containers")?;
    let options = driver_opts.as_ref().is_some_and(|options| !options.is_empty());
    super::not_done("NetworkingConfig.DriverOpts", options, "a list of driver options")?;
    let mac = if mac_address.is_empty() { old_mac } else { mac_address };
    if mac.is_empty() {
        return Ok(None);
    }
    let bytes: Vec<u8> =
        mac.split([':', '-']).filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    let [first, .., _] = bytes.as_slice() else {
        return Err(EngineError::bad(format!("invalid MAC address: {mac}")));
    };
    // The shim takes locally administered, unicast addresses.
    if bytes.len() != 6 || first & 1 != 0 {
        return Err(EngineError::bad(format!("invalid MAC address: {mac}")));
    }
    let text: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Some(text.join(":")))
}

/// RFC 1123, as `docker run` checks it: letters, digits, `-` and `.`; at most 63 bytes a part.
fn check_hostname(hostname: &str, domainname: &str) -> Result<()> {
    let part = |part: &str| {
        (1..=63).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    if hostname.len() > 64 || !hostname.split('.').all(part) {
        return Err(EngineError::bad(format!(
            "invalid hostname format for --hostname: {hostname}"
        )));
    }
    if !domainname.is_empty() && !domainname.trim_end_matches('.').split('.').all(part) {
        return Err(EngineError::bad(format!("invalid domain name: {domainname}")));
    }
    Ok(())
}

fn dns(asked: &Asked<'_>, engine: &EngineConfig) -> Result<Dns> {
    let line = |word: &String| {
        if word.is_empty() || word.bytes().any(|byte| byte.is_ascii_whitespace() || byte == b'#') {
            return Err(EngineError::bad(format!("\"{word}\" does not fit into resolv.conf")));
        }
        Ok(word.clone())
    };
    let words = |list: &Option<Vec<String>>, default: &[String]| match list {
        Some(list) if !list.is_empty() => list.iter().map(line).collect(),
        _ => Ok(default.to_vec()),
    };
    let server = |text: &String| {
        let bad = || EngineError::bad(format!("IP address is not correctly formatted: {text}"));
        text.trim().parse::<IpAddr>().or(Err(bad()))
    };
    let servers = match asked.dns {
        Some(list) if !list.is_empty() => list.iter().map(server).collect::<Result<_>>()?,
        _ => engine.dns.iter().map(|address| IpAddr::V4(*address)).collect(),
    };
    Ok(Dns {
        servers,
        search: words(asked.dns_search, &engine.dns_search)?,
        options: words(asked.dns_options, &engine.dns_options)?,
    })
}

/// `name:address` or `name=address`.
fn extra_host(entry: &String) -> Result<ExtraHost> {
    let bad = || EngineError::bad(format!("bad format for add-host: \"{entry}\""));
    let (name, address) =
        entry.split_once('=').or_else(|| entry.split_once(':')).ok_or_else(bad)?;
    if name.is_empty() || name.bytes().any(|byte| byte.is_ascii_whitespace() || byte == b'#') {
        return Err(bad());
    }
    let bare = address.trim_start_matches('[').trim_end_matches(']');
    let address =
        match bare {
            "host-gateway" => None,
            _ => Some(bare.parse().or(Err(EngineError::bad(format!(
                "invalid IP address in add-host: \"{address}\""
            ))))?),
        };
    Ok(ExtraHost { name: name.to_owned(), address })
}
