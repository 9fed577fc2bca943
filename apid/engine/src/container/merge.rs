//! What an image presets and a create body may override (moby `daemon/commit.go`, `merge`).

use crate::error::{EngineError, Result};
use crate::translate::merge_environment;
use bulkhead_image::{Healthcheck, RunConfig};
use bulkhead_types::{ContainerConfig, Empty, HealthConfig, StringOrList};

/// Fill in from the image what the client left open.
///
/// # Errors
/// `BadParameter`: there is nothing to run.
pub(crate) fn merge(config: &mut ContainerConfig, image: &RunConfig) -> Result<()> {
    let fill = |slot: &mut String, value: &Option<String>| {
        if let (true, Some(value)) = (slot.is_empty(), value) {
            slot.clone_from(value);
        }
    };
    fill(&mut config.user, &image.user);
    fill(&mut config.working_dir, &image.working_dir);
    fill(&mut config.stop_signal, &image.stop_signal);
    for port in image.exposed_ports.iter().flat_map(|ports| ports.keys()) {
        config.exposed_ports.insert(port.clone(), Empty);
    }
    if let Some(env) = &image.env {
        let own = config.env.take().unwrap_or_default();
        config.env = Some(merge_environment(env, &own));
    } else if let Some(env) = config.env.take() {
        config.env = Some(merge_environment(&[], &env));
    }
    if let Some(labels) = &image.labels {
        let mut merged = labels.clone();
        merged.extend(config.labels.take().unwrap_or_default());
        config.labels = Some(merged);
    }
    for path in image.volumes.iter().flat_map(|volumes| volumes.keys()) {
        config.volumes.get_or_insert_default().insert(path.clone(), Empty);
    }
    merge_command(config, image)?;
    if let Some(check) = &image.healthcheck {
        merge_health(config, check);
    }
    Ok(())
}

fn merge_command(config: &mut ContainerConfig, image: &RunConfig) -> Result<()> {
    let empty = |list: &Option<StringOrList>| list.as_ref().is_none_or(|list| list.is_empty());
    let of_image = |list: &Option<Vec<String>>| list.clone().map(StringOrList);
    if empty(&config.entrypoint) {
        if empty(&config.cmd) {
            config.cmd = of_image(&image.cmd);
        }
        if config.entrypoint.is_none() {
            config.entrypoint = of_image(&image.entrypoint);
        }
    }
    // `--entrypoint ""` takes the image's away.
    let reset = config
        .entrypoint
        .as_ref()
        .is_some_and(|list| matches!(list.as_slice(), [one] if one.is_empty()));
    if reset {
        config.entrypoint = None;
    }
    if empty(&config.entrypoint) && empty(&config.cmd) {
        return Err(EngineError::bad("no command specified"));
    }
    Ok(())
}

fn merge_health(config: &mut ContainerConfig, image: &Healthcheck) {
    let own = config.healthcheck.get_or_insert_with(HealthConfig::default);
    if own.test.as_ref().is_none_or(Vec::is_empty) {
        own.test.clone_from(&image.test);
    }
    for (slot, value) in [
        (&mut own.interval, image.interval),
        (&mut own.timeout, image.timeout),
        (&mut own.start_period, image.start_period),
        (&mut own.start_interval, image.start_interval),
        (&mut own.retries, image.retries),
    ] {
        if let (0, Some(value)) = (*slot, value) {
            *slot = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: &[&str]) -> Option<StringOrList> {
        Some(items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>().into())
    }

    fn strings(items: &[&str]) -> Option<Vec<String>> {
        Some(items.iter().map(|item| (*item).to_owned()).collect())
    }

    /// Rows: entry point and command asked for, those of the image, and what runs.
    #[test]
    fn entry_point_and_command_follow_dockers_rules() {
        type Asked = Option<&'static [&'static str]>;
        let (e, c): (Asked, Asked) = (Some(&["e"]), Some(&["c"]));
        let rows: &[(Asked, Asked, &[&str])] = &[
            (None, None, &["ie", "ic"]),
            (None, c, &["ie", "c"]),
            (e, None, &["e"]),
            (e, c, &["e", "c"]),
            (Some(&[""]), c, &["c"]),
            (Some(&[]), c, &["c"]),
        ];
        for (entrypoint, cmd, wanted) in rows {
            let mut config = ContainerConfig {
                entrypoint: entrypoint.and_then(list),
                cmd: cmd.and_then(list),
                ..ContainerConfig::default()
            };
            let image = RunConfig {
                entrypoint: strings(&["ie"]),
                cmd: strings(&["ic"]),
                ..RunConfig::default()
            };
            merge(&mut config, &image).unwrap();
            let runs: Vec<&String> =
                config.entrypoint.iter().chain(&config.cmd).flat_map(|list| list.iter()).collect();
            assert_eq!(runs, *wanted, "{entrypoint:?} {cmd:?}");
        }
        let nothing = merge(&mut ContainerConfig::default(), &RunConfig::default());
        assert_eq!(nothing.unwrap_err().message(), "no command specified");
    }

    #[test]
    fn what_the_client_says_goes_before_the_image() {
        let mut config = ContainerConfig {
            env: strings(&["A=own", "GONE"]),
            user: "me".to_owned(),
            cmd: list(&["x"]),
            labels: Some([("l".to_owned(), "own".to_owned())].into()),
            ..ContainerConfig::default()
        };
        let image = RunConfig {
            env: strings(&["A=image", "B=image", "GONE=image"]),
            user: Some("root".to_owned()),
            working_dir: Some("/w".to_owned()),
            labels: Some([("l".into(), "image".into()), ("m".into(), "image".into())].into()),
            ..RunConfig::default()
        };
        merge(&mut config, &image).unwrap();
        assert_eq!(config.env, strings(&["A=own", "B=image"]));
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("me", "/w"));
        let labels = config.labels.unwrap();
        assert_eq!((labels["l"].as_str(), labels["m"].as_str()), ("own", "image"));
    }
}
