//! Networks and a container's place on them.

use crate::host_config::PortMap;
use crate::shape::{Empty, Map, is_default, shape};

shape! {
    /// `NetworkingConfig` of a create body.
    pub struct NetworkingConfig {
        /// Keys are names or ids of networks.
        pub endpoints_config: Option<Map<Option<EndpointSettings>>>,
    }
}

shape! {
    /// A container on one network: as asked for, and as it is.
    pub struct EndpointSettings {
        #[serde(rename = "IPAMConfig")]
        pub ipam_config: Option<EndpointIpamConfig>,
        pub links: Option<Vec<String>>,
        pub aliases: Option<Vec<String>>,
        pub mac_address: String,
        pub driver_opts: Option<Map<String>>,
        pub gw_priority: i64,
        #[serde(rename = "NetworkID")]
        pub network_id: String,
        #[serde(rename = "EndpointID")]
        pub endpoint_id: String,
        pub gateway: String,
        #[serde(rename = "IPAddress")]
        pub ip_address: String,
        #[serde(rename = "IPPrefixLen")]
        pub ip_prefix_len: u8,
        #[serde(rename = "IPv6Gateway")]
        pub ipv6_gateway: String,
        #[serde(rename = "GlobalIPv6Address")]
        pub global_ipv6_address: String,
        #[serde(rename = "GlobalIPv6PrefixLen")]
        pub global_ipv6_prefix_len: u8,
        #[serde(rename = "DNSNames")]
        pub dns_names: Option<Vec<String>>,
    }
}

shape! {
    /// Addresses asked for.
    pub struct EndpointIpamConfig {
        #[serde(rename = "IPv4Address", skip_serializing_if = "is_default")]
        pub ipv4_address: String,
        #[serde(rename = "IPv6Address", skip_serializing_if = "is_default")]
        pub ipv6_address: String,
        #[serde(rename = "LinkLocalIPs", skip_serializing_if = "Option::is_none")]
        pub link_local_ips: Option<Vec<String>>,
    }
}

shape! {
    /// `NetworkSettings` of a container's inspection. The fields below `networks` repeat the
    /// default network's, for clients older than API 1.21 and all who never moved on.
    pub struct NetworkSettings {
        pub bridge: String,
        #[serde(rename = "SandboxID")]
        pub sandbox_id: String,
        pub sandbox_key: String,
        pub ports: PortMap,
        pub hairpin_mode: bool,
        #[serde(rename = "LinkLocalIPv6Address")]
        pub link_local_ipv6_address: String,
        #[serde(rename = "LinkLocalIPv6PrefixLen")]
        pub link_local_ipv6_prefix_len: u8,
        #[serde(rename = "SecondaryIPAddresses")]
        pub secondary_ip_addresses: Option<Vec<Empty>>,
        #[serde(rename = "SecondaryIPv6Addresses")]
        pub secondary_ipv6_addresses: Option<Vec<Empty>>,
        pub networks: Map<EndpointSettings>,
        #[serde(rename = "EndpointID")]
        pub endpoint_id: String,
        pub gateway: String,
        #[serde(rename = "GlobalIPv6Address")]
        pub global_ipv6_address: String,
        #[serde(rename = "GlobalIPv6PrefixLen")]
        pub global_ipv6_prefix_len: u8,
        #[serde(rename = "IPAddress")]
        pub ip_address: String,
        #[serde(rename = "IPPrefixLen")]
        pub ip_prefix_len: u8,
        #[serde(rename = "IPv6Gateway")]
        pub ipv6_gateway: String,
        pub mac_address: String,
    }
}

shape! {
    /// A network: an element of `GET /networks`, and `GET /networks/{id}`.
    pub struct NetworkInspect {
        pub name: String,
        pub id: String,
        pub created: String,
        pub scope: String,
        pub driver: String,
        #[serde(rename = "EnableIPv4")]
        pub enable_ipv4: bool,
        #[serde(rename = "EnableIPv6")]
        pub enable_ipv6: bool,
        #[serde(rename = "IPAM")]
        pub ipam: Ipam,
        pub internal: bool,
        pub attachable: bool,
        pub ingress: bool,
        pub config_from: ConfigReference,
        pub config_only: bool,
        /// Keys are container ids; empty in a list.
        pub containers: Map<EndpointResource>,
        pub options: Map<String>,
        pub labels: Map<String>,
    }
}

shape! {
    /// The network that another takes its configuration from.
    pub struct ConfigReference {
        pub network: String,
    }
}

shape! {
    /// How addresses are given out.
    pub struct Ipam {
        pub driver: String,
        pub options: Option<Map<String>>,
        pub config: Option<Vec<IpamConfig>>,
    }
}

shape! {
    /// One subnet.
    pub struct IpamConfig {
        #[serde(skip_serializing_if = "is_default")]
        pub subnet: String,
        #[serde(rename = "IPRange", skip_serializing_if = "is_default")]
        pub ip_range: String,
        #[serde(skip_serializing_if = "is_default")]
        pub gateway: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub auxiliary_addresses: Option<Map<String>>,
    }
}

shape! {
    /// A container on a network, as the network shows it.
    pub struct EndpointResource {
        pub name: String,
        #[serde(rename = "EndpointID")]
        pub endpoint_id: String,
        pub mac_address: String,
        /// With its prefix length.
        #[serde(rename = "IPv4Address")]
        pub ipv4_address: String,
        /// With its prefix length.
        #[serde(rename = "IPv6Address")]
        pub ipv6_address: String,
    }
}
