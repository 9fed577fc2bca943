//! What fails, says why and leaves nothing.

use crate::rig::{Rig, chain, process};
use bulkhead_policy::proto::{MountSpec, Name};
use bulkhead_runtime::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;

crate::tests! {
    a_missing_program_is_not_found,
    a_program_that_cannot_be_executed_is_refused,
    programs_are_looked_up_in_the_containers_path,
    a_dropped_gate_ends_the_process,
    a_plan_that_contradicts_the_permit_is_refused,
    a_named_volume_is_not_supported_and_says_so,
    a_failed_create_leaves_nothing,
}

fn started(case: crate::rig::Case<'_>) -> (Error, i32) {
    let mut waiting = case.create().unwrap();
    let error = waiting.open().unwrap_err();
    let code = waiting.finish().code;
    (error, code)
}

fn a_missing_program_is_not_found(rig: &Rig) {
    for program in ["/no/such", "no-such"] {
        let (error, code) = started(rig.program(&[program]));
        let Error::Program { errno, step } = &error else { panic!("{error:?}") };
        assert_eq!((*errno, step.as_str()), (2, format!("exec \"{program}\"").as_str()));
        assert_eq!(code, 127);
    }
}

fn a_program_that_cannot_be_executed_is_refused(rig: &Rig) {
    let (error, code) = started(rig.program(&["/etc/passwd"]));
    assert!(matches!(error, Error::Program { errno: 13, .. }), "{error:?}");
    assert_eq!(code, 126);
    let (error, _) = started(rig.program(&["/etc"]));
    assert!(matches!(error, Error::Program { errno: 13, .. }), "{error:?}");
    let case = rig.program(&["/script"]);
    let file = case.dir.join("layer1/script");
    let case = case.layer(|dir| fs::write(dir.join("script"), "not a program").unwrap());
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    let (error, _) = started(case);
    assert!(matches!(error, Error::Program { errno: 8, .. }), "{error:?}");
}

fn programs_are_looked_up_in_the_containers_path(rig: &Rig) {
    let run = |path: &str| {
        let mut process = process(&["tool"]);
        process.env = crate::rig::arguments(&[path]);
        let case = rig.program(&[]).with(|spec| spec.process = process);
        let layer = case.dir.join("layer1");
        let case = case.layer(|dir| {
            for (name, text) in [("one", "1"), ("two", "2"), ("three", "3")] {
                fs::create_dir(dir.join(name)).unwrap();
                fs::write(dir.join(name).join("tool"), format!("#!/bin/echo {text}\n")).unwrap();
            }
        });
        for name in ["two", "three"] {
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(layer.join(name).join("tool"), mode).unwrap();
        }
        let mut waiting = case.create().unwrap();
        waiting.open().map(|()| waiting.finish().text())
    };
    assert_eq!(run("PATH=/none:/one:/two:/three").unwrap(), "2 /two/tool\n");
    assert_eq!(run("PATH=/three:/two").unwrap(), "3 /three/tool\n");
    assert!(matches!(run("PATH=/none:/one"), Err(Error::Program { errno: 13, .. })));
    assert!(matches!(run("PATH=/none:/etc/passwd"), Err(Error::Program { errno: 2, .. })));
    assert!(matches!(run("NO_PATH=1"), Err(Error::Program { errno: 2, .. })));
}

fn a_dropped_gate_ends_the_process(rig: &Rig) {
    let mut waiting = rig.shell("echo ran").create().unwrap();
    drop(waiting.gate.take());
    let outcome = waiting.finish();
    assert_eq!((outcome.code, outcome.out.as_str()), (126, ""));
}

fn a_plan_that_contradicts_the_permit_is_refused(rig: &Rig) {
    let mut case = rig.shell("true");
    case.ids = bulkhead_runtime::Ids::Host;
    assert!(matches!(case.refused(), Error::Invalid { .. }));
    let mut case = rig.shell("true");
    case.layers.clear();
    assert!(matches!(case.refused(), Error::Invalid { .. }));
    let mut case = rig.shell("true");
    case.init = Some(crate::rig::open("/bin/busybox"));
    assert!(matches!(case.refused(), Error::Invalid { .. }));
    let mut case = rig.shell("true");
    case.program = Some(vec![0; 8]);
    assert!(matches!(case.refused(), Error::Invalid { .. }));
    let mut case = rig.shell("true");
    case.join.net = Some(crate::rig::open("/proc/self/ns/net"));
    assert!(matches!(case.refused(), Error::Invalid { .. }));
}

fn a_named_volume_is_not_supported_and_says_so(rig: &Rig) {
    let volume = MountSpec::Volume {
        target: crate::rig::path("/v"),
        name: Name::try_from("data").unwrap(),
        read_only: false,
        copy_up: false,
    };
    let error = rig.shell("true").mount(volume).refused();
    assert!(matches!(error, Error::Unsupported { .. }), "{}", chain(&error));
}

fn a_failed_create_leaves_nothing(rig: &Rig) {
    let mounts = crate::rig::host_mounts();
    let count = || fs::read_dir("/proc/self/fd").unwrap().count();
    let before = count();
    for _ in 0..5 {
        // `Case::refused` sees to it that no process is left in the cgroup.
        rig.shell("true").user("nobody-here").refused();
        rig.shell("true").layer(|dir| fs::write(dir.join("proc"), "").unwrap()).refused();
        rig.shell("true").create().map(drop).unwrap();
    }
    assert_eq!(count(), before);
    assert_eq!(crate::rig::host_mounts(), mounts);
}
