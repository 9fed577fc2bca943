//! The networks there are: the default bridge with its addresses, and Docker's two that are none
//! (`host`, `none`).
//!
//! Addresses are leased at start and returned when the container stops. The leases are in the
//! containers' own stored state, which is committed before the container runs; here they are only
//! in memory.

mod files;
mod subnet;

pub(crate) use files::{Dns, ExtraHost, hosts, resolv_conf};

use crate::config::EngineConfig;
use crate::error::{EngineError, Result};
use crate::options::Filters;
use crate::store::{Store, Write};
use bulkhead_proto::{ByteString, ContainerId, Ipv4, NetworkId, NetworkSpec};
use bulkhead_types as api;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The name of the default network.
pub(crate) const BRIDGE: &str = "bridge";
/// The networks that are none.
pub(crate) const HOST: &str = "host";
pub(crate) const NONE: &str = "none";

/// A container's place on a network; in the container's stored state while it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Endpoint {
    /// 64 hex digits, as Docker's.
    pub id: String,
    /// The network's id.
    pub network: String,
    pub address: Ipv4Addr,
    pub prefix: u8,
    pub gateway: Ipv4Addr,
    /// `02:42:ac:11:00:02`
    pub mac: String,
}

/// A network as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Definition {
    id: String,
    name: String,
    driver: String,
    created_ns: i64,
    /// The gateway's address with the subnet's prefix; none: no addresses here.
    gateway: Option<Ipv4Net>,
}

/// All networks.
#[derive(Debug)]
pub(crate) struct Networks {
    definitions: Vec<Definition>,
    /// Index of the default bridge, and how the shim is to make it.
    bridge: NetworkSpec,
    gateway: Ipv4Net,
    options: BTreeMap<String, String>,
    leases: Mutex<BTreeMap<Ipv4Addr, ContainerId>>,
}

impl Networks {
    /// Take up the stored networks, making those that are not stored.
    pub(crate) async fn open(
        config: &EngineConfig,
        stored: &[String],
        store: &Store,
    ) -> Result<Self> {
        let mut definitions: Vec<Definition> =
            stored.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
        let mut writes = Vec::new();
        for (name, driver) in [(BRIDGE, "bridge"), (HOST, "host"), (NONE, "null")] {
            let known = definitions.iter_mut().find(|network| network.name == name);
            let network = match known {
                Some(network)
                    if name != BRIDGE
                        || config.bip.is_none_or(|bip| network.gateway == Some(bip)) =>
                {
                    continue;
                }
                Some(network) => network,
                None => {
                    definitions.push(Definition {
                        id: crate::id::random_hex()?,
                        name: name.to_owned(),
                        driver: driver.to_owned(),
                        created_ns: crate::events::now_ns(),
                        gateway: None,
                    });
                    definitions.last_mut().ok_or_else(|| EngineError::internal("networks"))?
                }
            };
            if name == BRIDGE {
                network.gateway = Some(subnet::choose(config)?);
            }
            let definition = serde_json::to_string(network).unwrap_or_default();
            writes.push(Write::PutNetwork { id: network.id.clone(), definition });
        }
        if !writes.is_empty() {
            store.commit(writes).await?;
        }
        let bridge = definitions.iter().find(|network| network.name == BRIDGE);
        let parts = bridge.and_then(|bridge| Some((bridge.id.parse().ok()?, bridge.gateway?)));
        let Some((id, gateway)) = parts else {
            return Err(EngineError::internal("engine.db: the default network is damaged"));
        };
        let bridge = spec(id, gateway, config);
        let options = docker_options(config);
        Ok(Self { definitions, bridge, gateway, options, leases: Mutex::default() })
    }

    /// How the shim is to make the default bridge.
    pub(crate) fn bridge_spec(&self) -> NetworkSpec {
        self.bridge
    }

    /// The default bridge's address on the host.
    pub(crate) fn gateway(&self) -> Ipv4Addr {
        self.gateway.addr()
    }

    /// Give a container an address on the default bridge: the one asked for, or the lowest that
    /// is free.
    pub(crate) fn lease(&self, holder: ContainerId, wish: Option<Ipv4Addr>) -> Result<Endpoint> {
        let subnet = self.gateway.trunc();
        let mut leases = self.leases();
        let free =
            |address: &Ipv4Addr| *address != self.gateway.addr() && !leases.contains_key(address);
        let address = match wish {
            Some(wish) if !subnet.contains(&wish) => {
                return Err(EngineError::bad(format!("no subnet of this network has {wish}")));
            }
            Some(wish) if !free(&wish) => {
                return Err(EngineError::new(crate::ErrorKind::Denied, "Address already in use"));
            }
            Some(wish) => wish,
            None => subnet.hosts().find(free).ok_or_else(|| {
                EngineError::internal(format!("no available IPv4 addresses on {subnet}"))
            })?,
        };
        leases.insert(address, holder);
        drop(leases);
        self.endpoint(address)
    }

    /// A container that runs already has this address.
    pub(crate) fn restore(&self, holder: ContainerId, endpoint: &Endpoint) {
        self.leases().insert(endpoint.address, holder);
    }

    /// A container has stopped.
    pub(crate) fn release(&self, holder: ContainerId) {
        self.leases().retain(|_, of| *of != holder);
    }

    fn endpoint(&self, address: Ipv4Addr) -> Result<Endpoint> {
        let [a, b, c, d] = address.octets();
        Ok(Endpoint {
            id: crate::id::random_hex()?,
            network: self.bridge.id.to_string(),
            address,
            prefix: self.gateway.prefix_len(),
            gateway: self.gateway.addr(),
            mac: format!("02:42:{a:02x}:{b:02x}:{c:02x}:{d:02x}"),
        })
    }

    fn leases(&self) -> MutexGuard<'_, BTreeMap<Ipv4Addr, ContainerId>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names and ids of the networks that a container in this mode is on.
    pub(crate) fn id_of(&self, name: &str) -> String {
        let found = self.definitions.iter().find(|network| network.name == name);
        found.map(|network| network.id.clone()).unwrap_or_default()
    }

    /// Whether a word names the default bridge, as networks may be named.
    pub(crate) fn is_bridge(&self, word: &str) -> bool {
        self.find(word).is_ok_and(|network| network.name == BRIDGE)
    }

    fn find(&self, word: &str) -> Result<&Definition> {
        let exact = |network: &&Definition| network.name == word || network.id == word;
        if let Some(network) = self.definitions.iter().find(exact) {
            return Ok(network);
        }
        let mut begins =
            self.definitions.iter().filter(|net| !word.is_empty() && net.id.starts_with(word));
        match (begins.next(), begins.next()) {
            (Some(network), None) => Ok(network),
            (Some(_), Some(_)) => Err(EngineError::bad(format!(
                "network {word} is ambiguous (2 matches found based on ID prefix)"
            ))),
            (None, _) => Err(EngineError::not_found(format!("network {word} not found"))),
        }
    }

    /// For `GET /networks/{id}`. `endpoints` are those of running containers, with their names.
    pub(crate) fn inspect(
        &self,
        word: &str,
        endpoints: &[(String, String, Endpoint)],
    ) -> Result<api::NetworkInspect> {
        let network = self.find(word)?;
        let mut shown = self.show(network);
        for (container, name, endpoint) in endpoints {
            if endpoint.network == network.id {
                let resource = api::EndpointResource {
                    name: name.clone(),
                    endpoint_id: endpoint.id.clone(),
                    mac_address: endpoint.mac.clone(),
                    ipv4_address: format!("{}/{}", endpoint.address, endpoint.prefix),
                    ipv6_address: String::new(),
                };
                shown.containers.insert(container.clone(), resource);
            }
        }
        Ok(shown)
    }

    /// For `GET /networks`.
    pub(crate) fn list(&self, filters: &Filters) -> Result<Vec<api::NetworkInspect>> {
        filters.only(&["dangling", "driver", "id", "label", "name", "scope", "type"])?;
        let fits = |network: &&Definition| {
            filters.admits("name", |value| network.name.contains(value))
                && filters.admits("id", |value| network.id.starts_with(value))
                && filters.admits("driver", |value| network.driver == value)
                && filters.admits("scope", |value| value == "local")
                && filters.admits("type", |value| value == "builtin")
                && filters.admits("dangling", |value| matches!(value, "false" | "0"))
                && filters.admits_labels(&BTreeMap::new())
        };
        Ok(self.definitions.iter().filter(fits).map(|network| self.show(network)).collect())
    }

    fn show(&self, network: &Definition) -> api::NetworkInspect {
        let subnets = network.gateway.map(|gateway| {
            vec![api::IpamConfig {
                subnet: gateway.trunc().to_string(),
                gateway: gateway.addr().to_string(),
                ..api::IpamConfig::default()
            }]
        });
        let is_bridge = network.name == BRIDGE;
        api::NetworkInspect {
            name: network.name.clone(),
            id: network.id.clone(),
            created: crate::time::rfc3339(network.created_ns),
            scope: "local".to_owned(),
            driver: network.driver.clone(),
            enable_ipv4: true,
            ipam: api::Ipam { driver: "default".to_owned(), options: None, config: subnets },
            options: if is_bridge { self.options.clone() } else { BTreeMap::new() },
            ..api::NetworkInspect::default()
        }
    }
}

/// The endpoint as the shim makes it.
pub(crate) fn shim_endpoint(endpoint: &Endpoint) -> Option<bulkhead_proto::Endpoint> {
    let mut mac = [0; 6];
    let mut parts = endpoint.mac.split(':');
    for byte in &mut mac {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    Some(bulkhead_proto::Endpoint {
        network: endpoint.network.parse().ok()?,
        ipv4: Ipv4 { address: endpoint.address.octets(), prefix: endpoint.prefix },
        mac,
        gateway: true,
    })
}

fn spec(id: NetworkId, gateway: Ipv4Net, config: &EngineConfig) -> NetworkSpec {
    NetworkSpec {
        id,
        gateway: Ipv4 { address: gateway.addr().octets(), prefix: gateway.prefix_len() },
        internal: false,
        inter_container: config.inter_container,
        masquerade: config.masquerade,
        mtu: config.mtu,
        default: true,
    }
}

/// What `docker network inspect bridge` shows under `Options`.
fn docker_options(config: &EngineConfig) -> BTreeMap<String, String> {
    let bridge = |name: &str| format!("com.docker.network.bridge.{name}");
    BTreeMap::from([
        (bridge("default_bridge"), "true".to_owned()),
        (bridge("enable_icc"), config.inter_container.to_string()),
        (bridge("enable_ip_masquerade"), config.masquerade.to_string()),
        ("com.docker.network.driver.mtu".to_owned(), config.mtu.to_string()),
    ])
}

/// A file that the engine writes, if the channel admits it.
pub(crate) fn file_content(
    path: &str,
    text: &str,
) -> Result<ByteString<{ bulkhead_proto::MAX_FILE_BYTES }>> {
    ByteString::try_from(text).map_err(|error| EngineError::bad(format!("{path}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn networks(bip: &str) -> (tempfile::TempDir, Networks) {
        let dir = tempfile::tempdir().unwrap();
        let (store, stored, _) = Store::open(&dir.path().join("engine.db")).unwrap();
        let mut config = EngineConfig::new(dir.path(), dir.path());
        config.bip = Some(bip.parse().unwrap());
        let networks = Networks::open(&config, &stored.networks, &store).await.unwrap();
        (dir, networks)
    }

    fn holder(byte: u8) -> ContainerId {
        ContainerId::from_bytes([byte; 32])
    }

    #[tokio::test]
    async fn the_lowest_free_address_is_leased_and_comes_back() {
        let (_dir, networks) = networks("10.9.8.1/29").await;
        let address = |byte| networks.lease(holder(byte), None).unwrap();
        assert_eq!(address(1).address.to_string(), "10.9.8.2");
        let second = address(2);
        assert_eq!(second.mac, "02:42:0a:09:08:03");
        assert_eq!(shim_endpoint(&second).unwrap().mac, [2, 0x42, 10, 9, 8, 3]);
        for byte in 3..=5 {
            address(byte);
        }
        assert!(networks.lease(holder(6), None).is_err(), "the subnet has five");
        networks.release(holder(2));
        assert_eq!(address(7).address.to_string(), "10.9.8.3");
    }

    #[tokio::test]
    async fn an_address_may_be_asked_for_once() {
        let (_dir, networks) = networks("10.9.8.1/24").await;
        let wish = |byte, text: &str| networks.lease(holder(byte), Some(text.parse().unwrap()));
        assert_eq!(wish(1, "10.9.8.77").unwrap().address.to_string(), "10.9.8.77");
        assert!(wish(2, "10.9.8.77").is_err());
        assert!(wish(2, "10.9.8.1").is_err(), "the gateway's");
        assert!(wish(2, "10.9.9.1").is_err());
    }

    #[tokio::test]
    async fn networks_are_found_by_name_id_and_beginning_and_stay_the_same() {
        let (dir, networks) = networks("10.9.8.1/24").await;
        let all = networks.list(&Filters::default()).unwrap();
        let names: Vec<_> = all.iter().map(|network| network.name.as_str()).collect();
        assert_eq!(names, ["bridge", "host", "none"]);
        let id = &all[0].id;
        assert!(networks.is_bridge(&id[..12]) && networks.is_bridge(id));
        assert!(!networks.is_bridge("host"));
        let missing = networks.inspect("nonesuch", &[]).unwrap_err();
        assert_eq!(missing.message(), "network nonesuch not found");

        let (store, stored, _) = Store::open(&dir.path().join("engine.db")).unwrap();
        let config = EngineConfig::new(dir.path(), dir.path());
        let again = Networks::open(&config, &stored.networks, &store).await.unwrap();
        assert_eq!(again.bridge_spec(), networks.bridge_spec());
    }
}
