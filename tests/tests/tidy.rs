//! House rules that a program can check.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// Lines of a source file, tests in it included, beyond which it is not one thing any more.
const MOST_LINES_A_FILE: usize = 500;
/// Files that are longer for a reason.
const LONGER: &[(&str, &str)] = &[];
/// Lines of the root process's own code, without tests: the goal, and what it may not grow beyond
/// until it is met.
const ROOT_LINES_GOAL: usize = 10_000;
const MOST_ROOT_LINES: usize = 18_500;
/// What root is made of.
const ROOT_CODE: &[&str] = &[
    "shim/src",
    "shim/proto/src",
    "security/policy/src",
    "runtime/src",
    "runtime/sys/src",
    "runtime/cgroup/src",
    "runtime/network/src",
];
/// Bytes of the static root program: the goal, and what it may not grow beyond until it is met.
const SHIM_BYTES_GOAL: u64 = 1_572_864;
const MOST_SHIM_BYTES: u64 = 2_200_000;

/// Source files that git knows or would know.
fn sources() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"])
        .current_dir(ROOT)
        .output()
        .expect("git ls-files");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let paths = text.lines().map(PathBuf::from);
    paths.filter(|path| Path::new(ROOT).join(path).exists()).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).expect("readable")
}

/// A file's text before its test module.
fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default()
}

#[test]
fn files_are_one_thing() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|path| !LONGER.iter().any(|(name, _)| path.ends_with(name)))
        .map(|path| (path, read(path).lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES_A_FILE)
        .map(|(path, lines)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn root_code_stays_small() {
    let (mut total, mut code) = (0, 0);
    for folder in ROOT_CODE {
        let texts: Vec<String> = sources()
            .iter()
            .filter(|path| path.starts_with(folder) && !path.ends_with("tests.rs"))
            .filter(|path| {
                !path.components().any(|part| part.as_os_str().to_string_lossy().ends_with("tests"))
            })
            .map(|path| without_tests(&read(path)).to_owned())
            .collect();
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
        let lines: usize = texts.iter().map(|text| text.lines().count()).sum();
        let of_code: usize = texts.iter().map(|text| text.lines().filter(is_code).count()).sum();
        println!("{folder}: {lines} lines, {of_code} of code");
        total += lines;
        code += of_code;
    }
    println!("root's own code: {total} lines, {code} of code; the goal is {ROOT_LINES_GOAL}");
    assert!(total <= MOST_ROOT_LINES);
}

#[test]
fn the_root_program_stays_small() {
    match fs::metadata(Path::new(ROOT).join("target/release/bulkhead-shim")) {
        Ok(program) => {
            println!("bulkhead-shim: {} bytes; the goal is {SHIM_BYTES_GOAL}", program.len());
            assert!(program.len() <= MOST_SHIM_BYTES);
        }
        Err(_) => bulkhead_tests::skip("the_root_program_stays_small", "not built: make build"),
    }
}

#[test]
fn unsafe_stands_in_one_crate() {
    for path in sources() {
        if path.starts_with("runtime/sys") || path.ends_with("tests/tests/tidy.rs") {
            continue;
        }
        let text = read(&path);
        let found = text.lines().find(|line| {
            let code = line.split("//").next().unwrap_or_default();
            ["unsafe {", "unsafe fn", "unsafe impl"].iter().any(|word| code.contains(word))
        });
        assert!(found.is_none(), "{}: {}", path.display(), found.unwrap_or_default());
    }
}

#[test]
fn no_module_is_a_grab_bag() {
    for path in sources() {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let bad = ["common", "utils", "util", "helpers", "core", "misc", "inner"];
        assert!(!bad.contains(&stem), "{}", path.display());
    }
}

#[test]
fn nothing_is_left_unfinished() {
    let words = [
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("FIX", "ME"),
        concat!("db", "g!("),
    ];
    for path in sources() {
        let text = read(&path);
        for word in words {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn every_request_is_in_the_boundary_document() {
    let document = read(Path::new("PRIVSEP.md"));
    for kind in bulkhead_proto::RequestKind::ALL {
        let name = format!("`{}`", kind.name());
        assert!(document.contains(&name), "PRIVSEP.md does not say what {name} is");
    }
}

#[test]
fn an_ignored_test_says_why() {
    let bare = concat!("#[ign", "ore]");
    for path in sources() {
        assert!(!read(&path).contains(bare), "{}", path.display());
    }
}
