//! `down`: end an engine's daemons; with `--all` its containers too, with `--purge` also its data.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::layout::Layout;
use super::record::Record;
use super::up::{lock, programs, shim_arguments};
use super::{need_root, timeout};
use crate::client::{Call, Client, Endpoint, segment};
use crate::failure::Failure;
use crate::flags::Args;
use crate::output::print;

/// End an engine.
pub(crate) fn down(args: &Args) -> Result<(), Failure> {
    need_root("down", "it ends the daemon that is root")?;
    let purge = args.on("purge");
    let all = args.on("all") || purge;
    let layout = Layout::of(args, false)?;
    let limit = timeout(args);
    let _one_at_a_time = if layout.run.exists() { Some(lock(&layout.run)?) } else { None };
    let apid = Record::new(&layout.run, "apid");
    if all && apid.running().is_some() {
        // What the engine cannot remove, the shim removes below.
        if let Err(failure) = remove_containers(&layout) {
            print::err(&failure.text);
        }
    }
    end(&apid, "apid", limit)?;
    end(&Record::new(&layout.run, "shim"), "shim", limit)?;
    if !all {
        return Ok(());
    }
    if layout.etc.join("policy.bin").exists() {
        clear_kernel(&layout, args, purge)?;
    }
    remove(&layout.run)?;
    if purge {
        remove(&layout.lib)?;
        remove(&layout.log)?;
    }
    Ok(())
}

/// SIGTERM, and SIGKILL if that does not end it: both daemons may be killed at any time.
fn end(record: &Record, name: &str, limit: Duration) -> Result<(), Failure> {
    let Some(running) = record.running() else {
        record.remove();
        return Ok(());
    };
    running.signal(Signal::TERM)?;
    if !running.wait(limit) {
        print::err(&format!("bulkhead-{name} did not end within {limit:?}; killing it"));
        running.signal(Signal::KILL)?;
        if !running.wait(limit) {
            return Err(Failure::new(format!(
                "bulkhead-{name} (pid {}) does not end",
                running.pid
            )));
        }
    }
    record.remove();
    print::line(&format!("bulkhead-{name} stopped (pid {})", running.pid))
}

fn remove_containers(layout: &Layout) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("the event loop", &error))?;
    let client = Client::new(Endpoint::Unix(layout.api_socket()));
    runtime.block_on(async {
        let containers = client.json(Call::get("/containers/json").switch("all", true)).await?;
        let mut errors = Vec::new();
        for id in containers.list().iter().map(|container| container.at("Id").text()) {
            let call = Call::delete(format!("/containers/{}", segment(id)))
                .switch("force", true)
                .switch("v", true);
            match client.done(call).await {
                Ok(()) => print::line(&format!("removed container {}", short(id)))?,
                Err(error) => errors.push(error.to_string()),
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(Failure::new(errors.join("\n"))) }
    })
}

fn short(id: &str) -> &str {
    crate::output::text::short_id(id)
}

/// The shim's own mode that kills and removes whatever has this engine's tag.
fn clear_kernel(layout: &Layout, args: &Args, data: bool) -> Result<(), Failure> {
    let programs = programs(args.last("bin-dir"))?;
    let program = programs.join("bulkhead-shim");
    let mut command = Command::new(&program);
    command.arg("--purge").args(data.then_some("--data")).args(shim_arguments(layout, &programs));
    let status = command.status().map_err(|error| Failure::io(program.display(), &error))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(format!("bulkhead-shim --purge: {status}")))
}

fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::io(path.display(), &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
