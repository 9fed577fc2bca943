//! The mounts of the request (classes A4, B1, B6, B12).

use crate::rig::{Case, Rig, chain, host_mounts, own, path};
use bulkhead_policy::proto::{ByteString, HostPath, MountSpec, Propagation, Seccomp};
use bulkhead_policy::{BindIdmap, capability};
use bulkhead_policy::{BindRoot, CreateRule};
use bulkhead_runtime::Error;
use rustix::mount::MountPropagationFlags;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

crate::tests! {
    a_tmpfs_is_as_asked,
    an_engine_made_file_is_bound_over_what_the_image_has,
    b12_an_engine_made_file_never_goes_through_a_link,
    a_target_through_a_dangling_link_is_made_in_the_image,
    a_bind_shows_the_source,
    a_bind_is_read_only_with_what_is_below,
    a_read_only_bind_stays_so_for_a_container_that_may_mount,
    propagation_is_as_the_policy_lets_it,
    a_bind_maps_ids_as_the_policy_says,
    a_bind_source_is_not_followed_out_of_its_root,
    a_missing_bind_source_is_made_only_by_policy,
    a_kernel_file_system_is_no_bind_source,
    b1_a_target_exchanged_while_it_is_resolved_stays_inside,
    a4_targets_below_proc_and_sys_are_refused_also_through_links,
    a_directory_does_not_go_onto_a_file,
    mounts_are_made_in_order,
    a_later_host_mount_does_not_appear,
}

fn a_tmpfs_is_as_asked(rig: &Rig) {
    let tmpfs = |target: &str, read_only, no_exec| MountSpec::Tmpfs {
        target: path(target),
        bytes: Some(1 << 20),
        mode: 0o1770,
        read_only,
        no_exec,
    };
    let script = "stat -c %a:%u /t/one; cp /bin/busybox /t/one/sh 2>/dev/null; \
        dd if=/dev/zero of=/t/one/x bs=1k count=2048 2>&1 | grep -c 'No space'; \
        touch /t/two/x 2>&1; grep ' /t/' /proc/self/mountinfo | cut -d' ' -f5,6";
    let case =
        rig.shell(script).mount(tmpfs("/t/one", false, true)).mount(tmpfs("/t/two", true, false));
    let expected = "1770:0\n1\ntouch: /t/two/x: Read-only file system\n\
        /t/one rw,nosuid,nodev,noexec,relatime\n/t/two ro,nosuid,nodev,relatime\n";
    assert_eq!(case.run().out, expected);
}

fn file(target: &str, content: &str) -> MountSpec {
    MountSpec::File {
        target: path(target),
        content: ByteString::try_from(content).unwrap(),
        mode: 0o644,
    }
}

fn an_engine_made_file_is_bound_over_what_the_image_has(rig: &Rig) {
    let script = "cat /etc/hosts /etc/new/resolv.conf; echo more >> /etc/hosts; cat /etc/hosts; \
        stat -c %a:%u:%g /etc/hosts; rm /etc/hosts 2>&1";
    let case = rig
        .shell(script)
        .layer(|dir| {
            fs::create_dir(dir.join("etc")).unwrap();
            fs::write(dir.join("etc/hosts"), "image's\n").unwrap();
        })
        .mount(file("/etc/hosts", "engine's\n"))
        .mount(file("/etc/new/resolv.conf", "nameserver\n"));
    let upper = case.dir.join("w/upper/etc/hosts");
    let busy = "rm: can't remove '/etc/hosts': Device or resource busy\n";
    let expected = format!("engine's\nnameserver\nengine's\nmore\n644:0:0\n{busy}");
    assert_eq!(case.run().out, expected);
    assert!(!upper.exists());
}

fn b12_an_engine_made_file_never_goes_through_a_link(rig: &Rig) {
    let canary = rig.dir.join("canary-file");
    fs::write(&canary, "alive").unwrap();
    for host in [false, true] {
        for target in
            [canary.clone(), Path::new("../../../../../..").join(canary.strip_prefix("/").unwrap())]
        {
            let case = rig.shell("cat /etc/hosts").mount(file("/etc/hosts", "engine's\n"));
            let case = if host { case.host_ids() } else { case };
            let case = case.layer(|dir| {
                fs::create_dir(dir.join("etc")).unwrap();
                symlink(&target, dir.join("etc/hosts")).unwrap();
            });
            assert_eq!(case.run().text(), "engine's\n");
        }
    }
    assert_eq!(fs::read_to_string(&canary).unwrap(), "alive");
}

fn a_target_through_a_dangling_link_is_made_in_the_image(rig: &Rig) {
    let script = "cat /etc/resolv.conf /run/systemd/stub.conf";
    let case = rig.shell(script).mount(file("/etc/resolv.conf", "ours\n")).layer(|dir| {
        fs::create_dir(dir.join("etc")).unwrap();
        symlink("../run/systemd/stub.conf", dir.join("etc/resolv.conf")).unwrap();
    });
    assert_eq!(case.run().text(), "ours\nours\n");
    let case = rig.shell("true").mount(file("/loop", "")).layer(|dir| {
        symlink("loop2", dir.join("loop")).unwrap();
        symlink("loop", dir.join("loop2")).unwrap();
    });
    assert!(chain(&case.refused()).contains("Too many levels of symbolic links"));
}

struct Shared {
    dir: PathBuf,
}

/// A directory of the host, with a file.
fn shared(rig: &Rig, name: &str) -> Shared {
    let dir = rig.dir.join(name);
    fs::create_dir_all(dir.join("sub")).unwrap();
    fs::write(dir.join("file"), "host's\n").unwrap();
    Shared { dir }
}

impl Shared {
    fn at(&self, below: &str) -> HostPath {
        HostPath::new(self.dir.join(below).as_os_str().as_encoded_bytes()).unwrap()
    }

    fn bind(&self, below: &str, read_only: bool) -> MountSpec {
        MountSpec::Bind {
            target: path("/m"),
            source: self.at(below),
            read_only,
            propagation: Propagation::Private,
            recursive: true,
            create: false,
        }
    }

    /// Admit the directory, and nothing else.
    fn admit<'r>(&self, mut case: Case<'r>, change: impl FnOnce(&mut BindRoot)) -> Case<'r> {
        let mut root = BindRoot {
            source: self.at(""),
            read_only: false,
            idmap: BindIdmap::None,
            no_exec: false,
            suid: false,
            dev: false,
            cross_mounts: true,
            create: None,
            slave: false,
            shared: false,
            system: true,
        };
        change(&mut root);
        let mut sections = case.policy.sections.clone().into_vec();
        sections[0].binds = vec![root].try_into().unwrap();
        case.policy.sections = sections.try_into().unwrap();
        case
    }
}

fn a_bind_shows_the_source(rig: &Rig) {
    let shared = shared(rig, "bind");
    let case = shared
        .admit(rig.shell("cat /m/file; stat -c %u /m/file").mount(shared.bind("", false)), |_| {});
    assert_eq!(case.run().text(), "host's\n65534\n");
    // A file onto a file that is not there.
    let case = shared.admit(rig.shell("cat /m").mount(shared.bind("file", true)), |_| {});
    assert_eq!(case.run().text(), "host's\n");
}

fn a_bind_is_read_only_with_what_is_below(rig: &Rig) {
    let shared = shared(rig, "ro");
    let script = "touch /m/x 2>&1; touch /m/sub/x 2>&1; cat /m/sub/inner";
    let sub = shared.dir.join("sub");
    rustix::mount::mount("tmpfs", &sub, "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
    fs::write(sub.join("inner"), "inner\n").unwrap();
    let outcome = [false, true].map(|host| {
        let case = rig.shell(script).mount(shared.bind("", true));
        let case = if host { case.host_ids() } else { case };
        shared.admit(case, |_| {}).create().map(|mut waiting| {
            waiting.open().unwrap();
            waiting.finish().out
        })
    });
    rustix::mount::unmount(&sub, rustix::mount::UnmountFlags::empty()).unwrap();
    let read_only = "Read-only file system\n";
    for out in outcome {
        let expected = format!("touch: /m/x: {read_only}touch: /m/sub/x: {read_only}inner\n");
        assert_eq!(out.unwrap(), expected);
    }
}

fn a_read_only_bind_stays_so_for_a_container_that_may_mount(rig: &Rig) {
    let shared = shared(rig, "locked");
    fs::set_permissions(&shared.dir, fs::Permissions::from_mode(0o777)).unwrap();
    let script = "mount -o remount,bind,rw /m; mount -o bind /m /tmp && \
        mount -o remount,bind,rw /tmp; touch /m/x /tmp/x; \
        unshare -m -U -r sh -c 'mount -o remount,bind,rw /m; touch /m/x'";
    let case = rig.shell(script).mount(shared.bind("", true)).with(|spec| {
        spec.process.cap_add = capability::ALL;
        spec.process.seccomp = Seccomp::Unconfined;
    });
    let err = shared.admit(case, |root| root.idmap = BindIdmap::Full).run().err;
    assert_eq!(err.matches("mount: permission denied").count(), 3, "{err}");
    assert_eq!(err.matches("Read-only file system").count(), 3, "{err}");
    assert!(!shared.dir.join("x").exists());
}

fn propagation_is_as_the_policy_lets_it(rig: &Rig) {
    let shared = shared(rig, "slave");
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("tmpfs", &shared.dir, "tmpfs", flags, None).unwrap();
    rustix::mount::mount_change(&shared.dir, MountPropagationFlags::SHARED).unwrap();
    let sub = shared.dir.join("sub");
    fs::create_dir(&sub).unwrap();
    let bind = |propagation| MountSpec::Bind {
        target: path("/m"),
        source: shared.at(""),
        read_only: true,
        propagation,
        recursive: true,
        create: false,
    };
    let seen = |propagation| {
        let case = rig.shell("cat; ls /m/sub").mount(bind(propagation));
        let case = case.with(|spec| spec.process.stdin = true);
        let mut waiting = shared.admit(case, |root| root.slave = true).create().unwrap();
        waiting.open().unwrap();
        rustix::mount::mount("tmpfs", &sub, "tmpfs", flags, None).unwrap();
        fs::write(sub.join("later"), "").unwrap();
        let out = waiting.finish().out;
        rustix::mount::unmount(&sub, rustix::mount::UnmountFlags::empty()).unwrap();
        out
    };
    let outcome = [Propagation::Private, Propagation::Slave].map(seen);
    let case = rig.shell("true").mount(bind(Propagation::Shared));
    let shared_in = shared.admit(case, |root| root.shared = true).create().map(drop);
    rustix::mount::unmount(&shared.dir, rustix::mount::UnmountFlags::DETACH).unwrap();
    assert_eq!(outcome, ["", "later\n"]);
    assert!(matches!(shared_in, Err(Error::Unsupported { .. })));
}

fn a_bind_maps_ids_as_the_policy_says(rig: &Rig) {
    let shared = shared(rig, "idmap");
    own(&shared.dir, 4711);
    fs::write(shared.dir.join("other"), "").unwrap();
    let script = "stat -c %u /m/file /m/other; touch /m/new 2>/dev/null; cat < /m/file";
    let run = |idmap: BindIdmap| {
        let case = rig.shell(script).mount(shared.bind("", false));
        let out = shared.admit(case, |root| root.idmap = idmap).run().out;
        let new = fs::metadata(shared.dir.join("new")).map(|meta| meta.uid()).ok();
        fs::remove_file(shared.dir.join("new")).ok();
        (out, new)
    };
    assert_eq!(run(BindIdmap::None), ("65534\n65534\nhost's\n".to_owned(), None));
    let squash = BindIdmap::Squash { id: 4711 };
    assert_eq!(run(squash), ("0\n65534\nhost's\n".to_owned(), Some(4711)));
    assert_eq!(run(BindIdmap::Full), ("4711\n0\nhost's\n".to_owned(), Some(0)));
}

fn a_bind_source_is_not_followed_out_of_its_root(rig: &Rig) {
    let shared = shared(rig, "links");
    symlink("/etc", shared.dir.join("out")).unwrap();
    symlink("sub", shared.dir.join("in")).unwrap();
    for name in ["out", "out/passwd", "in"] {
        let case = shared.admit(rig.shell("true").mount(shared.bind(name, true)), |_| {});
        let error = chain(&case.refused());
        assert!(error.contains("Too many levels of symbolic links"), "{name}: {error}");
    }
    // Not onto another file system unless the policy lets it.
    let sub = shared.dir.join("sub");
    rustix::mount::mount("tmpfs", &sub, "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
    let case = rig.shell("true").mount(shared.bind("sub", true));
    let result = shared.admit(case, |root| root.cross_mounts = false).create().map(drop);
    rustix::mount::unmount(&sub, rustix::mount::UnmountFlags::empty()).unwrap();
    assert!(chain(&result.unwrap_err()).contains("Invalid cross-device link"));
}

fn a_missing_bind_source_is_made_only_by_policy(rig: &Rig) {
    let shared = shared(rig, "make");
    let bind = |create| MountSpec::Bind {
        target: path("/m"),
        source: shared.at("a/b"),
        read_only: false,
        propagation: Propagation::Private,
        recursive: false,
        create,
    };
    let case = shared.admit(rig.shell("true").mount(bind(false)), |_| {});
    let error = case.refused();
    let text = format!("bind source path does not exist: {}", shared.at("a/b"));
    assert_eq!(error.to_string(), text);
    let rule = CreateRule { uid: 123, mode: 0o750 };
    let case = shared.admit(rig.shell("true").mount(bind(true)), |root| root.create = Some(rule));
    case.run().text();
    for below in ["a", "a/b"] {
        let meta = fs::metadata(shared.dir.join(below)).unwrap();
        assert_eq!((meta.uid(), meta.gid(), meta.mode() & 0o7777), (123, 123, 0o750));
    }
}

fn a_kernel_file_system_is_no_bind_source(rig: &Rig) {
    let shared = shared(rig, "kernel");
    let sub = shared.dir.join("sub");
    rustix::mount::mount("proc", &sub, "proc", rustix::mount::MountFlags::empty(), None).unwrap();
    let case = shared.admit(rig.shell("true").mount(shared.bind("sub", true)), |_| {});
    let result = case.create().map(drop);
    rustix::mount::unmount(&sub, rustix::mount::UnmountFlags::empty()).unwrap();
    assert!(result.unwrap_err().to_string().contains("a kernel interface"));
}

fn a4_targets_below_proc_and_sys_are_refused_also_through_links(rig: &Rig) {
    let targets =
        [("/x/sys", "/proc"), ("/x/kernel", "/sys"), ("/x/self/fd", "/proc"), ("/x", "/proc")];
    for (target, link) in targets {
        for host in [false, true] {
            let case = rig.shell("true").mount(MountSpec::Tmpfs {
                target: path(target),
                bytes: None,
                mode: 0o755,
                read_only: false,
                no_exec: false,
            });
            let case = if host { case.host_ids() } else { case };
            let case = case.layer(|dir| symlink(link, dir.join("x")).unwrap());
            let error = case.refused();
            assert!(matches!(error, Error::Invalid { .. }), "{target}: {}", chain(&error));
        }
    }
    let case = rig.shell("true").mount(file("/x/sys/kernel/core_pattern", "|/evil"));
    let case = case.layer(|dir| symlink("/proc", dir.join("x")).unwrap());
    case.refused();
}

/// Another container that shares the volume exchanges a directory on the way with a link to `/`.
fn b1_a_target_exchanged_while_it_is_resolved_stays_inside(rig: &Rig) {
    const ROUNDS: usize = 100;
    let shared = shared(rig, "race");
    fs::set_permissions(&shared.dir, fs::Permissions::from_mode(0o777)).unwrap();
    fs::create_dir(shared.dir.join("a")).unwrap();
    fs::set_permissions(shared.dir.join("a"), fs::Permissions::from_mode(0o777)).unwrap();
    symlink("/", shared.dir.join("link")).unwrap();
    let (a, link) = (shared.dir.join("a"), shared.dir.join("link"));
    let alone = bulkhead_sys::fork::SingleThreaded::check().unwrap();
    let flipper = match bulkhead_sys::fork::fork(alone).unwrap() {
        bulkhead_sys::fork::Forked::Child => loop {
            let flags = rustix::fs::RenameFlags::EXCHANGE;
            rustix::fs::renameat_with(rustix::fs::CWD, &a, rustix::fs::CWD, &link, flags).ok();
        },
        bulkhead_sys::fork::Forked::Parent { pidfd, .. } => pidfd,
    };
    let before = host_mounts();
    let (mut by_link, mut by_directory) = (0, 0);
    for round in 0..ROUNDS {
        let name = format!("bulkhead-b1-{round}");
        let tmpfs = MountSpec::Tmpfs {
            target: path(&format!("/m/a/{name}")),
            bytes: None,
            mode: 0o755,
            read_only: false,
            no_exec: false,
        };
        let case = rig.shell("cut -d' ' -f4,5 /proc/self/mountinfo | grep bulkhead-b1");
        let case = case.mount(shared.bind("", false)).mount(tmpfs);
        let case = if round % 2 == 0 { case.host_ids() } else { case };
        let case = shared.admit(case, |root| root.idmap = BindIdmap::Full);
        if let Ok(mut waiting) = case.create() {
            waiting.open().unwrap();
            let out = waiting.finish().out;
            by_link += usize::from(out == format!("/ /{name}\n"));
            by_directory += usize::from(out.starts_with("/ /m/"));
        }
        assert!(!Path::new("/").join(name).exists(), "made on the host");
    }
    bulkhead_sys::fork::pidfd_signal(&flipper, 9).unwrap();
    crate::rig::wait(&flipper);
    assert_eq!(host_mounts(), before);
    // Void if the race was never run both ways.
    assert!(by_link > 0 && by_directory > 0, "{by_link} {by_directory}");
}

fn a_directory_does_not_go_onto_a_file(rig: &Rig) {
    let case = rig.shell("true").mount(file("/bin", ""));
    assert!(case.refused().to_string().contains("a file onto a directory"));
    let shared = shared(rig, "kinds");
    let case = rig.shell("true").mount(shared.bind("", true)).layer(|dir| {
        fs::write(dir.join("m"), "").unwrap();
    });
    let error = shared.admit(case, |_| {}).refused();
    assert!(error.to_string().contains("a directory onto a file"));
}

fn mounts_are_made_in_order(rig: &Rig) {
    let tmpfs = MountSpec::Tmpfs {
        target: path("/t"),
        bytes: None,
        mode: 0o755,
        read_only: false,
        no_exec: false,
    };
    let case = rig.shell("cat /t/deep/file").mount(tmpfs).mount(file("/t/deep/file", "inside\n"));
    assert_eq!(case.run().text(), "inside\n");
}

fn a_later_host_mount_does_not_appear(rig: &Rig) {
    let shared = shared(rig, "propagation");
    let before = host_mounts();
    let case = rig.shell("cat; ls /m/sub").mount(shared.bind("", false));
    let case = shared.admit(case, |_| {}).with(|spec| spec.process.stdin = true);
    let mut waiting = case.create().unwrap();
    waiting.open().unwrap();
    let sub = shared.dir.join("sub");
    rustix::mount::mount("tmpfs", &sub, "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
    fs::write(sub.join("later"), "").unwrap();
    let out = waiting.finish().text();
    rustix::mount::unmount(&sub, rustix::mount::UnmountFlags::empty()).unwrap();
    assert_eq!(out, "");
    assert_eq!(host_mounts(), before);
}
