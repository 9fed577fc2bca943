//! Taking over from a shim that died: everything it knew is in the file system or in its monitors.

use crate::dirs::Dirs;
use crate::event_loop::Token;
use crate::monitor::{FromMonitor, ToMonitor, hear, say};
use crate::recorded::Recorded;
use crate::server::Server;
use crate::table::{Container, Process, State, Task};
use bulkhead_proto::{ContainerId, Phase, Target};
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;
use std::time::Duration;

/// How long a monitor may take to answer. It has nothing else to do.
const MONITOR_PATIENCE: Duration = Duration::from_secs(5);

/// Find containers, monitors and what a crash left; keep the former, delete the latter.
pub(crate) fn recover(server: &mut Server) -> io::Result<()> {
    find_containers(server)?;
    find_monitors(server)?;
    remove_stray_cgroups(server);
    for entry in std::fs::read_dir(server.host.dirs.staging())? {
        crate::layers::discard(&server.host.dirs, &entry?.path());
    }
    for base in crate::janitor::ranges_in(&server.host.dirs.trash())? {
        server.ranges.found(base);
    }
    if std::fs::read_dir(server.host.dirs.trash())?.next().is_some() {
        server.clean_trash();
    }
    Ok(())
}

/// Every directory of a container is a lease.
fn find_containers(server: &mut Server) -> io::Result<()> {
    for entry in std::fs::read_dir(server.host.dirs.containers())? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            server.note("", &format!("not a container: {}", entry.path().display()));
            continue;
        };
        // `work` is made and given its owner last: without it no process ever had the range.
        match entry.path().join("work").symlink_metadata() {
            Ok(work) => {
                if work.uid() != 0 {
                    server.ranges.found(work.uid());
                }
                let layers = recorded_layers(&entry.path());
                let container =
                    Container { base: work.uid(), layers, effective: None, program: None };
                server.table.containers.insert(id, container);
            }
            Err(_) => server.drop_container_dir(&id, 0),
        }
    }
    Ok(())
}

/// Which layers a container without a process stands on, as the last create wrote them.
fn recorded_layers(directory: &std::path::Path) -> Vec<bulkhead_proto::LayerId> {
    let text = std::fs::read_to_string(directory.join("layers")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

fn find_monitors(server: &mut Server) -> io::Result<()> {
    for entry in std::fs::read_dir(server.host.dirs.monitors())? {
        let name = entry?.file_name();
        let Some(target) = name.to_str().and_then(Dirs::parse_monitor) else { continue };
        match meet(server, &target) {
            Ok(task) => adopt(server, target, task),
            Err(error) => {
                server.note(&target.container().to_string(), &format!("monitor lost: {error}"));
                lose(server, &target);
            }
        }
    }
    Ok(())
}

/// Connect to a monitor and hear where its process is.
fn meet(server: &mut Server, target: &Target) -> Result<Task, String> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(server.host.dirs.monitor(target), flags, Mode::empty())
        .map_err(|errno| errno.to_string())?;
    if let Target::Container { id } = target {
        read_record(server, id, &directory)?;
    }
    let monitor =
        crate::sockets::connect_in(&directory, "sock").map_err(|errno| errno.to_string())?;
    let receive = rustix::net::sockopt::Timeout::Recv;
    rustix::net::sockopt::set_socket_timeout(&monitor, receive, Some(MONITOR_PATIENCE))
        .map_err(|errno| errno.to_string())?;
    let (described, mut fds) = hear::<FromMonitor>(&monitor).map_err(|error| error.to_string())?;
    let FromMonitor::Described { effective, stdio, started, exit } = described else {
        return Err("it says something else than where it is".to_owned());
    };
    if fds.is_empty() {
        return Err("it has no pidfd".to_owned());
    }
    rustix::net::sockopt::set_socket_timeout(&monitor, receive, None)
        .map_err(|errno| errno.to_string())?;
    let state = match (exit, started) {
        (Some(status), _) => State::Stopped(status),
        (None, true) if is_frozen(server, target) => State::Frozen,
        (None, true) => State::Running,
        (None, false) => return Err("its process never started".to_owned()),
    };
    let token = server.table.new_token();
    let mut task = Task::new(state, monitor, token);
    task.process = Some(Process { pidfd: fds.swap_remove(0), effective, stdio });
    Ok(task)
}

fn adopt(server: &mut Server, target: Target, task: Task) {
    if server.poller.add(&task.monitor, Token::Monitor(task.token)).is_ok() {
        server.table.insert(target, task);
    }
}

fn is_frozen(server: &Server, target: &Target) -> bool {
    let cgroup = server.host.cgroups.open(&target.container().to_string());
    matches!(target, Target::Container { .. })
        && cgroup.and_then(|cgroup| cgroup.is_frozen()).unwrap_or(false)
}

/// What create wrote down, for execs and for the layers in use.
fn read_record(server: &mut Server, id: &ContainerId, directory: &OwnedFd) -> Result<(), String> {
    let path = server.host.dirs.monitor(&Target::Container { id: *id });
    let bytes = std::fs::read(path.join("spec")).map_err(|error| format!("record: {error}"))?;
    let recorded = Recorded::from_bytes(&bytes).map_err(|error| format!("record: {error}"))?;
    let program = match std::fs::read(path.join("seccomp")) {
        Ok(program) => Some(Rc::new(program)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(format!("record: {error}")),
    };
    let _held: &OwnedFd = directory;
    if let Some(container) = server.table.containers.get_mut(id) {
        container.layers = recorded.spec.layers.to_vec();
        container.program = program;
        container.effective = Some(Rc::new(recorded.into_effective()));
    }
    Ok(())
}

/// A monitor that does not answer: released while the last shim died, or dead. Its processes end.
fn lose(server: &mut Server, target: &Target) {
    if let Err(left) = server.clear_away(target) {
        server.note(&target.container().to_string(), &left.to_string());
    }
}

/// Cgroups without a task: the monitor died before it wrote anything.
fn remove_stray_cgroups(server: &mut Server) {
    for name in server.host.cgroups.list().unwrap_or_default() {
        let known = name.parse().is_ok_and(|id: ContainerId| {
            server.table.tasks.get(&Target::Container { id }).is_some_and(|task| {
                matches!(task.phase(), Phase::Running | Phase::Frozen | Phase::Stopped)
            })
        });
        if !known && let Ok(cgroup) = server.host.cgroups.open(&name) {
            let done = cgroup.kill().and_then(|()| cgroup.remove());
            if let Err(error) = done {
                server.note(&name, &format!("stray cgroup: {error}"));
            }
        }
    }
}

/// Kill and remove all that the engine has in the kernel, and every container; with `data`, the
/// layers and the id claims too. For `bulkhead down --all`.
pub(crate) fn purge(mut server: Server, data: bool) -> io::Result<()> {
    let targets: Vec<Target> = server.table.tasks.keys().cloned().collect();
    for target in targets {
        if let Some(task) = server.table.forget(&target) {
            if let Some(process) = &task.process {
                bulkhead_sys::fork::pidfd_signal(&process.pidfd, 9).unwrap_or_default();
            }
            say(&task.monitor, &ToMonitor::Release, &[]).unwrap_or_default();
        }
        lose(&mut server, &target);
    }
    let ids: Vec<ContainerId> = server.table.containers.keys().copied().collect();
    for id in ids {
        if let Some(container) = server.table.containers.remove(&id) {
            server.drop_container_dir(&id, container.base);
        }
    }
    bulkhead_network::remove_all(&server.host.instance).map_err(io::Error::other)?;
    server.wait_for_janitor();
    let Server { host, ranges, .. } = server;
    host.cgroups.remove().map_err(io::Error::other)?;
    if data {
        std::fs::remove_dir_all(host.dirs.all_state())?;
        ranges.abandon()?;
    }
    Ok(())
}
