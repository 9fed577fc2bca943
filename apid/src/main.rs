//! `bulkhead-apid`: the daemon that talks to clients. It is not root, parses everything untrusted,
//! and asks `bulkhead-shim` for whatever needs root.
#![forbid(unsafe_code)]

mod config;
mod confine;
mod error;
mod extract;
mod hello;
mod listen;
mod notify;
mod reply;
mod router;
mod routes;
mod server;
mod stream;
mod version;

use bulkhead_engine::Engine;
use config::{Arguments, HELP, Settings, Wanted};
use listen::{Address, Bound, Listener};
use notify::ServiceManager;
use server::App;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Threads that run tasks. Work that blocks has its own, which come and go.
const WORKERS: usize = 2;
/// The most threads for work that blocks: unpacking, databases, files.
const MAX_BLOCKING_THREADS: usize = 64;
/// Stack of a thread in bytes; nothing here recurses on what a client sends.
const STACK_BYTES: usize = 1024 * 1024;

fn main() -> ExitCode {
    match Arguments::parse(std::env::args_os().skip(1)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // There is nobody left to tell if standard error is closed.
            drop(writeln!(io::stderr(), "bulkhead-apid: {message}"));
            ExitCode::FAILURE
        }
    }
}

fn run(wanted: Wanted) -> Result<(), String> {
    let print = |text: &str| {
        io::stdout().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))
    };
    match wanted {
        Wanted::Help => print(HELP),
        Wanted::Version => print(concat!("bulkhead-apid ", env!("CARGO_PKG_VERSION"), "\n")),
        Wanted::Validate(arguments) => {
            Settings::new(arguments)?;
            print("configuration OK\n")
        }
        Wanted::Serve(arguments) => serve(Settings::new(arguments)?),
    }
}

/// From a root-free start to the last answered request.
fn serve(settings: Settings) -> Result<(), String> {
    tracing_subscriber::fmt()
        .with_max_level(settings.log_level)
        .with_writer(io::stderr)
        .with_ansi(false)
        .init();
    bulkhead_sandbox::refuse_root().map_err(|error| error.to_string())?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    raise_descriptor_limit();
    let bound = bind_all(&settings)?;
    let manager = ServiceManager::find();
    let hello = hello::Program::find();
    confine::enter(&settings)?;
    // From here on: no privileges, no files but our own, no programs.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(|error| format!("start threads: {error}"))?;
    let served = runtime.block_on(serve_sockets(settings, bound, manager, hello));
    // The engine has written down what must survive; threads that wait for containers need not end.
    runtime.shutdown_background();
    served
}

async fn serve_sockets(
    settings: Settings,
    bound: Vec<Bound>,
    manager: ServiceManager,
    hello: hello::Program,
) -> Result<(), String> {
    let stop = stop_on_signals()?;
    let hosts = settings.hosts.clone();
    let listeners = bound.into_iter().map(Listener::new).collect::<Result<Vec<_>, _>>();
    let listeners = listeners.map_err(|error| format!("listen: {error}"))?;
    let id = engine_id(&settings.engine.state_dir)?;
    let mut given_up = stop.clone();
    let opened = tokio::select! {
        opened = Engine::open(settings.engine.clone()) => opened,
        () = server::stopped(&mut given_up) => return Ok(()),
    };
    let engine = opened.map_err(|error| format!("open the engine: {}", chain(&error)))?;
    hello.load_if_missing(&engine).await;
    for host in &hosts {
        tracing::info!("listening on {host}");
    }
    manager.tell("READY=1");
    let app = Arc::new(App { engine: engine.clone(), settings, id });
    server::serve(app, listeners, stop).await;
    manager.tell("STOPPING=1");
    engine.shutdown().await;
    remove_sockets(&hosts);
    tracing::info!("stopped; containers go on");
    Ok(())
}

fn bind_all(settings: &Settings) -> Result<Vec<Bound>, String> {
    let mut bound = Vec::new();
    for host in &settings.hosts {
        bound.extend(listen::bind(host, settings.socket)?);
    }
    Ok(bound)
}

/// `SIGTERM` and `SIGINT` end the daemon, not the containers. `SIGHUP` ends nothing.
fn stop_on_signals() -> Result<watch::Receiver<bool>, String> {
    let listen = |kind| signal(kind).map_err(|error| format!("listen for signals: {error}"));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let (sender, stop) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => tracing::warn!("SIGHUP: the configuration is read at start only"),
            }
        }
        sender.send_replace(true);
    });
    Ok(stop)
}

/// Each container and client costs descriptors. A limit that cannot be raised is still a limit.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!("setrlimit(RLIMIT_NOFILE): {error}");
    }
}

/// What this engine is called in `GET /info`, from its first start on.
fn engine_id(state_dir: &Path) -> Result<String, String> {
    let path = state_dir.join("engine-id");
    if let Ok(id) = std::fs::read_to_string(&path)
        && !id.trim().is_empty()
    {
        return Ok(id.trim().to_owned());
    }
    let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid")
        .map_err(|error| format!("/proc/sys/kernel/random/uuid: {error}"))?;
    std::fs::write(&path, &id).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(id.trim().to_owned())
}

/// So that a client hears "no such file" at once instead of "connection refused".
fn remove_sockets(hosts: &[Address]) {
    for host in hosts {
        if let Address::Unix(path) = host
            && let Err(error) = std::fs::remove_file(path)
        {
            tracing::debug!("remove {}: {error}", path.display());
        }
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
