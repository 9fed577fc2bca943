//! What this daemon keeps of the host.

use crate::config::Settings;
use crate::listen::Address;
use bulkhead_sandbox::{APID, Access, Fence, FileRule, Sandbox};
use std::path::Path;

/// Enter the sandbox, for good.
///
/// # Errors
///
/// The sentence that the administrator reads; nothing may be served then.
pub(crate) fn enter(settings: &Settings) -> Result<(), String> {
    let files = files(settings);
    let sandbox = Sandbox { files: &files, calls: &APID };
    match sandbox.enter().map_err(|error| format!("sandbox: {}", crate::chain(&error)))? {
        Fence::Whole => tracing::debug!("sandboxed"),
        Fence::Partial => {
            tracing::info!("sandboxed as far as this kernel knows how; Linux 6.12 knows all of it");
        }
    }
    Ok(())
}

fn files(settings: &Settings) -> Vec<FileRule> {
    let rule = |path: &Path, access, optional| FileRule { path: path.to_owned(), access, optional };
    let mut files = vec![
        // Databases, blobs, logs.
        rule(&settings.engine.state_dir, Access::Write, false),
        // Containers that name no resolver get the host's.
        rule(Path::new("/etc/resolv.conf"), Access::Read, true),
        rule(Path::new("/run/systemd/resolve"), Access::Read, true),
        rule(Path::new("/etc/hosts"), Access::Read, true),
        rule(Path::new("/etc/os-release"), Access::Read, true),
        rule(Path::new("/etc/ssl"), Access::Read, true),
        // Names of the host's users, for `top` of containers that share its ids.
        rule(Path::new("/etc/passwd"), Access::Read, true),
        // `info`, `top`, `stats`.
        rule(Path::new("/proc"), Access::Read, false),
        rule(Path::new("/sys"), Access::Read, false),
    ];
    // Our own sockets are removed at the end.
    for host in &settings.hosts {
        if let Address::Unix(path) = host
            && let Some(directory) = path.parent()
        {
            files.push(rule(directory, Access::Write, false));
        }
    }
    if let Some(directory) = settings.engine.shim_socket.parent() {
        files.push(rule(directory, Access::Read, true));
    }
    files
}
