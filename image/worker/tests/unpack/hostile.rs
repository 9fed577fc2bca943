//! Archives that want out, and archives that two programs would read in two ways.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use bulkhead_archive::{Entry, Kind};

use crate::program::{STORAGE_BASE, unpack};
use crate::tarball::{Header, Tarball, block, entry, gzip, pax};
use crate::tree::{listing, names, xattr};

#[test]
fn d1_names_that_climb_are_refused() {
    for name in ["../canary", "a/../../canary", "..", "a/..", "/../x", "./../canary"] {
        for archive in [
            Tarball::new().file(name, "owned"),
            Tarball::new().directory(name),
            Tarball::new().symlink(name, "x"),
            Tarball::new().file("a", "").hard_link(name, "a"),
        ] {
            unpack(&archive.bytes()).refused("`..` in a name");
        }
    }
}

#[test]
fn d1_an_absolute_name_is_the_layers() {
    let run = unpack(&Tarball::new().file("/etc/passwd", "x").file("//a", "y").bytes());
    run.unpacked();
    assert_eq!(names(&run.root), ["a", "etc", "etc/passwd"]);
    run.canary_is_intact();
}

#[test]
fn d1_a_link_out_leads_into_the_layer() {
    for target in ["/", "..", "../..", "/../../..", "../../../../../../../../.."] {
        let archive =
            Tarball::new().symlink("a", target).file("a/etc/x", "1").file("a/canary", "2");
        let run = unpack(&archive.bytes());
        run.unpacked();
        assert_eq!(fs::read(run.root.join("etc/x")).unwrap(), b"1");
        assert_eq!(fs::read(run.root.join("canary")).unwrap(), b"2");
        run.canary_is_intact();
    }
}

#[test]
fn d1_a_link_to_a_link_to_a_link_leads_into_the_layer() {
    let archive = Tarball::new()
        .directory("d")
        .symlink("d/up", "../..")
        .symlink("a", "d/up")
        .symlink("b", "a/..")
        .file("b/canary", "x");
    let run = unpack(&archive.bytes());
    run.unpacked();
    run.canary_is_intact();
    assert_eq!(fs::read(run.root.join("canary")).unwrap(), b"x");
}

#[test]
fn d1_magic_links_lead_nowhere() {
    for target in ["/proc/self/root", "/proc/self/cwd", "/proc/self/fd/3", "/dev/fd/3/.."] {
        let run = unpack(&Tarball::new().symlink("a", target).file("a/canary", "x").bytes());
        run.refused("leads nowhere");
    }
}

#[test]
fn d1_links_that_go_round_are_refused() {
    let archive = Tarball::new().symlink("a", "b").symlink("b", "a").file("a/x", "x");
    unpack(&archive.bytes()).refused("a/x");
}

#[test]
fn d1_a_hard_link_stays_in_the_layer() {
    for target in ["../canary", "../../etc/passwd", "a/../../canary"] {
        unpack(&Tarball::new().directory("a").hard_link("x", target).bytes()).refused("`..`");
    }
    // Absolute means the layer's top, where there is no such file.
    let run = unpack(&Tarball::new().hard_link("x", "/etc/passwd").bytes());
    run.refused("to link to");
    let archive = Tarball::new().symlink("up", "..").hard_link("x", "up/canary");
    unpack(&archive.bytes()).refused("to link to");
}

#[test]
fn d1_a_hard_link_to_a_symlink_is_a_symlink() {
    let archive = Tarball::new()
        .symlink("l", "../canary")
        .hard_link("x", "l")
        .with_contents(&Entry { mode: 0o777, ..entry(Kind::Regular, "x") }, b"owned");
    let run = unpack(&archive.bytes());
    run.unpacked();
    run.canary_is_intact();
    assert!(fs::symlink_metadata(run.root.join("l")).unwrap().is_symlink());
    assert_eq!(fs::read(run.root.join("x")).unwrap(), b"owned");
}

#[test]
fn d1_hard_links_to_what_is_no_file_are_refused() {
    for (archive, words) in [
        (Tarball::new().directory("d").hard_link("x", "d"), "a directory"),
        (Tarball::new().hard_link("x", "/"), "the top directory"),
        (Tarball::new().hard_link("x", "x"), "to link to"),
        (Tarball::new().file(".wh.w", "").hard_link("x", "w"), "a whiteout"),
        (Tarball::new().file(".wh.w", "").hard_link("x", ".wh.w"), "a whiteout"),
        (Tarball::new().file("f", "").hard_link("x", "f/y"), "is not a directory"),
    ] {
        unpack(&archive.bytes()).refused(words);
    }
    // A further name that is the first one is no change.
    let run = unpack(&Tarball::new().file("f", "1").hard_link("f", "./f").bytes());
    run.unpacked();
    assert_eq!(fs::read(run.root.join("f")).unwrap(), b"1");
}

/// What stands at `x` after an entry of each kind came on one of each kind.
#[test]
fn d1_the_last_entry_of_a_name_counts_in_every_order() {
    let add = |tarball: Tarball, kind: &str| match kind {
        "file" => tarball.file("x", "new"),
        "directory" => tarball.directory("x/"),
        "link" => tarball.symlink("x", "../canary"),
        "link to directory" => tarball.symlink("x", "d"),
        "hard link" => tarball.hard_link("x", "d/f"),
        "fifo" => tarball.entry(&entry(Kind::Fifo, "x")),
        "full directory" => tarball.file("x/y/z", "below"),
        other => panic!("{other}"),
    };
    let kinds =
        ["file", "directory", "link", "link to directory", "hard link", "fifo", "full directory"];
    for first in kinds {
        for second in kinds {
            // What has no entry of its own goes where the name leads, as in Docker.
            if second == "full directory" && !matches!(first, "directory" | "full directory") {
                continue;
            }
            let start = Tarball::new().file("d/f", "old");
            let run = unpack(&add(add(start, first), second).bytes());
            run.unpacked();
            run.canary_is_intact();
            let found = fs::symlink_metadata(run.root.join("x")).unwrap();
            let directory = matches!(second, "directory" | "full directory");
            assert_eq!(found.is_dir(), directory, "{second} on {first}");
            assert_eq!(found.is_symlink(), second.starts_with("link"), "{second} on {first}");
            let kept = first == "full directory" && directory;
            let below = run.root.join("x/y/z").exists();
            assert_eq!(below, kept || second == "full directory", "{second} on {first}");
            assert_eq!(fs::read(run.root.join("d/f")).unwrap(), b"old");
        }
    }
}

#[test]
fn d1_a_name_below_a_file_is_refused() {
    unpack(&Tarball::new().file("a", "").file("a/b", "").bytes()).refused("is not a directory");
    let archive = Tarball::new().file("f", "").symlink("l", "f").file("l/b", "");
    unpack(&archive.bytes()).refused("is not a directory");
}

#[test]
fn d1_a_parent_that_was_replaced_is_not_written_to() {
    // `q` is the top; then it is a file. What comes below it then has no place.
    let archive =
        Tarball::new().symlink("q", ".").file("q/a", "1").file("q/q", "2").file("q/b", "3");
    unpack(&archive.bytes()).refused("is not a directory");
}

#[test]
fn d1_deep_names_end_at_the_limit() {
    let deep = "a/".repeat(2047) + "f";
    let run = unpack(&Tarball::new().file(&deep, "x").bytes());
    run.unpacked();
    assert!(run.root.join(&deep).exists() || deep.len() > 4000);
    unpack(&Tarball::new().file(&("a/".repeat(2048) + "f"), "x").bytes()).refused("more than 4095");
    let long = "n".repeat(256);
    unpack(&Tarball::new().file(&long, "x").bytes()).refused("name too long");
}

#[test]
fn d1_odd_names_are_kept_as_bytes_or_refused() {
    let archive = Tarball::new()
        .file("new\nline", "1")
        .raw(&block(b"\xff\xfe invalid", b'0', b"2"))
        .file("./././dot", "3")
        .directory("slash///")
        .file("a//b", "4")
        .file(" blank ", "5");
    let run = unpack(&archive.bytes());
    run.unpacked();
    assert_eq!(
        names(&run.root),
        [" blank ", "\\xff\\xfe invalid", "a", "a/b", "dot", "new\\nline", "slash"]
    );
    unpack(&Tarball::new().raw(&block(b"", b'0', b"")).bytes()).refused("an empty name");
    let nul = [pax(&[("path", "a\0b")]), block(b"x", b'0', b"")].concat();
    unpack(&Tarball::new().raw(&nul).bytes()).refused("NUL");
    unpack(&Tarball::new().file(".", "x").bytes()).refused("the top directory");
    unpack(&Tarball::new().raw(&block(b"x/", b'0', b"")).bytes()).refused("like a directory");
    unpack(&Tarball::new().raw(&block(b"l", b'2', b"")).bytes()).refused("a link to nothing");
}

#[test]
fn d1_an_error_is_one_line_whatever_the_name() {
    let run = unpack(&Tarball::new().file("a\nok 00 00 1 1 1\n/../b", "").bytes());
    run.refused("`..`");
    let run = unpack(&Tarball::new().file(&("long/".repeat(800) + ".."), "").bytes());
    run.refused("long");
    assert!(run.line.len() < 1100);
}

#[test]
fn d2_compression_that_needs_another_program_is_refused() {
    for (magic, name) in [(&b"\xfd7zXZ\0\0"[..], "xz"), (b"BZh91AY", "bzip2")] {
        let run = unpack(&[magic, &[0; 1024]].concat());
        run.refused(&format!("unsupported compression {name}"));
    }
}

#[test]
fn d4_a_mode_does_not_reach_through_a_link() {
    for kind in [Kind::Directory, Kind::Regular, Kind::Fifo] {
        for target in ["../canary", "/canary", "../../canary"] {
            let second = Entry { mode: 0o777, uid: 1, ..entry(kind, "x") };
            let run = unpack(&Tarball::new().symlink("x", target).entry(&second).bytes());
            run.unpacked();
            run.canary_is_intact();
            let found = fs::symlink_metadata(run.root.join("x")).unwrap();
            assert!(!found.is_symlink());
            assert_eq!(found.permissions().mode() & 0o777, 0o777);
        }
    }
}

#[test]
fn d5_sizes_that_disagree_are_refused() {
    let inner = Tarball::new().file("smuggled", "x").bytes();
    for (pax_size, plain) in [("1024", 0), ("0", 512), ("512", 1024), ("9000000000", 512)] {
        let archive = Tarball::new()
            .raw(&pax(&[("size", pax_size)]))
            .raw(&Header::new(b"f", b'0').size(plain).sealed())
            .raw(&inner);
        unpack(&archive.bytes()).refused("its size is");
    }
    let both =
        Tarball::new().raw(&pax(&[("size", "1"), ("size", "2")])).raw(&block(b"f", b'0', b"x"));
    unpack(&both.bytes()).refused("twice");
}

#[test]
fn d5_contents_of_what_has_none_are_refused() {
    for typeflag in *b"123456" {
        let mut header = Header::new(b"x", typeflag);
        let archive = Tarball::new()
            .raw(&header.put(157, b"t").size(512).sealed())
            .raw(&Header::new(b"smuggled", b'0').sealed());
        unpack(&archive.bytes()).refused("not a regular file");
    }
}

#[test]
fn d5_unknown_types_and_sparse_files_are_refused() {
    for typeflag in *b"DMNSVXAZ89" {
        unpack(&Tarball::new().raw(&block(b"x", typeflag, b"")).bytes()).refused("entry \"x\"");
    }
    let sparse = [pax(&[("GNU.sparse.major", "1")]), block(b"x", b'0', b"")].concat();
    unpack(&Tarball::new().raw(&sparse).bytes()).refused("sparse");
}

#[test]
fn d5_extended_headers_twice_or_for_nothing_are_refused() {
    let path = || pax(&[("path", "a")]);
    let file = || block(b"x", b'0', b"");
    let mut gnu = Header::new(b"././@LongLink", b'L');
    let gnu =
        [gnu.put(257, b"ustar  \0").size(5).sealed().to_vec(), b"name\0".to_vec(), vec![0; 507]]
            .concat();
    for (archive, words) in [
        ([path(), path(), file()].concat(), "two extended headers"),
        ([gnu.clone(), gnu.clone(), file()].concat(), "two extended headers"),
        ([path(), gnu.clone(), file()].concat(), "by PAX and by GNU"),
        (path(), "truncated"),
        (gnu, "truncated"),
        (
            [block(b"g", b'g', b"9 path=a\n"), file()].concat(),
            "a global header that changes entries",
        ),
        ([pax(&[("linkpath", "y")]), file()].concat(), "a link's target, but no link"),
    ] {
        unpack(&Tarball::new().raw(&archive).bytes()).refused(words);
    }
    let comment = [block(b"g", b'g', b"13 comment=x\n"), file()].concat();
    unpack(&Tarball::new().raw(&comment).bytes()).unpacked();
}

#[test]
fn d5_what_stands_behind_the_end_is_refused() {
    let smuggled = Tarball::new().file("smuggled", "x").bytes();
    let archive = [Tarball::new().file("a", "").bytes(), smuggled.clone()].concat();
    unpack(&archive).refused("behind the end");
    unpack(&gzip(&archive)).refused("behind the end");
    let two = [gzip(&Tarball::new().file("a", "").bytes()), gzip(&smuggled)].concat();
    unpack(&two).refused("behind the end");
    let one_block = [Tarball::new().unfinished(), vec![0; 512], smuggled].concat();
    unpack(&one_block).refused("behind the end");
    let garbage = [gzip(&Tarball::new().bytes()), b"garbage".to_vec()].concat();
    unpack(&garbage).refused("read");
}

#[test]
fn d5_damaged_and_truncated_streams_are_refused() {
    let whole = Tarball::new().file("a", "contents").file("b", "contents").bytes();
    for cut in [1, 100, 511, 513, 515, 1023, 1025, 1100] {
        unpack(&whole[..cut]).refused("truncated");
    }
    let packed = gzip(&whole);
    for cut in [3, 10, packed.len() / 2, packed.len() - 1] {
        unpack(&packed[..cut]).refused("read");
    }
    let mut wrong_crc = packed.clone();
    let last = wrong_crc.len() - 8;
    wrong_crc[last] ^= 1;
    unpack(&wrong_crc).refused("read");
    let mut wrong_sum = whole;
    wrong_sum[0] ^= 1;
    unpack(&wrong_sum).refused("checksum");
    unpack(b"this is no archive").refused("truncated");
    unpack(&[b'x'; 1024]).refused("checksum");
}

#[test]
fn d8_forbidden_attributes_never_get_to_disk() {
    for name in [
        "user.overlay.opaque",
        "user.overlay.redirect",
        "user.overlay.metacopy",
        "user.overlay.whiteout",
        "trusted.overlay.opaque",
        "security.selinux",
        "security.ima",
        "security.evm",
        "system.posix_acl_access",
    ] {
        let run = unpack(&Tarball::new().xattr("f", name, b"y").bytes());
        run.unpacked();
        if !name.starts_with("system.") {
            assert_eq!(xattr(&run.root.join("f"), name), None, "{name}");
        }
    }
    let run = unpack(&Tarball::new().xattr("f", "user.mine", b"value").bytes());
    run.unpacked();
    assert_eq!(xattr(&run.root.join("f"), "user.mine").unwrap(), b"value");
}

#[test]
fn d8_capabilities_hold_in_the_storage_range_only() {
    let version_2 = [&[1u8, 0, 0, 2][..], &[0, 4, 0, 0], &[0; 12]].concat();
    let version_3 = [&[1u8, 0, 0, 3][..], &[0, 4, 0, 0], &[0; 12], &[0; 4]].concat();
    for value in [version_2, version_3] {
        let run = unpack(&Tarball::new().xattr("f", "security.capability", &value).bytes());
        run.unpacked();
        let on_disk = xattr(&run.root.join("f"), "security.capability").unwrap();
        assert_eq!(on_disk[..20], [&[1, 0, 0, 3][..], &value[4..20]].concat());
        assert_eq!(on_disk[20..], STORAGE_BASE.to_le_bytes());
    }
    let run = unpack(&Tarball::new().xattr("f", "security.capability", b"short").bytes());
    run.refused("malformed security.capability");
}

#[test]
fn d9_device_nodes_are_left_out() {
    let device = |kind, path, minor| Entry { major: 1, minor, ..entry(kind, path) };
    let archive = Tarball::new()
        .entry(&device(Kind::CharDevice, "null", 3))
        .entry(&device(Kind::BlockDevice, "ram", 0))
        .entry(&Entry { major: 0, ..device(Kind::BlockDevice, "zero", 0) })
        .entry(&entry(Kind::Fifo, "fifo"));
    let run = unpack(&archive.bytes());
    assert_eq!(run.unpacked().entries, 4);
    assert_eq!(names(&run.root), ["fifo"]);
}

#[test]
fn d9_setuid_root_is_of_the_storage_range() {
    let archive = Tarball::new()
        .entry(&Entry { mode: 0o6755, ..entry(Kind::Regular, "su") })
        .entry(&Entry { mode: 0o4711, uid: 33, gid: 44, ..entry(Kind::Regular, "other") })
        .entry(&Entry { mode: 0o3777, ..entry(Kind::Directory, "dir") })
        .file("dir/in", "");
    let run = unpack(&archive.bytes());
    run.unpacked();
    let found = fs::metadata(run.root.join("su")).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode()), (STORAGE_BASE, STORAGE_BASE, 0o106_755));
    let found = fs::metadata(run.root.join("other")).unwrap();
    assert_eq!((found.uid(), found.gid()), (STORAGE_BASE + 33, STORAGE_BASE + 44));
    assert_eq!(found.mode(), 0o104_711);
    let found = fs::metadata(run.root.join("dir")).unwrap();
    assert_eq!(found.mode(), 0o043_777);
}

#[test]
fn d11_ids_outside_the_range_are_refused_by_name() {
    for (uid, gid) in [(65_536, 0), (0, 65_536), (u64::from(u32::MAX), 0), (1 << 32, 0)] {
        let archive = Tarball::new().entry(&Entry { uid, gid, ..entry(Kind::Regular, "who") });
        unpack(&archive.bytes()).refused("entry \"who\"");
    }
    let run =
        unpack(&Tarball::new().entry(&Entry { uid: 65_535, ..entry(Kind::Fifo, "x") }).bytes());
    run.unpacked();
    let negative = Header::new(b"x", b'0').put(108, &[0xff; 8]).sealed();
    unpack(&Tarball::new().raw(&negative).bytes()).refused("a negative uid");
}

#[test]
fn d11_numbers_at_the_edge_are_read_or_refused() {
    let negative = Header::new(b"x", b'0').put(124, &[0xff; 12]).sealed();
    unpack(&Tarball::new().raw(&negative).bytes()).refused("a negative size");
    let huge =
        Header::new(b"x", b'0').put(124, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff").sealed();
    unpack(&Tarball::new().raw(&huge).bytes()).refused("more than");
    let letters = Header::new(b"x", b'0').put(124, b"0000000000z\0").sealed();
    unpack(&Tarball::new().raw(&letters).bytes()).refused("size");
    // Size 3 in base 256; a time before 1970 in base 256; a time past 2038.
    let base_256 = Header::new(b"x", b'0')
        .put(124, b"\x80\0\0\0\0\0\0\0\0\0\0\x03")
        .put(136, &[0xff; 12])
        .sealed();
    let late = Entry {
        mtime: bulkhead_archive::Time { seconds: 5_000_000_000, nanoseconds: 7 },
        ..entry(Kind::Directory, "late")
    };
    let archive = Tarball::new().entry(&late).raw(&base_256).raw(b"abc").raw(&[0; 509]).bytes();
    let run = unpack(&archive);
    run.unpacked();
    assert_eq!(fs::read(run.root.join("x")).unwrap(), b"abc");
    assert_eq!(fs::metadata(run.root.join("x")).unwrap().mtime(), -1);
    assert_eq!(fs::metadata(run.root.join("late")).unwrap().mtime(), 5_000_000_000);
}

#[test]
fn d11_names_that_differ_in_case_or_form_are_different_files() {
    let archive = Tarball::new().file("A", "1").file("a", "2").file("é", "3").file("e\u{301}", "4");
    let run = unpack(&archive.bytes());
    run.unpacked();
    assert_eq!(listing(&run.root, STORAGE_BASE).len(), 4);
}
