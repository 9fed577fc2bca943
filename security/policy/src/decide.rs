//! The decision: pure, allow-list only. What a request does not say is filled in with the policy's
//! default; what it says beyond that must be permitted by a rule of the peer's section.

mod container;
mod grant;
mod join;
mod mounts;
mod network;
mod process;
mod resources;
#[cfg(feature = "tools")]
#[path = "../tools/review.rs"]
mod review;
mod sysctl;

use crate::effective::{EffectiveContainer, EffectiveExec, Permit, Permitted};
use crate::policy::{Grant, HostFacts, Policy, Section};
use crate::rule::{self, Judge, Refused};
use bulkhead_proto::{ContainerSpec, ExecSpec, NetworkSpec, Request, UnpackRequest, UpdateRequest};

pub use grant::pinned;
pub use join::decide_join;
pub(crate) use network::mask;
pub use process::RLIMITS;
#[cfg(feature = "tools")]
pub use review::{Review, review};
pub(crate) use sysctl::{is_value, owner};

/// Who asks, as the kernel attests it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The user of the process at the other end of the channel.
    pub uid: u32,
}

/// What becomes of a request.
///
/// # Errors
/// The policy does not permit it, or it makes no sense.
pub fn decide(policy: &Policy, peer: Peer, request: Request) -> Result<Permitted, Refused> {
    let section = section(policy, peer)?;
    Ok(match request {
        Request::Hello(_) => Permitted::Hello,
        Request::Create(spec) => Permitted::Create(create(section, &policy.host, spec)?),
        Request::Start(id) => Permitted::Start(harmless(id)),
        Request::Signal(signal) => Permitted::Signal(harmless(signal)),
        Request::CloseStdin(target) => Permitted::CloseStdin(harmless(target)),
        Request::Freeze(id) => Permitted::Freeze(harmless(id)),
        Request::Thaw(id) => Permitted::Thaw(harmless(id)),
        Request::Update(update) => Permitted::Update(limits(section, update)?),
        Request::Exec(spec) => Permitted::Exec(exec(section, spec)?),
        Request::Adopt(target) => Permitted::Adopt(harmless(target)),
        Request::Release(target) => Permitted::Release(harmless(target)),
        Request::Remove(id) => Permitted::Remove(harmless(id)),
        Request::Recover(from) => Permitted::Recover(harmless(from.after)),
        Request::UnpackLayer(unpack) => Permitted::UnpackLayer(harmless(bounded(section, unpack))),
        Request::RemoveLayer(id) => Permitted::RemoveLayer(harmless(id)),
        Request::ListLayers(from) => Permitted::ListLayers(harmless(from.after)),
        Request::CreateNetwork(spec) => Permitted::CreateNetwork(network(section, spec)?),
        Request::RemoveNetwork(id) => Permitted::RemoveNetwork(harmless(id)),
    })
}

fn section(policy: &Policy, peer: Peer) -> Result<&Section, Refused> {
    policy.section(peer.uid).ok_or_else(|| Refused::Denied {
        field: format!("uid {}", peer.uid),
        rule: rule::PEER.id,
        knob: rule::PEER.knob,
    })
}

/// About what the peer holds already, or may have as its section's bounds say.
fn harmless<T>(granted: T) -> Permit<T> {
    Permit::new(granted, "default")
}

fn create(
    section: &Section,
    host: &HostFacts,
    spec: ContainerSpec,
) -> Result<Permit<EffectiveContainer>, Refused> {
    let attempt = |section: &Section, spec, grant: Option<&Grant>| {
        let (effective, judge) = container::decide(section, host, spec, grant);
        judge.verdict().map(|rule| (effective, rule))
    };
    let (effective, rule) = match section.grants.iter().find(|grant| grant.is_for(&spec)) {
        None => attempt(section, spec, None)?,
        Some(grant) => match attempt(section, spec.clone(), None) {
            Ok(permitted) => permitted,
            Err(_) => (attempt(&grant.widen(section), spec, Some(grant))?.0, "grant"),
        },
    };
    Ok(Permit::new(effective, rule))
}

fn exec(section: &Section, spec: ExecSpec) -> Result<Permit<EffectiveExec>, Refused> {
    let mut judge = Judge::default();
    if spec.privileged {
        judge.ask(rule::EXEC_PRIVILEGED, section.exec_privileged, "ExecConfig.Privileged=true");
    }
    let max = section.capabilities.max | section.capabilities.max_host_userns;
    process::capabilities(
        &mut judge,
        &spec.process,
        section.capabilities.default,
        max,
        rule::CAPS_MAX,
    );
    process::filters(&mut judge, section, &spec.process);
    let mut spec = spec;
    spec.process.no_new_privs = Some(process::no_new_privs(&mut judge, section, &spec.process));
    spec.process.oom_score_adj = Some(process::oom_score_adj(&mut judge, section, &spec.process));
    let rlimits = process::rlimits(&mut judge, section, &spec.process);
    let rule = judge.verdict()?;
    Ok(Permit::new(EffectiveExec { privileged: spec.privileged, spec, rlimits }, rule))
}

fn limits(section: &Section, update: UpdateRequest) -> Result<Permit<UpdateRequest>, Refused> {
    let mut judge = Judge::default();
    resources::check(&mut judge, section, &update.resources);
    Ok(Permit::new(update, judge.verdict()?))
}

fn network(section: &Section, spec: NetworkSpec) -> Result<Permit<NetworkSpec>, Refused> {
    let mut judge = Judge::default();
    network::check(&mut judge, section, &spec);
    let masquerade = spec.masquerade && !spec.internal;
    Ok(Permit::new(NetworkSpec { masquerade, ..spec }, judge.verdict()?))
}

fn bounded(section: &Section, unpack: UnpackRequest) -> UnpackRequest {
    let most = section.images.layer_bytes;
    let max_bytes = Some(unpack.max_bytes.map_or(most, |bytes| bytes.min(most)));
    UnpackRequest { max_bytes, ..unpack }
}
