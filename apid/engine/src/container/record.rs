//! What is stored of a container: its definition, which changes seldom, and its state.

use crate::config::EngineConfig;
use crate::error::{EngineError, Result};
use crate::network::Endpoint;
use crate::store::{StoredContainer, Write};
use crate::translate::{Plan, Wish, translate};
use bulkhead_proto::{ContainerId, LayerId};
use bulkhead_types::{ContainerConfig, EndpointSettings, HostConfig};
use serde::{Deserialize, Serialize};

/// What a container is, as asked for, with the image's part merged in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub created_ns: i64,
    /// `sha256:...`
    pub image: String,
    /// Of the image, the lowest first; 64 hex digits each.
    pub layers: Vec<String>,
    pub config: ContainerConfig,
    pub host: HostConfig,
    /// What it wants of its network.
    pub endpoint: EndpointSettings,
}

/// A record, and what it means.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub id: ContainerId,
    /// Without the leading `/`.
    pub name: String,
    pub record: Record,
    pub plan: Plan,
}

impl Definition {
    /// Validate and translate.
    pub(crate) fn new(
        id: ContainerId,
        name: String,
        record: Record,
        engine: &EngineConfig,
    ) -> Result<Self> {
        let layer = |hex: &String| {
            hex.parse::<LayerId>()
                .map_err(|error| EngineError::internal(format!("layer {hex}: {error}")))
        };
        let layers = record.layers.iter().map(layer).collect::<Result<Vec<_>>>()?;
        let wish = Wish {
            id,
            layers: &layers,
            config: &record.config,
            host: &record.host,
            endpoint: &record.endpoint,
        };
        let plan = translate(wish, engine)?;
        Ok(Self { id, name, record, plan })
    }

    /// As it is stored.
    pub(crate) fn to_write(&self) -> Write {
        Write::Redefine {
            id: self.id.to_string(),
            name: self.name.clone(),
            definition: serde_json::to_string(&self.record).unwrap_or_default(),
        }
    }
}

/// Where a container is in its life, as clients see it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// Never ran.
    #[default]
    Created,
    /// Being started; clients still see what it was before.
    Starting,
    Running,
    Paused,
    /// Ended, and to be started again in a moment.
    Restarting,
    Exited,
    Removing,
    /// Could not be removed.
    Dead,
}

impl Status {
    /// Docker's word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Created | Self::Starting => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Removing => "removing",
            Self::Dead => "dead",
        }
    }

    /// It has a process.
    pub(crate) fn is_alive(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }
}

/// A container's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    pub status: Status,
    /// On the host; 0: no process.
    pub pid: u32,
    pub exit_code: i64,
    pub oom_killed: bool,
    /// Why it could not be started last.
    pub error: String,
    /// 0: never.
    pub started_ns: i64,
    /// 0: never.
    pub finished_ns: i64,
    /// By its restart policy, since a client started it.
    pub restart_count: u64,
    /// A client stopped it: `unless-stopped` does not start it at boot.
    pub stopped_by_client: bool,
    /// Its address while it runs.
    pub endpoint: Option<Endpoint>,
    /// The shim was asked to make it at least once, so it may hold files of it.
    pub known_to_shim: bool,
}

impl State {
    /// As it is stored.
    pub(crate) fn to_write(&self, id: &ContainerId) -> Write {
        Write::SetState { id: id.to_string(), state: self.to_json() }
    }

    fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A new container as it is stored.
pub(crate) fn insertion(definition: &Definition, state: &State) -> Write {
    Write::InsertContainer(StoredContainer {
        id: definition.id.to_string(),
        name: definition.name.clone(),
        definition: serde_json::to_string(&definition.record).unwrap_or_default(),
        state: state.to_json(),
    })
}

/// A stored container.
pub(crate) fn read(stored: StoredContainer, engine: &EngineConfig) -> Result<(Definition, State)> {
    let damaged = |what: &dyn std::fmt::Display| {
        EngineError::internal(format!("engine.db: container {}: {what}", stored.id))
    };
    let id = stored.id.parse().map_err(|error| damaged(&error))?;
    let record: Record =
        serde_json::from_str(&stored.definition).map_err(|error| damaged(&error))?;
    let state = serde_json::from_str(&stored.state).map_err(|error| damaged(&error))?;
    Ok((Definition::new(id, stored.name, record, engine)?, state))
}
