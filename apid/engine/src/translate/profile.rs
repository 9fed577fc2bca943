//! A system-call filter as Docker's clients write it (`--security-opt seccomp=FILE`), compiled to
//! the classic BPF that the shim takes. The format is moby's `profiles/seccomp`.

use crate::error::{EngineError, Result};
use bulkhead_policy::capability;
use bulkhead_policy::seccomp::{
    Action, Arch, Comparison, Condition, Profile, Rule, Width, compile as compile_profile, to_bytes,
};
use serde::Deserialize;

/// `EPERM`, Docker's errno unless a profile says another.
const EPERM: u16 = 1;
/// `ENOSYS`
const ENOSYS: u16 = 38;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    default_action: String,
    default_errno_ret: Option<u16>,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(default)]
    arch_map: Option<Vec<ArchMap>>,
    #[serde(default)]
    syscalls: Option<Vec<Entry>>,
    // What the kernel does with a loaded filter; the engine's own are always loaded alike.
    #[serde(default, rename = "flags")]
    _flags: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchMap {
    architecture: String,
    #[serde(default)]
    sub_architectures: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u16>,
    #[serde(default)]
    args: Option<Vec<Argument>>,
    #[serde(default, rename = "comment")]
    _comment: Option<String>,
    #[serde(default)]
    includes: Option<When>,
    #[serde(default)]
    excludes: Option<When>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// Where a rule holds, or does not.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct When {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    #[serde(default)]
    min_kernel: Option<String>,
}

/// The program of a profile, for a container with these capabilities.
///
/// # Errors
/// `BadParameter`: not a profile, or one that has no program.
pub(super) fn compile(json: &str, capabilities: u64) -> Result<Vec<u8>> {
    let bad = |why: String| EngineError::bad(format!("invalid seccomp profile: {why}"));
    let document: Document = serde_json::from_str(json).map_err(|error| bad(error.to_string()))?;
    let profile = profile(&document, capabilities).map_err(bad)?;
    let program = compile_profile(&profile).map_err(|error| bad(error.to_string()))?;
    Ok(to_bytes(&program))
}

type Checked<T> = std::result::Result<T, String>;

fn profile(document: &Document, capabilities: u64) -> Checked<Profile> {
    let default = action(&document.default_action, document.default_errno_ret)?;
    let mut rules = Vec::new();
    for entry in document.syscalls.iter().flatten() {
        let names = || entry.names.iter().flatten().chain(&entry.name).cloned().collect();
        if !holds(entry, capabilities)? {
            continue;
        }
        rules.push(Rule {
            syscalls: names(),
            conditions: entry.args.iter().flatten().map(condition).collect::<Checked<_>>()?,
            action: action(&entry.action, entry.errno_ret)?,
        });
    }
    let strict = matches!(default, Action::Allow | Action::Log);
    Ok(Profile {
        architectures: architectures(document),
        rules,
        default,
        unknown: if strict { default } else { Action::Errno(ENOSYS) },
        foreign: Action::KillProcess,
    })
}

/// Native, and 32-bit x86 where the profile has it.
fn architectures(document: &Document) -> Vec<Arch> {
    let x86 = |name: &String| name == "SCMP_ARCH_X86";
    let listed = document.architectures.iter().flatten().any(x86);
    let mapped = document.arch_map.iter().flatten().any(|map| {
        map.architecture == "SCMP_ARCH_X86_64" && map.sub_architectures.iter().flatten().any(x86)
    });
    let mut architectures = vec![Arch::NATIVE];
    if Arch::NATIVE == Arch::X86_64 && (listed || mapped) {
        architectures.push(Arch::X86);
    }
    architectures
}

fn action(name: &str, errno: Option<u16>) -> Checked<Action> {
    Ok(match name {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_ERRNO" => Action::Errno(errno.unwrap_or(EPERM)),
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRACE" => Action::Trace(errno.unwrap_or(EPERM)),
        other => return Err(format!("action {other:?} is not known")),
    })
}

fn condition(argument: &Argument) -> Checked<Condition> {
    let Argument { index, value, value_two, op } = argument;
    let (comparison, value) = match op.as_str() {
        "SCMP_CMP_EQ" => (Comparison::Equal, *value),
        "SCMP_CMP_NE" => (Comparison::NotEqual, *value),
        "SCMP_CMP_LT" => (Comparison::Less, *value),
        "SCMP_CMP_LE" => (Comparison::LessOrEqual, *value),
        "SCMP_CMP_GT" => (Comparison::Greater, *value),
        "SCMP_CMP_GE" => (Comparison::GreaterOrEqual, *value),
        "SCMP_CMP_MASKED_EQ" => (Comparison::Masked { mask: *value }, *value_two),
        other => return Err(format!("comparison {other:?} is not known")),
    };
    // As libseccomp, which profiles are written for.
    Ok(Condition { argument: *index, width: Width::Long, comparison, value })
}

fn holds(entry: &Entry, capabilities: u64) -> Checked<bool> {
    let none = When::default();
    let includes = entry.includes.as_ref().unwrap_or(&none);
    let excludes = entry.excludes.as_ref().unwrap_or(&none);
    let has = |caps: &Option<Vec<String>>| {
        capability::parse(caps.iter().flatten().map(String::as_str))
            .map_err(|name| format!("capability {name:?} is not known"))
    };
    let native = if Arch::NATIVE == Arch::X86_64 { "amd64" } else { "arm64" };
    let here = |arches: &Option<Vec<String>>| arches.iter().flatten().any(|arch| arch == native);
    let (needs, spoils) = (has(&includes.caps)?, has(&excludes.caps)?);
    let kernel = match &includes.min_kernel {
        Some(least) => kernel_version() >= version(least).ok_or("minKernel is not a version")?,
        None => true,
    };
    let elsewhere =
        includes.arches.as_ref().is_some_and(|list| !list.is_empty()) && !here(&includes.arches);
    Ok(needs & !capabilities == 0
        && spoils & capabilities == 0
        && !elsewhere
        && !here(&excludes.arches)
        && kernel)
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn kernel_version() -> (u32, u32) {
    let name = rustix::system::uname();
    version(name.release().to_str().unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_as_clients_send_it_has_a_program() {
        let json = r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,
            "archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],
            "syscalls":[
              {"names":["read","write"],"action":"SCMP_ACT_ALLOW"},
              {"names":["personality"],"action":"SCMP_ACT_ALLOW",
               "args":[{"index":0,"value":8,"op":"SCMP_CMP_EQ"}]},
              {"names":["mount"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_SYS_ADMIN"]}},
              {"names":["mkdir"],"action":"SCMP_ACT_ERRNO","errnoRet":1,
               "comment":"","includes":{"minKernel":"4.8"},"excludes":{}}]}"#;
        let without = compile(json, capability::DOCKER).unwrap();
        let with = compile(json, capability::ALL).unwrap();
        assert!(bulkhead_policy::seccomp::validate(&without).is_ok());
        assert_ne!(with, without, "mount is allowed to who may mount");
    }

    #[test]
    fn what_is_not_a_profile_is_refused() {
        for bad in [
            "",
            "{}",
            r#"{"defaultAction":"SCMP_ACT_MAYBE"}"#,
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["x"],"action":"no"}]}"#,
            r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":0}"#,
        ] {
            assert!(compile(bad, 0).is_err(), "{bad}");
        }
    }
}
