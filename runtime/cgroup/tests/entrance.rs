//! A process of one thread enters a group by itself. No test harness: that has threads.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use bulkhead_cgroup::Hierarchy;
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
    assert!(output.status.success(), "{text}");
    let (by_attach, by_entrance) = text.split_once("---\n").unwrap();
    assert!(by_entrance.contains(&format!("/{name}/c\n")), "{by_entrance}");
    assert_eq!(by_attach, by_entrance);
    println!("test a_process_that_entered_is_in_every_hierarchy ... ok");
}

/// Tell where a process is that entered twice, after where one is that was attached.
fn enter(parent: &str) {
    let parent = Hierarchy::detect().unwrap().parent(parent).unwrap();
    let cgroup = parent.open("c").unwrap();
    let mut attached = Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
    cgroup.attach(attached.id()).unwrap();
    print!("{}", std::fs::read_to_string(format!("/proc/{}/cgroup", attached.id())).unwrap());
    drop(attached.stdin.take());
    attached.wait().unwrap();

    let entrance = cgroup.entrance().unwrap();
    entrance.enter().unwrap();
    entrance.enter().unwrap();
    print!("---\n{}", std::fs::read_to_string("/proc/self/cgroup").unwrap());
}
