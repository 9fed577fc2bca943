//! From a profile to a program: by architecture a binary search over ranges of call numbers, at
//! its leaves a verdict or a chain of argument conditions. Code is put together from the leaves
//! up, so that every jump's distance is known when it is written.

use super::{
    Action, Arch, Comparison, Condition, Instruction, MAX_INSTRUCTIONS, Profile, Rule, Width,
    syscalls,
};
use std::collections::BTreeMap;
use std::fmt;

/// Why a profile has no program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompileError {
    /// A condition on an argument that does not exist.
    Argument(u8),
    /// An errno that is 0, so that a call would seem to succeed, or above 4095.
    Errno(u16),
    /// A rule with more than this many conditions.
    Conditions(usize),
    /// More instructions than the kernel loads.
    TooLong(usize),
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(index) => write!(f, "system calls have arguments 0 to 5, not {index}"),
            Self::Errno(errno) => write!(f, "errno {errno} is not between 1 and 4095"),
            Self::Conditions(most) => write!(f, "a rule has more than {most} conditions"),
            Self::TooLong(length) => {
                write!(f, "{length} instructions, the kernel takes {MAX_INSTRUCTIONS}")
            }
        }
    }
}

impl std::error::Error for CompileError {}

/// A conditional jump reaches 255 instructions; 24 conditions of at most 7 fit.
const MAX_CONDITIONS: usize = 24;

/// The program of a profile.
///
/// # Errors
/// The profile says something that has no meaning, or the program would be too long.
pub fn compile(profile: &Profile) -> Result<Vec<Instruction>, CompileError> {
    let actions = profile.rules.iter().map(|rule| rule.action);
    for action in actions.chain([profile.default, profile.unknown, profile.foreign]) {
        if let Action::Errno(errno @ (0 | 4096..)) = action {
            return Err(CompileError::Errno(errno));
        }
    }
    for rule in &profile.rules {
        if let Some(condition) = rule.conditions.iter().find(|condition| condition.argument > 5) {
            return Err(CompileError::Argument(condition.argument));
        }
        if rule.conditions.len() > MAX_CONDITIONS {
            return Err(CompileError::Conditions(MAX_CONDITIONS));
        }
    }
    let program = assemble(profile);
    if program.len() > MAX_INSTRUCTIONS {
        return Err(CompileError::TooLong(program.len()));
    }
    Ok(program)
}

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;
/// Numbers with this bit are x32's.
const X32_BIT: u32 = 0x4000_0000;

/// The program of a profile that [`compile`] has checked, or that is ours.
pub(super) fn assemble(profile: &Profile) -> Vec<Instruction> {
    let mut program = vec![plain(LOAD, ARCH)];
    for arch in &profile.architectures {
        let mut body = vec![plain(LOAD, NUMBER)];
        body.extend(search(&ranges(profile, *arch), profile.default));
        program.push(Instruction { code: IF_EQUAL, jt: 1, jf: 0, k: arch.audit() });
        program.push(plain(JUMP, length(&body)));
        program.extend(body);
    }
    program.push(plain(RETURN, profile.foreign.code()));
    program
}

/// What holds from one call number up to the next entry's.
#[derive(Debug, PartialEq)]
struct Range<'p> {
    first: u32,
    verdict: Verdict<'p>,
}

#[derive(Debug, Clone, PartialEq)]
enum Verdict<'p> {
    Always(Action),
    Rules(Vec<&'p Rule>),
}

/// The numbers from 0 on, as few ranges as possible.
fn ranges(profile: &Profile, arch: Arch) -> Vec<Range<'_>> {
    let mut by_name: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
    for rule in &profile.rules {
        for name in &rule.syscalls {
            by_name.entry(name).or_default().push(rule);
        }
    }
    let mut ranges: Vec<Range<'_>> = Vec::new();
    let mut push = |first, verdict| {
        if ranges.last().is_none_or(|last| last.verdict != verdict) {
            ranges.push(Range { first, verdict });
        }
    };
    let mut next = 0;
    for (number, name) in syscalls::numbered(arch) {
        if number > next {
            push(next, Verdict::Always(profile.unknown));
        }
        let verdict = match by_name.get(name).map(Vec::as_slice) {
            None => Verdict::Always(profile.default),
            Some([rule, ..]) if rule.conditions.is_empty() => Verdict::Always(rule.action),
            Some(rules) => Verdict::Rules(rules.to_vec()),
        };
        push(number, verdict);
        next = number + 1;
    }
    push(next, Verdict::Always(profile.unknown));
    if arch == Arch::X86_64 {
        push(X32_BIT, Verdict::Always(profile.foreign));
    }
    ranges
}

/// With the number in the accumulator: find its range, return its verdict.
fn search(ranges: &[Range<'_>], default: Action) -> Vec<Instruction> {
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let (Some(_), Some(pivot)) = (low.first(), high.first()) else {
        return match high.first().map(|range| &range.verdict) {
            Some(Verdict::Always(action)) => vec![plain(RETURN, action.code())],
            Some(Verdict::Rules(rules)) => chain(rules, default),
            None => vec![plain(RETURN, default.code())],
        };
    };
    let below = search(low, default);
    let mut code = match u8::try_from(below.len()) {
        Ok(distance) => {
            vec![Instruction { code: IF_AT_LEAST, jt: distance, jf: 0, k: pivot.first }]
        }
        Err(_) => vec![
            Instruction { code: IF_AT_LEAST, jt: 0, jf: 1, k: pivot.first },
            plain(JUMP, length(&below)),
        ],
    };
    code.extend(below);
    code.extend(search(high, default));
    code
}

/// The rules of one call, the first that matches decides.
fn chain(rules: &[&Rule], default: Action) -> Vec<Instruction> {
    let mut code = Vec::new();
    for rule in rules {
        let mut body = vec![plain(RETURN, rule.action.code())];
        for condition in rule.conditions.iter().rev() {
            let mut test = check(condition, length(&body));
            test.extend(body);
            body = test;
        }
        code.extend(body);
        if rule.conditions.is_empty() {
            return code;
        }
    }
    code.push(plain(RETURN, default.code()));
    code
}

/// Where a comparison leads: on to the next instruction behind the check, or past `rest` more.
#[derive(Clone, Copy, PartialEq)]
enum To {
    Hold,
    Fail,
}

/// Code that falls through when the condition holds and otherwise skips the `rest` instructions
/// behind it.
fn check(condition: &Condition, rest: u32) -> Vec<Instruction> {
    use To::{Fail, Hold};
    let value = condition.value;
    let (high, low) = (word(value, 1), word(value, 0));
    let mask = match condition.comparison {
        Comparison::Masked { mask } => Some(mask),
        Comparison::Equal
        | Comparison::NotEqual
        | Comparison::Less
        | Comparison::LessOrEqual
        | Comparison::Greater
        | Comparison::GreaterOrEqual => None,
    };
    // For the lower word: which jump decides, and where it leads if true and if false.
    let (jump, yes, no) = match condition.comparison {
        Comparison::Equal | Comparison::Masked { .. } => (IF_EQUAL, Hold, Fail),
        Comparison::NotEqual => (IF_EQUAL, Fail, Hold),
        Comparison::Less => (IF_AT_LEAST, Fail, Hold),
        Comparison::LessOrEqual => (IF_GREATER, Fail, Hold),
        Comparison::Greater => (IF_GREATER, Hold, Fail),
        Comparison::GreaterOrEqual => (IF_AT_LEAST, Hold, Fail),
    };
    let lower = [(jump, low, yes, no)];
    let load = |half: u32| {
        let offset = ARGUMENTS + 8 * u32::from(condition.argument) + 4 * half;
        let mask = mask.map(|mask| plain(AND, word(mask, half)));
        std::iter::once(plain(LOAD, offset)).chain(mask)
    };
    // A step of the upper word that leads nowhere goes on with the lower.
    let mut code: Vec<(Instruction, Option<To>, Option<To>)> = Vec::new();
    let step = |jump, k| Instruction { code: jump, jt: 0, jf: 0, k };
    if condition.width == Width::Long {
        code.extend(load(1).map(|instruction| (instruction, None, None)));
        match condition.comparison {
            Comparison::Equal | Comparison::Masked { .. } => {
                code.push((step(IF_EQUAL, high), None, Some(Fail)));
            }
            Comparison::NotEqual => code.push((step(IF_EQUAL, high), None, Some(Hold))),
            Comparison::Less | Comparison::LessOrEqual => {
                code.push((step(IF_GREATER, high), Some(Fail), None));
                code.push((step(IF_EQUAL, high), None, Some(Hold)));
            }
            Comparison::Greater | Comparison::GreaterOrEqual => {
                code.push((step(IF_GREATER, high), Some(Hold), None));
                code.push((step(IF_EQUAL, high), None, Some(Fail)));
            }
        }
    }
    code.extend(load(0).map(|instruction| (instruction, None, None)));
    code.extend(lower.map(|(jump, k, yes, no)| (step(jump, k), Some(yes), Some(no))));
    let total = code.len();
    let aim = |at: usize, to: Option<To>| {
        let to_end = total - at - 1;
        let distance = match to {
            None => 0,
            Some(Hold) => to_end,
            Some(Fail) => to_end + usize::try_from(rest).unwrap_or(usize::MAX),
        };
        u8::try_from(distance).unwrap_or(u8::MAX)
    };
    code.into_iter()
        .enumerate()
        .map(|(at, (instruction, yes, no))| Instruction {
            jt: aim(at, yes),
            jf: aim(at, no),
            ..instruction
        })
        .collect()
}

fn plain(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

/// The lower (0) or the upper (1) half.
fn word(value: u64, half: u32) -> u32 {
    u32::try_from(value >> (32 * half) & 0xffff_ffff).unwrap_or_default()
}

fn length(code: &[Instruction]) -> u32 {
    u32::try_from(code.len()).unwrap_or(u32::MAX)
}
