//! What no container may do, whatever its request says: interfaces through which root in a
//! container has again and again become root on the host, and that are not for containers.
//! Everything else passes; the floor is a deny-list below profiles that are allow-lists.

use super::profile::{
    AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX, EAFNOSUPPORT, ENOSYS, EPERM, equals, rule,
};
use super::{Action, Arch, Instruction, Profile, compile};
use std::sync::LazyLock;

/// The filter under every container, also under `seccomp=unconfined` and `--privileged`.
pub fn floor() -> &'static [Instruction] {
    static FLOOR: LazyLock<Vec<Instruction>> = LazyLock::new(|| compile::assemble(&rules()));
    &FLOOR
}

/// The code that runs in the kernel, or decides what does.
const KERNEL_CODE: &str = "kexec_load kexec_file_load init_module finit_module delete_module \
    create_module query_module get_kernel_syms bpf";
/// Bugs of the last years that gave root to an unprivileged process, and not needed: programs
/// fall back when told ENOSYS.
const EXPLOITED: &str = "userfaultfd io_uring_setup io_uring_enter io_uring_register add_key \
    request_key";
/// The host's own: its swap, its accounting, its file handles (which ignore mount namespaces),
/// its performance counters.
const HOSTS: &str = "open_by_handle_at swapon swapoff acct quotactl quotactl_fd perf_event_open \
    lookup_dcookie nfsservctl uselib vm86 vm86old _sysctl";

/// Socket families that a container may use with any profile. Beside those of the default
/// profile: CAN, Bluetooth and XDP, each for somebody's devices and useless without them.
const FAMILIES: [u64; 8] = [AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, 29, 31, 44];

/// `KEYCTL_JOIN_SESSION_KEYRING`: a container engine in a container gives its own a new keyring.
const JOIN_SESSION_KEYRING: u64 = 1;

/// `SYS_SOCKET` and `SYS_SOCKETPAIR` of 32-bit x86's `socketcall(2)`, whose other arguments a
/// filter cannot see.
const SOCKETCALLS: [u64; 2] = [1, 8];

fn rules() -> Profile {
    let mut rules = vec![
        rule(KERNEL_CODE, [], EPERM),
        rule(EXPLOITED, [], ENOSYS),
        rule(HOSTS, [], EPERM),
        rule("keyctl", [equals(0, JOIN_SESSION_KEYRING)], Action::Allow),
        rule("keyctl", [], ENOSYS),
    ];
    rules.extend(
        FAMILIES.map(|family| rule("socket socketpair", [equals(0, family)], Action::Allow)),
    );
    rules.push(rule("socket socketpair", [], EAFNOSUPPORT));
    rules.extend(SOCKETCALLS.map(|call| rule("socketcall", [equals(0, call)], EAFNOSUPPORT)));
    Profile {
        architectures: match Arch::NATIVE {
            Arch::Aarch64 => vec![Arch::Aarch64],
            Arch::X86_64 | Arch::X86 => vec![Arch::X86_64, Arch::X86],
        },
        rules,
        default: Action::Allow,
        unknown: Action::Allow,
        foreign: EPERM,
    }
}
