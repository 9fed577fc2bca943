//! Looking at a request without stopping at the first thing that is denied, for
//! `bulkhead policy explain`.

use super::{container, create, section};
use crate::{EffectiveContainer, Finding, Peer, Policy, Refused};
use bulkhead_proto::ContainerSpec;

/// All that [`decide`](super::decide) finds in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Each dangerous thing that is asked for.
    pub findings: Vec<Finding>,
    /// What is wrong with the request beside policy.
    pub invalid: Option<String>,
    /// The grant that admits it all the same.
    pub grant: Option<String>,
    /// What would be done, or why not.
    pub outcome: Result<EffectiveContainer, Refused>,
}

/// Look at a container without stopping at the first thing that is denied.
///
/// # Errors
/// The peer has no section.
pub fn review(policy: &Policy, peer: Peer, spec: &ContainerSpec) -> Result<Review, Refused> {
    let section = section(policy, peer)?;
    let (_, judge) = container::decide(section, &policy.host, spec.clone(), None);
    let outcome = create(section, &policy.host, spec.clone());
    let grant = outcome.as_ref().ok().and_then(|permit| permit.granted().grant.as_ref());
    Ok(Review {
        invalid: judge.invalid,
        findings: judge.findings,
        grant: grant.map(|grant| grant.name.to_string()),
        outcome: outcome.map(|permit| permit.granted().clone()),
    })
}
