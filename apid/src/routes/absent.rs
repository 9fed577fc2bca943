//! What the Docker API has and this engine has not, and what it says instead. Nothing is answered
//! with an empty success: a client learns what it cannot have.

use crate::error::ApiError;

/// An endpoint without a handler.
#[derive(Debug)]
pub(crate) struct Absent {
    /// The method, in capitals.
    pub(crate) method: &'static str,
    /// As in [`crate::router::fits`].
    pub(crate) pattern: &'static str,
    why: Why,
}

/// Why nobody answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Not built yet (501).
    NotYet(&'static str),
    /// Never (501).
    Never(&'static str),
    /// The engine has none of these, so it has not this one either (404); clients that look a name
    /// up among all kinds of things go on to the next.
    NoSuch(&'static str),
    /// A question to a swarm, of which this host is not part: Docker's own answer (503).
    NoSwarm,
}

impl Absent {
    /// What the client gets; `name` is what stood for `{}`.
    pub(crate) fn error(&self, name: &str) -> ApiError {
        match self.why {
            Why::NotYet(what) => {
                ApiError::not_implemented(format!("{what} not implemented by this engine yet"))
            }
            Why::Never(what) => ApiError::not_implemented(what),
            Why::NoSuch(kind) => ApiError::no_such(kind, name),
            Why::NoSwarm => ApiError::unavailable(
                "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.",
            ),
        }
    }

    /// One line for the table in the documentation.
    #[cfg(test)]
    pub(crate) fn explanation(&self) -> String {
        match self.why {
            Why::NotYet(what) => format!("501: {what} not implemented yet"),
            Why::Never(what) => format!("501: {what}"),
            Why::NoSuch(kind) => format!("404: there are no {kind}s"),
            Why::NoSwarm => "503: not part of a swarm".to_owned(),
        }
    }
}

const SWARM: Why = Why::Never("this engine does not form swarms");
const PLUGINS: Why = Why::Never("this engine does not run plugins");
const BUILD: Why = Why::NotYet("building images is");
const REGISTRY: Why = Why::NotYet("talking to registries is");
const VOLUMES: Why = Why::NotYet("named volumes are");
const NETWORKS: Why = Why::NotYet("networks beside the default ones are");
const COPY: Why = Why::NotYet("copying files is");

/// One line of the table.
const fn absent(method: &'static str, pattern: &'static str, why: Why) -> Absent {
    Absent { method, pattern, why }
}

/// Every known endpoint without a handler.
pub(crate) static ABSENT: &[Absent] = &[
    absent("GET", "/containers/{}/changes", Why::NotYet("listing changed files is")),
    absent("GET", "/containers/{}/export", Why::NotYet("exporting containers is")),
    absent("HEAD", "/containers/{}/archive", COPY),
    absent("GET", "/containers/{}/archive", COPY),
    absent("PUT", "/containers/{}/archive", COPY),
    absent("GET", "/containers/{}/attach/ws", Why::NotYet("attaching by WebSocket is")),
    absent("GET", "/containers/{}/checkpoints", Why::Never("checkpoints are not supported")),
    absent("POST", "/containers/{}/checkpoints", Why::Never("checkpoints are not supported")),
    absent("POST", "/commit", Why::NotYet("committing containers is")),
    absent("POST", "/build", BUILD),
    absent("POST", "/build/prune", BUILD),
    absent("POST", "/build/cancel", BUILD),
    absent("POST", "/session", BUILD),
    absent("POST", "/grpc", BUILD),
    absent("POST", "/auth", REGISTRY),
    absent("GET", "/distribution/{}/json", REGISTRY),
    absent("GET", "/images/search", REGISTRY),
    absent("POST", "/images/{}/push", REGISTRY),
    absent("GET", "/images/{}/attestations", Why::NotYet("attestations are")),
    absent("GET", "/images/{}/get", Why::NotYet("saving images is")),
    absent("GET", "/images/get", Why::NotYet("saving images is")),
    absent("GET", "/system/df", Why::NotYet("counting disk usage is")),
    absent("GET", "/volumes", VOLUMES),
    absent("POST", "/volumes/create", VOLUMES),
    absent("POST", "/volumes/prune", VOLUMES),
    absent("GET", "/volumes/{}", Why::NoSuch("volume")),
    absent("PUT", "/volumes/{}", VOLUMES),
    absent("DELETE", "/volumes/{}", Why::NoSuch("volume")),
    absent("POST", "/networks/create", NETWORKS),
    absent("POST", "/networks/prune", NETWORKS),
    absent("POST", "/networks/{}/connect", NETWORKS),
    absent("POST", "/networks/{}/disconnect", NETWORKS),
    absent("DELETE", "/networks/{}", NETWORKS),
    absent("GET", "/plugins", PLUGINS),
    absent("GET", "/plugins/privileges", PLUGINS),
    absent("GET", "/plugins/{}/json", Why::NoSuch("plugin")),
    absent("POST", "/plugins/pull", PLUGINS),
    absent("POST", "/plugins/create", PLUGINS),
    absent("POST", "/plugins/{}/enable", PLUGINS),
    absent("POST", "/plugins/{}/disable", PLUGINS),
    absent("POST", "/plugins/{}/upgrade", PLUGINS),
    absent("POST", "/plugins/{}/push", PLUGINS),
    absent("POST", "/plugins/{}/set", PLUGINS),
    absent("DELETE", "/plugins/{}", Why::NoSuch("plugin")),
    absent("GET", "/swarm", Why::NoSwarm),
    absent("GET", "/swarm/unlockkey", Why::NoSwarm),
    absent("POST", "/swarm/init", SWARM),
    absent("POST", "/swarm/join", SWARM),
    absent("POST", "/swarm/leave", Why::NoSwarm),
    absent("POST", "/swarm/update", Why::NoSwarm),
    absent("POST", "/swarm/unlock", Why::NoSwarm),
    absent("GET", "/nodes", Why::NoSwarm),
    absent("GET", "/nodes/{}", Why::NoSwarm),
    absent("POST", "/nodes/{}/update", Why::NoSwarm),
    absent("DELETE", "/nodes/{}", Why::NoSwarm),
    absent("GET", "/services", Why::NoSwarm),
    absent("POST", "/services/create", Why::NoSwarm),
    absent("GET", "/services/{}", Why::NoSwarm),
    absent("GET", "/services/{}/logs", Why::NoSwarm),
    absent("POST", "/services/{}/update", Why::NoSwarm),
    absent("DELETE", "/services/{}", Why::NoSwarm),
    absent("GET", "/tasks", Why::NoSwarm),
    absent("GET", "/tasks/{}", Why::NoSwarm),
    absent("GET", "/tasks/{}/logs", Why::NoSwarm),
    absent("GET", "/secrets", Why::NoSwarm),
    absent("POST", "/secrets/create", Why::NoSwarm),
    absent("GET", "/secrets/{}", Why::NoSwarm),
    absent("POST", "/secrets/{}/update", Why::NoSwarm),
    absent("DELETE", "/secrets/{}", Why::NoSwarm),
    absent("GET", "/configs", Why::NoSwarm),
    absent("POST", "/configs/create", Why::NoSwarm),
    absent("GET", "/configs/{}", Why::NoSwarm),
    absent("POST", "/configs/{}/update", Why::NoSwarm),
    absent("DELETE", "/configs/{}", Why::NoSwarm),
];
