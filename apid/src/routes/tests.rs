//! The table of routes against the list of all operations of the API.

use super::*;
use std::fmt::Write as _;
use std::{env, fs};

#[test]
fn every_operation_of_the_api_is_answered_or_known_to_be_absent() {
    for (method, path) in OPERATIONS {
        let routed = ROUTES.iter().any(|r| r.method == *method && r.pattern == *path);
        let absent = ABSENT.iter().any(|a| a.method == *method && a.pattern == *path);
        assert!(routed != absent, "{method} {path}: routed {routed}, absent {absent}");
    }
}

#[test]
fn paths_lead_where_they_should() {
    for (method, path, pattern, name) in [
        ("GET", "/images/json", "/images/json", ""),
        ("GET", "/images/a/b/json", "/images/{}/json", "a/b"),
        ("DELETE", "/images/host:5000/a/b:c", "/images/{}", "host:5000/a/b:c"),
        ("POST", "/containers/create", "/containers/create", ""),
        ("GET", "/containers//name/json", "/containers/{}/json", "/name"),
        ("DELETE", "/containers/x", "/containers/{}", "x"),
        ("POST", "/exec/1/start", "/exec/{}/start", "1"),
    ] {
        let Some(Found::Route(route, found)) = find(method, path) else {
            panic!("{method} {path} is not routed")
        };
        assert_eq!((route.pattern, found), (pattern, name), "{method} {path}");
    }
    for (method, path, pattern) in [
        ("GET", "/containers/x/archive", "/containers/{}/archive"),
        ("GET", "/images/get", "/images/get"),
        ("GET", "/images/a/b/get", "/images/{}/get"),
        ("GET", "/containers/x/attach/ws", "/containers/{}/attach/ws"),
        ("DELETE", "/networks/x", "/networks/{}"),
    ] {
        let Some(Found::Absent(absent, _)) = find(method, path) else {
            panic!("{method} {path} is not absent")
        };
        assert_eq!(absent.pattern, pattern, "{method} {path}");
    }
    for (method, path) in
        [("GET", "/"), ("GET", "/containers"), ("PATCH", "/containers/x"), ("GET", "/v2/")]
    {
        assert!(find(method, path).is_none(), "{method} {path}");
    }
}

/// `API.md` is made from the tables: `UPDATE_API_MD=1 cargo test -p bulkhead-apid`.
#[test]
fn the_documentation_lists_what_the_tables_say() {
    let mut text = String::from(HEADING);
    let mut rows: Vec<(&str, &str, String)> =
        ROUTES.iter().map(|r| (r.pattern, r.method, "yes".to_owned())).collect();
    rows.extend(ABSENT.iter().map(|a| (a.pattern, a.method, a.explanation())));
    rows.sort();
    for (pattern, method, answer) in rows {
        let path = pattern.replace("{}", "{name}");
        writeln!(text, "| `{method} {path}` | {answer} |").unwrap();
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/API.md");
    if env::var_os("UPDATE_API_MD").is_some() {
        fs::write(file, &text).unwrap();
    }
    assert_eq!(fs::read_to_string(file).unwrap(), text, "run with UPDATE_API_MD=1");
}

const HEADING: &str = "\
# Endpoints

The Docker Engine API, versions 1.24 to 1.51. What is not there answers with an honest error.

| endpoint | answered |
|---|---|
";

/// Method and path of every operation in the description of the API, version 1.56.
const OPERATIONS: &[(&str, &str)] = &[
    ("GET", "/containers/json"),
    ("POST", "/containers/create"),
    ("GET", "/containers/{}/json"),
    ("GET", "/containers/{}/top"),
    ("GET", "/containers/{}/logs"),
    ("GET", "/containers/{}/changes"),
    ("GET", "/containers/{}/export"),
    ("GET", "/containers/{}/stats"),
    ("POST", "/containers/{}/resize"),
    ("POST", "/containers/{}/start"),
    ("POST", "/containers/{}/stop"),
    ("POST", "/containers/{}/restart"),
    ("POST", "/containers/{}/kill"),
    ("POST", "/containers/{}/update"),
    ("POST", "/containers/{}/rename"),
    ("POST", "/containers/{}/pause"),
    ("POST", "/containers/{}/unpause"),
    ("POST", "/containers/{}/attach"),
    ("GET", "/containers/{}/attach/ws"),
    ("POST", "/containers/{}/wait"),
    ("DELETE", "/containers/{}"),
    ("HEAD", "/containers/{}/archive"),
    ("GET", "/containers/{}/archive"),
    ("PUT", "/containers/{}/archive"),
    ("POST", "/containers/prune"),
    ("GET", "/images/json"),
    ("POST", "/build"),
    ("POST", "/build/prune"),
    ("POST", "/images/create"),
    ("GET", "/images/{}/json"),
    ("GET", "/images/{}/attestations"),
    ("GET", "/images/{}/history"),
    ("POST", "/images/{}/push"),
    ("POST", "/images/{}/tag"),
    ("DELETE", "/images/{}"),
    ("GET", "/images/search"),
    ("POST", "/images/prune"),
    ("POST", "/commit"),
    ("GET", "/images/{}/get"),
    ("GET", "/images/get"),
    ("POST", "/images/load"),
    ("POST", "/auth"),
    ("GET", "/info"),
    ("GET", "/version"),
    ("GET", "/_ping"),
    ("HEAD", "/_ping"),
    ("GET", "/events"),
    ("GET", "/system/df"),
    ("POST", "/containers/{}/exec"),
    ("POST", "/exec/{}/start"),
    ("POST", "/exec/{}/resize"),
    ("GET", "/exec/{}/json"),
    ("GET", "/volumes"),
    ("POST", "/volumes/create"),
    ("GET", "/volumes/{}"),
    ("PUT", "/volumes/{}"),
    ("DELETE", "/volumes/{}"),
    ("POST", "/volumes/prune"),
    ("GET", "/networks"),
    ("GET", "/networks/{}"),
    ("DELETE", "/networks/{}"),
    ("POST", "/networks/create"),
    ("POST", "/networks/{}/connect"),
    ("POST", "/networks/{}/disconnect"),
    ("POST", "/networks/prune"),
    ("GET", "/plugins"),
    ("GET", "/plugins/privileges"),
    ("POST", "/plugins/pull"),
    ("GET", "/plugins/{}/json"),
    ("DELETE", "/plugins/{}"),
    ("POST", "/plugins/{}/enable"),
    ("POST", "/plugins/{}/disable"),
    ("POST", "/plugins/{}/upgrade"),
    ("POST", "/plugins/create"),
    ("POST", "/plugins/{}/push"),
    ("POST", "/plugins/{}/set"),
    ("GET", "/nodes"),
    ("GET", "/nodes/{}"),
    ("DELETE", "/nodes/{}"),
    ("POST", "/nodes/{}/update"),
    ("GET", "/swarm"),
    ("POST", "/swarm/init"),
    ("POST", "/swarm/join"),
    ("POST", "/swarm/leave"),
    ("POST", "/swarm/update"),
    ("GET", "/swarm/unlockkey"),
    ("POST", "/swarm/unlock"),
    ("GET", "/services"),
    ("POST", "/services/create"),
    ("GET", "/services/{}"),
    ("DELETE", "/services/{}"),
    ("POST", "/services/{}/update"),
    ("GET", "/services/{}/logs"),
    ("GET", "/tasks"),
    ("GET", "/tasks/{}"),
    ("GET", "/tasks/{}/logs"),
    ("GET", "/secrets"),
    ("POST", "/secrets/create"),
    ("GET", "/secrets/{}"),
    ("DELETE", "/secrets/{}"),
    ("POST", "/secrets/{}/update"),
    ("GET", "/configs"),
    ("POST", "/configs/create"),
    ("GET", "/configs/{}"),
    ("DELETE", "/configs/{}"),
    ("POST", "/configs/{}/update"),
    ("GET", "/distribution/{}/json"),
    ("POST", "/session"),
];
