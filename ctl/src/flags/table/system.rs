//! The flags of the commands on the engine and its networks, and of those that start and end it.

use super::{FORMAT, LIST_FORMAT};
use crate::flags::{Flag, Kind};

/// Of `inspect`.
pub(super) const INSPECT: &[Flag] = &[
    Flag::short('f', "format", Kind::Text, FORMAT),
    Flag::short('s', "size", Kind::Bool, "Display total file sizes if the type is container"),
    Flag::long("type", Kind::Text, "Only inspect objects of the given type"),
];

/// Of `version` and `info`.
pub(super) const VERSION: &[Flag] = &[Flag::short('f', "format", Kind::Text, FORMAT)];

/// Of `events`.
pub(super) const EVENTS: &[Flag] = &[
    Flag::short('f', "filter", Kind::Filter, "Filter output based on conditions provided"),
    Flag::long("format", Kind::Text, FORMAT),
    Flag::long("since", Kind::Text, "Show all events created since timestamp"),
    Flag::long("until", Kind::Text, "Stream events until this timestamp"),
];

/// Of `network ls`.
pub(super) const NETWORKS: &[Flag] = &[
    Flag::short('f', "filter", Kind::Filter, "Provide filter values (e.g. \"driver=bridge\")"),
    Flag::long("format", Kind::Text, LIST_FORMAT),
    Flag::long("no-trunc", Kind::Bool, "Do not truncate the output"),
    Flag::short('q', "quiet", Kind::Bool, "Only display network IDs"),
];

/// Of `network inspect`.
pub(super) const NETWORK_INSPECT: &[Flag] = &[
    Flag::short('f', "format", Kind::Text, FORMAT),
    Flag::short('v', "verbose", Kind::Bool, "Verbose output for diagnostics"),
];

/// Of `system df`.
pub(super) const DF: &[Flag] = &[
    Flag::long("format", Kind::Text, LIST_FORMAT),
    Flag::short('v', "verbose", Kind::Bool, "Show detailed information on space usage"),
];

/// Of `up` and `down`: which engine.
pub(super) const ROOT: &[Flag] = &[
    Flag::long(
        "bin-dir",
        Kind::Text,
        "Directory of the daemons' programs (default: that of this program)",
    ),
    Flag::long(
        "root",
        Kind::Text,
        "Directory of the engine: its etc, run, lib and log are below (default: the installed engine)",
    ),
];

/// Of `up`.
pub(super) const UP: &[Flag] = &[
    Flag::long("host", Kind::List, "A further address to listen on, as unix:///PATH"),
    Flag::long(
        "policy",
        Kind::Text,
        "Policy to write if there is none: \"hardened\" or \"compat\" (default \"hardened\")",
    ),
    Flag::long(
        "timeout",
        Kind::Duration,
        "How long to wait until the engine answers (default 30s)",
    ),
    Flag::long(
        "user",
        Kind::Text,
        "User, by name or number, the API daemon runs as (default \"bulkhead\")",
    ),
];

/// Of `down`.
pub(super) const DOWN: &[Flag] = &[
    Flag::long(
        "all",
        Kind::Bool,
        "Also stop and remove all containers and everything else the engine made in the kernel",
    ),
    Flag::long("purge", Kind::Bool, "Also delete the engine's data (implies --all)"),
    Flag::long("timeout", Kind::Duration, "How long to wait for each daemon to end (default 30s)"),
];

/// Of `policy compile` and `policy check`.
pub(super) const POLICY_IN: &[Flag] = &[
    Flag::long("in", Kind::Text, "The policy as written (default \"/etc/bulkhead/policy.toml\")"),
    Flag::long("uid", Kind::Uint, "The API daemon's uid, for sections that name none"),
];

/// Of `policy compile`.
pub(super) const POLICY_OUT: &[Flag] =
    &[Flag::long("out", Kind::Text, "The table to write, for example /etc/bulkhead/policy.bin")];

/// Of `policy explain`.
pub(super) const POLICY_EXPLAIN: &[Flag] = &[
    Flag::long("policy", Kind::Text, "The table (default \"/etc/bulkhead/policy.bin\")"),
    Flag::long("uid", Kind::Uint, "Who asks (default: the policy's only peer)"),
];
