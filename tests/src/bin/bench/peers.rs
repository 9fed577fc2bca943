//! Other engines and runtimes, as installed; and the floor.

use crate::bundle::Bundle;
use crate::measure::{self, Outcome, Subject};
use crate::stage::Stage;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where a hybrid host has its cgroup v2.
const UNIFIED: &str = "/sys/fs/cgroup/unified";
/// What podman makes in every hierarchy with `--cgroup-manager cgroupfs`.
const PODMAN_CGROUP: &str = "libpod_parent";

/// `crun` refuses a hybrid host: a place where it looks like plain v1.
pub fn without_unified() -> Stage {
    Stage::mounts(&format!("! mountpoint -q {UNIFIED} || umount {UNIFIED}"))
}

/// The bundle by `crun run`: a new network namespace with nothing in it.
pub fn crun<'a>(bundle: &'a Bundle, stage: &'a Stage) -> Subject<'a> {
    let mut number = 0;
    Subject::on_stage("crun run (no network)", stage, move || {
        number += 1;
        oci("crun", bundle, number)
    })
}

/// The bundle by `runc run`.
pub fn runc(bundle: &Bundle) -> Subject<'_> {
    let mut number = 0;
    Subject::command("runc run (no network)", move || {
        number += 1;
        oci("runc", bundle, number)
    })
}

fn oci(runtime: &str, bundle: &Bundle, number: usize) -> Command {
    let mut command = Command::new(runtime);
    command.args(["run", "--bundle"]).arg(bundle.directory());
    command.arg(format!("bench-{}-{number}", std::process::id()));
    command
}

/// The program `floor`, which cargo puts beside this one.
pub fn floor_program() -> PathBuf {
    std::env::current_exe().unwrap_or_default().with_file_name("floor")
}

/// The floor, launched for each.
pub fn floor<'a>(bundle: &'a Bundle, stage: &'a Stage) -> Subject<'a> {
    Subject::on_stage("floor", stage, || {
        let mut command = Command::new(floor_program());
        command.arg(bundle.rootfs());
        command
    })
}

/// The floor again and again in one process.
pub fn floor_inside(bundle: &Bundle, stage: &Stage, rounds: usize) -> Vec<Outcome> {
    let lines = bundle.directory().join("floor.txt");
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec "$0" "$1" "$2" > "$3""#]).arg(floor_program());
    command.arg(bundle.rootfs()).arg(rounds.to_string()).arg(&lines);
    let times = stage.time(command).and_then(|_| {
        let text = std::fs::read_to_string(&lines).map_err(|error| error.to_string())?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).map(Duration::from_nanos).collect())
    });
    vec![Outcome { name: "floor, without its launch".to_owned(), times }]
}

/// Podman with storage, state and network of its own.
pub struct Podman {
    stage: Stage,
    storage: tempfile::TempDir,
    /// Cgroups that were not there before.
    made: Vec<PathBuf>,
}

impl Podman {
    /// Make it and import the image.
    pub fn set_up(tar: &Path) -> Result<Self, String> {
        if !bulkhead_tests::has_program("podman") {
            return Err("podman is not installed".to_owned());
        }
        let storage = tempfile::Builder::new().prefix("bench-podman").tempdir_in("/var/tmp");
        let storage = storage.map_err(|error| error.to_string())?;
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let made = hierarchies.map(|entry| entry.path().join(PODMAN_CGROUP));
        let made = made.chain([Path::new("/sys/fs/cgroup").join(PODMAN_CGROUP)]);
        let made = made.filter(|path| !path.exists()).collect();
        let stage = Stage::mounts_and_network(&format!(
            "! mountpoint -q {UNIFIED} || umount {UNIFIED}
             mount -t tmpfs run /run; mount -t tmpfs shm /dev/shm; mkdir /run/upper /run/work
             mount -t overlay -o lowerdir=/var/lib,upperdir=/run/upper,workdir=/run/work lib /var/lib
             ip link set lo up"
        ));
        let podman = Self { stage, storage, made };
        let mut import = podman.command();
        import.arg("import").arg(tar).arg("bench-busybox");
        podman.stage.time(import)?;
        Ok(podman)
    }

    /// With and without a network.
    pub fn subjects(&self) -> Vec<Subject<'_>> {
        let subject = |name: &str, network: &'static str| {
            Subject::on_stage(name, &self.stage, move || self.run(network))
        };
        vec![
            subject("podman run --rm", "bridge"),
            subject("podman run --rm --network none", "none"),
        ]
    }

    fn run(&self, network: &str) -> Command {
        let mut command = self.command();
        command.args(["run", "--rm", "--network", network]);
        // Its defaults are above what a host without CAP_SYS_RESOURCE lets it set.
        command.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"]);
        command.args(["bench-busybox", "true"]);
        command
    }

    fn command(&self) -> Command {
        let mut command = Command::new("podman");
        command.arg("--root").arg(self.storage.path().join("root"));
        command.args(["--runroot", "/run/bench", "--tmpdir", "/run/bench-tmp"]);
        command.args(["--cgroup-manager", "cgroupfs", "--storage-driver", "overlay"]);
        command
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        for cgroup in &self.made {
            for path in [cgroup.join("conmon"), cgroup.clone()] {
                match std::fs::remove_dir(&path) {
                    Err(error) if path.exists() => eprintln!("bench: {}: {error}", path.display()),
                    _ => {}
                }
            }
        }
    }
}

/// The floor `count` times, `at_once` at a time.
pub fn floor_parallel(bundle: &Bundle, count: usize, at_once: usize) -> Result<Duration, String> {
    let stage = Stage::network();
    // The first makes the bridge.
    let mut first = Command::new(floor_program());
    first.arg(bundle.rootfs());
    stage.time(first)?;
    stage.time(measure::many(count, at_once, floor_program(), &[bundle.rootfs().as_os_str()]))
}
