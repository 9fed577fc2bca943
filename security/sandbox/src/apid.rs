//! The system calls of `bulkhead-apid`, each kind with the part that needs it. Found by tracing
//! whole runs, and kept short: a call that stands here is one that a captured apid can make.

use crate::calls::Rule as R;
use crate::calls::When::{Always, Is, Masked};
use crate::calls::{Calls, Rule};
use libc::{
    SYS_accept4, SYS_bpf, SYS_brk, SYS_clock_gettime, SYS_clock_nanosleep, SYS_clone, SYS_close,
    SYS_connect, SYS_epoll_create1, SYS_epoll_ctl, SYS_epoll_pwait, SYS_eventfd2, SYS_execve,
    SYS_execveat, SYS_exit, SYS_exit_group, SYS_faccessat, SYS_fallocate, SYS_fchmod, SYS_fcntl,
    SYS_fdatasync, SYS_finit_module, SYS_fsmount, SYS_fsopen, SYS_fstat, SYS_fsync, SYS_ftruncate,
    SYS_futex, SYS_getdents64, SYS_getegid, SYS_geteuid, SYS_getgid, SYS_getpid, SYS_getrandom,
    SYS_getsockopt, SYS_gettid, SYS_getuid, SYS_init_module, SYS_io_uring_setup, SYS_ioctl,
    SYS_kexec_load, SYS_keyctl, SYS_lseek, SYS_madvise, SYS_memfd_create, SYS_mkdirat, SYS_mmap,
    SYS_mount, SYS_mount_setattr, SYS_move_mount, SYS_mprotect, SYS_mremap, SYS_munmap,
    SYS_newfstatat, SYS_open_by_handle_at, SYS_open_tree, SYS_openat, SYS_perf_event_open,
    SYS_pipe2, SYS_pivot_root, SYS_ppoll, SYS_prctl, SYS_pread64, SYS_prlimit64,
    SYS_process_vm_readv, SYS_process_vm_writev, SYS_ptrace, SYS_pwrite64, SYS_read,
    SYS_readlinkat, SYS_recvfrom, SYS_recvmsg, SYS_renameat, SYS_restart_syscall, SYS_rseq,
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sched_getaffinity, SYS_sched_yield,
    SYS_sendmsg, SYS_sendto, SYS_set_robust_list, SYS_setns, SYS_setsockopt, SYS_shutdown,
    SYS_sigaltstack, SYS_socket, SYS_socketpair, SYS_splice, SYS_statx, SYS_sysinfo, SYS_tgkill,
    SYS_umount2, SYS_uname, SYS_unlinkat, SYS_unshare, SYS_userfaultfd, SYS_write, SYS_writev,
};

/// What `bulkhead-apid` may call.
pub const APID: Calls = Calls { admitted: ADMITTED, deadly: DEADLY };

const PROT_EXEC: u64 = libc::PROT_EXEC as u64;
const THREAD: u64 = libc::CLONE_THREAD as u64;
const AF_UNIX: u64 = libc::AF_UNIX as u64;

const ADMITTED: &[Rule] = &[
    // Memory; never executable: what runs was mapped before.
    R(SYS_brk, Always),
    R(SYS_mmap, Masked(2, PROT_EXEC, 0)),
    R(SYS_mprotect, Masked(2, PROT_EXEC, 0)),
    R(SYS_mremap, Always),
    R(SYS_munmap, Always),
    R(SYS_madvise, Always),
    R(SYS_memfd_create, Always), // large request bodies and seccomp programs go to the shim sealed
    // Threads, not processes.
    R(SYS_clone, Masked(0, THREAD, THREAD)),
    R(SYS_set_robust_list, Always),
    R(SYS_rseq, Always),
    R(SYS_futex, Always),
    R(SYS_gettid, Always),
    R(SYS_getpid, Always),
    R(SYS_sched_getaffinity, Always),
    R(SYS_sched_yield, Always),
    R(SYS_exit, Always),
    R(SYS_exit_group, Always),
    R(SYS_prctl, Is(0, libc::PR_SET_NAME as u64)),
    R(SYS_prctl, Is(0, PR_SET_VMA)), // the allocator names its mappings
    // Signals: the runtime's handlers, and abort().
    R(SYS_rt_sigaction, Always),
    R(SYS_rt_sigprocmask, Always),
    R(SYS_rt_sigreturn, Always),
    R(SYS_sigaltstack, Always),
    R(SYS_restart_syscall, Always),
    R(SYS_tgkill, Always),
    // Time and chance.
    R(SYS_clock_gettime, Always),
    R(SYS_clock_nanosleep, Always),
    R(SYS_getrandom, Always),
    // Files: the databases, blobs, logs; which ones is Landlock's business.
    R(SYS_openat, Always),
    R(SYS_close, Always),
    R(SYS_read, Always),
    R(SYS_pread64, Always),
    R(SYS_write, Always),
    R(SYS_writev, Always),
    R(SYS_pwrite64, Always),
    R(SYS_lseek, Always),
    R(SYS_fstat, Always),
    R(SYS_newfstatat, Always),
    R(SYS_statx, Always),
    R(SYS_faccessat, Always),
    R(SYS_readlinkat, Always),
    R(SYS_getdents64, Always),
    R(SYS_mkdirat, Always),
    R(SYS_unlinkat, Always),
    R(SYS_renameat, Always),
    R(SYS_fchmod, Always),
    R(SYS_ftruncate, Always),
    R(SYS_fallocate, Always), // holes in a log's spool
    R(SYS_fsync, Always),
    R(SYS_fdatasync, Always),
    R(SYS_fcntl, Always), // locks, pipe sizes, seals, dup
    // Streams of containers: moved from pipe to spool without a copy.
    R(SYS_pipe2, Always),
    R(SYS_splice, Always),
    R(SYS_ioctl, Is(1, libc::TIOCSWINSZ)), // resize
    R(SYS_ioctl, Is(1, libc::FIONBIO)),
    // Waiting.
    R(SYS_epoll_create1, Always),
    R(SYS_epoll_ctl, Always),
    R(SYS_epoll_pwait, Always),
    R(SYS_ppoll, Always),
    R(SYS_eventfd2, Always),
    // Sockets: clients, and the shim. Listeners were opened before.
    R(SYS_socket, Is(0, AF_UNIX)),
    R(SYS_socketpair, Is(0, AF_UNIX)),
    R(SYS_accept4, Always),
    R(SYS_connect, Always),
    R(SYS_shutdown, Always),
    R(SYS_recvfrom, Always),
    R(SYS_recvmsg, Always),
    R(SYS_sendto, Always),
    R(SYS_sendmsg, Always),
    R(SYS_getsockopt, Always),
    R(SYS_setsockopt, Always),
    // Who and where: `GET /info`.
    R(SYS_getuid, Always),
    R(SYS_geteuid, Always),
    R(SYS_getgid, Always),
    R(SYS_getegid, Always),
    R(SYS_uname, Always),
    R(SYS_sysinfo, Always),
    R(SYS_prlimit64, Masked(2, u64::MAX, 0)), // read, not set
    #[cfg(target_arch = "x86_64")]
    R(libc::SYS_stat, Always),
    #[cfg(target_arch = "x86_64")]
    R(libc::SYS_lstat, Always),
    #[cfg(target_arch = "x86_64")]
    R(libc::SYS_access, Always),
    #[cfg(target_arch = "x86_64")]
    R(libc::SYS_readlink, Always),
    #[cfg(target_arch = "x86_64")]
    R(libc::SYS_open, Always),
    #[cfg(target_arch = "x86_64")]
    R(libc::SYS_mkdir, Always),
    #[cfg(target_arch = "x86_64")]
    R(libc::SYS_rmdir, Always),
    #[cfg(target_arch = "x86_64")]
    R(libc::SYS_unlink, Always),
    #[cfg(target_arch = "x86_64")]
    R(libc::SYS_rename, Always),
    #[cfg(target_arch = "x86_64")]
    R(libc::SYS_poll, Always),
    #[cfg(target_arch = "x86_64")]
    R(libc::SYS_epoll_wait, Always),
];

/// Nothing of ours ever calls these: whoever does is not us.
const DEADLY: &[libc::c_long] = &[
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_unshare,
    SYS_setns,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsmount,
    SYS_mount_setattr,
    SYS_open_by_handle_at,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_io_uring_setup,
    SYS_keyctl,
    SYS_init_module,
    SYS_finit_module,
    SYS_kexec_load,
];

/// `PR_SET_VMA` of `prctl(2)`: "SVMA" in ASCII.
const PR_SET_VMA: u64 = 0x5356_4d41;
