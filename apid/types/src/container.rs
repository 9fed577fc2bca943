//! What the container endpoints take and give.

use crate::container_config::ContainerConfig;
use crate::host_config::{HostConfig, Resources, RestartPolicy};
use crate::network::{EndpointSettings, NetworkSettings, NetworkingConfig};
use crate::shape::{Map, is_default, shape};

shape! {
    /// `POST /containers/create`
    pub struct ContainerCreateBody {
        pub host_config: HostConfig,
        pub networking_config: NetworkingConfig,
    }
    flatten {
        pub config: ContainerConfig,
    }
}

shape! {
    /// Its answer.
    pub struct ContainerCreateResponse {
        pub id: String,
        pub warnings: Vec<String>,
    }
}

shape! {
    /// `POST /containers/{id}/update`
    pub struct ContainerUpdateBody {
        pub restart_policy: RestartPolicy,
    }
    flatten {
        pub resources: Resources,
    }
}

shape! {
    /// Its answer.
    pub struct ContainerUpdateResponse {
        pub warnings: Option<Vec<String>>,
    }
}

shape! {
    /// An element of `GET /containers/json`.
    pub struct ContainerSummary {
        pub id: String,
        /// Each with a leading `/`.
        pub names: Vec<String>,
        pub image: String,
        #[serde(rename = "ImageID")]
        pub image_id: String,
        pub command: String,
        /// Unix seconds.
        pub created: i64,
        pub ports: Vec<Port>,
        /// Bytes; only when asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_rw: Option<i64>,
        /// Bytes; only when asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_root_fs: Option<i64>,
        pub labels: Map<String>,
        /// `created running paused restarting exited removing dead`
        pub state: String,
        /// For people: `Up 4 days`.
        pub status: String,
        pub host_config: SummaryHostConfig,
        pub network_settings: SummaryNetworkSettings,
        pub mounts: Vec<MountPoint>,
    }
}

shape! {
    /// The part of `HostConfig` that a list shows.
    pub struct SummaryHostConfig {
        #[serde(skip_serializing_if = "is_default")]
        pub network_mode: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub annotations: Option<Map<String>>,
    }
}

shape! {
    /// The part of `NetworkSettings` that a list shows.
    pub struct SummaryNetworkSettings {
        pub networks: Map<EndpointSettings>,
    }
}

shape! {
    /// A port of a container in a list.
    pub struct Port {
        #[serde(rename = "IP", skip_serializing_if = "is_default")]
        pub ip: String,
        pub private_port: u16,
        /// Not there when the port is not published.
        #[serde(skip_serializing_if = "is_default")]
        pub public_port: u16,
        /// `tcp`, `udp`, `sctp`
        pub r#type: String,
    }
}

shape! {
    /// A mount as it is.
    pub struct MountPoint {
        #[serde(skip_serializing_if = "is_default")]
        pub r#type: String,
        #[serde(skip_serializing_if = "is_default")]
        pub name: String,
        pub source: String,
        pub destination: String,
        #[serde(skip_serializing_if = "is_default")]
        pub driver: String,
        pub mode: String,
        #[serde(rename = "RW")]
        pub rw: bool,
        pub propagation: String,
    }
}

shape! {
    /// `GET /containers/{id}/json`
    pub struct ContainerInspect {
        pub id: String,
        pub created: String,
        pub path: String,
        pub args: Vec<String>,
        pub state: ContainerState,
        /// The image's id.
        pub image: String,
        pub resolv_conf_path: String,
        pub hostname_path: String,
        pub hosts_path: String,
        pub log_path: String,
        /// With a leading `/`.
        pub name: String,
        pub restart_count: u64,
        pub driver: String,
        pub platform: String,
        pub mount_label: String,
        pub process_label: String,
        pub app_armor_profile: String,
        #[serde(rename = "ExecIDs")]
        pub exec_ids: Option<Vec<String>>,
        pub host_config: HostConfig,
        pub graph_driver: GraphDriver,
        /// Bytes; only when asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_rw: Option<i64>,
        /// Bytes; only when asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub size_root_fs: Option<i64>,
        pub mounts: Vec<MountPoint>,
        pub config: ContainerConfig,
        pub network_settings: NetworkSettings,
    }
}

shape! {
    /// The storage driver's view of a container or an image.
    pub struct GraphDriver {
        pub data: Option<Map<String>>,
        pub name: String,
    }
}

shape! {
    /// `State` of a container's inspection.
    pub struct ContainerState {
        /// `created running paused restarting exited removing dead`
        pub status: String,
        pub running: bool,
        pub paused: bool,
        pub restarting: bool,
        #[serde(rename = "OOMKilled")]
        pub oom_killed: bool,
        pub dead: bool,
        /// On the host; 0: not running.
        pub pid: i64,
        pub exit_code: i64,
        pub error: String,
        /// `0001-01-01T00:00:00Z`: never.
        pub started_at: String,
        /// `0001-01-01T00:00:00Z`: never.
        pub finished_at: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub health: Option<Health>,
    }
}

shape! {
    /// What the health checks found.
    pub struct Health {
        pub status: String,
        pub failing_streak: i64,
        pub log: Option<Vec<HealthcheckResult>>,
    }
}

shape! {
    /// One health check.
    pub struct HealthcheckResult {
        pub start: String,
        pub end: String,
        pub exit_code: i64,
        pub output: String,
    }
}

shape! {
    /// `POST /containers/{id}/wait`
    pub struct WaitResponse {
        #[serde(skip_serializing_if = "Option::is_none")]
        pub error: Option<WaitError>,
        pub status_code: i64,
    }
}

shape! {
    /// Why waiting failed.
    pub struct WaitError {
        #[serde(skip_serializing_if = "is_default")]
        pub message: String,
    }
}

shape! {
    /// `GET /containers/{id}/top`
    pub struct ContainerTop {
        pub titles: Vec<String>,
        pub processes: Vec<Vec<String>>,
    }
}

shape! {
    /// `POST /containers/prune`
    pub struct ContainersPruneReport {
        pub containers_deleted: Option<Vec<String>>,
        /// Bytes.
        pub space_reclaimed: u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_create_body_is_config_with_two_objects_in_it() {
        let body: ContainerCreateBody = serde_json::from_str(
            r#"{"Image":"a","Cmd":["b"],"HostConfig":{"NetworkMode":"none","CpuShares":2},
                "NetworkingConfig":{"EndpointsConfig":{"bridge":null}}}"#,
        )
        .unwrap();
        assert_eq!(body.config.image, "a");
        assert_eq!(body.host_config.network_mode, "none");
        assert_eq!(body.host_config.resources.cpu_shares, 2);
        assert_eq!(body.networking_config.endpoints_config.unwrap()["bridge"], None);
    }

    #[test]
    fn a_wrong_type_in_the_config_is_an_error() {
        assert!(serde_json::from_str::<ContainerCreateBody>(r#"{"Env":"A=b"}"#).is_err());
        assert!(serde_json::from_str::<ContainerCreateBody>(r#"{"Tty":"yes"}"#).is_err());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut inspect = ContainerInspect::default();
        inspect.network_settings.ports.insert("80/tcp".to_owned(), None);
        inspect.host_config.resources.pids_limit = Some(7);
        let text = serde_json::to_string(&inspect).unwrap();
        assert_eq!(serde_json::from_str::<ContainerInspect>(&text).unwrap(), inspect);
        assert!(text.contains(r#""PidsLimit":7"#));
    }
}
