//! What is allowed in a policy and still worth a second look.

use bulkhead_policy::{BindIdmap, Policy, Privileged, Section, capability};

pub(super) fn warnings(policy: &Policy) -> Vec<String> {
    policy.sections.iter().flat_map(of_section).collect()
}

fn of_section(section: &Section) -> Vec<String> {
    let mut warnings = Vec::new();
    let uid = section.uid;
    let mut warn = |holds: bool, what: String| {
        if holds {
            warnings.push(format!("uid {uid}: {what}"));
        }
    };
    let fatal = section.capabilities.max_host_userns & capability::HOST_FATAL;
    let names: Vec<String> = capability::names(fatal).collect();
    warn(
        section.namespaces.user_host && fatal != 0,
        format!("root on the host: user_host with {}", names.join(" ")),
    );
    warn(
        section.privileged == Privileged::Host,
        "root on the host: privileged = \"host\"".to_owned(),
    );
    for bind in section.binds.iter() {
        let source = &bind.source;
        warn(
            bind.idmap == BindIdmap::Full && bind.suid && !bind.read_only,
            format!("root on the host: set-id programs may be put into {source}"),
        );
        warn(
            bind.system && !bind.read_only,
            format!("{source}: directories that run the host are writable"),
        );
        warn(bind.shared, format!("{source}: mounts of containers appear on the host"));
    }
    for device in section.devices.iter().filter(|device| device.block && device.access & 4 != 0) {
        warn(true, format!("root on the host: block devices below {} are writable", device.path));
    }
    let sharing = &section.namespaces;
    warn(
        sharing.network_host,
        "network_host: abstract sockets and services on 127.0.0.1 are reachable".to_owned(),
    );
    warn(
        section.seccomp.replace_default,
        "replace_default: a filter of the client's replaces the default profile".to_owned(),
    );
    for grant in section.grants.iter() {
        warn(
            grant.exec,
            format!("grant {}: exec = true: whatever exec runs has its rights", grant.name),
        );
        warn(grant.without_floor, format!("grant {}: no constant system-call filter", grant.name));
    }
    warnings
}
