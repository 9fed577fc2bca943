//! System-call filters as classic BPF: the constant floor under every container, the default
//! profile on top of it, a compiler for profiles that users write, and the check of programs that
//! come from apid. See `seccomp(2)` and the kernel's `Documentation/userspace-api/seccomp_filter`.
//!
//! The kernel runs all loaded filters and takes the strictest answer, so that a program on top of
//! the floor and of the default profile can only take away.

mod compile;
mod floor;
mod profile;
mod syscalls;
mod validate;

pub use compile::{CompileError, compile};
pub use floor::floor;
pub use profile::default_profile;
pub use validate::{InvalidProgram, validate};

/// The longest program that the kernel loads (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;
/// Bytes of one instruction.
pub const INSTRUCTION_BYTES: usize = 8;

/// One instruction: `struct sock_filter` of `linux/filter.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// How many instructions to skip if the comparison holds.
    pub jt: u8,
    /// How many to skip if it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

impl Instruction {
    /// The instruction as it stands in a program's bytes (native byte order).
    pub fn to_bytes(self) -> [u8; INSTRUCTION_BYTES] {
        let [c0, c1] = self.code.to_ne_bytes();
        let [k0, k1, k2, k3] = self.k.to_ne_bytes();
        [c0, c1, self.jt, self.jf, k0, k1, k2, k3]
    }

    fn from_bytes([c0, c1, jt, jf, k0, k1, k2, k3]: [u8; INSTRUCTION_BYTES]) -> Self {
        let (code, k) = (u16::from_ne_bytes([c0, c1]), u32::from_ne_bytes([k0, k1, k2, k3]));
        Self { code, jt, jf, k }
    }
}

/// A program's bytes, as they go into the memfd of [`bulkhead_proto::Seccomp::Program`].
pub fn to_bytes(program: &[Instruction]) -> Vec<u8> {
    program.iter().flat_map(|instruction| instruction.to_bytes()).collect()
}

/// A calling convention with its own system call numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit x86, without x32.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit x86, also as `int 0x80` of a 64-bit program.
    X86,
}

impl Arch {
    /// The architecture that this program is built for, if there is a table of it.
    pub const NATIVE: Self =
        if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 };

    /// `AUDIT_ARCH_*` of `linux/audit.h`.
    pub(crate) fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::Aarch64 => 0xc000_00b7,
            Self::X86 => 0x4000_0003,
        }
    }

    /// The number of a system call, if this architecture has it.
    pub fn number(self, name: &str) -> Option<u32> {
        syscalls::numbered(self).find(|(_, known)| *known == name).map(|(nr, _)| nr)
    }
}

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is performed.
    Allow,
    /// It fails with this errno, 1 to 4095.
    Errno(u16),
    /// It is performed and logged.
    Log,
    /// The thread gets `SIGSYS`, which it may handle.
    Trap,
    /// The process ends with `SIGSYS`.
    KillProcess,
    /// The thread ends with `SIGSYS`.
    KillThread,
    /// A tracer is told this number; without one the call fails with `ENOSYS`.
    Trace(u16),
}

impl Action {
    /// `SECCOMP_RET_*` of `linux/seccomp.h`.
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Allow => 0x7fff_0000,
            Self::Errno(errno) => 0x0005_0000 | u32::from(errno),
            Self::Log => 0x7ffc_0000,
            Self::Trap => 0x0003_0000,
            Self::KillProcess => 0x8000_0000,
            Self::KillThread => 0,
            Self::Trace(data) => 0x7ff0_0000 | u32::from(data),
        }
    }
}

/// What a filter says: rules, and what holds where no rule matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The architectures that the rules are for.
    pub architectures: Vec<Arch>,
    /// The first rule that names the call and whose conditions hold decides.
    pub rules: Vec<Rule>,
    /// For calls that no rule decides.
    pub default: Action,
    /// For numbers that the table does not know, above all those of newer kernels. `ENOSYS` lets
    /// a C library fall back to what it did before.
    pub unknown: Action,
    /// For calls of any other architecture, x32 included.
    pub foreign: Action,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Names of system calls. One that an architecture does not have is passed over there.
    pub syscalls: Vec<String>,
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// What happens then.
    pub action: Action,
}

/// A comparison of one argument with a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, 0 to 5.
    pub argument: u8,
    /// How much of it the kernel looks at. The upper half of an `int` argument is whatever the
    /// caller left there: comparing it lets a rule be evaded.
    pub width: Width,
    /// How.
    pub comparison: Comparison,
    /// With what.
    pub value: u64,
}

/// The size of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// 32 bits: `int`, `unsigned int`.
    Int,
    /// 64 bits: `long`, pointers.
    Long,
}

/// How an argument is compared, unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `argument == value`
    Equal,
    /// `argument != value`
    NotEqual,
    /// `argument < value`
    Less,
    /// `argument <= value`
    LessOrEqual,
    /// `argument > value`
    Greater,
    /// `argument >= value`
    GreaterOrEqual,
    /// `argument & mask == value`
    Masked {
        /// Which bits count.
        mask: u64,
    },
}

#[cfg(test)]
mod tests;
