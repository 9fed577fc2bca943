//! The kernel takes our programs, and does what the interpreter says it does.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests end where something is not as it should be"
)]

use bulkhead_policy::{capability, seccomp};
use rustix::io::Errno;
use rustix::mount::{FsOpenFlags, MountFlags, UnmountFlags, fsopen, mount, unmount};
use rustix::net::{AddressFamily, Protocol, SocketType, netlink, socket};
use std::process::{Command, Output};
use std::thread;

/// Runs `body` on a thread of its own that has the floor and the default profile, as a container's
/// process has. What the thread forks has them too.
fn confined<T: Send + 'static>(capabilities: u64, body: impl FnOnce() -> T + Send + 'static) -> T {
    let programs = [seccomp::floor().to_vec(), seccomp::default_profile(capabilities)];
    thread::spawn(move || {
        for program in programs {
            let filter: Vec<seccompiler::sock_filter> = program
                .iter()
                .map(|one| seccompiler::sock_filter {
                    code: one.code,
                    jt: one.jt,
                    jf: one.jf,
                    k: one.k,
                })
                .collect();
            seccompiler::apply_filter(&filter).unwrap();
        }
        body()
    })
    .join()
    .unwrap()
}

fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    Command::new(program).args(arguments).output().ok()
}

/// Threads, children, sockets, files, memory.
const PYTHON: &str = "import threading, subprocess, socket, asyncio, tempfile, mmap, sqlite3, \
        multiprocessing, ssl\n\
        t = [threading.Thread(target=lambda: None) for _ in range(8)]\n\
        [x.start() for x in t]; [x.join() for x in t]\n\
        subprocess.run(['true'], check=True)\n\
        a, b = socket.socketpair(); s = socket.create_server(('127.0.0.1', 0))\n\
        socket.create_connection(s.getsockname()); socket.getaddrinfo('localhost', 80)\n\
        asyncio.run(asyncio.sleep(0)); tempfile.TemporaryFile().write(b'x')\n\
        mmap.mmap(-1, 4096); sqlite3.connect(':memory:').execute('select 1')\n\
        p = multiprocessing.get_context('fork').Process(target=int); p.start(); p.join()\n\
        assert p.exitcode == 0; print('fine')";

#[test]
fn ordinary_programs_do_not_notice_the_filter() {
    let programs: [(&str, &[&str]); 8] = [
        (
            "sh",
            &[
                "-c",
                "set -e; echo a | cat | tr a b >/dev/null; (exit 0); ls -l / >/dev/null; echo fine",
            ],
        ),
        ("python3", &["-c", PYTHON]),
        (
            "perl",
            &["-e", "use POSIX; my $p = fork // die; exit 0 if !$p; waitpid $p, 0; print 'fine'"],
        ),
        ("node", &["-e", "require('fs').readFile('/etc/passwd', () => console.log('fine'))"]),
        ("java", &["-version"]),
        ("ip", &["address", "show", "lo"]),
        ("apt-cache", &["policy"]),
        ("busybox", &["sh", "-c", "echo fine | busybox grep fine"]),
    ];
    let mut tried = 0;
    for (program, arguments) in programs {
        let Some(output) = confined(capability::HARDENED, move || run(program, arguments)) else {
            println!("{program}: not installed");
            continue;
        };
        assert!(output.status.success(), "{program}: {output:?}");
        tried += 1;
    }
    assert!(tried > 1, "at least the shell");
}

#[test]
fn sockets_of_other_families_are_refused() {
    confined(capability::HARDENED, || {
        let stream = |family| socket(family, SocketType::STREAM, None).map(drop);
        for family in [AddressFamily::UNIX, AddressFamily::INET] {
            assert_eq!(stream(family), Ok(()), "{family:?}");
        }
        // AF_KEY, AF_PACKET, AF_RXRPC, AF_ALG, AF_VSOCK, AF_XDP.
        for family in [15, 17, 33, 38, 40, 44].map(AddressFamily::from_raw) {
            assert_eq!(stream(family), Err(Errno::AFNOSUPPORT), "{family:?}");
        }
        let netlink = |protocol: Option<Protocol>| {
            socket(AddressFamily::NETLINK, SocketType::RAW, protocol).map(drop)
        };
        assert_eq!(netlink(None), Ok(()), "route");
        for protocol in [netlink::XFRM, netlink::AUDIT, netlink::NETFILTER, netlink::GENERIC] {
            assert_eq!(netlink(Some(protocol)), Err(Errno::AFNOSUPPORT), "{protocol:?}");
        }
    });
}

#[test]
fn mounting_is_refused_without_its_capability_and_reaches_the_kernel_with_it() {
    let attempt = || {
        let mounted = mount("none", "/nonexistent", "tmpfs", MountFlags::empty(), None);
        let opened = fsopen("no such file system", FsOpenFlags::FSOPEN_CLOEXEC).map(drop);
        let unmounted = unmount("/nonexistent", UnmountFlags::DETACH);
        [mounted, opened, unmounted].map(Result::unwrap_err)
    };
    assert_eq!(confined(capability::DOCKER, attempt), [Errno::PERM; 3]);
    let through = confined(capability::bit(capability::SYS_ADMIN) | capability::DOCKER, attempt);
    // Whoever is not root gets EPERM from the kernel itself.
    if rustix::process::geteuid().is_root() {
        assert_eq!(through, [Errno::NOENT, Errno::NODEV, Errno::NOENT]);
    }
}

#[test]
fn namespaces_are_refused_to_programs() {
    for option in ["--user", "--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup"] {
        let output = confined(capability::DOCKER, move || run("unshare", &[option, "true"]));
        let Some(output) = output else { return println!("unshare: not installed") };
        assert!(!output.status.success(), "{option}");
    }
}
