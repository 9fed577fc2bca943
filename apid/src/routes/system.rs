//! `/_ping`, `/version`.

use crate::error::ApiError;
use crate::extract::Call;
use crate::reply::Reply;
use crate::version::ApiVersion;
use bulkhead_types::Version;
use bulkhead_types::system::{VersionComponent, VersionPlatform};
use bytes::Bytes;
use hyper::StatusCode;
use std::collections::BTreeMap;

/// `GET /_ping`, `HEAD /_ping`: 200. Clients read the version from the headers.
pub(super) async fn ping(_call: Call) -> Result<Reply, ApiError> {
    // To HEAD the HTTP library sends no body, but its length.
    Ok(Reply::Whole(StatusCode::OK, "text/plain; charset=utf-8", Bytes::from_static(b"OK")))
}

/// `GET /version`: 200.
pub(super) async fn version(call: Call) -> Result<Reply, ApiError> {
    let engine = call.app.engine.info();
    let own = env!("CARGO_PKG_VERSION");
    let api = ApiVersion::NEWEST.to_string();
    let oldest = ApiVersion::OLDEST.to_string();
    let kernel = kernel_version();
    let details = BTreeMap::from([
        ("ApiVersion".to_owned(), api.clone()),
        ("Arch".to_owned(), architecture().to_owned()),
        ("Experimental".to_owned(), "false".to_owned()),
        ("KernelVersion".to_owned(), kernel.clone()),
        ("MinAPIVersion".to_owned(), oldest.clone()),
        ("Os".to_owned(), "linux".to_owned()),
        ("Policy".to_owned(), format!("{} {}", engine.policy, engine.policy_fingerprint)),
    ]);
    let component = |name: &str, version: &str, details| VersionComponent {
        name: name.to_owned(),
        version: version.to_owned(),
        details,
    };
    Ok(Reply::json(&Version {
        platform: Some(VersionPlatform { name: "Bulkhead".to_owned() }),
        // Docker's client looks for a component of the name "Engine".
        components: Some(vec![
            component("Engine", own, Some(details)),
            component("bulkhead-shim", &engine.shim_version, None),
        ]),
        version: own.to_owned(),
        api_version: api,
        min_api_version: oldest,
        os: "linux".to_owned(),
        arch: architecture().to_owned(),
        kernel_version: kernel,
        ..Default::default()
    }))
}

/// As `uname -r`.
pub(super) fn kernel_version() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

/// The name that Go has for this architecture.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
