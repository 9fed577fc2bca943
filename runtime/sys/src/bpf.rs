//! [`bpf(2)`](https://man7.org/linux/man-pages/man2/bpf.2.html), as far as device filters of cgroup
//! v2 need it: load a `BPF_PROG_TYPE_CGROUP_DEVICE` program, attach it to a cgroup, see which are
//! attached. What a program says is the caller's business; the kernel's verifier checks it.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// The most programs that the kernel lets stand on one cgroup (`BPF_CGROUP_MAX_PROGS`).
const MAX_PROGRAMS: usize = 64;

/// One instruction, `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u8,
    /// Destination register in the low four bits, source register in the high four.
    pub registers: u8,
    /// Jump distance or memory offset.
    pub offset: i16,
    /// Immediate operand.
    pub immediate: i32,
}

/// The head of `union bpf_attr` for `BPF_PROG_LOAD`; the kernel takes what is left out as 0.
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

/// The same for `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`.
#[repr(C)]
struct AttachAttr {
    target_fd: RawFd,
    attach_bpf_fd: RawFd,
    attach_type: u32,
    attach_flags: u32,
}

/// The same for `BPF_PROG_QUERY`.
#[repr(C)]
struct QueryAttr {
    target_fd: RawFd,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

/// The same for `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
struct IdAttr {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

/// `bpf(command, attr, sizeof attr)`.
///
/// # Safety
/// Every address in `attr` must be valid for what `command` does with it.
unsafe fn bpf<T>(command: libc::c_int, attr: &mut T) -> io::Result<RawFd> {
    // SAFETY: the kernel reads and writes at most `size_of::<T>()` bytes of `attr`, which is
    // borrowed mutably for the call; addresses within hold by this function's own contract.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    match RawFd::try_from(result) {
        Ok(value) if value >= 0 => Ok(value),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Load a program that decides about device access (`struct bpf_cgroup_dev_ctx` in register 1;
/// returns 1 to admit, 0 to refuse). The descriptor is close-on-exec, as all of bpf(2).
///
/// # Errors
/// `EPERM` without `CAP_BPF` and `CAP_NET_ADMIN` or `CAP_SYS_ADMIN`; `EINVAL` or `EACCES` if the
/// verifier refuses the program; `E2BIG` beyond a million instructions.
pub fn load_device_program(instructions: &[Instruction]) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let mut attr = LoadAttr {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(instructions.len()).unwrap_or(u32::MAX),
        insns: instructions.as_ptr().expose_provenance() as u64,
        license: license.as_ptr().expose_provenance() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
        prog_name: *b"bulkhead_device\0",
    };
    // SAFETY: `insns` and `license` point to memory that is borrowed beyond this call, with as many
    // instructions as `insn_cnt` says (a longer slice cannot be: it is capped, and the kernel
    // refuses the cap) and a NUL at the end; there is no log buffer.
    let fd = unsafe { bpf(BPF_PROG_LOAD, &mut attr) }?;
    // SAFETY: BPF_PROG_LOAD gave this new descriptor, which nothing else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Let `program` decide about devices for the processes of `cgroup` (a directory of a cgroup v2
/// mount) and below it, beside those that stand there already: all of them must admit.
///
/// # Errors
/// `EPERM` if a cgroup above has a program that admits none below; `EBADF`, `EINVAL`.
pub fn attach_device_program(cgroup: impl AsFd, program: impl AsFd) -> io::Result<()> {
    change(BPF_PROG_ATTACH, BPF_F_ALLOW_MULTI, cgroup, program)
}

/// Take `program` off `cgroup`.
///
/// # Errors
/// `ENOENT`: it does not stand there.
pub fn detach_device_program(cgroup: impl AsFd, program: impl AsFd) -> io::Result<()> {
    change(BPF_PROG_DETACH, 0, cgroup, program)
}

fn change(
    command: libc::c_int,
    attach_flags: u32,
    cgroup: impl AsFd,
    program: impl AsFd,
) -> io::Result<()> {
    let mut attr = AttachAttr {
        target_fd: cgroup.as_fd().as_raw_fd(),
        attach_bpf_fd: program.as_fd().as_raw_fd(),
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags,
    };
    // SAFETY: the attribute holds no addresses; both descriptors are borrowed beyond the call.
    unsafe { bpf(command, &mut attr) }.map(drop)
}

/// The ids of the device programs that stand on `cgroup` itself.
///
/// # Errors
/// `EBADF`, `EPERM`.
pub fn device_programs(cgroup: impl AsFd) -> io::Result<Vec<u32>> {
    let mut ids = [0_u32; MAX_PROGRAMS];
    let mut attr = QueryAttr {
        target_fd: cgroup.as_fd().as_raw_fd(),
        attach_type: BPF_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr().expose_provenance() as u64,
        prog_cnt: u32::try_from(ids.len()).unwrap_or(0),
        padding: 0,
    };
    // SAFETY: the kernel writes at most `prog_cnt` ids to `ids`, which is that long, is not
    // otherwise borrowed, and lives beyond the call.
    unsafe { bpf(BPF_PROG_QUERY, &mut attr) }?;
    Ok(ids.iter().copied().take(usize::try_from(attr.prog_cnt).unwrap_or(0)).collect())
}

/// The program with this id.
///
/// # Errors
/// `ENOENT`: there is none (any more).
pub fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attr = IdAttr { id, next_id: 0, open_flags: 0 };
    // SAFETY: the attribute holds no addresses.
    let fd = unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &mut attr) }?;
    // SAFETY: BPF_PROG_GET_FD_BY_ID gave this new descriptor, which nothing else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
