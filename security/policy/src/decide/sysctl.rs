//! Kernel parameters. Only those that belong to a namespace, only when the container has that
//! namespace for itself, and only values that no parser of the kernel or of a helper program takes
//! for anything else (the class of CVE-2022-0811).

use crate::policy::Section;
use crate::rule::{self, Judge};
use bulkhead_proto::{ContainerSpec, NetworkMode, Share, Sysctl};

/// Which namespace a parameter belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Network,
    Ipc,
}

/// `ipc_namespaces(7)`.
const IPC: [&str; 8] =
    ["shmmax", "shmall", "shmmni", "shm_rmid_forced", "msgmax", "msgmnb", "msgmni", "sem"];

/// The namespace that has this parameter; none: it is the host's, or no name of a parameter.
pub(crate) fn owner(name: &[u8]) -> Option<Owner> {
    let text = std::str::from_utf8(name).ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !text.split('.').all(|part| !part.is_empty() && part.bytes().all(plain)) {
        return None;
    }
    match text.split_once('.')? {
        ("net", _) => Some(Owner::Network),
        ("kernel", rest) if IPC.contains(&rest) => Some(Owner::Ipc),
        ("fs", rest) if rest.starts_with("mqueue.") => Some(Owner::Ipc),
        _ => None,
    }
}

/// Digits, blanks and minus signs.
pub(crate) fn is_value(value: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_digit() || b" \t-".contains(byte);
    matches!(value.len(), 1..=64) && value.iter().all(plain)
}

/// Those to set.
pub(super) fn decide(judge: &mut Judge, section: &Section, spec: &ContainerSpec) -> Vec<Sysctl> {
    let private = |owner| match owner {
        Owner::Network => {
            matches!(spec.namespaces.network, NetworkMode::None | NetworkMode::Endpoints)
        }
        Owner::Ipc => spec.namespaces.ipc == Share::Private,
    };
    let mut all: Vec<Sysctl> = Vec::new();
    for asked in spec.sysctls.iter() {
        let name = &asked.name;
        judge.valid(is_value(asked.value.as_bytes()), || {
            format!("HostConfig.Sysctls: {name}: the value may have digits, blanks and '-' only")
        });
        judge.valid(all.iter().all(|known| known.name != *name), || {
            format!("HostConfig.Sysctls: {name} twice")
        });
        let field = format!("HostConfig.Sysctls={name}");
        match owner(name.as_bytes()) {
            None => judge.ask(rule::SYSCTL_HOST, false, field),
            Some(owner) if !private(owner) => judge.ask(rule::SYSCTL_SHARED, false, field),
            Some(_) => {
                let allowed =
                    section.sysctls.allow.iter().any(|allow| match allow.as_bytes().split_last() {
                        Some((b'*', prefix)) => name.as_bytes().starts_with(prefix),
                        _ => allow == name,
                    });
                judge.ask(rule::SYSCTL, allowed, field);
            }
        }
        all.push(asked.clone());
    }
    for set in section.sysctls.set.iter() {
        let wanted = owner(set.name.as_bytes()).is_some_and(private);
        if wanted && all.iter().all(|known| known.name != set.name) {
            all.push(set.clone());
        }
    }
    all
}
