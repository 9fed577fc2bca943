//! Is this a program that may be loaded? It comes from a process that is not trusted, so what the
//! kernel would say later is said here first, and two things more: a filter may refuse a call but
//! not pretend that it succeeded (`ERRNO` of 0 for `setresuid` would leave a process with the
//! rights that it was to lose), and it may not ask a supervisor that nobody holds.

use super::{INSTRUCTION_BYTES, Instruction, MAX_INSTRUCTIONS};
use std::fmt;

/// Why bytes are not a program that may be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidProgram {
    /// Not a whole number of instructions.
    Size(usize),
    /// No instruction, or more than [`MAX_INSTRUCTIONS`].
    Length(usize),
    /// The instruction at this index is not one that seccomp takes.
    Opcode(usize),
    /// The instruction at this index has an operand out of range.
    Operand(usize),
    /// The instruction at this index jumps behind the end.
    Jump(usize),
    /// The instruction at this index returns what a filter may not answer.
    Verdict(usize),
    /// The last instruction does not return.
    NoReturn,
}

impl fmt::Display for InvalidProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(bytes) => write!(f, "{bytes} bytes are not whole instructions"),
            Self::Length(count) => write!(f, "{count} instructions, not 1 to {MAX_INSTRUCTIONS}"),
            Self::Opcode(at) => write!(f, "instruction {at}: unknown operation"),
            Self::Operand(at) => write!(f, "instruction {at}: operand out of range"),
            Self::Jump(at) => write!(f, "instruction {at}: jump behind the end"),
            Self::Verdict(at) => write!(f, "instruction {at}: answer that a filter may not give"),
            Self::NoReturn => write!(f, "the last instruction does not return"),
        }
    }
}

impl std::error::Error for InvalidProgram {}

/// The program that these bytes are, if it may be loaded on top of the floor.
///
/// # Errors
/// See [`InvalidProgram`]. The kernel still checks once more, notably scratch memory that is read
/// before it is written.
pub fn validate(bytes: &[u8]) -> Result<Vec<Instruction>, InvalidProgram> {
    let (chunks, rest) = bytes.as_chunks::<INSTRUCTION_BYTES>();
    if !rest.is_empty() {
        return Err(InvalidProgram::Size(bytes.len()));
    }
    if chunks.is_empty() || chunks.len() > MAX_INSTRUCTIONS {
        return Err(InvalidProgram::Length(chunks.len()));
    }
    let program: Vec<_> = chunks.iter().map(|chunk| Instruction::from_bytes(*chunk)).collect();
    for (at, instruction) in program.iter().enumerate() {
        check(at, *instruction, program.len() - at - 1)?;
    }
    match program.last() {
        Some(Instruction { code: 0x06, .. }) => Ok(program),
        _ => Err(InvalidProgram::NoReturn),
    }
}

/// `behind`: how many instructions follow.
fn check(at: usize, instruction: Instruction, behind: usize) -> Result<(), InvalidProgram> {
    let Instruction { code, jt, jf, k } = instruction;
    let reaches = |distance: usize| distance < behind;
    let (ok, otherwise) = match code {
        // LD W ABS: a word of `struct seccomp_data`.
        0x20 => (k < 64 && k % 4 == 0, InvalidProgram::Operand(at)),
        // LD and LDX: IMM, LEN; TAX, TXA; NEG.
        0x00 | 0x01 | 0x80 | 0x81 | 0x07 | 0x87 | 0x84 => return Ok(()),
        // LD MEM, LDX MEM, ST, STX: 16 words of scratch memory.
        0x60 | 0x61 | 0x02 | 0x03 => (k < 16, InvalidProgram::Operand(at)),
        // ADD, SUB, MUL, OR, AND, XOR by K; the same, DIV, LSH and RSH by X.
        0x04 | 0x14 | 0x24 | 0x44 | 0x54 | 0xa4 => return Ok(()),
        0x0c | 0x1c | 0x2c | 0x3c | 0x4c | 0x5c | 0x6c | 0x7c | 0xac => return Ok(()),
        // DIV by K; LSH, RSH by K.
        0x34 => (k != 0, InvalidProgram::Operand(at)),
        0x64 | 0x74 => (k < 32, InvalidProgram::Operand(at)),
        // JA.
        0x05 => (usize::try_from(k).is_ok_and(reaches), InvalidProgram::Jump(at)),
        // JEQ, JGT, JGE, JSET with K and with X.
        0x15 | 0x25 | 0x35 | 0x45 | 0x1d | 0x2d | 0x3d | 0x4d => {
            (reaches(usize::from(jt)) && reaches(usize::from(jf)), InvalidProgram::Jump(at))
        }
        // RET K; RET A could answer anything.
        0x06 => (is_verdict(k), InvalidProgram::Verdict(at)),
        _ => (false, InvalidProgram::Opcode(at)),
    };
    if ok { Ok(()) } else { Err(otherwise) }
}

/// `SECCOMP_RET_*` but `USER_NOTIF` and unknown ones (which the kernel takes as kill).
fn is_verdict(k: u32) -> bool {
    match k & 0xffff_0000 {
        0x8000_0000 | 0 | 0x0003_0000 | 0x7ff0_0000 | 0x7ffc_0000 | 0x7fff_0000 => true,
        0x0005_0000 => matches!(k & 0xffff, 1..=4095),
        _ => false,
    }
}
