//! Where the engine listens.

use std::fmt;
use std::path::PathBuf;

use crate::failure::Failure;

/// The socket of an installed engine.
pub(crate) const DEFAULT_SOCKET: &str = "/run/bulkhead/api/docker.sock";

/// An engine's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A unix socket.
    Unix(PathBuf),
    /// A TCP port without TLS: `host:port`.
    Tcp(String),
}

impl Endpoint {
    /// The one asked for by flag, else by `DOCKER_HOST`, else by `BULKHEAD_HOST`, else that of the
    /// installed engine. Never Docker's own socket: what is asked of this program must not end up
    /// at another engine.
    pub(crate) fn choose(flag: Option<&str>) -> Result<Self, Failure> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let asked = flag
            .map(str::to_owned)
            .or_else(|| variable("DOCKER_HOST"))
            .or_else(|| variable("BULKHEAD_HOST"));
        match asked {
            Some(asked) => Self::parse(&asked),
            None => Ok(Self::Unix(DEFAULT_SOCKET.into())),
        }
    }

    /// `unix:///path`, `tcp://host:port` or `http://host:port`.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(Failure::new(format!(
                "unable to parse host `{text}`: expected unix:///PATH or tcp://HOST:PORT"
            )));
        };
        let rest = if scheme == "unix" { rest } else { rest.trim_end_matches('/') };
        match scheme {
            "unix" if !rest.is_empty() => Ok(Self::Unix(rest.into())),
            "tcp" | "http" if !rest.is_empty() => {
                let has_port = rest
                    .rsplit_once(':')
                    .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
                Ok(Self::Tcp(if has_port { rest.to_owned() } else { format!("{rest}:2375") }))
            }
            "unix" | "tcp" | "http" => Err(Failure::new(format!("no address in host `{text}`"))),
            "https" => Err(Failure::new("hosts with TLS are not supported yet")),
            "ssh" => Err(Failure::new(
                "ssh:// hosts are not supported; forward the socket instead: \
                 ssh -L /tmp/engine.sock:/run/bulkhead/api/docker.sock HOST",
            )),
            _ => Err(Failure::new(format!("unknown scheme in host `{text}`"))),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix://{}", path.display()),
            Self::Tcp(address) => write!(formatter, "tcp://{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_sockets_or_ports() {
        for (text, endpoint) in [
            ("unix:///run/x.sock", Endpoint::Unix("/run/x.sock".into())),
            ("tcp://127.0.0.1:2375", Endpoint::Tcp("127.0.0.1:2375".into())),
            ("tcp://[::1]:80/", Endpoint::Tcp("[::1]:80".into())),
            ("http://box", Endpoint::Tcp("box:2375".into())),
        ] {
            assert_eq!(Endpoint::parse(text), Ok(endpoint));
        }
        for bad in ["", "/run/x.sock", "unix://", "tcp://", "https://x", "ssh://x", "npipe:////x"] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }
}
