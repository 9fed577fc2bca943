//! Users, groups, working directory (classes A2, B8, B13, F1, F2, F4).

use crate::rig::{Rig, chain, name, path};
use bulkhead_runtime::Error;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

crate::tests! {
    a_user_is_found_in_the_images_files,
    f1_a_numeric_user_is_never_a_name,
    f2_a_user_outside_the_range_is_refused,
    f4_a_group_that_is_kept_out_is_kept_out,
    an_unknown_user_is_refused_in_dockers_words,
    b13_a_passwd_file_that_is_none_is_refused_at_once,
    home_is_added_if_missing,
    a_missing_cwd_is_made_and_belongs_to_the_user,
    a2_no_descriptor_of_ours_can_be_the_cwd,
    b8_a_cwd_through_a_link_stays_inside,
    a_cwd_that_is_a_file_is_the_users_mistake,
    a_user_can_open_its_own_streams,
}

fn a_user_is_found_in_the_images_files(rig: &Rig) {
    let text = |user: &str| rig.program(&["/bin/id"]).user(user).run().text();
    let groups = "groups=44(video),1001(app)\n";
    assert_eq!(text("app"), format!("uid=1000(app) gid=1001(app) {groups}"));
    assert_eq!(text("1000"), format!("uid=1000(app) gid=1001(app) {groups}"));
    assert_eq!(text("app:video"), "uid=1000(app) gid=44(video) groups=44(video)\n");
    assert_eq!(text("12:34"), "uid=12 gid=34 groups=34\n");
    assert_eq!(text("65535:65535"), "uid=65535 gid=65535 groups=65535\n");
}

fn f1_a_numeric_user_is_never_a_name(rig: &Rig) {
    let case = rig.program(&["/bin/id", "-u"]).user("1234");
    let case = case.layer(|dir| {
        fs::create_dir(dir.join("etc")).unwrap();
        fs::write(dir.join("etc/passwd"), "1234:x:0:0::/:/bin/sh\n").unwrap();
    });
    assert_eq!(case.run().text(), "1234\n");
}

fn f2_a_user_outside_the_range_is_refused(rig: &Rig) {
    for user in
        ["65536", "2147483648", "4294967295", "4294967296", "-1", " 0", "+0", "00", "1:", ":1"]
    {
        for host in [false, true] {
            let case = if host { rig.shell("true").host_ids() } else { rig.shell("true") };
            if host && user == "65536" {
                continue;
            }
            let error = case.user(user).refused();
            assert!(matches!(error, Error::Invalid { .. }), "{user}: {error:?}");
        }
    }
    let case = rig.shell("true").user("evil").layer(|dir| {
        fs::create_dir(dir.join("etc")).unwrap();
        fs::write(dir.join("etc/passwd"), "evil:x:4294967295:0::/:/bin/sh\n").unwrap();
    });
    assert!(matches!(case.refused(), Error::Invalid { .. }));
}

fn f4_a_group_that_is_kept_out_is_kept_out(rig: &Rig) {
    let case = rig.shell("cat /file 2>&1").user("app").layer(|dir| {
        fs::write(dir.join("file"), "secret").unwrap();
        fs::set_permissions(dir.join("file"), fs::Permissions::from_mode(0o604)).unwrap();
    });
    // The layer's files are root's; the group's are made so after that.
    let file = case.dir.join("layer1/file");
    std::os::unix::fs::chown(file, None, Some(crate::rig::STORAGE + 1001)).unwrap();
    assert_eq!(case.run().out, "cat: can't open '/file': Permission denied\n");
}

fn an_unknown_user_is_refused_in_dockers_words(rig: &Rig) {
    let error = rig.shell("true").user("nobody-here").refused();
    let text = "unable to find user nobody-here: no matching entries in passwd file";
    assert_eq!(error.to_string(), text);
    let groups = vec![name("no-group")];
    let case = rig.shell("true").with(|spec| spec.process.groups = groups.try_into().unwrap());
    let text = "unable to find group no-group: no matching entries in group file";
    assert_eq!(case.refused().to_string(), text);
}

fn b13_a_passwd_file_that_is_none_is_refused_at_once(rig: &Rig) {
    let fills: [fn(&std::path::Path); 5] = [
        |file| {
            let mode = rustix::fs::Mode::from_raw_mode(0o644);
            let kind = rustix::fs::FileType::Fifo;
            rustix::fs::mknodat(rustix::fs::CWD, file, kind, mode, 0).unwrap();
        },
        |file| symlink("/dev/zero", file).unwrap(),
        |file| symlink("/dev/tty", file).unwrap(),
        |file| fs::File::create(file).unwrap().set_len(10 << 30).unwrap(),
        |file| fs::create_dir(file).unwrap(),
    ];
    for name in ["passwd", "group"] {
        for fill in fills {
            let case = rig.shell("true").layer(|dir| {
                fs::create_dir(dir.join("etc")).unwrap();
                fill(&dir.join("etc").join(name));
            });
            let start = Instant::now();
            case.refused();
            assert!(start.elapsed() < Duration::from_secs(1));
        }
    }
    // A link to a file in the image is fine; one out of it ends in the image.
    let case = rig.program(&["/bin/id", "-u"]).user("app").layer(|dir| {
        fs::create_dir(dir.join("etc")).unwrap();
        fs::write(dir.join("real"), "app:x:77:77::/:\n").unwrap();
        symlink("../../../real", dir.join("etc/passwd")).unwrap();
    });
    assert_eq!(case.run().text(), "77\n");
}

fn home_is_added_if_missing(rig: &Rig) {
    let home = |user: &str| rig.shell("echo $HOME").user(user).run().text();
    assert_eq!(home(""), "/root\n");
    assert_eq!(home("app"), "/home/app\n");
    assert_eq!(home("4242"), "/\n");
    let case = rig.shell("echo $HOME");
    let case =
        case.with(|spec| spec.process.env = crate::rig::arguments(&["HOME=/x", "PATH=/bin"]));
    assert_eq!(case.run().text(), "/x\n");
}

fn a_missing_cwd_is_made_and_belongs_to_the_user(rig: &Rig) {
    let case = rig.shell("pwd; stat -c %u:%g:%a . ..; touch mine && echo ok").user("app");
    let case = case.with(|spec| {
        spec.process.cwd = path("/work/deep");
        spec.process.env = crate::rig::arguments(&["PATH=/bin"]);
    });
    assert_eq!(case.run().text(), "/work/deep\n1000:1001:755\n0:0:755\nok\n");
    // Also below a root that is read-only then.
    let case = rig.shell("pwd").with(|spec| {
        spec.process.cwd = path("/not/yet");
        spec.read_only = true;
    });
    assert_eq!(case.run().text(), "/not/yet\n");
}

fn a2_no_descriptor_of_ours_can_be_the_cwd(rig: &Rig) {
    for host in [false, true] {
        for number in 0..64 {
            let case = if host { rig.shell("true").host_ids() } else { rig.shell("true") };
            let case = if number % 2 == 0 {
                let cwd = path(&format!("/proc/self/fd/{number}"));
                case.with(|spec| spec.process.cwd = cwd)
            } else {
                case.with(|spec| spec.process.cwd = path("/link")).layer(|dir| {
                    symlink(format!("/proc/self/fd/{number}"), dir.join("link")).unwrap();
                })
            };
            match case.create() {
                Err(_) => {}
                Ok(waiting) => {
                    let cwd = fs::read_link(format!("/proc/{}/cwd", waiting.pid)).unwrap();
                    panic!("cwd {}", cwd.display());
                }
            }
        }
    }
    // Nothing but streams, and the line until exec.
    let text = rig.shell("ls -l /proc/1/fd; true").run().text();
    assert_eq!(text.matches(" -> ").count(), 3, "{text}");
    assert_eq!(text.matches("pipe:").count(), 2, "{text}");
}

fn b8_a_cwd_through_a_link_stays_inside(rig: &Rig) {
    let canary = rig.dir.join("canary-cwd");
    fs::create_dir_all(&canary).unwrap();
    for host in [false, true] {
        for target in [
            canary.clone(),
            std::path::Path::new("../../../../..").join(canary.strip_prefix("/").unwrap()),
        ] {
            let case = rig.shell("pwd").with(|spec| spec.process.cwd = path("/l/x"));
            let case = if host { case.host_ids() } else { case };
            let case = case.layer(|dir| symlink(&target, dir.join("l")).unwrap());
            // The link's target is made in the image.
            let expected = format!("{}/x\n", canary.display());
            assert_eq!(case.run().text(), expected);
        }
    }
    assert_eq!(fs::read_dir(&canary).unwrap().count(), 0);
}

fn a_cwd_that_is_a_file_is_the_users_mistake(rig: &Rig) {
    let error = rig.shell("true").with(|spec| spec.process.cwd = path("/etc/passwd")).refused();
    assert!(matches!(error, Error::Program { .. }), "{error:?}");
    assert!(chain(&error).starts_with("chdir to cwd \"/etc/passwd\": Not a directory"), "{error}");
}

fn a_user_can_open_its_own_streams(rig: &Rig) {
    let case = rig.shell("echo one > /dev/stdout; echo two > /proc/self/fd/2").user("app");
    let outcome = case.run();
    assert_eq!((outcome.out.as_str(), outcome.err.as_str()), ("one\n", "two\n"));
}
