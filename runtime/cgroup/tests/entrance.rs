//! A process of one thread enters a group by itself. No test harness: that has threads.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use bulkhead_cgroup::Hierarchy;
use bulkhead_sys::clone::{Clone, clone};
use bulkhead_sys::fork::{Forked, SingleThreaded, exit};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::thread::UnshareFlags;
use std::os::fd::AsFd;
use std::process::Command;

const INSIDE: &str = "inside";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.as_slice() {
        [_, role, parent] if role == INSIDE => enter(parent),
        _ => a_process_that_entered_is_in_every_hierarchy(),
    }
}

fn a_process_that_entered_is_in_every_hierarchy() {
    let name = format!("bulkhead-entrance-{}", std::process::id());
    let parent = Hierarchy::detect().unwrap().parent(&name).unwrap();
    let cgroup = parent.create("c").unwrap();
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).args([INSIDE, &name]).output().unwrap();
    cgroup.remove().unwrap();
    parent.remove().unwrap();

    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let (by_attach, by_entrance) = text.split_once("---\n").unwrap();
    assert!(by_entrance.contains(&format!("/{name}/c\n")), "{by_entrance}");
    assert_eq!(by_attach, by_entrance);
    println!("test a_process_that_entered_is_in_every_hierarchy ... ok");
}

/// Tell where processes are that came in each of the ways, the one that entered by itself last.
fn enter(parent: &str) {
    let parent = Hierarchy::detect().unwrap().parent(parent).unwrap();
    let cgroup = parent.open("c").unwrap();
    let mut attached = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
    cgroup.attach(attached.id()).unwrap();
    let membership = std::fs::read_to_string(format!("/proc/{}/cgroup", attached.id())).unwrap();
    drop(attached.stdin.take());
    attached.wait().unwrap();

    let entrance = cgroup.entrance().unwrap();
    // Neither in a user namespace, without any privilege here, nor in a pid namespace, where its pid
    // is another, is it kept from entering.
    for namespaces in [UnshareFlags::empty(), UnshareFlags::NEWUSER | UnshareFlags::NEWPID] {
        let how = Clone {
            namespaces: Some(namespaces),
            cgroup: entrance.clone_into_fd(),
            ..Clone::default()
        };
        match clone(SingleThreaded::check().unwrap(), &how).unwrap() {
            Forked::Child => {
                let entered = entrance.enter().is_ok();
                let found = std::fs::read_to_string("/proc/self/cgroup").unwrap();
                exit(if entered && found == membership { 0 } else { 1 });
            }
            Forked::Parent { pidfd, .. } => {
                let status = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED);
                assert_eq!(status.unwrap().unwrap().exit_status(), Some(0), "{namespaces:?}");
            }
        }
    }
    entrance.enter().unwrap();
    entrance.enter().unwrap();
    print!("{membership}---\n{}", std::fs::read_to_string("/proc/self/cgroup").unwrap());
}
