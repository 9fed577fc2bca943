//! Who may link whom, and every crate that is in the process that runs as root.

use std::collections::BTreeSet;
use std::process::Command;

/// Every crate in the root process, ours and others', build dependencies included. A line added
/// here is a change to what we trust as root: say why in the commit.
const IN_THE_SHIM: &[&str] = &[
    "bitflags",
    "bulkhead-cgroup",
    "bulkhead-network",
    "bulkhead-policy",
    "bulkhead-proto",
    "bulkhead-runtime",
    "bulkhead-shim",
    "bulkhead-sys",
    "libc",
    "linux-raw-sys",
    "minicbor",
    "rustix",
    "seccompiler",
];

/// The most crates of others in the root process.
const MOST_THIRD_PARTY: usize = 14;

fn tree(package: &str, edges: &str) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--prefix", "none", "-p", package, "-e", edges])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo tree");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn the_root_process_links_what_is_listed_and_nothing_else() {
    let found = tree("bulkhead-shim", "normal,build");
    let listed: BTreeSet<String> = IN_THE_SHIM.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(found, listed, "crates in the root process");
    let others = found.iter().filter(|name| !name.starts_with("bulkhead-")).count();
    println!("crates of others in the root process: {others} of at most {MOST_THIRD_PARTY}");
    assert!(others <= MOST_THIRD_PARTY);
}

#[test]
fn the_network_side_never_links_the_root_side() {
    let root_side =
        ["shim", "runtime", "cgroup", "network", "sys"].map(|name| format!("bulkhead-{name}"));
    for package in
        ["bulkhead-apid", "bulkhead-engine", "bulkhead-cli", "bulkhead-image", "bulkhead-worker"]
    {
        let found = tree(package, "normal,build");
        for name in &root_side {
            assert!(!found.contains(name), "{package} links {name}");
        }
    }
}

#[test]
fn pure_crates_stay_pure() {
    for (package, admitted) in [
        ("bulkhead-proto", &["bulkhead-proto", "minicbor"][..]),
        ("bulkhead-policy", &["bulkhead-policy", "bulkhead-proto", "minicbor"]),
    ] {
        let found = tree(package, "normal,build");
        let extra: Vec<_> =
            found.iter().filter(|name| !admitted.contains(&name.as_str())).collect();
        assert!(extra.is_empty(), "{package} links {extra:?}");
    }
    // The runtime does not know that a channel exists: it takes policy's types and no other of ours.
    let manifest = include_str!("../../runtime/Cargo.toml");
    assert!(!manifest.contains("bulkhead-proto"), "runtime names proto only through policy");
}
