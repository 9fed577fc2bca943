//! Capabilities, `SecurityOpt`, and the paths of `/proc` that are hidden.

use super::{container_path, profile};
use crate::error::{EngineError, Result};
use bulkhead_policy::capability;
use bulkhead_proto::{ContainerPath, Seccomp};
use std::sync::Arc;

/// What becomes of them.
#[derive(Debug)]
pub(super) struct Security {
    pub cap_add: u64,
    pub cap_drop: u64,
    pub no_new_privs: Option<bool>,
    pub seccomp: Seccomp,
    pub filter: Option<Arc<[u8]>>,
    pub unmask: bool,
    pub masked: Vec<ContainerPath>,
    pub readonly: Vec<ContainerPath>,
}

/// Translate all of them.
pub(super) fn translate(
    options: &Option<Vec<String>>,
    masked_paths: &Option<Vec<String>>,
    readonly_paths: &Option<Vec<String>>,
    cap_add: &Option<Vec<String>>,
    cap_drop: &Option<Vec<String>>,
) -> Result<Security> {
    let paths = |field: &str, list: &Option<Vec<String>>| {
        list.iter().flatten().map(|path| container_path(field, path)).collect::<Result<Vec<_>>>()
    };
    let emptied = |list: &Option<Vec<String>>| list.as_ref().is_some_and(Vec::is_empty);
    let unmask = emptied(masked_paths) && emptied(readonly_paths);
    if !unmask && (emptied(masked_paths) || emptied(readonly_paths)) {
        return Err(EngineError::unsupported(
            "HostConfig.MaskedPaths and HostConfig.ReadonlyPaths can only be emptied together",
        ));
    }
    let (cap_add, cap_drop) = capabilities(cap_add, cap_drop)?;
    let mut security = Security {
        cap_add,
        cap_drop,
        no_new_privs: None,
        seccomp: Seccomp::Default,
        filter: None,
        unmask,
        masked: paths("HostConfig.MaskedPaths", masked_paths)?,
        readonly: paths("HostConfig.ReadonlyPaths", readonly_paths)?,
    };
    for option in options.iter().flatten() {
        security.take(option)?;
    }
    Ok(security)
}

/// What to add and what to drop, so that dropping last has Docker's result
/// (moby `oci/caps.TweakCapabilities`): what is added by name stays.
fn capabilities(add: &Option<Vec<String>>, drop: &Option<Vec<String>>) -> Result<(u64, u64)> {
    let parse = |field: &str, names: &Option<Vec<String>>| {
        capability::parse(names.iter().flatten().map(String::as_str)).map_err(|name| {
            EngineError::bad(format!("invalid {field}: unknown capability: \"{name}\""))
        })
    };
    let all = add.iter().flatten().any(|name| name.eq_ignore_ascii_case("ALL"));
    let (add, drop) = (parse("CapAdd", add)?, parse("CapDrop", drop)?);
    Ok((add, if all { drop } else { drop & !add }))
}

impl Security {
    /// One `--security-opt`: `name=value`, or `name:value` as of old, or a flag.
    fn take(&mut self, option: &str) -> Result<()> {
        let invalid = || EngineError::bad(format!("invalid --security-opt: \"{option}\""));
        let at = option.find('=').or_else(|| option.find(':'));
        let (name, value) = match at.and_then(|at| option.split_at_checked(at)) {
            Some((name, value)) => (name, value.get(1..).unwrap_or_default()),
            None => (option, ""),
        };
        match (name, value) {
            ("no-new-privileges", "" | "true") => self.no_new_privs = Some(true),
            ("no-new-privileges", "false") => self.no_new_privs = Some(false),
            ("seccomp", "unconfined") => self.seccomp = Seccomp::Unconfined,
            ("seccomp", "builtin" | "default") => self.seccomp = Seccomp::Default,
            ("seccomp", json) => {
                let capabilities = (capability::DOCKER | self.cap_add) & !self.cap_drop;
                self.seccomp = Seccomp::Program;
                self.filter = Some(profile::compile(json, capabilities)?.into());
            }
            ("systempaths", "unconfined") => self.unmask = true,
            // There is nothing to turn off.
            ("apparmor", "unconfined" | "") | ("label", "disable") => {}
            ("apparmor" | "label" | "writable-cgroups", _) => {
                return Err(EngineError::unsupported(format!(
                    "HostConfig.SecurityOpt: '{option}' is not implemented"
                )));
            }
            _ => return Err(invalid()),
        }
        Ok(())
    }
}
