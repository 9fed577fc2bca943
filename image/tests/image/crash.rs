//! A process that is killed at any moment leaves a store that opens and is whole.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use bulkhead_image::{ImageStore, ListFilter, RemoveOptions};
use serde_json::json;

use crate::archive::add;
use crate::sink::{Sink, fresh};

const DIRECTORY: &str = "BULKHEAD_TEST_STORE";

/// Adds and removes images until it is killed. Run by the test below; alone it does nothing.
#[test]
fn child_that_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let store = ImageStore::open(Path::new(&directory)).unwrap();
    let sink = Sink::default();
    for number in 0.. {
        let author = json!({"author": number.to_string()});
        add(&store, &sink, &["shared", &number.to_string()], author, &[&format!("app:{number}")]);
        println!("added {number}");
        if number % 2 == 1 {
            let options = RemoveOptions { force: false, prune: true };
            store.remove(&format!("app:{}", number - 1), options, &|_| Vec::new()).unwrap();
            println!("removed {}", number - 1);
        }
    }
}

#[test]
fn a_store_is_whole_after_kill_9_at_any_moment() {
    let (directory, store, _sink) = fresh();
    drop(store);
    for lines in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child_that_is_killed", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // The output begins with some lines of the test runner's own.
        let output = BufReader::new(child.stdout.take().unwrap());
        let said: Vec<String> = output.lines().take(lines + 3).map(Result::unwrap).collect();
        child.kill().unwrap();
        child.wait().unwrap();

        let store = ImageStore::open(directory.path()).unwrap();
        let all = ListFilter { all: true, ..ListFilter::default() };
        for image in store.list(&all).unwrap() {
            assert_eq!(image.repo_tags.len(), 1);
            let whole = store.image(&image.id).unwrap();
            assert_eq!(store.layer_sizes(&image.id).unwrap().len(), 2);
            assert_eq!(whole.config.rootfs.diff_ids.len(), 2);
            assert_eq!(store.resolve(&image.repo_tags[0]).unwrap(), image.id);
        }
        let blobs = std::fs::read_dir(directory.path().join("blobs/sha256")).unwrap().count();
        assert_eq!(blobs as u64, store.count().unwrap(), "no file without an image");
        // Of what was said to be done nothing is undone. Odd numbers are never removed.
        for line in &said {
            if let Some(number) = line.strip_prefix("removed ") {
                assert!(store.resolve(&format!("app:{number}")).is_err(), "{number} is back");
            }
            if let Some(number) = line.strip_prefix("added ").filter(|line| is_odd(line)) {
                assert!(store.resolve(&format!("app:{number}")).is_ok(), "{number} is lost");
            }
        }
        // The next child begins anew: its numbers are free.
        for image in store.list(&all).unwrap() {
            let force = RemoveOptions { force: true, prune: true };
            store.remove(&image.id.to_string(), force, &|_| Vec::new()).unwrap();
        }
        assert_eq!(store.count().unwrap(), 0);
    }
}

fn is_odd(number: &str) -> bool {
    number.parse::<u64>().unwrap() % 2 == 1
}
