//! `GET /containers/json`.

use super::record::{Definition, State, Status};
use super::{Container, show};
use crate::engine::Inner;
use crate::error::{EngineError, Result};
use crate::options::{Filters, ListOptions};
use crate::time::human_duration;
use bulkhead_types::container::{SummaryHostConfig, SummaryNetworkSettings};
use bulkhead_types::{ContainerSummary, Port};
use std::sync::Arc;

/// Filters that Docker knows.
const FILTERS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];
/// Words of the filter `status`.
const STATUSES: &[&str] =
    &["created", "running", "paused", "restarting", "removing", "exited", "dead"];

/// One container of a list.
struct Item {
    container: Arc<Container>,
    definition: Arc<Definition>,
    state: State,
}

/// The containers that fit, the newest first.
pub(crate) fn list(engine: &Inner, options: &ListOptions) -> Result<Vec<ContainerSummary>> {
    let filters = &options.filters;
    check(filters)?;
    let mut items: Vec<Item> = engine
        .all()
        .into_iter()
        .map(|container| Item {
            definition: container.definition(),
            state: container.state(),
            container,
        })
        .collect();
    items.sort_by_key(|item| std::cmp::Reverse(item.definition.record.created_ns));
    let created = |filter: &str| -> Result<Option<i64>> {
        let Some(words) = filters.get(filter) else { return Ok(None) };
        let word = words.first().map_or("", String::as_str);
        Ok(Some(engine.find(word)?.definition().record.created_ns))
    };
    let (before, since) = (created("before")?, created("since")?);
    // Asking for a number, or for a state, is asking for the stopped ones too.
    let all = options.all
        || options.limit.is_some()
        || ["status", "exited", "before", "since"].iter().any(|name| filters.get(name).is_some());
    let fits = |item: &&Item| {
        let alive = item.state.status.is_alive() || item.state.status == Status::Restarting;
        let created = item.definition.record.created_ns;
        (all || alive)
            && before.is_none_or(|before| created < before)
            && since.is_none_or(|since| created > since)
            && admits(engine, filters, item)
    };
    let chosen = items.iter().filter(fits).take(options.limit.unwrap_or(usize::MAX));
    Ok(chosen.map(|item| summary(engine, item)).collect())
}

fn check(filters: &Filters) -> Result<()> {
    filters.only(FILTERS)?;
    for status in filters.get("status").unwrap_or_default() {
        if !STATUSES.contains(&status.as_str()) {
            return Err(EngineError::bad(format!("invalid filter 'status={status}'")));
        }
    }
    for code in filters.get("exited").unwrap_or_default() {
        if code.parse::<i64>().is_err() {
            return Err(EngineError::bad(format!("invalid filter 'exited={code}'")));
        }
    }
    for task in filters.get("is-task").unwrap_or_default() {
        if !matches!(task.as_str(), "true" | "false" | "0" | "1") {
            return Err(EngineError::bad(format!("invalid filter 'is-task={task}'")));
        }
    }
    Ok(())
}

fn admits(engine: &Inner, filters: &Filters, item: &Item) -> bool {
    let Item { container, definition, state } = item;
    let record = &definition.record;
    let labels = record.config.labels.clone().unwrap_or_default();
    let path = format!("/{}", definition.name);
    let image = record.image.trim_start_matches("sha256:");
    let of_image = |word: &str| {
        let named = |name: &str| name == record.config.image;
        named(word)
            || named(&format!("{word}:latest"))
            || record.config.image.strip_suffix(":latest") == Some(word)
            || (word.len() >= 4 && image.starts_with(word.trim_start_matches("sha256:")))
    };
    let on_network = |word: &str| {
        let mode = &record.host.network_mode;
        mode == word || (engine.networks.is_bridge(word) && mode == crate::network::BRIDGE)
    };
    let exposed = |word: &str| {
        let wanted = word.split('/').next().unwrap_or(word);
        record.config.exposed_ports.keys().any(|port| {
            port == word || (!word.contains('/') && port.split('/').next() == Some(wanted))
        })
    };
    let mounted = |word: &str| {
        show::mounts(definition)
            .iter()
            .any(|mount| mount.name == word || mount.destination == word || mount.source == word)
    };
    filters.admits("id", |word| container.id.to_string().starts_with(word))
        // Docker matches a pattern against the name with its slash.
        && filters.admits("name", |word| name_fits(&path, word))
        && filters.admits_labels(&labels)
        && filters.admits("status", |word| word == state.status.word())
        && filters.admits("exited", |code| {
            state.status == Status::Exited && code.parse() == Ok(state.exit_code)
        })
        && filters.admits("ancestor", of_image)
        && filters.admits("network", on_network)
        && filters.admits("expose", exposed)
        && filters.admits("publish", |_| false)
        && filters.admits("volume", mounted)
        && filters.admits("health", |word| word == "none")
        && filters.admits("is-task", |word| matches!(word, "false" | "0"))
        && filters.admits("isolation", |word| word == "default")
}

/// Docker takes a regular expression; of these, anchors and plain text are known here.
fn name_fits(path: &str, pattern: &str) -> bool {
    let (begins, rest) = match pattern.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let (ends, text) = match rest.strip_suffix('$') {
        Some(text) => (true, text),
        None => (false, rest),
    };
    let bare = path.strip_prefix('/').unwrap_or(path);
    [path, bare].into_iter().any(|name| match (begins, ends) {
        (true, true) => name == text,
        (true, false) => name.starts_with(text),
        (false, true) => name.ends_with(text),
        (false, false) => name.contains(text),
    })
}

fn summary(engine: &Inner, item: &Item) -> ContainerSummary {
    let Item { container, definition, state } = item;
    let record = &definition.record;
    let port = |port: &String| {
        let (number, kind) = port.split_once('/').unwrap_or((port, "tcp"));
        Some(Port {
            private_port: number.parse().ok()?,
            r#type: kind.to_owned(),
            ..Port::default()
        })
    };
    let ports = if state.status.is_alive() {
        record.config.exposed_ports.keys().filter_map(port).collect()
    } else {
        Vec::new()
    };
    ContainerSummary {
        id: container.id.to_string(),
        names: vec![format!("/{}", definition.name)],
        image: record.config.image.clone(),
        image_id: record.image.clone(),
        command: command_line(definition),
        created: record.created_ns / 1_000_000_000,
        ports,
        labels: record.config.labels.clone().unwrap_or_default(),
        state: state.status.word().to_owned(),
        status: status_line(state),
        host_config: SummaryHostConfig {
            network_mode: record.host.network_mode.clone(),
            annotations: record.host.annotations.clone(),
        },
        network_settings: SummaryNetworkSettings {
            networks: show::networks(engine, definition, state.endpoint.as_ref()),
        },
        mounts: show::mounts(definition),
        ..ContainerSummary::default()
    }
}

fn command_line(definition: &Definition) -> String {
    let (path, args) = show::command(definition);
    args.iter().fold(path, |line, arg| {
        if arg.contains(' ') { format!("{line} '{arg}'") } else { format!("{line} {arg}") }
    })
}

/// `Up 4 hours`, `Exited (0) 2 days ago`: moby `container/state.go`.
fn status_line(state: &State) -> String {
    let since = |at_ns: i64| human_duration((crate::events::now_ns() - at_ns) / 1_000_000_000);
    match state.status {
        Status::Running => format!("Up {}", since(state.started_ns)),
        Status::Paused => format!("Up {} (Paused)", since(state.started_ns)),
        Status::Restarting => {
            format!("Restarting ({}) {} ago", state.exit_code, since(state.finished_ns))
        }
        Status::Removing => "Removal In Progress".to_owned(),
        Status::Dead => "Dead".to_owned(),
        Status::Created | Status::Starting => "Created".to_owned(),
        Status::Exited => format!("Exited ({}) {} ago", state.exit_code, since(state.finished_ns)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_with_anchors_and_without() {
        for (pattern, fits) in [
            ("we", true),
            ("^web$", true),
            ("^/web$", true),
            ("^we", true),
            ("eb$", true),
            ("^eb", false),
            ("/web", true),
            ("db", false),
        ] {
            assert_eq!(name_fits("/web", pattern), fits, "{pattern}");
        }
    }

    #[test]
    fn states_are_worded_as_dockers() {
        let now = crate::events::now_ns();
        let ago = |seconds: i64| now - seconds * 1_000_000_000;
        let base =
            State { started_ns: ago(7260), finished_ns: ago(65), exit_code: 3, ..State::default() };
        for (status, wanted) in [
            (Status::Created, "Created"),
            (Status::Running, "Up 2 hours"),
            (Status::Paused, "Up 2 hours (Paused)"),
            (Status::Exited, "Exited (3) About a minute ago"),
            (Status::Restarting, "Restarting (3) About a minute ago"),
            (Status::Dead, "Dead"),
        ] {
            assert_eq!(status_line(&State { status, ..base.clone() }), wanted);
        }
    }
}
