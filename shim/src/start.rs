//! From the command line to a server: the sequence, a line a step.

use crate::arguments::Arguments;
use crate::audit_log::AuditLog;
use crate::dirs::{Dirs, context, instance_tag};
use crate::event_loop::{Poller, Token};
use crate::host::Host;
use crate::ranges::Ranges;
use crate::server::Server;
use crate::{drop, recover, sockets};
use bulkhead_cgroup::Hierarchy;
use bulkhead_network::Instance;
use bulkhead_policy::{HostFacts, Policy};
use bulkhead_runtime::Features;
use bulkhead_sys::fork::{self, SingleThreaded};
use rustix::fs::{FlockOperation, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::process::{Resource, Rlimit};
use rustix::thread::CapabilitySet;
use std::ffi::CString;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Capabilities that nothing here needs, even for a container with the host's user namespace: they
/// change the machine itself. A process in a new user namespace has its own full set there.
const NEVER_NEEDED: CapabilitySet = CapabilitySet::SYS_MODULE
    .union(CapabilitySet::SYS_BOOT)
    .union(CapabilitySet::SYS_TIME)
    .union(CapabilitySet::SYS_PACCT)
    .union(CapabilitySet::SYSLOG)
    .union(CapabilitySet::WAKE_ALARM)
    .union(CapabilitySet::BLOCK_SUSPEND)
    .union(CapabilitySet::AUDIT_CONTROL)
    .union(CapabilitySet::AUDIT_READ)
    .union(CapabilitySet::MAC_ADMIN)
    .union(CapabilitySet::MAC_OVERRIDE)
    .union(CapabilitySet::LEASE);

/// A monitor's line, its pidfd and a little more for each of 10,000 processes.
const MAX_DESCRIPTORS: u64 = 65_536;

/// Serve until killed.
pub(crate) fn serve(arguments: &Arguments) -> io::Result<()> {
    if !arguments.sealed {
        return run_sealed(arguments);
    }
    let server = prepare(arguments)?;
    notify(arguments, "READY=1\n")?;
    Err(server.run())
}

/// `--purge`
pub(crate) fn purge(arguments: &Arguments, data: bool) -> io::Result<()> {
    let server = prepare(arguments)?;
    recover::purge(server, data)
}

/// One line to standard error: the journal, or the log that `bulkhead up` gave.
pub(crate) fn say(text: &str) {
    // Nobody to tell if that fails.
    writeln!(io::stderr(), "{text}").unwrap_or_default();
}

fn prepare(arguments: &Arguments) -> io::Result<Server> {
    let root = rustix::process::geteuid().is_root();
    if !root {
        return Err(io::Error::other("must be root: it makes namespaces, mounts and cgroups"));
    }
    let proof = SingleThreaded::check()?;
    let dirs = places(arguments)?;
    dirs.prepare()?;
    hold_lock(&dirs)?;
    harden()?;
    let policy = load_policy(&dirs)?;
    let tag = instance_tag(dirs.state());
    let hierarchy = Hierarchy::detect().map_err(io::Error::other)?;
    let cgroup_parent =
        if tag.is_empty() { "bulkhead".to_owned() } else { format!("bulkhead-{tag}") };
    let cgroups = hierarchy.parent(&cgroup_parent).map_err(io::Error::other)?;
    let libexec = libexec_dir(arguments)?;
    let ranges = Ranges::open(dirs.claims(), dirs.state())?;
    let audit = AuditLog::open(&dirs.audit_log())?;
    let host = Host {
        proof,
        policy,
        instance: Instance::new(&tag).map_err(io::Error::other)?,
        tag,
        hierarchy,
        cgroups,
        cgroup_parent,
        features: Features::probe(),
        monitor_filter: drop::monitor_filter()
            .map_err(|error| io::Error::other(error.to_string()))?,
        worker: open_program(&libexec.join("bulkhead-worker"))?,
        init: open_program(&libexec.join("bulkhead-init")).and_then(seal).ok(),
        dirs,
    };
    // What most containers load, compiled once; forked spawners find it in their memory.
    if let Some(section) = host.policy.sections.first() {
        bulkhead_runtime::prepare_filters(section.capabilities.default);
    }
    let poller = Poller::new()?;
    let listener = listen(&host)?;
    poller.add(&listener, Token::Listener)?;
    fork::reap_children_automatically().map_err(io::Error::other)?;
    let mut server = Server::new(host, poller, listener, audit, ranges);
    server.note("", "start");
    recover::recover(&mut server)?;
    Ok(server)
}

fn places(arguments: &Arguments) -> io::Result<Dirs> {
    // The state directory names the instance: by its one real path.
    std::fs::create_dir_all(&arguments.state_dir)?;
    let state = arguments.state_dir.canonicalize()?;
    Ok(Dirs::new(
        arguments.config_dir.clone(),
        arguments.run_dir.clone(),
        state,
        arguments.claims_dir.clone(),
    ))
}

/// One shim an engine. A record lock (fcntl(2), F_SETLK) is this process's alone: what it forks does
/// not hold it, so a shim that follows need not wait for a spawner of the dead one.
fn hold_lock(dirs: &Dirs) -> io::Result<()> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let path = dirs.lock();
    let lock = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)?;
    rustix::fs::fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_held| {
        io::Error::other(format!("{}: another shim serves this engine", path.display()))
    })?;
    std::mem::forget(lock);
    Ok(())
}

fn harden() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_name(c"bulkhead-shim")?;
    drop::keep_only_but(NEVER_NEEDED).map_err(io::Error::other)?;
    raise_descriptor_limit()?;
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    Ok(())
}

/// To [`MAX_DESCRIPTORS`]; a root without `CAP_SYS_RESOURCE` (inside a machine that keeps it) has to
/// do with its hard limit.
fn raise_descriptor_limit() -> io::Result<()> {
    let set = |most| {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        rustix::process::setrlimit(Resource::Nofile, limit)
    };
    match (set(MAX_DESCRIPTORS), rustix::process::getrlimit(Resource::Nofile).maximum) {
        (Err(rustix::io::Errno::PERM), Some(most)) => Ok(set(most)?),
        (result, _) => Ok(result?),
    }
}

fn load_policy(dirs: &Dirs) -> io::Result<Policy> {
    let path = dirs.policy();
    let metadata = path.symlink_metadata().map_err(|error| context(error, &path))?;
    if !metadata.is_file() || metadata.uid() != 0 || metadata.permissions().mode() & 0o022 != 0 {
        let text = format!("{}: must be a file that only root can write", path.display());
        return Err(io::Error::other(text));
    }
    let table = std::fs::read(&path)?;
    let mut policy = Policy::from_table(&table)
        .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
    policy.host = HostFacts { own_directories: dirs.never_bound()?, cpus: cpus() };
    Ok(policy)
}

/// How many CPUs have a directory in sysfs, present or not.
fn cpus() -> u32 {
    let entries = std::fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let numbered =
        names.filter(|name| name.strip_prefix("cpu").is_some_and(|n| n.parse::<u32>().is_ok()));
    u32::try_from(numbered.count()).unwrap_or(u32::MAX)
}

/// The socket belongs to the peer that the policy names, if it is one; who else connects is refused
/// by uid all the same.
fn listen(host: &Host) -> io::Result<OwnedFd> {
    let path = host.dirs.socket();
    let parent = path.parent().unwrap_or_else(|| Path::new("/"));
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(parent, flags, Mode::empty())?;
    let listener = sockets::listen_in(&directory, "shim.sock")?;
    let (owner, mode) = match &*host.policy.sections {
        [only] => (only.uid, 0o600),
        _ => (0, 0o666),
    };
    std::os::unix::fs::chown(&path, Some(owner), None)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
    Ok(listener)
}

fn libexec_dir(arguments: &Arguments) -> io::Result<PathBuf> {
    if let Some(path) = &arguments.libexec_dir {
        return Ok(path.clone());
    }
    let program = std::env::current_exe()?;
    program.parent().map(Path::to_owned).ok_or_else(|| io::Error::other("no program directory"))
}

/// A program that will run with our rights or in a container: nobody but root may change it.
fn open_program(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|errno| context(errno.into(), path))?;
    let stat = rustix::fs::fstat(&fd)?;
    if stat.st_uid != 0 || stat.st_mode & 0o022 != 0 {
        return Err(io::Error::other(format!(
            "{}: only root may be able to write it",
            path.display()
        )));
    }
    Ok(fd)
}

/// A copy in memory that nobody can change: what runs in a container is never a file of the host
/// (CVE-2019-5736).
fn seal(program: OwnedFd) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut copy = std::fs::File::from(rustix::fs::memfd_create("bulkhead-init", flags)?);
    io::copy(&mut std::fs::File::from(program), &mut copy)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&copy, seals)?;
    // For reading only, as a program is.
    let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&copy));
    Ok(rustix::fs::open(again, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Go on from a sealed copy of this program in memory: then `/proc/PID/exe` of nothing that we fork
/// leads to a file of the host (CVE-2019-5736), and upgrading the file disturbs nobody.
fn run_sealed(arguments: &Arguments) -> io::Result<()> {
    let libexec = libexec_dir(arguments)?;
    let copy = seal(std::fs::File::open("/proc/self/exe")?.into())?;
    let text = |word: &[u8]| CString::new(word).map_err(io::Error::other);
    let mut words = vec![text(b"bulkhead-shim")?];
    for argument in &arguments.raw {
        words.push(text(argument.as_bytes())?);
    }
    words.extend([text(b"--libexec-dir")?, text(&libexec.into_os_string().into_vec())?]);
    if let Some(socket) = &arguments.notify_socket {
        words.extend([text(b"--notify-socket")?, text(socket.as_bytes())?]);
    }
    words.push(text(b"--sealed")?);
    let standard = [io::stdin().as_fd(), io::stdout().as_fd(), io::stderr().as_fd()]
        .map(|fd| fd.try_clone_to_owned());
    let [input, output, error] = standard;
    let (input, output, error) = (input?, output?, error?);
    let keep = [(input.as_fd(), 0), (output.as_fd(), 1), (error.as_fd(), 2)];
    match fork::exec_with(copy.as_fd(), &words, &keep) {
        Ok(never) => match never {},
        Err(error) => Err(io::Error::other(error)),
    }
}

/// sd_notify(3): one datagram.
fn notify(arguments: &Arguments, state: &str) -> io::Result<()> {
    let Some(socket) = &arguments.notify_socket else { return Ok(()) };
    let sender = std::os::unix::net::UnixDatagram::unbound()?;
    let name = socket.as_bytes();
    match name.strip_prefix(b"@") {
        Some(name) => {
            use std::os::linux::net::SocketAddrExt;
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            sender.send_to_addr(state.as_bytes(), &address)?;
        }
        None => {
            sender.send_to(state.as_bytes(), Path::new(socket))?;
        }
    }
    Ok(())
}
