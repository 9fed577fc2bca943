//! `daemon.json`: Docker's keys and a few of ours. A key that this engine does not honour is not
//! skipped: the daemon does not start, and says which line it is about.

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

/// The file as written; what is none is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    pub(crate) allow_insecure_tcp: Option<bool>,
    pub(crate) bip: Option<String>,
    pub(crate) debug: Option<bool>,
    pub(crate) default_address_pools: Option<Vec<Pool>>,
    pub(crate) dns: Option<Vec<String>>,
    pub(crate) dns_opts: Option<Vec<String>>,
    pub(crate) dns_search: Option<Vec<String>>,
    pub(crate) group: Option<String>,
    pub(crate) hosts: Option<Vec<String>>,
    pub(crate) icc: Option<bool>,
    pub(crate) init: Option<bool>,
    pub(crate) ip_masq: Option<bool>,
    pub(crate) labels: Option<Vec<String>>,
    pub(crate) log_driver: Option<String>,
    pub(crate) log_level: Option<String>,
    pub(crate) log_opts: Option<BTreeMap<String, String>>,
    pub(crate) mtu: Option<u32>,
    pub(crate) socket_mode: Option<String>,
}

/// An element of `default-address-pools`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pool {
    pub(crate) base: String,
    pub(crate) size: u8,
}

impl ConfigFile {
    /// Read the text of the file; nothing but blanks is an empty object.
    ///
    /// # Errors
    ///
    /// The sentence, with line and column.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_str(text).map_err(|error| error.to_string())
    }
}

impl<'de> Deserialize<'de> for ConfigFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Keys)
    }
}

/// Reads key by key, so that each refusal has its own words and its line.
struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = ConfigFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ConfigFile, A::Error> {
        let mut file = ConfigFile::default();
        let mut seen = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(A::Error::custom(format!("\"{key}\" stands there twice")));
            }
            match key.as_str() {
                "allow-insecure-tcp" => file.allow_insecure_tcp = map.next_value()?,
                "bip" => file.bip = map.next_value()?,
                "debug" => file.debug = map.next_value()?,
                "default-address-pools" => file.default_address_pools = map.next_value()?,
                "dns" => file.dns = map.next_value()?,
                "dns-opts" => file.dns_opts = map.next_value()?,
                "dns-search" => file.dns_search = map.next_value()?,
                "group" => file.group = map.next_value()?,
                "hosts" => file.hosts = map.next_value()?,
                "icc" => file.icc = map.next_value()?,
                "init" => file.init = map.next_value()?,
                "ip-masq" => file.ip_masq = map.next_value()?,
                "labels" => file.labels = map.next_value()?,
                "log-driver" => file.log_driver = map.next_value()?,
                "log-level" => file.log_level = map.next_value()?,
                "log-opts" => file.log_opts = map.next_value()?,
                "mtu" => file.mtu = map.next_value()?,
                "socket-mode" => file.socket_mode = map.next_value()?,
                "live-restore" => only(&mut map, &key, true, LIVE_RESTORE)?,
                "storage-driver" => only(&mut map, &key, "overlay2".to_owned(), STORAGE_DRIVER)?,
                other => return Err(A::Error::custom(refusal(other))),
            }
            seen.push(key);
        }
        Ok(file)
    }
}

const LIVE_RESTORE: &str = "containers always outlive this daemon";
const STORAGE_DRIVER: &str = "overlay2 is the only storage driver";

/// A key with one value that holds anyway.
fn only<'de, A: MapAccess<'de>, T: Deserialize<'de> + PartialEq>(
    map: &mut A,
    key: &str,
    value: T,
    why: &str,
) -> Result<(), A::Error> {
    match map.next_value::<Option<T>>()? {
        Some(other) if other != value => {
            Err(A::Error::custom(format!("\"{key}\" cannot be changed: {why}")))
        }
        _ => Ok(()),
    }
}

fn refusal(key: &str) -> String {
    let why = match key {
        "data-root" | "graph" => "it is the option --state-dir here",
        "exec-root" | "pidfile" => "it is the option --run-dir here",
        "tls" | "tlscacert" | "tlscert" | "tlskey" | "tlsverify" => {
            "TLS is not served yet; use a unix socket, or one forwarded by ssh"
        }
        "userns-remap" => "every container has its own range of user ids already",
        "default-runtime" | "runtimes" | "containerd" | "containerd-namespace" => {
            "the runtime is built in"
        }
        "seccomp-profile"
        | "no-new-privileges"
        | "selinux-enabled"
        | "default-ulimits"
        | "allow-direct-routing"
        | "cgroup-parent" => "the policy in policy.toml says that",
        "insecure-registries"
        | "registry-mirrors"
        | "max-concurrent-downloads"
        | "max-concurrent-uploads"
        | "max-download-attempts" => "registries are not spoken to yet",
        "iptables" | "ip6tables" | "firewall-backend" | "userland-proxy" | "bridge" | "ipv6"
        | "fixed-cidr" | "ip" => "the default network cannot be set up so yet",
        "metrics-addr"
        | "hosts-gateway-ip"
        | "host-gateway-ip"
        | "builder"
        | "features"
        | "shutdown-timeout"
        | "storage-opts"
        | "api-cors-header"
        | "experimental"
        | "exec-opts"
        | "authorization-plugins"
        | "swarm-default-advertise-addr"
        | "default-shm-size"
        | "default-ipc-mode"
        | "default-cgroupns-mode"
        | "log-format"
        | "raw-logs"
        | "proxies"
        | "min-api-version"
        | "dns-opt"
        | "oom-score-adjust" => "this engine does not honour it",
        _ => "there is no such key",
    };
    format!("\"{key}\" is refused: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_keys_are_read() {
        let file = ConfigFile::parse(
            r#"{"hosts":["unix:///x"],"debug":true,"live-restore":true,"log-opts":{"max-size":"1m"},
                "default-address-pools":[{"base":"10.0.0.0/8","size":24}],"storage-driver":"overlay2"}"#,
        )
        .unwrap();
        assert_eq!(file.hosts.unwrap(), ["unix:///x"]);
        assert_eq!(file.default_address_pools.unwrap()[0].size, 24);
        assert_eq!(ConfigFile::parse(" \n").unwrap(), ConfigFile::default());
    }

    #[test]
    fn what_is_not_honoured_is_refused_with_its_line() {
        for (text, wanted) in [
            ("{\n\"hsots\": []}", "\"hsots\" is refused: there is no such key at line 2"),
            ("{\"debug\": true,\n\n\"tlsverify\": true}", "at line 3"),
            ("{\"live-restore\": false}", "containers always outlive"),
            ("{\"storage-driver\": \"vfs\"}", "overlay2"),
            ("{\"debug\": 1}", "expected a boolean at line 1"),
            ("{\"debug\": true, \"debug\": false}", "twice"),
            ("{\"default-address-pools\":[{\"base\":\"a\",\"size\":1,\"x\":2}]}", "unknown field"),
            ("[]", "expected an object"),
        ] {
            let error = ConfigFile::parse(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
