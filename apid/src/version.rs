//! API versions, and everything in which an older one differs from the newest: the request is
//! brought up, the answer is brought down, and no handler knows of it.
//!
//! Source: the version history of the API,
//! <https://docs.docker.com/reference/api/engine/version-history/>.

use bulkhead_types::{
    ContainerCreateBody, ContainerSummary, ExecCreateBody, ExecStartBody, ImageInspect,
    ImageSummary, Info,
};
use serde_json::Value;
use std::fmt;

/// A version of the API: `1.43`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ApiVersion {
    major: u16,
    minor: u16,
}

impl ApiVersion {
    /// What a path without a version means, and the newest there is.
    pub(crate) const NEWEST: Self = one(51);
    /// Docker's own floor.
    pub(crate) const OLDEST: Self = one(24);

    /// The version that a client asks for, `text` being what stands after `/v`.
    ///
    /// # Errors
    ///
    /// Docker's sentence when it is too old or too new.
    pub(crate) fn negotiate(text: &str) -> Result<Self, String> {
        let mut numbers = text.split('.').map(|number| number.parse().unwrap_or(u16::MAX));
        let asked = Self {
            major: numbers.next().unwrap_or_default(),
            minor: numbers.next().unwrap_or_default(),
        };
        if asked < Self::OLDEST {
            return Err(format!(
                "client version {text} is too old. Minimum supported API version is {}, please upgrade your client to a newer version",
                Self::OLDEST
            ));
        }
        if asked > Self::NEWEST {
            return Err(format!(
                "client version {text} is too new. Maximum supported API version is {}",
                Self::NEWEST
            ));
        }
        Ok(asked)
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// 1.`minor`
const fn one(minor: u16) -> ApiVersion {
    ApiVersion { major: 1, minor }
}

/// Content type of streams without headers.
pub(crate) const RAW_STREAM: &str = "application/vnd.docker.raw-stream";
/// Content type of streams with a header before each piece.
pub(crate) const MULTIPLEXED_STREAM: &str = "application/vnd.docker.multiplexed-stream";

/// How output of a process is announced: only 1.42 and newer clients know the second name.
pub(crate) fn stream_type(version: ApiVersion, terminal: bool) -> &'static str {
    if terminal || version < one(42) { RAW_STREAM } else { MULTIPLEXED_STREAM }
}

/// `POST /containers/create`
///
/// # Errors
///
/// The sentence for a field that this version did not have and that must not be lost silently.
pub(crate) fn create_request(
    version: ApiVersion,
    body: &mut ContainerCreateBody,
) -> Result<(), String> {
    let host = &mut body.host_config;
    // Both 0 and -1 are "unlimited".
    host.resources.pids_limit = host.resources.pids_limit.filter(|limit| *limit > 0);
    if version >= one(42) {
        host.resources.kernel_memory = 0;
    }
    if version < one(40) {
        host.resources.kernel_memory_tcp = 0;
        if host.ipc_mode.is_empty() {
            "shareable".clone_into(&mut host.ipc_mode);
        }
    }
    if version < one(42) {
        host.console_size = [0, 0];
    }
    if version < one(43) {
        host.annotations = None;
    }
    if version < one(44) {
        if let Some(check) = &mut body.config.healthcheck {
            check.start_interval = 0;
        }
        one_network(body)?;
    }
    old_mounts(version, body)
}

/// Before 1.44 a container was created on one network, and its hardware address stood in the
/// configuration only.
fn one_network(body: &mut ContainerCreateBody) -> Result<(), String> {
    let endpoints = body.networking_config.endpoints_config.get_or_insert_default();
    if endpoints.len() > 1 {
        let names: Vec<_> = endpoints.keys().map(String::as_str).collect();
        return Err(format!(
            "Container cannot be created with multiple network endpoints: {}",
            names.join(", ")
        ));
    }
    let address = std::mem::take(&mut body.config.mac_address);
    for endpoint in endpoints.values_mut() {
        endpoint.get_or_insert_default().mac_address.clear();
    }
    if address.is_empty() {
        return Ok(());
    }
    let mode = body.host_config.network_mode.as_str();
    if matches!(mode, "host" | "none") || mode.starts_with("container:") {
        return Err("conflicting options: mac-address and the network mode".to_owned());
    }
    let network = if mode.is_empty() { "default" } else { mode };
    if endpoints.is_empty() {
        endpoints.insert(network.to_owned(), None);
    }
    for endpoint in endpoints.values_mut() {
        endpoint.get_or_insert_default().mac_address.clone_from(&address);
    }
    Ok(())
}

fn old_mounts(version: ApiVersion, body: &mut ContainerCreateBody) -> Result<(), String> {
    for mount in body.host_config.mounts.iter_mut().flatten() {
        if version < one(42) {
            // Not validated then; ignored then.
            mount.volume_options = mount.volume_options.take().filter(|_| mount.r#type == "volume");
            mount.tmpfs_options = mount.tmpfs_options.take().filter(|_| mount.r#type == "tmpfs");
        }
        if let Some(bind) = &mut mount.bind_options {
            bind.non_recursive &= version >= one(40);
            bind.create_mountpoint &= version >= one(42);
            if version < one(44) && bind.read_only_force_recursive {
                return Err("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer".into());
            }
        }
        if version < one(44) && mount.r#type == "bind" && mount.read_only {
            // Read-only was for the mount itself and not for those below it.
            mount.bind_options.get_or_insert_default().read_only_non_recursive = true;
        }
        let subpath = mount.volume_options.as_ref().is_some_and(|o| !o.subpath.is_empty());
        if version < one(45) && subpath {
            return Err("VolumeOptions.Subpath needs API v1.45 or newer".into());
        }
        if version < one(48) && mount.r#type == "image" {
            return Err("mount type image needs API v1.48 or newer".into());
        }
    }
    Ok(())
}

/// `POST /containers/{id}/exec`
pub(crate) fn exec_create_request(version: ApiVersion, body: &mut ExecCreateBody) {
    if version < one(42) {
        body.console_size = None;
    }
    if version < one(35) {
        body.working_dir.clear();
    }
    if version < one(25) {
        body.env = None;
    }
}

/// `POST /exec/{id}/start`
pub(crate) fn exec_start_request(version: ApiVersion, body: &mut ExecStartBody) {
    if version < one(42) {
        body.console_size = None;
    }
}

/// An element of `GET /containers/json`
pub(crate) fn container_summary(version: ApiVersion, container: &mut ContainerSummary) {
    if version < one(46) {
        container.host_config.annotations = None;
    }
}

/// An element of `GET /images/json`
pub(crate) fn image_summary(version: ApiVersion, image: &mut ImageSummary) {
    image.virtual_size = if version < one(44) { image.size } else { 0 };
    if version < one(43) && image.repo_tags.is_empty() && image.repo_digests.is_empty() {
        image.repo_tags.push("<none>:<none>".to_owned());
        image.repo_digests.push("<none>@<none>".to_owned());
    }
}

/// `GET /images/{name}/json`
pub(crate) fn image_inspect(version: ApiVersion, mut image: ImageInspect) -> Value {
    image.virtual_size = if version < one(44) { image.size } else { 0 };
    let mut value = serde_json::to_value(image).unwrap_or_default();
    if version >= one(50)
        && let Some(config) = value.get_mut("Config").and_then(Value::as_object_mut)
    {
        // They are a container's, and were never set.
        for field in CONTAINER_ONLY {
            config.remove(*field);
        }
    }
    value
}

/// Fields of `ContainerConfig` that an image does not have.
const CONTAINER_ONLY: &[&str] = &[
    "Hostname",
    "Domainname",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Image",
    "NetworkDisabled",
    "MacAddress",
    "StopTimeout",
];

/// `GET /info`
pub(crate) fn info(version: ApiVersion, mut info: Info) -> Value {
    if version < one(49) {
        info.firewall_backend = None;
    }
    let mut value = serde_json::to_value(info).unwrap_or_default();
    let Some(fields) = value.as_object_mut() else { return value };
    if version >= one(50) {
        fields.remove("BridgeNfIptables");
        fields.remove("BridgeNfIp6tables");
    }
    if version < one(49) {
        for name in ["ContainerdCommit", "RuncCommit", "InitCommit"] {
            if let Some(commit) = fields.get_mut(name).and_then(Value::as_object_mut) {
                let id = commit.get("ID").cloned().unwrap_or_default();
                commit.insert("Expected".to_owned(), id);
            }
        }
        if let Some(registry) = fields.get_mut("RegistryConfig").and_then(Value::as_object_mut) {
            for name in ["CIDRs", "Hostnames"] {
                let empty = Value::Array(Vec::new());
                registry.insert(format!("AllowNondistributableArtifacts{name}"), empty);
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_types::EndpointSettings;
    use bulkhead_types::host_config::{BindOptions, Mount};

    #[test]
    fn too_old_and_too_new_are_refused_in_dockers_words() {
        assert_eq!(ApiVersion::negotiate("1.43"), Ok(one(43)));
        assert_eq!(ApiVersion::negotiate("1.24"), Ok(ApiVersion::OLDEST));
        assert_eq!(
            ApiVersion::negotiate("1.52").unwrap_err(),
            "client version 1.52 is too new. Maximum supported API version is 1.51"
        );
        assert_eq!(
            ApiVersion::negotiate("1.23").unwrap_err(),
            "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"
        );
        for strange in ["2.0", "1.99999999", "...", "", "1", "0.9"] {
            assert!(ApiVersion::negotiate(strange).is_err(), "{strange}");
        }
    }

    #[test]
    fn only_new_clients_hear_of_multiplexed_streams() {
        assert_eq!(stream_type(one(41), false), RAW_STREAM);
        assert_eq!(stream_type(one(42), false), MULTIPLEXED_STREAM);
        assert_eq!(stream_type(one(42), true), RAW_STREAM);
    }

    #[test]
    fn an_old_hardware_address_moves_to_the_network() {
        let mut body = ContainerCreateBody::default();
        body.config.mac_address = "02:42:ac:11:00:02".to_owned();
        create_request(one(43), &mut body).unwrap();
        let endpoints = body.networking_config.endpoints_config.unwrap();
        assert_eq!(endpoints["default"].as_ref().unwrap().mac_address, "02:42:ac:11:00:02");
        assert!(body.config.mac_address.is_empty());
    }

    #[test]
    fn several_networks_at_creation_need_a_new_client() {
        let mut body = ContainerCreateBody::default();
        let endpoints = body.networking_config.endpoints_config.get_or_insert_default();
        for name in ["a", "b"] {
            endpoints.insert(name.to_owned(), Some(EndpointSettings::default()));
        }
        assert!(create_request(one(44), &mut body.clone()).is_ok());
        assert!(create_request(one(43), &mut body).unwrap_err().contains("a, b"));
    }

    #[test]
    fn read_only_binds_of_old_clients_are_not_recursive() {
        let bind = Mount { r#type: "bind".into(), read_only: true, ..Default::default() };
        let mut body = ContainerCreateBody::default();
        body.host_config.mounts = Some(vec![bind]);
        let mut newer = body.clone();
        create_request(one(43), &mut body).unwrap();
        create_request(one(44), &mut newer).unwrap();
        let non_recursive = |body: &ContainerCreateBody| {
            let mounts = body.host_config.mounts.as_ref().unwrap();
            mounts[0].bind_options.as_ref().is_some_and(|bind| bind.read_only_non_recursive)
        };
        assert!(non_recursive(&body));
        assert!(!non_recursive(&newer));
    }

    #[test]
    fn what_a_version_did_not_have_is_dropped_or_refused() {
        let bind = |options| Mount {
            r#type: "bind".into(),
            bind_options: Some(options),
            ..Default::default()
        };
        let mut body = ContainerCreateBody::default();
        body.host_config.annotations = Some([("a".to_owned(), "b".to_owned())].into());
        body.host_config.mounts =
            Some(vec![bind(BindOptions { create_mountpoint: true, ..Default::default() })]);
        create_request(one(41), &mut body).unwrap();
        assert_eq!(body.host_config.annotations, None);
        let mounts = body.host_config.mounts.as_mut().unwrap();
        assert!(!mounts[0].bind_options.as_ref().unwrap().create_mountpoint);

        mounts[0] = bind(BindOptions { read_only_force_recursive: true, ..Default::default() });
        assert!(create_request(one(43), &mut body).is_err());
    }

    #[test]
    fn old_image_lists_have_a_virtual_size_and_names_for_nameless_images() {
        let mut old = ImageSummary { size: 7, ..Default::default() };
        let mut new = old.clone();
        image_summary(one(42), &mut old);
        image_summary(one(44), &mut new);
        assert_eq!((old.virtual_size, old.repo_tags.len()), (7, 1));
        assert_eq!((new.virtual_size, new.repo_tags.len()), (0, 0));
    }

    #[test]
    fn an_image_has_no_hostname() {
        let image = ImageInspect { config: Some(Default::default()), ..Default::default() };
        assert!(image_inspect(one(49), image.clone())["Config"]["Hostname"].is_string());
        assert!(image_inspect(one(50), image)["Config"].get("Hostname").is_none());
    }
}
