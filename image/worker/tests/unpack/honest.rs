//! Archives that other programs make are unpacked as GNU tar unpacks them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::program::{Run, STORAGE_BASE, unpack};
use crate::tarball::{Tarball, gzip};
use crate::tree::listing;

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn command(program: &str, arguments: &[&str], directory: &Path) -> Vec<u8> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{program} {arguments:?}");
    output.stdout
}

/// A tree with one of everything, made by a shell.
fn specimen() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let long = "long".repeat(50);
    let script = format!(
        r#"umask 022
        mkdir -p a/b/c "{long}/{long}/{long}" 'odd name' shared; echo hello > a/f; echo x > "{long}/{long}/{long}/f"
        ln a/f a/b/hard; ln -s ../f a/b/soft; ln -s /etc/passwd abs; ln -s "{long}/{long}/{long}/f" far; ln "{long}/{long}/{long}/f" near
        mkfifo fifo; head -c 300000 /dev/urandom > big; : > empty; echo y > 'odd name/new
line'; chmod 4755 a/f; chmod 2775 shared; chmod 1777 a/b; chmod 0 empty; chmod 0500 a/b/c
        chown 1:2 a/b/c; chown 65534:65534 big; chown 1000:1000 shared
        touch -d '2001-02-03 04:05:06.123456789' big; touch -h -d '1969-01-01' abs; touch -d '2100-01-01' a
        "#
    );
    command("sh", &["-ec", &script], directory.path());
    directory
}

fn same_as_gnu_tar(archive: &[u8]) -> Run {
    let run = unpack(archive);
    let unpacked = run.unpacked();
    assert_eq!(unpacked.digest, hex(archive));
    assert_eq!(unpacked.packed_bytes, archive.len() as u64);

    let other = tempfile::tempdir().unwrap();
    let file = other.path().join("archive");
    fs::write(&file, archive).unwrap();
    let root = other.path().join("root");
    fs::create_dir(&root).unwrap();
    let file = file.to_str().unwrap();
    let quiet = "--warning=no-timestamp";
    command("tar", &[quiet, "--numeric-owner", "--same-owner", "-xpf", file], &root);
    let (ours, theirs) = (listing(&run.root, STORAGE_BASE), listing(&root, 0));
    for (name, line) in &theirs {
        assert_eq!(ours.get(name), Some(line), "{name}");
    }
    assert_eq!(ours.len(), theirs.len());
    run
}

#[test]
fn every_format_of_gnu_tar_is_unpacked_as_it_does() {
    let specimen = specimen();
    for format in ["gnu", "oldgnu", "posix"] {
        let format = format!("--format={format}");
        let plain = command("tar", &["--numeric-owner", &format, "-cf", "-", "."], specimen.path());
        let run = same_as_gnu_tar(&plain);
        assert_eq!(run.unpacked().diff_id, hex(&plain));
    }
}

#[test]
fn gzip_and_zstd_give_the_same_layer_as_plain() {
    let specimen = specimen();
    let plain = command("tar", &["--format=posix", "-cf", "-", "."], specimen.path());
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("plain"), &plain).unwrap();
    for program in [
        &["gzip", "-c", "plain"][..],
        &["zstd", "-c", "plain"],
        &["zstd", "-19", "--long=27", "-c", "plain"],
        &["sh", "-c", "head -c 100000 plain | gzip; tail -c +100001 plain | gzip"],
        &["sh", "-c", "head -c 100000 plain | zstd; tail -c +100001 plain | zstd"],
    ] {
        let packed = command(program[0], &program[1..], directory.path());
        let run = same_as_gnu_tar(&packed);
        assert_eq!(run.unpacked().diff_id, hex(&plain), "{program:?}");
    }
}

#[test]
fn pythons_archives_are_unpacked_as_gnu_tar_does() {
    let specimen = specimen();
    for format in ["USTAR_FORMAT", "GNU_FORMAT", "PAX_FORMAT"] {
        // ustar has no room for the long names.
        let top = if format == "USTAR_FORMAT" { "a" } else { "." };
        let script = format!(
            "import sys,tarfile\nt=tarfile.open(fileobj=sys.stdout.buffer,mode='w|',format=tarfile.{format})\nt.add('{top}')\nt.close()"
        );
        let archive = command("python3", &["-c", &script], specimen.path());
        same_as_gnu_tar(&archive);
    }
}

#[test]
fn v7_archives_are_read() {
    let directory = tempfile::tempdir().unwrap();
    command("sh", &["-ec", "mkdir d; echo x > d/f; ln -s f d/l"], directory.path());
    let archive = command("tar", &["--format=v7", "-cf", "-", "."], directory.path());
    same_as_gnu_tar(&archive);
}

#[test]
fn a_layer_without_parents_or_end_marker_is_unpacked() {
    let archive = Tarball::new().file("usr/lib/x/y", "1").unfinished();
    let run = unpack(&gzip(&archive));
    run.unpacked();
    let found = listing(&run.root, STORAGE_BASE);
    assert!(found["usr/lib"].starts_with("0755 (0, 0)"), "{found:?}");
}

#[test]
fn directories_keep_their_times_though_files_came_later() {
    let archive =
        Tarball::new().directory("d").directory("d/e").file("d/e/f", "1").file("d/g", "2").bytes();
    let run = unpack(&archive);
    run.unpacked();
    for (name, line) in listing(&run.root, STORAGE_BASE) {
        assert!(line.contains(" 1000000000.0 "), "{name}: {line}");
    }
}
