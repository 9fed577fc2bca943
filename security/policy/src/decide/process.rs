//! What a container's first process and an exec have in common.

use crate::capability::{self, ALL};
use crate::policy::Section;
use crate::rule::{self, Judge, Rule};
use bulkhead_proto::{ProcessSpec, Rlimit, Seccomp};
use std::collections::BTreeMap;

/// Resources of `setrlimit(2)` by number, as Docker names them.
pub const RLIMITS: [&str; 16] = [
    "cpu",
    "fsize",
    "data",
    "stack",
    "core",
    "rss",
    "nproc",
    "nofile",
    "memlock",
    "as",
    "locks",
    "sigpending",
    "msgqueue",
    "nice",
    "rtprio",
    "rttime",
];

/// The set that results; never more than `max`.
pub(super) fn capabilities(
    judge: &mut Judge,
    process: &ProcessSpec,
    default: u64,
    max: u64,
    rule: &'static Rule,
) -> u64 {
    let (add, drop) = (process.cap_add, process.cap_drop);
    judge.valid((add | drop) & !ALL == 0, || {
        "HostConfig.CapAdd or CapDrop has a capability that does not exist".to_owned()
    });
    for name in capability::names(add & ALL & !default) {
        let allowed = capability::by_name(&name).is_some_and(|one| max & capability::bit(one) != 0);
        judge.ask(rule, allowed, format!("HostConfig.CapAdd={name}"));
    }
    (default | add) & !drop & max
}

pub(super) fn filters(judge: &mut Judge, section: &Section, process: &ProcessSpec) {
    let args = &process.args;
    judge.valid(args.first().is_some_and(|program| !program.is_empty()), || {
        "Config.Cmd: no command specified".to_owned()
    });
    let may = &section.seccomp;
    match process.seccomp {
        Seccomp::Default => {}
        Seccomp::Unconfined => {
            let field = "HostConfig.SecurityOpt=seccomp=unconfined";
            judge.ask(rule::SECCOMP_UNCONFINED, may.unconfined, field);
        }
        Seccomp::Program => {
            judge.ask(
                rule::SECCOMP_PROGRAM,
                may.program,
                "HostConfig.SecurityOpt=seccomp=(profile)",
            );
        }
    }
}

pub(super) fn no_new_privs(judge: &mut Judge, section: &Section, process: &ProcessSpec) -> bool {
    let may = &section.no_new_privs;
    if process.no_new_privs == Some(false) && may.default {
        let field = "HostConfig.SecurityOpt=no-new-privileges=false";
        judge.ask(rule::NO_NEW_PRIVS, may.may_be_off, field);
    }
    process.no_new_privs.unwrap_or(may.default)
}

pub(super) fn oom_score_adj(judge: &mut Judge, section: &Section, process: &ProcessSpec) -> i16 {
    let min = section.oom.score_adj_min;
    let Some(score) = process.oom_score_adj else { return min.max(0) };
    judge.valid((-1000..=1000).contains(&score), || {
        format!("HostConfig.OomScoreAdj={score} is not between -1000 and 1000")
    });
    if score < min.max(0) {
        judge.ask(rule::OOM_SCORE, score >= min, format!("HostConfig.OomScoreAdj={score}"));
    }
    score
}

/// Those asked for over the policy's.
pub(super) fn rlimits(judge: &mut Judge, section: &Section, process: &ProcessSpec) -> Vec<Rlimit> {
    let key = |limit: &Rlimit| (limit.resource, *limit);
    let mut all: BTreeMap<u8, Rlimit> = section.rlimits.default.iter().map(key).collect();
    let mut asked = BTreeMap::new();
    for limit in process.rlimits.iter() {
        let name = RLIMITS.get(usize::from(limit.resource)).copied();
        judge.valid(name.is_some() && limit.soft <= limit.hard, || {
            format!("HostConfig.Ulimits: {name:?}: unknown, or soft limit above hard limit")
        });
        judge.valid(asked.insert(limit.resource, *limit).is_none(), || {
            format!("HostConfig.Ulimits: {name:?} twice")
        });
        let max = section.rlimits.max.iter().find(|max| max.resource == limit.resource);
        let allowed = max.is_some_and(|max| limit.soft <= max.soft && limit.hard <= max.hard);
        judge.ask(rule::RLIMIT, allowed, format!("HostConfig.Ulimits={}", name.unwrap_or("?")));
    }
    all.extend(asked);
    all.into_values().collect()
}
