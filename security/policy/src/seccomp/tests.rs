mod interpreter;

use super::profile::{EAFNOSUPPORT, ENOSYS, EPERM, profile};
use super::*;
use crate::capability as cap;
use interpreter::{Call, answers, run};
use proptest::prelude::*;

const X: Arch = Arch::X86_64;
const ARCHES: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];

fn default_for(capabilities: u64, arch: Arch) -> Vec<Instruction> {
    compile(&profile(capabilities, arch)).unwrap()
}

#[track_caller]
fn expect(program: &[Instruction], call: &str, arguments: &[u64], action: Action) {
    let call_data = Call::new(X, call, arguments);
    let answer = run(program, &call_data);
    assert_eq!(answer, action.code(), "{call}({arguments:x?}) gave {answer:#x}");
}

#[test]
fn the_default_profile_and_the_floor_pass_the_check_for_foreign_programs() {
    for capabilities in [0, cap::HARDENED, cap::DOCKER, cap::ALL] {
        for arch in ARCHES {
            let program = default_for(capabilities, arch);
            assert_eq!(validate(&to_bytes(&program)), Ok(program));
        }
    }
    assert_eq!(validate(&to_bytes(floor())).as_deref(), Ok(floor()));
}

#[test]
fn every_name_in_a_list_is_a_system_call_of_some_architecture() {
    for arch in ARCHES {
        for rule in profile(cap::ALL, arch).rules {
            for name in rule.syscalls {
                assert!(X.number(&name).is_some() || Arch::X86.number(&name).is_some(), "{name}");
            }
        }
    }
}

#[test]
fn ordinary_programs_run_under_the_default_profile() {
    let program = default_for(cap::HARDENED, X);
    for call in "read openat execve mmap mprotect brk futex clone fork vfork wait4 epoll_pwait2 \
        accept4 io_submit shmget semop getrandom rseq membarrier statx faccessat2 close_range \
        pidfd_open landlock_create_ruleset seccomp prctl arch_prctl sched_setaffinity setuid \
        setgroups mlock sync_file_range copy_file_range inotify_add_watch timerfd_create chroot \
        unshare memfd_create renameat2 mknod utimensat getcwd fchmodat2 statmount"
        .split_ascii_whitespace()
    {
        expect(&program, call, &[], Action::Allow);
    }
    // A thread of glibc, a vfork of Go, posix_spawn.
    for flags in [0x3d_0f00, 0x4111, 0x4111 | 0x100] {
        expect(&program, "clone", &[flags], Action::Allow);
    }
}

#[test]
fn calls_of_class_g9_fail_under_the_default_profile() {
    for capabilities in [0, cap::HARDENED, cap::DOCKER] {
        let program = default_for(capabilities, X);
        for call in "mount umount2 fsopen fsconfig fsmount move_mount open_tree mount_setattr bpf \
            perf_event_open ptrace process_vm_writev setns kexec_load init_module finit_module \
            open_by_handle_at swapon reboot iopl settimeofday syslog pivot_root quotactl \
            modify_ldt vmsplice"
            .split_ascii_whitespace()
        {
            expect(&program, call, &[], EPERM);
        }
        for call in "io_uring_setup io_uring_enter io_uring_register keyctl add_key request_key \
            userfaultfd clone3"
            .split_ascii_whitespace()
        {
            expect(&program, call, &[], ENOSYS);
        }
        for bit in [7, 17, 25, 26, 27, 28, 29, 30] {
            expect(&program, "unshare", &[1 << bit], EPERM);
            if bit != 7 {
                expect(&program, "clone", &[1 << bit | 17], EPERM);
            }
        }
    }
}

#[test]
fn socket_families_of_class_g8_fail_under_the_default_profile() {
    let program = default_for(cap::HARDENED, X);
    for allowed in [1, 2, 10] {
        expect(&program, "socket", &[allowed, 1, 0], Action::Allow);
    }
    for family in (0..64).filter(|family| ![1, 2, 10, 16].contains(family)) {
        expect(&program, "socket", &[family, 1, 0], EAFNOSUPPORT);
        expect(
            &program,
            "socketpair",
            &[family, 1, 0],
            match family {
                1 => Action::Allow,
                _ => EAFNOSUPPORT,
            },
        );
    }
    expect(&program, "socket", &[16, 3, 0], Action::Allow);
    for protocol in 1..32 {
        expect(&program, "socket", &[16, 3, protocol], EAFNOSUPPORT);
    }
}

#[test]
fn the_upper_half_of_an_int_argument_evades_no_rule() {
    let program = default_for(cap::HARDENED, X);
    let junk = 0xdead_beef_0000_0000;
    expect(&program, "socket", &[junk | 38, 5, 0], EAFNOSUPPORT);
    expect(&program, "socket", &[junk | 2, 1, 0], Action::Allow);
    expect(&program, "ioctl", &[0, junk | 0x5412], EPERM);
    expect(&program, "clone", &[junk | 0x1000_0000], EPERM);
    expect(&program, "personality", &[junk | 0x4_0000], EPERM);
    expect(floor(), "socket", &[junk | 38, 5, 0], EAFNOSUPPORT);
}

#[test]
fn other_architectures_and_x32_are_refused() {
    let program = default_for(cap::ALL, X);
    let foreign = Call::new(Arch::X86, "socketcall", &[1]);
    assert!(answers(&program, &foreign, EPERM));
    for number in [0x4000_0000u32, 0x4000_0029, 0x4000_0200, u32::MAX] {
        let call = Call { arch: X.audit(), number, arguments: [0; 6] };
        assert!(answers(&program, &call, EPERM), "{number:#x}");
        assert!(answers(floor(), &call, EPERM), "floor {number:#x}");
    }
}

#[test]
fn numbers_that_the_table_does_not_know_give_enosys() {
    let program = default_for(cap::HARDENED, X);
    for number in [337, 400, 423, 470, 500, 0x3fff_ffff] {
        let call = Call { arch: X.audit(), number, arguments: [0; 6] };
        assert!(answers(&program, &call, ENOSYS), "{number}");
    }
}

#[test]
fn a_capability_opens_its_calls_and_no_others() {
    for (capability, opened) in [
        (cap::SYS_ADMIN, "mount setns fsopen clone3 sethostname"),
        (cap::SYS_PTRACE, "ptrace process_vm_readv pidfd_getfd kcmp"),
        (cap::SYS_CHROOT, "chroot"),
        (cap::SYS_TIME, "settimeofday clock_settime"),
        (cap::SYSLOG, "syslog"),
        (cap::SYS_BOOT, "reboot"),
        (cap::SYS_RAWIO, "iopl ioperm"),
        (cap::SYS_NICE, "mbind move_pages"),
        (cap::SYS_MODULE, "init_module finit_module"),
        (cap::BPF, "bpf"),
        (cap::PERFMON, "perf_event_open"),
        (cap::SYS_PACCT, "acct"),
        (cap::SYS_TTY_CONFIG, "vhangup"),
    ] {
        let (with, without) = (default_for(cap::bit(capability), X), default_for(0, X));
        for call in opened.split_ascii_whitespace() {
            expect(&with, call, &[], Action::Allow);
            assert!(!answers(&without, &Call::new(X, call, &[]), Action::Allow), "{call}");
        }
        expect(&with, "kexec_load", &[], EPERM);
        expect(&with, "open_by_handle_at", &[], EPERM);
    }
    let net_admin = default_for(cap::bit(cap::NET_ADMIN), X);
    expect(&net_admin, "socket", &[16, 3, 12], Action::Allow);
    expect(&net_admin, "socket", &[16, 3, 6], EAFNOSUPPORT);
    expect(&default_for(cap::DOCKER, X), "socket", &[17, 3, 0], Action::Allow);
    expect(&default_for(cap::DOCKER, X), "socket", &[16, 3, 9], Action::Allow);
    expect(&default_for(cap::bit(cap::SYS_ADMIN), X), "clone", &[0x1000_0000], Action::Allow);
}

#[test]
fn the_floor_denies_its_list_and_passes_everything_else() {
    for call in "kexec_load init_module finit_module delete_module bpf open_by_handle_at swapon \
        perf_event_open"
        .split_ascii_whitespace()
    {
        expect(floor(), call, &[], EPERM);
    }
    for call in "io_uring_setup userfaultfd add_key request_key keyctl".split_ascii_whitespace() {
        expect(floor(), call, &[], ENOSYS);
    }
    expect(floor(), "keyctl", &[1], Action::Allow);
    for call in "read mount unshare clone3 ptrace reboot".split_ascii_whitespace() {
        expect(floor(), call, &[], Action::Allow);
    }
    for family in [38, 33, 15, 40, 30, 21] {
        expect(floor(), "socket", &[family], EAFNOSUPPORT);
    }
    let old = |name, arguments: &[u64]| run(floor(), &Call::new(Arch::X86, name, arguments));
    assert_eq!(old("bpf", &[]), EPERM.code());
    assert_eq!(old("socketcall", &[1]), EAFNOSUPPORT.code());
    assert_eq!(old("socketcall", &[3]), Action::Allow.code());
    assert_eq!(old("write", &[]), Action::Allow.code());
}

#[test]
fn the_check_refuses_programs_that_lie_or_run_away() {
    let ret = |k| Instruction { code: 0x06, jt: 0, jf: 0, k };
    let check = |program: &[Instruction]| validate(&to_bytes(program));
    let allow = ret(0x7fff_0000);
    assert!(check(&[allow]).is_ok());
    assert_eq!(check(&[]), Err(InvalidProgram::Length(0)));
    assert_eq!(check(&vec![allow; 4097]), Err(InvalidProgram::Length(4097)));
    assert!(check(&vec![allow; 4096]).is_ok());
    assert_eq!(validate(&[0; 9]), Err(InvalidProgram::Size(9)));
    assert_eq!(check(&[ret(0x0005_0000)]), Err(InvalidProgram::Verdict(0)), "ERRNO 0");
    assert_eq!(check(&[ret(0x0005_ffff)]), Err(InvalidProgram::Verdict(0)), "ERRNO 65535");
    assert_eq!(check(&[ret(0x7fc0_0000)]), Err(InvalidProgram::Verdict(0)), "USER_NOTIF");
    let with = |code, jt, jf, k| [Instruction { code, jt, jf, k }, allow];
    for program in [with(0x15, 1, 0, 0), with(0x15, 0, 1, 0), with(0x05, 0, 0, 1)] {
        assert_eq!(check(&program), Err(InvalidProgram::Jump(0)));
    }
    assert_eq!(check(&with(0x05, 0, 0, u32::MAX)), Err(InvalidProgram::Jump(0)));
    for (code, k) in [(0x20, 64), (0x20, 2), (0x60, 16), (0x34, 0), (0x64, 32)] {
        assert_eq!(check(&with(code, 0, 0, k)), Err(InvalidProgram::Operand(0)));
    }
    for code in [0x16, 0x28, 0x30, 0x40, 0x94, 0x9c, 0xffff] {
        assert_eq!(check(&with(code, 0, 0, 0)), Err(InvalidProgram::Opcode(0)));
    }
    let no_return = [allow, Instruction { code: 0x20, jt: 0, jf: 0, k: 0 }];
    assert_eq!(check(&no_return), Err(InvalidProgram::NoReturn));
}

#[test]
fn a_profile_without_meaning_has_no_program() {
    let profile = |rule: Rule| Profile {
        architectures: vec![X],
        rules: vec![rule],
        default: Action::Allow,
        unknown: Action::Allow,
        foreign: Action::Allow,
    };
    let condition =
        Condition { argument: 0, width: Width::Long, comparison: Comparison::Less, value: 1 };
    let rule = |conditions, action| Rule { syscalls: vec!["read".into()], conditions, action };
    let compiled = |conditions, action| compile(&profile(rule(conditions, action)));
    assert_eq!(compiled(vec![], Action::Errno(0)), Err(CompileError::Errno(0)));
    assert_eq!(compiled(vec![], Action::Errno(4096)), Err(CompileError::Errno(4096)));
    let sixth = Condition { argument: 6, ..condition };
    assert_eq!(compiled(vec![sixth], EPERM), Err(CompileError::Argument(6)));
    assert!(compiled(vec![condition; 24], EPERM).is_ok());
    assert_eq!(compiled(vec![condition; 25], EPERM), Err(CompileError::Conditions(24)));
}

fn comparison() -> impl Strategy<Value = Comparison> {
    prop_oneof![
        Just(Comparison::Equal),
        Just(Comparison::NotEqual),
        Just(Comparison::Less),
        Just(Comparison::LessOrEqual),
        Just(Comparison::Greater),
        Just(Comparison::GreaterOrEqual),
        word().prop_map(|mask| Comparison::Masked { mask }),
    ]
}

/// Numbers that meet often, in either half.
fn word() -> impl Strategy<Value = u64> {
    let half = prop_oneof![0..3u64, Just(0xffff_ffffu64), Just(0x8000_0000u64), 0..=0xffff_ffffu64];
    (half.clone(), half).prop_map(|(high, low)| high << 32 | low)
}

fn condition() -> impl Strategy<Value = Condition> {
    (0..3u8, any::<bool>(), comparison(), word()).prop_map(|(argument, long, comparison, value)| {
        let width = if long { Width::Long } else { Width::Int };
        Condition { argument, width, comparison, value }
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let names = ["read", "write", "openat", "clone3", "mseal", "no_such_call"];
    (
        proptest::collection::vec(proptest::sample::select(names.to_vec()), 0..4),
        proptest::collection::vec(condition(), 0..4),
        prop_oneof![Just(Action::Allow), (1..4096u16).prop_map(Action::Errno), Just(Action::Trap)],
    )
        .prop_map(|(names, conditions, action)| Rule {
            syscalls: names.into_iter().map(str::to_owned).collect(),
            conditions,
            action,
        })
}

/// What the documentation of [`Condition`] says.
fn holds(condition: &Condition, arguments: &[u64; 6]) -> bool {
    let cut = |value: u64| match condition.width {
        Width::Int => value & 0xffff_ffff,
        Width::Long => value,
    };
    let (argument, value) = (cut(arguments[usize::from(condition.argument)]), cut(condition.value));
    match condition.comparison {
        Comparison::Equal => argument == value,
        Comparison::NotEqual => argument != value,
        Comparison::Less => argument < value,
        Comparison::LessOrEqual => argument <= value,
        Comparison::Greater => argument > value,
        Comparison::GreaterOrEqual => argument >= value,
        Comparison::Masked { mask } => argument & mask == value,
    }
}

proptest! {
    #[test]
    fn a_compiled_profile_means_what_its_rules_say(
        rules in proptest::collection::vec(rule(), 0..12),
        name in proptest::sample::select(vec!["read", "write", "openat", "clone3", "mseal", "close"]),
        arguments in proptest::array::uniform6(word()),
    ) {
        let profile = Profile {
            architectures: vec![Arch::X86_64, Arch::Aarch64],
            rules,
            default: EPERM,
            unknown: ENOSYS,
            foreign: Action::KillProcess,
        };
        let program = compile(&profile).unwrap();
        prop_assert!(validate(&to_bytes(&program)).is_ok());
        let expected = profile
            .rules
            .iter()
            .find(|rule| {
                rule.syscalls.iter().any(|known| known == name)
                    && rule.conditions.iter().all(|condition| holds(condition, &arguments))
            })
            .map_or(profile.default, |rule| rule.action);
        for arch in ARCHES {
            let call = Call::new(arch, name, &arguments);
            prop_assert_eq!(run(&program, &call), expected.code());
        }
        let foreign = Call { arch: 0, number: 0, arguments };
        prop_assert_eq!(run(&program, &foreign), Action::KillProcess.code());
    }

    #[test]
    fn the_check_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        drop(validate(&bytes));
    }
}
