//! What the command line and `daemon.json` together mean.

use super::arguments::Arguments;
use super::file::{ConfigFile, Pool};
use crate::listen::{Address, SocketAccess, group_id};
use bulkhead_engine::{AddressPool, EngineConfig};
use ipnet::Ipv4Net;
use std::io::ErrorKind;
use std::path::Path;
use tracing::level_filters::LevelFilter;

/// Every question answered.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) hosts: Vec<Address>,
    pub(crate) socket: SocketAccess,
    pub(crate) log_level: LevelFilter,
    pub(crate) debug: bool,
    pub(crate) engine: EngineConfig,
    /// Of `GET /info`.
    pub(crate) labels: Vec<String>,
}

/// An installed engine's file; it need not be there.
const DEFAULT_FILE: &str = "/etc/bulkhead/daemon.json";

impl Settings {
    /// Read the file and fill in what is not said.
    ///
    /// # Errors
    ///
    /// The sentence that the administrator reads.
    pub(crate) fn new(arguments: Arguments) -> Result<Self, String> {
        let file = read(arguments.config_file.as_deref())?;
        Self::from_parts(arguments, file)
    }

    fn from_parts(arguments: Arguments, file: ConfigFile) -> Result<Self, String> {
        let both = |name, twice: bool| match twice {
            true => Err(format!("{name} is given on the command line and in daemon.json")),
            false => Ok(()),
        };
        both("hosts", !arguments.hosts.is_empty() && file.hosts.is_some())?;
        both("group", arguments.group.is_some() && file.group.is_some())?;
        both("log-level", arguments.log_level.is_some() && file.log_level.is_some())?;

        let run_dir = arguments.run_dir.unwrap_or_else(|| "/run/bulkhead".into());
        let state_dir = arguments.state_dir.unwrap_or_else(|| "/var/lib/bulkhead/apid".into());
        let shim_socket = arguments.shim_socket.unwrap_or_else(|| run_dir.join("shim/shim.sock"));
        for path in [&run_dir, &state_dir, &shim_socket] {
            if !path.is_absolute() {
                return Err(format!("{}: the path begins with /", path.display()));
            }
        }
        let written = file.hosts.clone().unwrap_or(arguments.hosts);
        let insecure = file.allow_insecure_tcp.unwrap_or(false);
        let hosts = hosts(&written, insecure, &run_dir)?;
        let group = file.group.as_deref().or(arguments.group.as_deref());
        let socket = SocketAccess {
            mode: socket_mode(file.socket_mode.as_deref())?,
            group: group.map(group_id).transpose()?,
        };
        let debug = arguments.debug || file.debug.unwrap_or(false);
        let level = arguments.log_level.or_else(|| file.log_level.clone());
        let log_level = if debug { LevelFilter::DEBUG } else { log_level(level.as_deref())? };
        let labels = file.labels.clone().unwrap_or_default();
        let engine = engine(EngineConfig::new(state_dir, shim_socket), file)?;
        Ok(Self { hosts, socket, log_level, debug, engine, labels })
    }
}

fn read(path: Option<&Path>) -> Result<ConfigFile, String> {
    let file = path.unwrap_or_else(|| Path::new(DEFAULT_FILE));
    match std::fs::read_to_string(file) {
        Ok(text) => {
            ConfigFile::parse(&text).map_err(|error| format!("{}: {error}", file.display()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound && path.is_none() => {
            Ok(ConfigFile::default())
        }
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

fn hosts(written: &[String], insecure: bool, run_dir: &Path) -> Result<Vec<Address>, String> {
    if written.is_empty() {
        return Ok(vec![Address::Unix(run_dir.join("api/docker.sock"))]);
    }
    let mut hosts = Vec::new();
    for text in written {
        let address: Address = text.parse()?;
        if matches!(address, Address::Tcp(_)) && !insecure {
            return Err(format!(
                "{address} is refused: without TLS, everyone who can reach that port has the engine. If that is meant, set \"allow-insecure-tcp\": true in daemon.json"
            ));
        }
        hosts.push(address);
    }
    Ok(hosts)
}

fn socket_mode(text: Option<&str>) -> Result<u32, String> {
    let Some(text) = text else { return Ok(0o660) };
    match u32::from_str_radix(text, 8) {
        Ok(mode @ 0..=0o777) => Ok(mode),
        _ => Err(format!("socket-mode \"{text}\": not an octal mode such as \"0660\"")),
    }
}

fn log_level(text: Option<&str>) -> Result<LevelFilter, String> {
    match text {
        Some("debug") => Ok(LevelFilter::DEBUG),
        Some("info") | None => Ok(LevelFilter::INFO),
        Some("warn") => Ok(LevelFilter::WARN),
        Some("error" | "fatal") => Ok(LevelFilter::ERROR),
        Some(other) => Err(format!("log-level \"{other}\": not debug, info, warn, error or fatal")),
    }
}

fn engine(mut engine: EngineConfig, file: ConfigFile) -> Result<EngineConfig, String> {
    engine.bip = file.bip.map(|text| network("bip", &text)).transpose()?;
    engine.address_pools =
        file.default_address_pools.iter().flatten().map(pool).collect::<Result<_, _>>()?;
    engine.mtu = file.mtu.filter(|mtu| *mtu != 0).unwrap_or(engine.mtu);
    engine.inter_container = file.icc.unwrap_or(engine.inter_container);
    engine.masquerade = file.ip_masq.unwrap_or(engine.masquerade);
    engine.init = file.init.unwrap_or(engine.init);
    engine.log_driver = file.log_driver.unwrap_or(engine.log_driver);
    engine.log_opts = file.log_opts.unwrap_or_default().into_iter().collect();
    check_log(&engine)?;
    for text in file.dns.iter().flatten() {
        let server =
            text.parse().map_err(|_cause| format!("dns \"{text}\": not an IPv4 address"))?;
        engine.dns.push(server);
    }
    engine.dns_options = file.dns_opts.unwrap_or_default();
    engine.dns_search = file.dns_search.unwrap_or_default();
    Ok(engine)
}

fn check_log(engine: &EngineConfig) -> Result<(), String> {
    let driver = engine.log_driver.as_str();
    if !matches!(driver, "json-file" | "none") {
        return Err(format!("log-driver \"{driver}\": json-file and none are there"));
    }
    let known = ["max-size", "max-file"];
    match engine.log_opts.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        Some((name, _)) => Err(format!("log-opts \"{name}\": {} are there", known.join(" and "))),
        None => Ok(()),
    }
}

fn network(key: &str, text: &str) -> Result<Ipv4Net, String> {
    text.parse()
        .map_err(|_cause| format!("{key} \"{text}\": not an IPv4 address with prefix length"))
}

fn pool(pool: &Pool) -> Result<AddressPool, String> {
    let base = network("default-address-pools base", &pool.base)?;
    if pool.size < base.prefix_len() || pool.size > 30 {
        return Err(format!(
            "default-address-pools size {}: subnets of {base} have a prefix length of {} to 30",
            pool.size,
            base.prefix_len()
        ));
    }
    Ok(AddressPool { base, size: pool.size })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(arguments: Arguments, file: &str) -> Result<Settings, String> {
        Settings::from_parts(arguments, ConfigFile::parse(file)?)
    }

    #[test]
    fn a_unix_socket_in_the_run_directory_is_the_default() {
        let run_dir = Some("/r".into());
        let found = settings(Arguments { run_dir, ..Default::default() }, "").unwrap();
        assert_eq!(found.hosts, [Address::Unix("/r/api/docker.sock".into())]);
        assert_eq!(found.engine.shim_socket, Path::new("/r/shim/shim.sock"));
        assert_eq!(found.socket, SocketAccess { mode: 0o660, group: None });
    }

    #[test]
    fn tcp_without_tls_must_be_meant() {
        let refused = settings(Arguments::default(), r#"{"hosts":["tcp://0.0.0.0:2375"]}"#);
        assert!(refused.unwrap_err().contains("allow-insecure-tcp"));
        let meant = r#"{"hosts":["tcp://:2375"],"allow-insecure-tcp":true}"#;
        let hosts = settings(Arguments::default(), meant).unwrap().hosts;
        assert_eq!(hosts, [Address::Tcp(([127, 0, 0, 1], 2375).into())]);
    }

    #[test]
    fn hosts_stand_in_one_place() {
        let arguments = Arguments { hosts: vec!["unix:///a".into()], ..Default::default() };
        assert!(settings(arguments, r#"{"hosts":["unix:///b"]}"#).is_err());
    }

    #[test]
    fn wrong_values_are_refused() {
        for file in [
            r#"{"bip":"172.17.0.1"}"#,
            r#"{"dns":["localhost"]}"#,
            r#"{"log-driver":"syslog"}"#,
            r#"{"log-opts":{"tag":"x"}}"#,
            r#"{"socket-mode":"0999"}"#,
            r#"{"log-level":"loud"}"#,
            r#"{"default-address-pools":[{"base":"10.0.0.0/16","size":8}]}"#,
            r#"{"hosts":["http://x"]}"#,
            r#"{"hosts":["unix://relative"]}"#,
        ] {
            assert!(settings(Arguments::default(), file).is_err(), "{file}");
        }
    }
}
