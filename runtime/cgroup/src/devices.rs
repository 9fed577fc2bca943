//! Which device nodes processes may make and open.
//!
//! v1: `devices.deny` and `devices.allow`
//! ([devices](https://docs.kernel.org/admin-guide/cgroup-v1/devices.html)). v2 has no files: a BPF
//! program on the group decides
//! ([device-controller](https://docs.kernel.org/admin-guide/cgroup-v2.html#device-controller)).

use crate::node::{Controller, Node};
use crate::{Cgroup, Error};
use bulkhead_sys::bpf::{self, Instruction};
use std::collections::BTreeMap;

/// Making the node, as in [`DeviceRule::access`].
const MKNOD: u8 = 1;
/// Opening it for reading.
const READ: u8 = 2;
/// Opening it for writing.
const WRITE: u8 = 4;
const ANY: u8 = MKNOD | READ | WRITE;
/// More rules than a container can have: 64 of its own and the default ones.
const MAX_RULES: usize = 256;

/// What kind of device node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceKind {
    /// A block device.
    Block,
    /// A character device.
    Char,
}

/// Devices that may be accessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeviceRule {
    /// Of this kind.
    pub kind: DeviceKind,
    /// With this major number; none: any.
    pub major: Option<u32>,
    /// With this minor number; none: any.
    pub minor: Option<u32>,
    /// In these ways: bits 1 mknod, 2 read, 4 write, as in the protocol and in `linux/bpf.h`.
    pub access: u8,
}

impl DeviceRule {
    const fn char(major: u32, minor: Option<u32>) -> Self {
        Self { kind: DeviceKind::Char, major: Some(major), minor, access: ANY }
    }
}

/// The devices of every container, as Docker has them: null, zero, full, random, urandom, tty,
/// console, ptmx, and the slaves of pseudo-terminals. Unlike with Docker, nodes of others may not
/// even be made.
pub const DEFAULT_DEVICES: &[DeviceRule] = &[
    DeviceRule::char(1, Some(3)),
    DeviceRule::char(1, Some(5)),
    DeviceRule::char(1, Some(7)),
    DeviceRule::char(1, Some(8)),
    DeviceRule::char(1, Some(9)),
    DeviceRule::char(5, Some(0)),
    DeviceRule::char(5, Some(1)),
    DeviceRule::char(5, Some(2)),
    DeviceRule::char(136, None),
];

/// Every device, for a privileged container.
pub const ALL_DEVICES: &[DeviceRule] = &[
    DeviceRule { kind: DeviceKind::Block, major: None, minor: None, access: ANY },
    DeviceRule { kind: DeviceKind::Char, major: None, minor: None, access: ANY },
];

const LIMIT: &str = "Devices";

pub(crate) fn set(cgroup: &Cgroup, rules: &[DeviceRule]) -> Result<(), Error> {
    if rules.len() > MAX_RULES {
        return Err(Error::Invalid { limit: LIMIT, reason: "more than 256 rules" });
    }
    if rules.iter().any(|rule| rule.access == 0 || rule.access & !ANY != 0) {
        return Err(Error::Invalid { limit: LIMIT, reason: "access is not of mknod, read, write" });
    }
    let node = cgroup.limited(Controller::Devices, LIMIT, "devices.allow")?;
    if node.unified { set_v2(node, rules) } else { set_v1(node, rules) }
}

fn set_v1(node: &Node, rules: &[DeviceRule]) -> Result<(), Error> {
    // The kernel joins rules for the same devices, so ours are joined too, to be compared.
    let mut joined: BTreeMap<(DeviceKind, Option<u32>, Option<u32>), u8> = BTreeMap::new();
    for rule in rules {
        *joined.entry((rule.kind, rule.major, rule.minor)).or_default() |= rule.access;
    }
    let mut lines: Vec<String> =
        joined.iter().map(|(device, access)| line(*device, *access)).collect();
    let (deny, allow) = ("devices.deny", "devices.allow");
    if !node.write(deny, "a")? || !node.write_each(allow, lines.iter().map(String::as_str))? {
        return Err(Error::Unsupported { limit: LIMIT, file: allow });
    }
    lines.sort_unstable();
    node.check(LIMIT, "devices.list", &lines.join("\n"), |found| {
        let mut found: Vec<&str> = found.lines().collect();
        found.sort_unstable();
        found == lines
    })
}

/// A rule as `devices.allow` takes and `devices.list` shows it.
fn line((kind, major, minor): (DeviceKind, Option<u32>, Option<u32>), access: u8) -> String {
    let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |n| n.to_string());
    let kind = match kind {
        DeviceKind::Block => 'b',
        DeviceKind::Char => 'c',
    };
    let ways = [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')];
    let access: String =
        ways.iter().filter(|(bit, _)| access & bit != 0).map(|(_, letter)| letter).collect();
    format!("{kind} {}:{} {access}", number(major), number(minor))
}

/// Put a new program beside those that stand there, and take those away: meanwhile only what all
/// admit is admitted. Then see that one stands there, and that it is not of the old ones.
fn set_v2(node: &Node, rules: &[DeviceRule]) -> Result<(), Error> {
    let failed = |call| move |source: std::io::Error| Error::kernel(call, "device program", source);
    let before = bpf::device_programs(node).map_err(failed("bpf(BPF_PROG_QUERY)"))?;
    let program =
        bpf::load_device_program(&program(rules)).map_err(failed("bpf(BPF_PROG_LOAD)"))?;
    bpf::attach_device_program(node, &program).map_err(failed("bpf(BPF_PROG_ATTACH)"))?;
    for id in &before {
        let old = bpf::program_by_id(*id).map_err(failed("bpf(BPF_PROG_GET_FD_BY_ID)"))?;
        bpf::detach_device_program(node, &old).map_err(failed("bpf(BPF_PROG_DETACH)"))?;
    }
    let after = bpf::device_programs(node).map_err(failed("bpf(BPF_PROG_QUERY)"))?;
    match after.as_slice() {
        [id] if !before.contains(id) => Ok(()),
        _ => Err(Error::NotApplied {
            limit: LIMIT,
            file: "device program",
            wanted: "one new program".to_owned(),
            found: format!("{after:?}, before {before:?}"),
        }),
    }
}

// Registers of BPF, and what the program keeps in them.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

/// Operations of BPF, `linux/bpf_common.h` and `linux/bpf.h`.
mod op {
    pub(super) const LOAD_WORD: u8 = 0x61;
    pub(super) const SET: u8 = 0xb4;
    pub(super) const COPY: u8 = 0xbc;
    pub(super) const AND: u8 = 0x54;
    pub(super) const SHIFT_RIGHT: u8 = 0x74;
    pub(super) const JUMP_IF_NOT: u8 = 0x56;
    pub(super) const JUMP_IF_NOT_REGISTER: u8 = 0x5e;
    pub(super) const EXIT: u8 = 0x95;
}

fn instruction(code: u8, target: u8, source: u8, offset: i16, immediate: u32) -> Instruction {
    Instruction {
        code,
        registers: source << 4 | target,
        offset,
        immediate: immediate.cast_signed(),
    }
}

/// A program that admits what a rule admits and nothing else. It gets a `bpf_cgroup_dev_ctx`:
/// `access_type` (access in the high half, kind in the low one), `major`, `minor`.
///
/// As with the rules of v1, all ways of an access must be admitted by one rule.
fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    let mut program = vec![
        instruction(op::LOAD_WORD, KIND, CONTEXT, 0, 0),
        instruction(op::COPY, ACCESS, KIND, 0, 0),
        instruction(op::AND, KIND, 0, 0, 0xffff),
        instruction(op::SHIFT_RIGHT, ACCESS, 0, 0, 16),
        instruction(op::LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        instruction(op::LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for rule in rules {
        // Each test leaves the rule if it fails; how far that is, is known at the rule's end.
        let kind = match rule.kind {
            DeviceKind::Block => 1,
            DeviceKind::Char => 2,
        };
        let mut tests = vec![instruction(op::JUMP_IF_NOT, KIND, 0, 0, kind)];
        if rule.access & ANY != ANY {
            tests.push(instruction(op::COPY, SCRATCH, ACCESS, 0, 0));
            tests.push(instruction(op::AND, SCRATCH, 0, 0, u32::from(rule.access)));
            tests.push(instruction(op::JUMP_IF_NOT_REGISTER, SCRATCH, ACCESS, 0, 0));
        }
        for (register, number) in [(MAJOR, rule.major), (MINOR, rule.minor)] {
            tests.extend(number.map(|number| instruction(op::JUMP_IF_NOT, register, 0, 0, number)));
        }
        tests.push(instruction(op::SET, RESULT, 0, 0, 1));
        tests.push(instruction(op::EXIT, 0, 0, 0, 0));
        for (left, test) in (0..).zip(tests.iter_mut().rev()) {
            if matches!(test.code, op::JUMP_IF_NOT | op::JUMP_IF_NOT_REGISTER) {
                test.offset = left;
            }
        }
        program.append(&mut tests);
    }
    program.push(instruction(op::SET, RESULT, 0, 0, 0));
    program.push(instruction(op::EXIT, 0, 0, 0, 0));
    program
}
