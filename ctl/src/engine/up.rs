//! `up`: start whichever daemon of an engine does not run, and wait until the engine answers.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use super::account::Account;
use super::daemon::{self, Daemon, Notifications};
use super::layout::Layout;
use super::record::Record;
use super::{configuration, need_root, timeout};
use crate::client::{Call, Client, Endpoint};
use crate::failure::Failure;
use crate::flags::Args;
use crate::output::print;

/// Start an engine.
pub(crate) fn up(args: &Args) -> Result<(), Failure> {
    need_root("up", "it makes directories of root's and starts the daemon that is root")?;
    let account = Account::find(args.last("user").unwrap_or("bulkhead"))?;
    let programs = programs(args.last("bin-dir"))?;
    let layout = Layout::of(args, true)?;
    layout.check_socket_paths()?;
    layout.prepare(account)?;
    let _one_at_a_time = lock(&layout.run)?;
    configuration::prepare(&layout, account, args.last("policy"))?;
    let notifications = Notifications::open(&layout.run, account.gid)?;
    let limit = timeout(args);
    for daemon in [shim(&layout, &programs), apid(&layout, &programs, account, args)] {
        let record = Record::new(&layout.run, daemon.name);
        let (pid, what) = match record.running() {
            Some(running) => (running.pid, "runs already"),
            None => {
                let running = daemon::start(&daemon, &record, &notifications, limit)?;
                (running.pid, "started")
            }
        };
        print::line(&format!("bulkhead-{} {what} (pid {pid})", daemon.name))?;
    }
    answers(&layout, limit)?;
    hints(&layout)
}

fn shim<'a>(layout: &Layout, programs: &Path) -> Daemon<'a> {
    Daemon {
        name: "shim",
        program: programs.join("bulkhead-shim"),
        arguments: shim_arguments(layout, programs),
        account: None,
        log: layout.log.join("shim.log"),
    }
}

/// The places of an engine as the shim's options.
pub(super) fn shim_arguments(layout: &Layout, programs: &Path) -> Vec<String> {
    [
        ("--config-dir", layout.etc.as_path()),
        ("--run-dir", &layout.run),
        ("--state-dir", &layout.lib),
        ("--libexec-dir", programs),
    ]
    .into_iter()
    .flat_map(|(option, path)| [option.to_owned(), path.to_string_lossy().into_owned()])
    .collect()
}

fn apid<'a>(layout: &Layout, programs: &Path, account: Account, args: &Args) -> Daemon<'a> {
    let mut arguments: Vec<String> = [
        ("--config-file", layout.etc.join("daemon.json")),
        ("--run-dir", layout.run.clone()),
        ("--state-dir", layout.lib.join("apid")),
        ("--shim-socket", layout.shim_socket()),
    ]
    .into_iter()
    .flat_map(|(option, path)| [option.to_owned(), path.to_string_lossy().into_owned()])
    .collect();
    arguments.extend(["-H".to_owned(), format!("unix://{}", layout.api_socket().display())]);
    for host in args.all("host") {
        arguments.extend(["-H".to_owned(), host.to_owned()]);
    }
    Daemon {
        name: "apid",
        program: programs.join("bulkhead-apid"),
        arguments,
        account: Some(account),
        log: layout.log.join("apid.log"),
    }
}

/// Where the daemons' programs are: beside this one, or where an installation puts them.
pub(super) fn programs(asked: Option<&str>) -> Result<PathBuf, Failure> {
    let own =
        std::env::current_exe().map_err(|error| Failure::io("the path of this program", &error))?;
    let beside = own.parent().unwrap_or_else(|| Path::new("/")).to_owned();
    let candidates = match asked {
        Some(asked) => {
            let asked = Path::new(asked);
            vec![asked.canonicalize().map_err(|error| Failure::io(asked.display(), &error))?]
        }
        None => vec![beside.clone(), beside.join("../libexec/bulkhead")],
    };
    let found = candidates.iter().find(|path| path.join("bulkhead-shim").exists());
    let found = found.and_then(|path| path.canonicalize().ok());
    found.ok_or_else(|| {
        let places: Vec<String> =
            candidates.iter().map(|path| path.display().to_string()).collect();
        Failure::new(format!(
            "bulkhead-shim is not in {}: say where the programs are with --bin-dir",
            places.join(" or ")
        ))
    })
}

/// Held while `up` or `down` works on an engine.
pub(super) fn lock(run: &Path) -> Result<File, Failure> {
    let failed = |error: std::io::Error| Failure::io(run.display(), &error);
    let directory = File::open(run).map_err(failed)?;
    rustix::fs::flock(&directory, FlockOperation::LockExclusive)
        .map_err(|errno| failed(errno.into()))?;
    Ok(directory)
}

/// Ask until the engine answers, which includes that it reaches the shim.
fn answers(layout: &Layout, limit: Duration) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("the event loop", &error))?;
    let client = Client::new(Endpoint::Unix(layout.api_socket()));
    let deadline = Instant::now() + limit;
    runtime.block_on(async {
        loop {
            let answer = match client.done(Call::get("/_ping")).await {
                Ok(()) => client.done(Call::get("/info")).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= deadline => {
                    return Err(Failure::new(format!(
                        "the engine does not answer: {error}; see {}",
                        layout.log.display()
                    )));
                }
                // It said that it is ready, so this is rare: nothing tells when it will be.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    })
}

fn hints(layout: &Layout) -> Result<(), Failure> {
    let host = format!("unix://{}", layout.api_socket().display());
    let flag = layout.flag();
    let export = if layout.root.is_some() {
        format!("  export DOCKER_HOST={host}\n")
    } else {
        String::new()
    };
    print::line(&format!(
        "\nThe engine is up. Try:\n{export}  bulkhead run --rm bulkhead/hello\n\
         To stop it: bulkhead down{flag} (containers go on), or bulkhead down{flag} --all\n\n\
         DOCKER_HOST={host}"
    ))
}
