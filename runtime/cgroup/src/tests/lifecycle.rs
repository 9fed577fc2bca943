//! Groups come and go, with what runs in them.

use super::{Host, Mounts, Shell};
use crate::Error;
use bulkhead_policy::proto::Resources;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::AsFd;

#[test]
fn created_groups_are_listed_and_nothing_is_left_of_removed_ones() {
    for host in Host::each() {
        let names = ["a", "b.c-9", &"f".repeat(64)];
        for name in names {
            assert_eq!(host.create(name).name(), name);
        }
        assert_eq!(host.parent().list().unwrap(), names);
        assert!(matches!(host.parent().create("a"), Err(Error::Exists { .. })));
        for name in names {
            host.parent().open(name).unwrap().remove().unwrap();
            assert!(host.paths(name, "cgroup.procs").is_empty());
        }
        assert!(host.parent().list().unwrap().is_empty());
        assert!(matches!(host.parent().open("a"), Err(Error::NotFound { .. })));
        // Its parent made again is the same one.
        assert!(host.hierarchy.parent(&host.name).is_ok());
    }
}

#[test]
fn names_that_could_leave_the_directory_are_refused() {
    for host in Host::each() {
        for name in ["", ".", "..", "-a", "a/b", "/a", "A", "a_b", "a\n", "a b", &"f".repeat(129)] {
            assert!(matches!(host.parent().create(name), Err(Error::Name { .. })), "{name:?}");
            assert!(matches!(host.parent().open(name), Err(Error::Name { .. })), "{name:?}");
            assert!(matches!(host.hierarchy.parent(name), Err(Error::Name { .. })), "{name:?}");
        }
    }
}

#[test]
fn a_group_in_some_hierarchies_only_takes_no_process_and_can_be_removed() {
    let Some(host) = Host::new(Mounts::AsTheyAre).filter(|host| host.hierarchy.version() == 1)
    else {
        return;
    };
    let [pids] = host.paths(".", "pids.max").try_into().unwrap();
    let left_over = pids.with_file_name("crashed");
    std::fs::create_dir(left_over).unwrap();
    assert!(matches!(host.parent().create("crashed"), Err(Error::Exists { .. })));
    assert_eq!(host.paths("crashed", "cgroup.procs").len(), 1);
    let cgroup = host.parent().open("crashed").unwrap();
    assert!(matches!(cgroup.attach(std::process::id()), Err(Error::Incomplete { .. })));
    assert_eq!(host.parent().list().unwrap(), ["crashed"]);
    cgroup.remove().unwrap();
    assert!(host.parent().list().unwrap().is_empty());
}

#[test]
fn an_attached_process_is_in_every_hierarchy() {
    for host in Host::each() {
        let cgroup = host.create("attach");
        assert!(cgroup.is_empty().unwrap());
        let mut shell = Shell::in_group(&cgroup, "echo ready; kill -STOP $$");
        let path = format!(":/{}/attach", host.name);
        assert_eq!(shell.line(), "ready");
        let membership = std::fs::read_to_string(format!("/proc/{}/cgroup", shell.0.id())).unwrap();
        let nodes = host.paths("attach", "cgroup.procs").len();
        assert_eq!(membership.lines().filter(|line| line.ends_with(&path)).count(), nodes);
        assert_eq!(cgroup.procs().unwrap(), [shell.0.id()]);
        assert!(!cgroup.is_empty().unwrap());
        assert!(cgroup.attach(u32::MAX).is_err());
        cgroup.remove().unwrap();
        assert_eq!(shell.end(), -9);
    }
}

#[test]
fn a_group_can_be_frozen_before_a_process_is_in_it() {
    for host in Host::each() {
        let cgroup = host.create("empty");
        cgroup.freeze().unwrap();
        cgroup.thaw().unwrap();
    }
}

fn speaks_within(shell: &Shell, milliseconds: i64) -> bool {
    let output = shell.0.stdout.as_ref().unwrap();
    let mut polled = [PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN)];
    let timeout = Timespec { tv_sec: 0, tv_nsec: milliseconds * 1_000_000 };
    poll(&mut polled, Some(&timeout)).unwrap() == 1
}

#[test]
fn a_frozen_process_does_nothing_until_it_is_thawed() {
    for host in Host::each() {
        let cgroup = host.create("freeze");
        let mut shell = Shell::in_group(&cgroup, "while :; do echo spinning; done");
        assert_eq!(shell.line(), "spinning");
        assert!(!cgroup.is_frozen().unwrap());
        cgroup.freeze().unwrap();
        assert!(cgroup.is_frozen().unwrap());
        while speaks_within(&shell, 0) {
            let output = shell.0.stdout.as_ref().unwrap();
            rustix::io::read(output, &mut [0; 65_536]).unwrap();
        }
        assert!(!speaks_within(&shell, 100));
        cgroup.freeze().unwrap();
        cgroup.thaw().unwrap();
        assert!(speaks_within(&shell, 900));
        cgroup.thaw().unwrap();
        assert!(!cgroup.is_frozen().unwrap());
    }
}

#[test]
fn killing_reaches_a_tree_whose_branches_have_left_their_session() {
    for host in Host::each() {
        for frozen in [false, true] {
            let cgroup = host.create("tree");
            let script =
                "setsid sh -c 'sleep 1000 & sleep 1000 & trap \"\" TERM; echo ready; wait' & wait";
            let mut shell = Shell::in_group(&cgroup, script);
            assert_eq!(shell.line(), "ready");
            assert_eq!(cgroup.procs().unwrap().len(), 4);
            if frozen {
                cgroup.freeze().unwrap();
            }
            cgroup.kill().unwrap();
            assert_eq!(shell.end(), -9);
            cgroup.remove().unwrap();
        }
    }
}

#[test]
fn killing_ends_a_fork_bomb() {
    for host in Host::limiting() {
        let cgroup = host.create("bomb");
        cgroup.apply(&Resources { pids: Some(64), ..Resources::default() }).unwrap();
        let script = "exec 2>/dev/null; echo ready; f() { while :; do f & done; }; f";
        let mut shell = Shell::in_group(&cgroup, script);
        assert_eq!(shell.line(), "ready");
        while !host.read("bomb", "pids.events").starts_with("max ")
            || host.read("bomb", "pids.events") == "max 0"
        {
            std::thread::yield_now();
        }
        cgroup.kill().unwrap();
        cgroup.remove().unwrap();
    }
}

#[test]
fn a_signal_reaches_all() {
    for host in Host::each() {
        let cgroup = host.create("signal");
        let script = "sleep 1000 & trap 'wait; echo caught; exit 7' USR1; trap : TERM; \
                      echo ready; wait; wait; exit 8";
        let mut shell = Shell::in_group(&cgroup, script);
        assert_eq!(shell.line(), "ready");
        cgroup.signal_all(10).unwrap();
        assert_eq!(shell.line(), "caught");
        assert_eq!(shell.end(), 7);
        let mut shell = Shell::in_group(&cgroup, "echo ready; kill -STOP $$");
        assert_eq!(shell.line(), "ready");
        cgroup.signal_all(64).unwrap();
        cgroup.signal_all(18).unwrap();
        assert_eq!(shell.end(), -64);
        for none in [0, 65, u8::MAX] {
            assert!(matches!(cgroup.signal_all(none), Err(Error::Invalid { .. })));
        }
    }
}

#[test]
fn removal_takes_processes_and_groups_below_along() {
    for host in Host::each() {
        let cgroup = host.create("nested");
        for procs in host.paths("nested", "cgroup.procs") {
            std::fs::create_dir_all(procs.with_file_name("x").join("y")).unwrap();
            std::fs::create_dir(procs.with_file_name("z")).unwrap();
        }
        let script = "for f in DIRS; do echo $$ >$f; done; echo ready; sleep 1000 & wait";
        let inner: Vec<String> = host
            .paths("nested/x/y", "cgroup.procs")
            .iter()
            .map(|p| p.display().to_string())
            .collect();
        // cpuset on v1 takes no process before it has processors, which y has got from above.
        let mut shell = Shell::in_group(&cgroup, &script.replace("DIRS", &inner.join(" ")));
        assert_eq!(shell.line(), "ready");
        assert!(!cgroup.is_empty().unwrap());
        assert!(cgroup.procs().unwrap().contains(&shell.0.id()));
        cgroup.remove().unwrap();
        assert_eq!(shell.end(), -9);
        assert!(host.paths("nested", "cgroup.procs").is_empty());
    }
}

#[test]
fn on_v2_and_hybrid_there_is_a_directory_to_clone_into() {
    for host in Host::each() {
        let cgroup = host.create("clone");
        assert_eq!(cgroup.clone_into_fd().is_some(), host.hierarchy.version() == 2);
        let unified = host.paths("clone", "cgroup.kill").len();
        assert_eq!(cgroup.entrance().unwrap().clone_into_fd().is_some(), unified == 1);
    }
}
