//! Runs a program as the kernel would, for tests.

use crate::seccomp::{Action, Arch, Instruction};

/// `struct seccomp_data`, the instruction pointer left at 0.
#[derive(Debug, Clone, Copy)]
pub(in crate::seccomp) struct Call {
    pub(in crate::seccomp) arch: u32,
    pub(in crate::seccomp) number: u32,
    pub(in crate::seccomp) arguments: [u64; 6],
}

impl Call {
    pub(in crate::seccomp) fn new(arch: Arch, name: &str, arguments: &[u64]) -> Self {
        let number = arch.number(name).unwrap_or_else(|| panic!("{arch:?} has no {name}"));
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        Self { arch: arch.audit(), number, arguments: all }
    }

    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.arch,
            8 | 12 => 0,
            _ => {
                let index = (offset - 16) / 8;
                let argument = self.arguments[index as usize];
                let half = if offset.is_multiple_of(8) { argument } else { argument >> 32 };
                (half & 0xffff_ffff) as u32
            }
        }
    }
}

/// What the program answers; panics where it would leave its text.
pub(in crate::seccomp) fn run(program: &[Instruction], call: &Call) -> u32 {
    let mut accumulator = 0u32;
    let mut at = 0;
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        let holds = match code {
            0x20 => {
                accumulator = call.word(k);
                continue;
            }
            0x54 => {
                accumulator &= k;
                continue;
            }
            0x05 => {
                at += k as usize;
                continue;
            }
            0x06 => return k,
            0x15 => accumulator == k,
            0x25 => accumulator > k,
            0x35 => accumulator >= k,
            other => panic!("the compiler does not write {other:#x}"),
        };
        at += usize::from(if holds { jt } else { jf });
    }
}

/// Whether the program gives this answer.
pub(in crate::seccomp) fn answers(program: &[Instruction], call: &Call, action: Action) -> bool {
    run(program, call) == action.code()
}
