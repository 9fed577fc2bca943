//! seccomp: which system calls a program may make.
//!
//! Three filters, because one has a single answer for all it does not admit: what the list does
//! not hold fails with `EPERM`; what only an attacker would call ends the process and leaves a
//! line in the kernel's log; `clone3`, whose flags a filter cannot see, is answered `ENOSYS`, on
//! which the C library falls back to `clone`, whose flags it can.

use crate::Error;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};
use std::collections::BTreeMap;

/// The system calls of one program.
#[derive(Debug, Clone, Copy)]
pub struct Calls {
    /// Admitted, each when its condition holds. A call may stand here several times.
    pub admitted: &'static [Rule],
    /// End the process.
    pub deadly: &'static [libc::c_long],
}

/// One admitted call.
#[derive(Debug, Clone, Copy)]
pub struct Rule(pub libc::c_long, pub When);

/// A condition on one argument, counted from 0.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// No condition.
    Always,
    /// The argument's low 32 bits are this.
    Is(u8, u64),
    /// Of the bits in the first word, those in the second are set and no other.
    Masked(u8, u64, u64),
}

/// Admit the listed calls; for this thread and those it starts.
pub(crate) fn admit_only(calls: &Calls) -> Result<(), Error> {
    // The allow list comes last, since it takes away the calls that load filters. The strictest
    // answer of all filters counts: a kill beats an error, an error beats "admitted".
    for program in [kill_list(calls)?, no_clone3()?, allow_list(calls)?] {
        apply_filter(&program).map_err(Error::Seccomp)?;
    }
    Ok(())
}

fn allow_list(calls: &Calls) -> Result<BpfProgram, Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    let mut unconditional = Vec::new();
    for Rule(number, when) in calls.admitted {
        let alternatives = rules.entry(*number).or_default();
        match condition(*when)? {
            Some(condition) => alternatives.push(SeccompRule::new(vec![condition])?),
            None => unconditional.push(*number),
        }
    }
    // Or its EPERM would come before the other filter's ENOSYS.
    unconditional.push(libc::SYS_clone3);
    // An empty list of alternatives is "always".
    for number in unconditional {
        rules.insert(number, Vec::new());
    }
    let eperm = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    compile(rules, eperm, SeccompAction::Allow)
}

fn kill_list(calls: &Calls) -> Result<BpfProgram, Error> {
    let rules = calls.deadly.iter().map(|number| (*number, Vec::new())).collect();
    compile(rules, SeccompAction::Allow, SeccompAction::KillProcess)
}

fn no_clone3() -> Result<BpfProgram, Error> {
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let enosys = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    compile(rules, SeccompAction::Allow, enosys)
}

fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    Ok(SeccompFilter::new(rules, otherwise, matched, arch)?.try_into()?)
}

fn condition(when: When) -> Result<Option<SeccompCondition>, Error> {
    let (argument, operator, value) = match when {
        When::Always => return Ok(None),
        When::Is(argument, value) => (argument, SeccompCmpOp::Eq, value),
        When::Masked(argument, mask, value) => (argument, SeccompCmpOp::MaskedEq(mask), value),
    };
    let length = match when {
        When::Masked(..) => SeccompCmpArgLen::Qword,
        When::Always | When::Is(..) => SeccompCmpArgLen::Dword,
    };
    Ok(Some(SeccompCondition::new(argument, length, operator, value)?))
}
