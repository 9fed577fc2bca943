//! The default profile: an allow-list of what ordinary programs need (C libraries, Go, Java, Node,
//! Python, databases, package managers), and what a capability opens beyond it. What is known and
//! not named here fails with EPERM; what the table does not know fails with ENOSYS.

use super::{Action, Arch, Comparison, Condition, Instruction, Profile, Rule, Width, compile};
use crate::capability as cap;

pub(super) const EPERM: Action = Action::Errno(1);
pub(super) const ENOSYS: Action = Action::Errno(38);
/// What PAM, shadow-utils, sudo and OpenSSH take for "this kernel has no audit" and go on; at
/// EPERM they give up.
pub(super) const EAFNOSUPPORT: Action = Action::Errno(97);

pub(super) const AF_UNIX: u64 = 1;
pub(super) const AF_INET: u64 = 2;
pub(super) const AF_INET6: u64 = 10;
pub(super) const AF_NETLINK: u64 = 16;
pub(super) const AF_PACKET: u64 = 17;

/// The filter of a container that asks for no other, whose bounding set is `capabilities`.
pub fn default_profile(capabilities: u64) -> Vec<Instruction> {
    compile::assemble(&profile(capabilities, Arch::NATIVE))
}

/// The default profile as rules.
pub(super) fn profile(capabilities: u64, arch: Arch) -> Profile {
    let mut rules = vec![rule(FILES, [], Action::Allow)];
    rules.extend(
        [MEMORY, PROCESSES, IDENTITY, TIME, MESSAGES, EVENTS]
            .map(|names| rule(names, [], Action::Allow)),
    );
    rules.extend(by_argument(capabilities));
    rules.extend(by_capability(capabilities));
    rules.push(rule(FALL_BACK, [], ENOSYS));
    Profile { architectures: vec![arch], rules, default: EPERM, unknown: ENOSYS, foreign: EPERM }
}

/// `mknod`: for fifos and sockets; devices need a capability. `name_to_handle_at`: systemd's
/// libraries ask whether a directory is a mount point; opening a handle is another matter.
/// `statmount`, `listmount`: util-linux, own mount namespace only. `io_*`: native asynchronous I/O of
/// MySQL, Oracle, nginx; not io_uring. `splice`, `tee`: HAProxy, Go, coreutils; `vmsplice` is not
/// here: it is used by next to nobody and hands pages of the page cache around.
const FILES: &str = "read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 open \
    openat openat2 creat close close_range lseek stat fstat lstat newfstatat statx statfs fstatfs \
    access faccessat faccessat2 chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat umask \
    link linkat symlink symlinkat readlink readlinkat rename renameat renameat2 unlink unlinkat \
    mkdir mkdirat rmdir mknod mknodat truncate ftruncate fallocate getdents getdents64 getcwd chdir \
    fchdir utime utimes utimensat futimesat dup dup2 dup3 fcntl flock fsync fdatasync sync syncfs \
    sync_file_range fadvise64 readahead cachestat copy_file_range sendfile splice tee pipe pipe2 \
    getxattr lgetxattr fgetxattr setxattr lsetxattr fsetxattr listxattr llistxattr flistxattr \
    removexattr lremovexattr fremovexattr getxattrat setxattrat listxattrat removexattrat \
    file_getattr file_setattr name_to_handle_at statmount listmount inotify_init inotify_init1 \
    inotify_add_watch inotify_rm_watch io_setup io_destroy io_submit io_cancel io_getevents \
    io_pgetevents";

/// `pkey_*`: OpenSSL-like key protection, V8. `memfd_secret`: key stores. `map_shadow_stack`: the
/// C library on processors with CET. `remap_file_pages`: Oracle; emulated since Linux 4.0.
const MEMORY: &str = "mmap munmap mprotect mremap madvise brk msync mincore mlock mlock2 munlock \
    mlockall munlockall memfd_create memfd_secret mseal map_shadow_stack pkey_alloc pkey_free \
    pkey_mprotect remap_file_pages membarrier";

/// `seccomp`, `landlock_*`, `lsm_*`: browsers and services that confine themselves further.
/// `uretprobe`, `uprobe`: the kernel itself makes a process call them while the host's
/// administrator traces it. `rseq`, `arch_prctl`, robust lists: every C library's start.
/// `sched_*`: Java, databases; the kernel asks for CAP_SYS_NICE where more is wanted than is due.
const PROCESSES: &str = "fork vfork execve execveat exit exit_group wait4 waitid kill tkill tgkill \
    pidfd_open pidfd_send_signal process_mrelease rt_sigaction rt_sigprocmask rt_sigreturn \
    rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo rt_sigsuspend sigaltstack pause \
    prctl arch_prctl prlimit64 getrlimit setrlimit getrusage getpriority setpriority ioprio_get \
    ioprio_set sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr \
    sched_getparam sched_setparam sched_getscheduler sched_setscheduler sched_get_priority_max \
    sched_get_priority_min sched_rr_get_interval set_tid_address set_robust_list get_robust_list \
    rseq restart_syscall getcpu seccomp landlock_create_ruleset landlock_add_rule \
    landlock_restrict_self lsm_get_self_attr lsm_set_self_attr lsm_list_modules uretprobe uprobe \
    sysinfo uname getrandom";

const IDENTITY: &str = "getpid getppid gettid getpgid getpgrp setpgid getsid setsid getuid geteuid \
    getgid getegid getresuid getresgid setuid setgid setreuid setregid setresuid setresgid setfsuid \
    setfsgid getgroups setgroups capget capset";

/// `adjtimex`, `clock_adjtime`: chrony reads; setting needs a capability in the host's namespace.
const TIME: &str = "time gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep times \
    alarm getitimer setitimer timer_create timer_settime timer_gettime timer_getoverrun \
    timer_delete timerfd_create timerfd_settime timerfd_gettime adjtimex clock_adjtime";

/// System V and POSIX queues, semaphores and shared memory: PostgreSQL, Oracle, Apache.
const MESSAGES: &str = "bind connect listen accept accept4 getsockname getpeername getsockopt \
    setsockopt shutdown sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg shmget shmat shmdt shmctl \
    semget semop semtimedop semctl msgget msgsnd msgrcv msgctl mq_open mq_unlink mq_timedsend \
    mq_timedreceive mq_notify mq_getsetattr";

const EVENTS: &str = "poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait \
    epoll_pwait epoll_pwait2 eventfd eventfd2 signalfd signalfd4 futex futex_waitv futex_wake \
    futex_wait futex_requeue";

/// Programs that are told ENOSYS do without: liburing's users, Kerberos and runc (keyrings), C
/// libraries (clone3, whose flags a filter cannot see). EPERM would stop them.
const FALL_BACK: &str = "clone3 add_key request_key keyctl io_uring_setup io_uring_enter \
    io_uring_register userfaultfd";

/// Every `CLONE_NEW*` of `clone(2)`; its lowest byte is the exit signal.
const CLONE_NEW: u64 = 0x7e02_0000;
/// The same for `unshare(2)`, with `CLONE_NEWTIME`.
const UNSHARE_NEW: u64 = CLONE_NEW | 0x80;
/// `ioctl(2)` that push bytes into a terminal's input or paste a console's selection: `TIOCSTI`,
/// `TIOCLINUX`. They let a program that shares a terminal type for its owner.
const TYPING: [u64; 2] = [0x5412, 0x541c];
/// Of `personality(2)`: Linux, Linux with 32-bit uname (`linux32`, for builds), both with a 2.6
/// version number, and the question which one it is. Not: address space randomisation off.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// Netlink protocols. ROUTE: `getifaddrs(3)`, `ip`, DNS resolvers.
const NETLINK_ROUTE: u64 = 0;
const NETLINK_AUDIT: u64 = 9;
/// With CAP_NET_ADMIN beside ROUTE: SOCK_DIAG (`ss`), NETFILTER (`nft`, `iptables`), GENERIC
/// (WireGuard, ethtool). Not XFRM.
const NETLINK_ADMIN: [u64; 3] = [4, 12, 16];

/// Calls that depend on their arguments.
fn by_argument(capabilities: u64) -> Vec<Rule> {
    let has = |capability: u8| capabilities & cap::bit(capability) != 0;
    let mut rules: Vec<Rule> = TYPING.map(|call| rule("ioctl", [equals(1, call)], EPERM)).into();
    rules.push(rule("ioctl", [], Action::Allow));
    rules.extend(PERSONALITIES.map(|value| rule("personality", [equals(0, value)], Action::Allow)));
    // Samba unshares its working directory and file table.
    rules.push(rule("unshare", [without(UNSHARE_NEW)], Action::Allow));
    rules.push(rule("clone", [without(CLONE_NEW)], Action::Allow));
    let mut families = vec![AF_UNIX, AF_INET, AF_INET6];
    families.extend(has(cap::NET_RAW).then_some(AF_PACKET));
    rules.extend(
        families.into_iter().map(|family| rule("socket", [equals(0, family)], Action::Allow)),
    );
    let mut protocols = vec![NETLINK_ROUTE];
    protocols.extend(has(cap::AUDIT_WRITE).then_some(NETLINK_AUDIT));
    protocols.extend(NETLINK_ADMIN.into_iter().filter(|_| has(cap::NET_ADMIN)));
    rules.extend(protocols.into_iter().map(|protocol| {
        rule("socket", [equals(0, AF_NETLINK), equals(2, protocol)], Action::Allow)
    }));
    rules.push(rule("socket", [], EAFNOSUPPORT));
    rules.push(rule("socketpair", [equals(0, AF_UNIX)], Action::Allow));
    rules.push(rule("socketpair", [], EAFNOSUPPORT));
    rules
}

/// Calls that make sense only with a capability. The floor still holds below them: `bpf` and
/// `perf_event_open` work only where a grant has taken the floor away.
const BY_CAPABILITY: &[(u8, &str)] = &[
    (
        cap::SYS_ADMIN,
        "mount umount2 pivot_root open_tree open_tree_attr move_mount fsopen fsconfig fsmount \
        fspick mount_setattr unshare setns clone clone3 sethostname setdomainname fanotify_init \
        fanotify_mark quotactl quotactl_fd bpf perf_event_open",
    ),
    // Debuggers, strace, sanitizers' leak checks.
    (cap::SYS_PTRACE, "ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp process_madvise"),
    (cap::SYS_CHROOT, "chroot"),
    (cap::SYS_TIME, "settimeofday clock_settime"),
    (cap::SYS_TTY_CONFIG, "vhangup"),
    (cap::SYS_PACCT, "acct"),
    (cap::SYS_BOOT, "reboot"),
    (cap::SYS_RAWIO, "iopl ioperm"),
    (cap::SYSLOG, "syslog"),
    (cap::BPF, "bpf"),
    (cap::PERFMON, "perf_event_open"),
    // Databases and Java on NUMA machines.
    (
        cap::SYS_NICE,
        "mbind get_mempolicy set_mempolicy set_mempolicy_home_node migrate_pages move_pages",
    ),
    (cap::SYS_MODULE, "init_module finit_module delete_module"),
    (cap::DAC_READ_SEARCH, "open_by_handle_at"),
];

fn by_capability(capabilities: u64) -> impl Iterator<Item = Rule> {
    BY_CAPABILITY
        .iter()
        .filter(move |(capability, _)| capabilities & cap::bit(*capability) != 0)
        .map(|(_, names)| rule(names, [], Action::Allow))
}

pub(super) fn rule<const N: usize>(
    names: &str,
    conditions: [Condition; N],
    action: Action,
) -> Rule {
    let syscalls = names.split_ascii_whitespace().map(str::to_owned).collect();
    Rule { syscalls, conditions: conditions.into(), action }
}

/// An `int` argument is this.
pub(super) fn equals(argument: u8, value: u64) -> Condition {
    Condition { argument, width: Width::Int, comparison: Comparison::Equal, value }
}

/// The first argument, an `int` or of which the kernel takes the lower word, has none of these.
fn without(mask: u64) -> Condition {
    let comparison = Comparison::Masked { mask };
    Condition { argument: 0, width: Width::Int, comparison, value: 0 }
}
