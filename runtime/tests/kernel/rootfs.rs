//! Overlay, `/proc`, `/sys`, `/dev`, masks; images that try to bend them (classes B2, B3, B4, B7).

use crate::rig::{Case, Rig};
use bulkhead_policy::proto::DeviceSpec;
use bulkhead_policy::proto::{ContainerPath, HostPath};
use bulkhead_runtime::Error;
use std::fs;
use std::os::unix::fs::symlink;

crate::tests! {
    the_root_is_an_overlay_of_all_layers,
    without_descriptors_the_overlay_is_made_by_paths,
    a_hundred_layers_are_one_root,
    what_is_written_is_there_after_a_restart,
    a_read_only_root_is_read_only,
    nothing_of_the_host_is_left_in_the_mount_namespace,
    b2_proc_and_sys_of_the_image_must_be_ordinary_directories,
    b3_masks_hold_whatever_the_image_put_at_dev_null,
    masked_paths_are_empty_and_read_only_ones_not_writable,
    unmasked_paths_are_what_they_are,
    b7_dev_of_the_image_must_be_an_ordinary_directory,
    dev_has_dockers_nodes_and_no_other,
    a_device_is_bound_and_admitted,
    a_device_that_is_none_is_refused,
    dev_shm_is_as_large_as_asked,
}

fn the_root_is_an_overlay_of_all_layers(rig: &Rig) {
    let case = rig.shell("cat /a /b; ls /etc; cat /etc/only; ls /home");
    let case = case
        .layer(|dir| {
            fs::write(dir.join("a"), "lower a\n").unwrap();
            fs::write(dir.join("b"), "lower b\n").unwrap();
            fs::create_dir(dir.join("home")).unwrap();
            fs::write(dir.join("home/gone"), "").unwrap();
        })
        .layer(|dir| {
            fs::write(dir.join("a"), "upper a\n").unwrap();
            fs::create_dir(dir.join("etc")).unwrap();
            fs::write(dir.join("etc/only"), "only\n").unwrap();
            let opaque = fs::create_dir(dir.join("home")).map(|()| dir.join("home"));
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::setxattr(opaque.unwrap(), "user.overlay.opaque", b"y", flags).unwrap();
            let mode = rustix::fs::Mode::empty();
            let kind = rustix::fs::FileType::CharacterDevice;
            let whiteout = dir.join("etc/group");
            rustix::fs::mknodat(rustix::fs::CWD, whiteout, kind, mode, 0).unwrap();
        });
    assert_eq!(case.run().text(), "upper a\nlower b\nonly\npasswd\nonly\n");
}

fn without_descriptors_the_overlay_is_made_by_paths(rig: &Rig) {
    for host in [false, true] {
        let mut case = rig.shell("cat /a; touch /new; stat -c %u /a /new");
        case = if host { case.host_ids() } else { case };
        case.features.overlay_by_fd = false;
        let case = case
            .layer(|dir| fs::write(dir.join("a"), "lower\n").unwrap())
            .layer(|dir| fs::write(dir.join("a"), "upper\n").unwrap());
        let new = case.dir.join("w/upper/new");
        assert_eq!(case.run().text(), "upper\n0\n0\n");
        assert!(new.exists());
    }
}

fn a_hundred_layers_are_one_root(rig: &Rig) {
    for by_fd in [true, false] {
        let mut case = rig.shell("cat /top; ls / | grep -c ^f");
        case.features.overlay_by_fd &= by_fd;
        for number in 0..100 {
            case = case.layer(|dir| {
                fs::write(dir.join("top"), format!("{number}\n")).unwrap();
                fs::write(dir.join(format!("f{number}")), "").unwrap();
            });
        }
        assert_eq!(case.run().text(), "99\n100\n");
    }
}

fn what_is_written_is_there_after_a_restart(rig: &Rig) {
    let first = rig.shell("echo kept > /kept; rm /etc/group");
    let (dir, ids) = (first.dir.clone(), first.ids);
    first.run().text();
    let mut second = rig.shell("cat /kept; test -e /etc/group || echo gone");
    (second.dir, second.ids) = (dir, ids);
    assert_eq!(second.run().text(), "kept\ngone\n");
}

fn a_read_only_root_is_read_only(rig: &Rig) {
    let script = "touch /x 2>&1; touch /dev/shm/x && echo shm; mount -o remount,rw / 2>&1";
    for case in [rig.shell(script), rig.shell(script).host_ids()] {
        let outcome = case.with(|spec| spec.read_only = true).run();
        let mut lines = outcome.out.lines();
        assert_eq!(lines.next(), Some("touch: /x: Read-only file system"));
        assert_eq!(lines.next(), Some("shm"));
        assert!(lines.next().unwrap().contains("denied"), "{}", outcome.out);
    }
}

fn nothing_of_the_host_is_left_in_the_mount_namespace(rig: &Rig) {
    for by_fd in [true, false] {
        let mut case = rig.program(&["/bin/cat", "/proc/self/mountinfo"]);
        case.features.overlay_by_fd &= by_fd;
        let table = case.run().text();
        let roots = table.lines().filter(|line| line.split(' ').nth(4) == Some("/"));
        assert_eq!(roots.count(), 1, "{table}");
        assert!(!table.contains(" ext4 ") && !table.contains("/var"), "{table}");
    }
}

fn refuses_directory(case: Case<'_>, name: &str) {
    let error = case.refused();
    let Error::Invalid { what } = &error else { panic!("{error:?}") };
    assert_eq!(*what, format!("/{name} of the image must be an ordinary directory"));
}

fn b2_proc_and_sys_of_the_image_must_be_ordinary_directories(rig: &Rig) {
    for name in ["proc", "sys"] {
        for host in [false, true] {
            let case = || if host { rig.shell("true").host_ids() } else { rig.shell("true") };
            refuses_directory(case().layer(|dir| symlink("/tmp", dir.join(name)).unwrap()), name);
            refuses_directory(case().layer(|dir| symlink("tmp", dir.join(name)).unwrap()), name);
            refuses_directory(case().layer(|dir| fs::write(dir.join(name), "").unwrap()), name);
        }
    }
    let case = rig.shell("stat -f -c %t /proc /sys").layer(|dir| {
        fs::create_dir(dir.join("proc")).unwrap();
        fs::write(dir.join("proc/fake"), "").unwrap();
    });
    assert_eq!(case.run().text(), "9fa0\n62656572\n");
}

fn b3_masks_hold_whatever_the_image_put_at_dev_null(rig: &Rig) {
    let pattern = fs::read("/proc/sys/kernel/core_pattern").unwrap();
    let nulls: [fn(&std::path::Path); 3] = [
        |null| symlink("/proc/sys/kernel/core_pattern", null).unwrap(),
        |null| symlink("/proc/sysrq-trigger", null).unwrap(),
        |null| fs::write(null, "not the null device").unwrap(),
    ];
    for null in nulls {
        for host in [false, true] {
            let script = "cat /proc/keys /proc/timer_list; stat -c %F:%t:%T /proc/keys /dev/null; \
                echo x > /proc/keys";
            let case = if host { rig.shell(script).host_ids() } else { rig.shell(script) };
            let case = case.layer(|dir| {
                fs::create_dir(dir.join("dev")).unwrap();
                null(&dir.join("dev/null"));
            });
            let device = "character special file:1:3\n";
            assert_eq!(case.run().text(), device.repeat(2));
        }
    }
    assert_eq!(fs::read("/proc/sys/kernel/core_pattern").unwrap(), pattern);
}

fn masked_paths_are_empty_and_read_only_ones_not_writable(rig: &Rig) {
    let script = "cat /proc/kcore /proc/keys /proc/timer_list /proc/interrupts 2>/dev/null | wc -c; \
        ls -A /sys/firmware /proc/acpi /proc/scsi 2>/dev/null | grep -v : | grep -c .; \
        for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/vm/overcommit_memory \
        /sys/kernel/uevent_helper /proc/irq/default_smp_affinity; do \
        (echo x > $f) 2>/dev/null && echo wrote $f; done; touch /secret/x /open/y 2>&1; ls /secret";
    for host in [false, true] {
        let case = if host { rig.shell(script).host_ids() } else { rig.shell(script) };
        let case = case.layer(|dir| {
            for name in ["secret", "open"] {
                fs::create_dir(dir.join(name)).unwrap();
                fs::write(dir.join(name).join("file"), "").unwrap();
            }
        });
        let paths =
            |path: &str| vec![ContainerPath::new(path.as_bytes()).unwrap()].try_into().unwrap();
        let case = case.with(|spec| {
            spec.masked_paths = paths("/secret");
            spec.readonly_paths = paths("/open");
        });
        let read_only = "Read-only file system\n";
        let expected = format!("0\n0\ntouch: /secret/x: {read_only}touch: /open/y: {read_only}");
        assert_eq!(case.run().out, expected);
    }
}

fn unmasked_paths_are_what_they_are(rig: &Rig) {
    let case = rig.shell("cat /proc/timer_list >/dev/null; cat /proc/interrupts | wc -l");
    let lines: u32 = case.with(|spec| spec.unmask = true).run().out.trim().parse().unwrap();
    assert!(lines > 1);
}

fn b7_dev_of_the_image_must_be_an_ordinary_directory(rig: &Rig) {
    let canary = rig.dir.join("canary");
    fs::create_dir_all(&canary).unwrap();
    fs::write(canary.join("ptmx"), "alive").unwrap();
    for host in [false, true] {
        let case = || if host { rig.shell("true").host_ids() } else { rig.shell("true") };
        refuses_directory(case().layer(|dir| symlink(&canary, dir.join("dev")).unwrap()), "dev");
        let inner = case().layer(|dir| {
            fs::create_dir(dir.join("dev")).unwrap();
            for name in ["pts", "shm", "ptmx", "console"] {
                symlink(&canary, dir.join("dev").join(name)).unwrap();
            }
        });
        inner.run().text();
    }
    assert_eq!(fs::read_to_string(canary.join("ptmx")).unwrap(), "alive");
    assert_eq!(fs::read_dir(&canary).unwrap().count(), 1);
}

fn dev_has_dockers_nodes_and_no_other(rig: &Rig) {
    let names = "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    let script = "echo $(ls /dev | sort); stat -c %n:%t:%T /dev/null /dev/zero /dev/full \
        /dev/random /dev/urandom /dev/tty; readlink /dev/ptmx; readlink /dev/fd; \
        head -c 8 /dev/zero | wc -c; echo x > /dev/null; mknod /dev/mem c 1 1 2>&1; \
        mknod /tmp/sda b 8 0 2>&1; cat /tmp/sda 2>&1";
    let text = rig.shell(script).run().out;
    let expected = format!(
        "{names}\n/dev/null:1:3\n/dev/zero:1:5\n/dev/full:1:7\n/dev/random:1:8\n/dev/urandom:1:9\n\
         /dev/tty:5:0\npts/ptmx\n/proc/self/fd\n8\n"
    );
    assert!(text.starts_with(&expected), "{text}");
    assert_eq!(text.matches("Operation not permitted").count(), 2, "{text}");
    // With host ids the cgroup keeps nodes from being made.
    let text = rig.shell(script).host_ids().run().out;
    assert_eq!(text.matches("Operation not permitted").count(), 2, "{text}");
}

fn device(host: &str, target: &str) -> DeviceSpec {
    DeviceSpec {
        host: HostPath::new(host.as_bytes()).unwrap(),
        target: ContainerPath::new(target.as_bytes()).unwrap(),
        access: 7,
    }
}

fn a_device_is_bound_and_admitted(rig: &Rig) {
    let case = rig.shell("stat -c %t:%T /dev/a/b/log; head -c 1 /dev/a/b/log | wc -c");
    let devices = vec![device("/dev/zero", "/dev/a/b/log")];
    assert_eq!(
        case.with(|spec| spec.devices = devices.try_into().unwrap()).run().text(),
        "1:5\n1\n"
    );
}

fn a_device_that_is_none_is_refused(rig: &Rig) {
    for host in ["/dev/shm", "/dev/no-such-device", "/dev/fd", "/dev/stdin"] {
        let devices = vec![device(host, "/dev/x")];
        rig.shell("true").with(|spec| spec.devices = devices.try_into().unwrap()).refused();
    }
}

fn dev_shm_is_as_large_as_asked(rig: &Rig) {
    let script = "dd if=/dev/zero of=/dev/shm/x bs=1k count=2048 2>&1 | grep -c 'No space'; \
        stat -c %s /dev/shm/x";
    let case = rig.shell(script).with(|spec| spec.shm_bytes = Some(1 << 20));
    assert_eq!(case.run().text(), "1\n1048576\n");
}
