use super::*;
use bulkhead_policy::capability;

const UID: u32 = 990;

fn compiled(text: &str) -> Policy {
    compile(text, Some(UID)).unwrap_or_else(|error| panic!("{error}"))
}

/// What is wrong with a file of this base and these lines.
fn wrong(lines: &str) -> String {
    match compile(&format!("base = \"hardened\"\n{lines}"), Some(UID)) {
        Ok(_) => panic!("compiles: {lines}"),
        Err(error) => error.to_string(),
    }
}

fn text_of(name: &str) -> &'static str {
    preset(name).unwrap()
}

#[test]
fn the_files_that_ship_say_exactly_what_the_presets_are() {
    assert_eq!(compiled(text_of("hardened")), Policy::hardened(UID));
    assert_eq!(compiled(text_of("compat")), Policy::compat(UID));
    assert_eq!(preset("other"), None);
}

/// With the other base, so that a key that is missing or wrong would show.
#[test]
fn the_files_that_ship_have_every_key() {
    let swap = |text: &str, from: &str, to: &str| {
        compiled(&text.replace(&format!("base = \"{from}\""), &format!("base = \"{to}\"")))
    };
    assert_eq!(swap(text_of("hardened"), "hardened", "compat"), Policy::hardened(UID));
    assert_eq!(swap(text_of("compat"), "compat", "hardened"), Policy::compat(UID));
}

/// The commented examples are good as they stand.
#[test]
fn the_examples_in_the_file_compile() {
    let text = text_of("hardened");
    let example = |head: &str| {
        let lines = text.lines().skip_while(|line| *line != format!("# {head}"));
        let lines = lines.take_while(|line| line.starts_with("# "));
        lines.map(|line| line.trim_start_matches("# ")).collect::<Vec<_>>().join("\n")
    };
    let layer = format!("sha256:{}", "ab".repeat(32));
    for head in ["[[binds]]", "[[devices]]", "[[grants]]"] {
        let lines = example(head).replace("sha256:...", &layer);
        assert!(lines.lines().count() > 3, "{head}");
        compiled(&format!("base = \"hardened\"\n{lines}"));
    }
}

#[test]
fn what_check_shows_is_the_same_policy_again() {
    let layer = "ab".repeat(32);
    let file = format!(
        r#"
        base = "hardened"
        name = "mine"
        uid = 7
        [[binds]]
        source = "/srv/a b\"c"
        idmap = "squash:1000"
        create = {{ uid = 1000, mode = "0700" }}
        [resources]
        memory = "512 MiB"
        cpus = 1.5
        block_io = ["8:0", "8:16"]
        [rlimits.default]
        nofile = "1024:unlimited"
        [[grants]]
        name = "backup"
        layers = ["{layer}"]
        args = ["/bin/backup", "a\nb"]
        env = ["B=1", "A=2"]
        user = "1:2"
        groups = ["disk"]
        cap_add = ["DAC_READ_SEARCH"]
        binds = [{{ source = "/", target = "/host", cross_mounts = true, slave = true }}]
        volumes = [{{ name = "data", target = "/data" }}]
        tmpfs = ["/tmp"]
        devices = [{{ path = "/dev/sda", target = "/dev/xvda", access = "r" }}]
        sysctls = {{ "kernel.msgmax" = "1" }}
        no_new_privs = false
        namespaces = {{ pid_host = true, user_host = true }}
        [[peers]]
        base = "compat"
        uid = 8
        [peers.namespaces]
        pid_host = false
        "#
    );
    let policy = compiled(&file);
    assert_eq!(policy.sections.len(), 2);
    assert!(!policy.sections.last().unwrap().namespaces.pid_host);
    for policy in [policy, Policy::hardened(1), Policy::compat(2)] {
        let text = render::policy(&policy);
        assert!(compiled(&text) == policy, "{text}");
    }
}

#[test]
fn an_error_names_its_line() {
    let cases = [
        ("pid_host = true", "line 2"),
        ("[namespaces]\npid_hots = true", "line 3"),
        ("[namespaces]\npid_host = 1", "line 3"),
        ("[capabilities]\nmax = [\"SYS_ADMIN\", \"SYS_ADMEN\"]", "line 3"),
        ("privileged = \"sometimes\"", "line 2"),
        ("[[binds]]\nsource = \"srv\"", "line 3"),
        ("[[binds]]\nsource = \"/srv/../etc\"", "line 3"),
        ("[[binds]]\nsource = \"/srv\"\nidmap = \"squash\"", "line 4"),
        ("[[binds]]\nsource = \"/srv\"\ncreate = { uid = 0, mode = 755 }", "line 4"),
        ("[mounts]\nshm_bytes = \"1 GB\"", "line 3"),
        ("[mounts]\nshm_bytes = -1", "line 3"),
        ("[resources]\ncpus = -1.0", "line 3"),
        ("[resources]\nblock_io = [\"8\"]", "line 3"),
        ("[networks]\npools = [\"10.0.0.0\"]", "line 3"),
        ("[[devices]]\npath = \"/dev/fuse\"\naccess = \"rx\"", "line 4"),
        ("base = \"compat\"", "line 2"),
        ("[[grants]]\nname = \"x\"\nlayers = [\"abc\"]\nargs = []", "line 4"),
    ];
    for (lines, line) in cases {
        let said = wrong(lines);
        assert!(said.contains(line), "{lines}: {said}");
    }
}

#[test]
fn a_file_that_contradicts_itself_does_not_compile() {
    let cases = [
        ("[capabilities]\ndefault = [\"SYS_ADMIN\"]", "default has what max has not"),
        ("[[binds]]\nsource = \"/proc\"", "[[binds]] /proc"),
        ("[[binds]]\nsource = \"/srv\"\ntarget = \"/x\"", "only a grant says the target"),
        ("[[binds]]\nsource = \"/srv\"\n[[binds]]\nsource = \"/srv/\"", "twice"),
        ("[sysctls]\nallow = [\"kernel.core_pattern\"]", "is in no namespace"),
        ("[rlimits.max]\nfiles = 1", "no such resource"),
        ("[resources]\npids_default = 5000", "pids_default"),
        ("[[grants]]\nname = \"x\"\nlayers = []\nargs = [\"/bin/x\"]", "neither may be empty"),
        ("[[peers]]\nbase = \"compat\"", "whose policy is it?"),
        ("[[peers]]\nbase = \"compat\"\nuid = 990", "two sections for one uid"),
    ];
    for (lines, words) in cases {
        let said = wrong(lines);
        assert!(said.contains(words), "{lines}: {said}");
    }
    assert!(compile("base = \"hardened\"", None).is_err(), "nobody's policy");
}

#[test]
fn the_table_appears_whole_for_its_owner_only_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name| directory.path().join(name);
    fs::write(path("policy.toml"), "base = \"compat\"").unwrap();
    let args = |input, output| PolicyArgs::Compile { input, output, uid: Some(UID) };
    for _ in 0..2 {
        let report = run(&args(path("policy.toml"), path("policy.bin"))).unwrap();
        assert!(report.text.contains(&Policy::compat(UID).fingerprint()));
    }
    let table = fs::read(path("policy.bin")).unwrap();
    assert_eq!(Policy::from_table(&table), Ok(Policy::compat(UID)));
    assert_eq!(fs::metadata(path("policy.bin")).unwrap().mode() & 0o777, 0o600);
    fs::write(path("policy.toml"), "base = \"nothing\"").unwrap();
    assert!(run(&args(path("policy.toml"), path("policy.bin"))).is_err());
    assert_eq!(fs::read(path("policy.bin")).unwrap(), table, "the old one stays");
    assert!(install(&Policy::compat(UID), &path("no/such/directory")).is_err());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "no drafts are left");
}

#[test]
fn check_warns_of_what_makes_a_client_root() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("policy.toml");
    fs::write(&input, text_of("compat")).unwrap();
    let report = run(&PolicyArgs::Check { input: input.clone(), uid: Some(UID) }).unwrap();
    for words in ["privileged = \"host\"", "set-id programs", "block devices", "not 0600"] {
        assert!(report.text.contains(words), "{words}: {}", report.text);
    }
    assert_eq!(compiled(&report.text), Policy::compat(UID), "the report is itself a policy file");
    assert_eq!(lint::warnings(&Policy::hardened(UID)), Vec::<String>::new());
}

fn explained(policy: &Policy, json: &str) -> Report {
    explain::explain(policy, Peer { uid: UID }, json).unwrap()
}

#[test]
fn explain_names_every_dangerous_field_with_rule_and_knob() {
    let json = r#"{
        "Image": "alpine", "Cmd": ["sh"], "Hostname": "a",
        "HostConfig": {
            "Binds": ["/srv/x:/x:ro", "data:/data"], "Privileged": true, "PidMode": "host",
            "CapAdd": ["SYS_ADMIN"], "CapDrop": ["ALL"], "SecurityOpt": ["seccomp=unconfined", "label=disable"],
            "Devices": [{"PathOnHost": "/dev/kvm", "PathInContainer": "/dev/kvm", "CgroupPermissions": "rwm"}],
            "Mounts": [{"Type": "bind", "Source": "/proc", "Target": "/p"}],
            "Sysctls": {"kernel.core_pattern": "1"}, "Ulimits": [{"Name": "core", "Soft": -1, "Hard": -1}],
            "PidsLimit": -1, "MaskedPaths": [], "PortBindings": {"80/tcp": [{"HostPort": "80"}]},
            "MemorySwappiness": -1, "RestartPolicy": {"Name": "no"}, "Memory": 0, "UTSMode": ""
        }
    }"#;
    let report = explained(&Policy::hardened(UID), json);
    assert!(!report.good);
    for words in [
        "DENY   HostConfig.Binds=/srv/x  (rule bind.root)",
        "DENY   HostConfig.Binds=/proc  (rule bind.floor)",
        "DENY   HostConfig.Privileged=true  (rule privileged)",
        "DENY   HostConfig.PidMode=host  (rule pidns.host)",
        "[namespaces] pid_host = true",
        "(rule seccomp.unconfined)",
        "DENY   HostConfig.Devices=/dev/kvm  (rule device)",
        "(rule sysctl.namespaced)",
        "DENY   HostConfig.Ulimits=core",
        "DENY   HostConfig.PidsLimit=-1",
        "(rule unmask)",
        "?      HostConfig.SecurityOpt=label=disable: not judged here",
        "?      HostConfig.PortBindings: not judged here",
        "\ndenied: ",
    ] {
        assert!(report.text.contains(words), "{words}:\n{}", report.text);
    }
    for engine in ["MemorySwappiness", "RestartPolicy", "UTSMode"] {
        assert!(!report.text.contains(engine), "{engine}");
    }
    let plain = explained(&Policy::hardened(UID), r#"{"Image": "alpine"}"#);
    assert!(plain.good && plain.text.contains("asks for nothing dangerous"));
}

#[test]
fn explain_takes_drop_all_and_add_as_docker_means_it() {
    let json = r#"{"HostConfig": {"CapAdd": ["CHOWN"], "CapDrop": ["ALL"]}}"#;
    let report = explained(&Policy::hardened(UID), json);
    assert!(report.text.ends_with("permitted, with CAP_CHOWN\n"), "{}", report.text);
    let lists = request::read(json).unwrap().spec.process;
    assert_eq!(lists.cap_drop, capability::ALL & !capability::bit(capability::CHOWN));
}

#[test]
fn explain_finds_the_grant_when_it_is_told_the_layers() {
    let layer = format!("sha256:{}", "ab".repeat(32));
    let file = format!(
        "base = \"hardened\"\n[[grants]]\nname = \"g\"\nlayers = [\"{layer}\"]\nargs = [\"/x\"]\n\
        namespaces = {{ pid_host = true }}\n"
    );
    let policy = compiled(&file);
    let request = |layers: &str| {
        format!(r#"{{{layers} "Entrypoint": "/x", "HostConfig": {{"PidMode": "host"}}}}"#)
    };
    let report = explained(&policy, &request(&format!(r#""Layers": ["{layer}"],"#)));
    assert!(report.good && report.text.contains("grant g admits it"), "{}", report.text);
    let report = explained(&policy, &request(""));
    assert!(!report.good && report.text.contains("no grant was considered"), "{}", report.text);
}

#[test]
fn what_is_no_request_is_refused() {
    for json in
        ["", "[]", "{\"HostConfig\": {\"Binds\": [1]}}", "{\"HostConfig\": {\"Binds\": [\"/x\"]}}"]
    {
        assert!(
            explain::explain(&Policy::hardened(UID), Peer { uid: UID }, json).is_err(),
            "{json}"
        );
    }
    let stranger = explain::explain(&Policy::hardened(UID), Peer { uid: 1 }, "{}");
    assert!(matches!(stranger, Err(PolicyError::Meaning(_))));
}
