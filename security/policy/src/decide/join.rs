//! Sharing namespaces with a container that is there already. [`decide`](super::decide) sees only
//! the request; what it joins is known to whoever holds the containers, and is asked here.

use super::{Peer, section};
use crate::effective::EffectiveContainer;
use crate::policy::Policy;
use crate::rule::{self, Judge, Refused};
use bulkhead_proto::{ContainerId, ContainerSpec, NetworkMode, Share, UserMode};

/// Whether a container that is permitted by itself may have the namespaces of `held`, the container
/// `id`, that it names. Otherwise a namespace of the host that was granted to one container would
/// be everybody's.
///
/// # Errors
/// A namespace of `held` is the host's and the peer may not have that, a grant pins what runs in
/// `held`, or the two do not agree on user ids.
pub fn decide_join(
    policy: &Policy,
    peer: Peer,
    spec: &ContainerSpec,
    id: ContainerId,
    held: &EffectiveContainer,
) -> Result<(), Refused> {
    let (mut judge, may) = (Judge::default(), &section(policy, peer)?.namespaces);
    let (wanted, theirs) = (&spec.namespaces, &held.spec.namespaces);
    let joined = Share::Container { id };
    let network = wanted.network == NetworkMode::Container { id };
    let network_host = theirs.network == NetworkMode::Host;
    let all = [
        ("PidMode", wanted.pid == joined, theirs.pid == Share::Host, rule::PID_HOST, may.pid_host),
        ("IpcMode", wanted.ipc == joined, theirs.ipc == Share::Host, rule::IPC_HOST, may.ipc_host),
        ("NetworkMode", network, network_host, rule::NETWORK_HOST, may.network_host),
    ];
    for (field, _, host, rule, allowed) in all.into_iter().filter(|(_, joins, ..)| *joins) {
        let field = format!("HostConfig.{field}=container:{id}");
        let pinned = held.grant.as_ref().is_some_and(|grant| !grant.exec);
        judge.ask(rule::JOIN_GRANT, !pinned, field.clone());
        if host {
            judge.ask(rule, allowed, field.clone());
        }
        // Who shares processes shares their ids; the decision about capabilities depends on them.
        let ids = theirs.user == wanted.user || rule == rule::NETWORK_HOST;
        judge.valid(ids, || match theirs.user {
            UserMode::Host => {
                format!("{field} needs HostConfig.UsernsMode=host, which that container has")
            }
            UserMode::Private => format!("{field} cannot be had with HostConfig.UsernsMode=host"),
        });
    }
    judge.verdict().map(drop)
}
