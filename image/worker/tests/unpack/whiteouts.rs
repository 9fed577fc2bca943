//! D7: names that hide what is below, and names that pretend to.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use bulkhead_archive::{Entry, Kind};

use crate::program::unpack;
use crate::tarball::{Tarball, entry};
use crate::tree::{names, xattr};

fn is_whiteout(path: &Path) -> bool {
    let found = fs::symlink_metadata(path).unwrap();
    found.file_type().is_char_device() && found.rdev() == 0
}

fn is_opaque(path: &Path) -> bool {
    xattr(path, "user.overlay.opaque").as_deref() == Some(b"y")
}

#[test]
fn d7_a_whiteout_is_a_device_0_0() {
    let run = unpack(&Tarball::new().file(".wh.a", "").file("d/.wh.b", "").bytes());
    run.unpacked();
    assert_eq!(names(&run.root), ["a", "d", "d/b"]);
    assert!(is_whiteout(&run.root.join("a")) && is_whiteout(&run.root.join("d/b")));
}

#[test]
fn d7_an_opaque_directory_has_the_attribute() {
    let run = unpack(&Tarball::new().file("d/.wh..wh..opq", "").file(".wh..wh..opq", "").bytes());
    run.unpacked();
    assert_eq!(names(&run.root), ["d"]);
    assert!(is_opaque(&run.root.join("d")));
}

#[test]
fn d7_what_the_layer_has_itself_is_not_hidden_in_either_order() {
    for (archive, opaque) in [
        (Tarball::new().file("x", "new").file(".wh.x", ""), false),
        (Tarball::new().file(".wh.x", "").file("x", "new"), false),
        (Tarball::new().file("x/f", "new").file(".wh.x", ""), true),
        (Tarball::new().file(".wh.x", "").directory("x").file("x/f", "new"), true),
        (Tarball::new().file("x/f", "new").file("x/.wh..wh..opq", ""), true),
        (Tarball::new().file("x/.wh..wh..opq", "").file("x/f", "new"), true),
    ] {
        let run = unpack(&archive.bytes());
        run.unpacked();
        let x = run.root.join("x");
        let file = if opaque { x.join("f") } else { x.clone() };
        assert_eq!(fs::read(file).unwrap(), b"new");
        assert_eq!(x.is_dir() && is_opaque(&x), opaque);
    }
}

#[test]
fn d7_a_whiteout_through_a_link_stays_in_the_layer() {
    let archive = Tarball::new().symlink("up", "..").file("up/.wh.canary", "");
    let run = unpack(&archive.bytes());
    run.unpacked();
    run.canary_is_intact();
    assert!(is_whiteout(&run.root.join("canary")));
}

#[test]
fn d7_whiteouts_of_nothing_are_refused() {
    for name in [".wh.", ".wh..", ".wh...", "a/.wh.", ".wh.x/y"] {
        unpack(&Tarball::new().file(name, "").bytes()).refused("whiteout");
    }
    for archive in [
        Tarball::new().directory(".wh.x"),
        Tarball::new().symlink(".wh.x", "y"),
        Tarball::new().file(".wh.x", "contents"),
        Tarball::new().directory("d/.wh..wh..opq"),
    ] {
        unpack(&archive.bytes()).refused("a whiteout is an empty file");
    }
}

#[test]
fn d7_a_literal_device_0_0_is_refused() {
    let archive = Tarball::new().entry(&entry(Kind::CharDevice, "hidden"));
    unpack(&archive.bytes()).refused("a character device 0:0");
}

#[test]
fn d7_a_name_below_a_whiteout_is_refused() {
    let archive = Tarball::new().file(".wh.x", "").file("x/y", "");
    unpack(&archive.bytes()).refused("is not a directory");
}

#[test]
fn d7_no_name_with_the_prefix_gets_to_disk() {
    let archive = Tarball::new()
        .directory(".wh..wh.plnk")
        .file(".wh..wh.plnk/1.2", "")
        .file(".wh..wh.aufs", "")
        .hard_link("d/.wh.gone", ".wh..wh.aufs")
        .entry(&Entry { link: ".wh.x".into(), ..entry(Kind::Symlink, "link") });
    let run = unpack(&archive.bytes());
    run.unpacked();
    assert_eq!(names(&run.root), ["d", "d/gone", "link"]);
}
