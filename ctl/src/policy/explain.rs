//! `policy explain`: every dangerous thing that a container asks for, with the rule that decides.

use super::request::{self, Request};
use super::{PolicyError, Report};
use bulkhead_policy::{Peer, Policy, Refused, capability, review};
use std::fmt::Write as _;

pub(super) fn explain(policy: &Policy, peer: Peer, json: &str) -> Result<Report, PolicyError> {
    let Request { spec, unjudged, layers } = request::read(json).map_err(PolicyError::Request)?;
    let review =
        review(policy, peer, &spec).map_err(|refused| PolicyError::Meaning(refused.to_string()))?;
    let mut text = format!("policy {} for uid {}\n", policy.name(), peer.uid);
    let mut line = |what: std::fmt::Arguments<'_>| {
        // Writing to a String cannot fail.
        writeln!(text, "{what}").unwrap_or_default();
    };
    for finding in &review.findings {
        let verdict = if finding.allowed { "allow" } else { "DENY " };
        line(format_args!("{verdict}  {}  (rule {})", finding.field, finding.rule.id));
        if !finding.allowed {
            line(format_args!("       to permit it: {}", finding.rule.knob));
        }
    }
    if review.findings.is_empty() {
        line(format_args!("it asks for nothing dangerous"));
    }
    if let Some(what) = &review.invalid {
        line(format_args!("DENY   {what}"));
    }
    for field in &unjudged {
        line(format_args!("?      {field}: not judged here"));
    }
    if let Some(grant) = &review.grant {
        line(format_args!("grant {grant} admits it as it is"));
    }
    let section = policy.section(peer.uid);
    if !layers && section.is_some_and(|section| !section.grants.is_empty()) {
        line(format_args!(
            "no grant was considered: the request has no Layers (see image inspect)"
        ));
    }
    let good = review.outcome.is_ok();
    match &review.outcome {
        Ok(effective) => {
            let confinement = &effective.confinement;
            let capabilities: Vec<_> = capability::names(confinement.capabilities).collect();
            line(format_args!("permitted, with {}", capabilities.join(" ")));
        }
        Err(Refused::Denied { field, rule, .. }) => line(format_args!("denied: {field} by {rule}")),
        Err(Refused::Invalid { what }) => line(format_args!("refused: {what}")),
    }
    Ok(Report { text, good })
}
