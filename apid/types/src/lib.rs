//! The Docker Engine API's JSON shapes, and nothing else: no I/O, no decisions.
//!
//! Field names are Docker's. What each field means stands in the API description, version 1.51
//! (<https://docs.docker.com/reference/api/engine/version/v1.51/>); units, where a name does not
//! give them, stand here.
//!
//! Reading is as tolerant as the Go clients' and servers' `encoding/json`: a missing field is the
//! default, `null` is the default, an unknown field is skipped. Writing is as Docker's: where
//! Docker prints `null` for a list that was never set, the field is an `Option`; where it leaves a
//! field out (`omitempty`), so do these.
//!
//! Times are RFC 3339 text with nanoseconds unless said otherwise; `*_nano` and `Duration`-like
//! integers are nanoseconds.
#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "the API description says what each field means; see above")]

mod shape;

pub mod container;
pub mod container_config;
pub mod event;
pub mod exec;
pub mod host_config;
pub mod image;
pub mod network;
pub mod stats;
pub mod system;

pub use container::{
    ContainerCreateBody, ContainerCreateResponse, ContainerInspect, ContainerState,
    ContainerSummary, ContainerTop, ContainerUpdateBody, ContainerUpdateResponse,
    ContainersPruneReport, GraphDriver, Health, HealthcheckResult, MountPoint, Port,
    SummaryHostConfig, SummaryNetworkSettings, WaitError, WaitResponse,
};
pub use container_config::{ContainerConfig, HealthConfig, StringOrList};
pub use event::{Actor, EventMessage};
pub use exec::{ExecCreateBody, ExecInspect, ExecProcess, ExecStartBody};
pub use host_config::{
    HostConfig, LogConfig, Mount, PortBinding, PortMap, Resources, RestartPolicy,
};
pub use image::{
    ImageDeleteItem, ImageHistoryItem, ImageInspect, ImageSummary, ImagesPruneReport, RootFs,
};
pub use network::{
    EndpointIpamConfig, EndpointResource, EndpointSettings, Ipam, IpamConfig, NetworkInspect,
    NetworkSettings, NetworkingConfig,
};
pub use shape::{Empty, Map};
pub use stats::ContainerStats;
pub use system::{ErrorBody, IdResponse, Info, Version};
