//! From the flags of `run` and `create` to the body of `POST /containers/create`.
//!
//! Only what was asked for is sent; everything left out has the server's default. What a field may
//! be is the server's to decide: checked here is what cannot be said in the body (a number that is
//! no number) and what has to be read on this side (files, the environment).

pub(crate) mod devices;
mod environment;
mod health;
pub(crate) mod mounts;
pub(crate) mod networks;
mod ports;
pub(crate) mod resources;
mod security;

pub(crate) use environment::environment;

use serde_json::{Map, Value, json};

use crate::flags::Args;

/// A part of the body.
type Fields = Map<String, Value>;

/// Which streams of a container to attach to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attach {
    /// Standard input.
    pub(crate) stdin: bool,
    /// Standard output.
    pub(crate) stdout: bool,
    /// Standard error.
    pub(crate) stderr: bool,
}

impl Attach {
    /// To any.
    pub(crate) fn any(self) -> bool {
        self.stdin || self.stdout || self.stderr
    }
}

/// What to create, and what the client has to know of it.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The request's body.
    pub(crate) body: Value,
    /// The image as typed.
    pub(crate) image: String,
    /// The container has a terminal.
    pub(crate) tty: bool,
    /// The streams to attach to.
    pub(crate) attach: Attach,
    /// The container is removed when it ends.
    pub(crate) auto_remove: bool,
    /// What to tell the user of it.
    pub(crate) warnings: Vec<String>,
}

/// Make the body of what the flags ask for. `terminal` is the size of standard output's terminal in
/// rows and columns.
pub(crate) fn plan(args: &Args, detach: bool, terminal: (u16, u16)) -> Result<Plan, String> {
    let attach = streams(args, detach);
    let auto_remove = args.on("rm");
    let mut host = Fields::new();
    host_config(args, &mut host)?;
    host.insert("ConsoleSize".to_owned(), json!([terminal.0, terminal.1]));
    let restarts = host.get("RestartPolicy").and_then(|policy| policy.get("Name"));
    if auto_remove && restarts.is_some_and(|name| name != "no") {
        return Err("conflicting options: cannot specify both --restart and --rm".to_owned());
    }
    let mut body = Fields::new();
    config(args, attach, &mut body)?;
    networks::fill(args, &mut host, &mut body)?;
    ports::fill(args, &mut host, &mut body)?;
    mounts::fill(args, &mut host, &mut body)?;
    let warnings = warnings(args);
    body.insert("HostConfig".to_owned(), Value::Object(host));
    Ok(Plan {
        body: Value::Object(body),
        image: args.at(0).to_owned(),
        tty: args.on("tty"),
        attach,
        auto_remove,
        warnings,
    })
}

fn streams(args: &Args, detach: bool) -> Attach {
    if detach {
        return Attach { stdin: false, stdout: false, stderr: false };
    }
    let asked = |stream: &str| args.all("attach").any(|value| value.eq_ignore_ascii_case(stream));
    let all = !args.given("attach");
    Attach {
        stdin: args.on("interactive") || asked("stdin"),
        stdout: all || asked("stdout"),
        stderr: all || asked("stderr"),
    }
}

fn config(args: &Args, attach: Attach, body: &mut Fields) -> Result<(), String> {
    texts(
        args,
        &[
            ("hostname", "Hostname"),
            ("domainname", "Domainname"),
            ("user", "User"),
            ("workdir", "WorkingDir"),
            ("stop-signal", "StopSignal"),
        ],
        body,
    );
    switches(args, &[("tty", "Tty"), ("interactive", "OpenStdin")], body);
    if args.on("interactive") && attach.stdin {
        body.insert("StdinOnce".to_owned(), true.into());
    }
    body.insert("AttachStdin".to_owned(), attach.stdin.into());
    body.insert("AttachStdout".to_owned(), attach.stdout.into());
    body.insert("AttachStderr".to_owned(), attach.stderr.into());
    ints(args, &[("stop-timeout", "StopTimeout")], body);
    put_list("Env", environment(args)?, body);
    body.insert("Image".to_owned(), args.at(0).into());
    put_list("Cmd", args.positional().iter().skip(1).cloned().collect(), body);
    // An empty entrypoint takes the image's away.
    if let Some(entrypoint) = args.last("entrypoint") {
        body.insert("Entrypoint".to_owned(), json!([entrypoint]));
    }
    let labels = environment::labels(args)?;
    if !labels.is_empty() {
        body.insert("Labels".to_owned(), pairs(labels.iter().map(String::as_str)));
    }
    if let Some(check) = health::check(args)? {
        body.insert("Healthcheck".to_owned(), check);
    }
    Ok(())
}

fn host_config(args: &Args, host: &mut Fields) -> Result<(), String> {
    texts(
        args,
        &[
            ("cidfile", "ContainerIDFile"),
            ("ipc", "IpcMode"),
            ("pid", "PidMode"),
            ("uts", "UTSMode"),
            ("userns", "UsernsMode"),
            ("cgroupns", "CgroupnsMode"),
            ("volume-driver", "VolumeDriver"),
            ("isolation", "Isolation"),
            ("runtime", "Runtime"),
            ("cgroup-parent", "CgroupParent"),
        ],
        host,
    );
    switches(
        args,
        &[
            ("rm", "AutoRemove"),
            ("privileged", "Privileged"),
            ("publish-all", "PublishAllPorts"),
            ("read-only", "ReadonlyRootfs"),
            ("oom-kill-disable", "OomKillDisable"),
        ],
        host,
    );
    if args.given("init") {
        host.insert("Init".to_owned(), args.on("init").into());
    }
    ints(args, &[("oom-score-adj", "OomScoreAdj")], host);
    lists(
        args,
        &[
            ("link", "Links"),
            ("dns", "Dns"),
            ("dns-search", "DnsSearch"),
            ("dns-option", "DnsOptions"),
            ("volumes-from", "VolumesFrom"),
            ("cap-add", "CapAdd"),
            ("cap-drop", "CapDrop"),
            ("group-add", "GroupAdd"),
            ("device-cgroup-rule", "DeviceCgroupRules"),
        ],
        host,
    );
    let hosts = args.all("add-host").map(|host| {
        let (name, address) =
            host.split_once('=').or_else(|| host.split_once(':')).unwrap_or((host, ""));
        format!("{name}:{}", crate::output::text::in_brackets(address).unwrap_or(address))
    });
    put_list("ExtraHosts", hosts.collect(), host);
    maps(args, &[("sysctl", "Sysctls"), ("annotation", "Annotations")], host);
    if let Some(size) = args.bytes("shm-size").filter(|size| *size != 0) {
        host.insert("ShmSize".to_owned(), size.into());
    }
    resources::fill(args, host)?;
    devices::fill(args, host)?;
    security::fill(args, host)?;
    log_config(args, host)?;
    if args.given("storage-opt") {
        if args.all("storage-opt").any(|option| !option.contains('=')) {
            return Err("invalid storage option".to_owned());
        }
        host.insert("StorageOpt".to_owned(), pairs(args.all("storage-opt")));
    }
    Ok(())
}

fn log_config(args: &Args, host: &mut Fields) -> Result<(), String> {
    let driver = args.text("log-driver");
    if driver == "none" && args.given("log-opt") {
        return Err(format!("invalid logging opts for driver {driver}"));
    }
    if args.given("log-driver") || args.given("log-opt") {
        let config = json!({"Type": driver, "Config": pairs(args.all("log-opt"))});
        host.insert("LogConfig".to_owned(), config);
    }
    Ok(())
}

/// What the engine does not say of what was asked for.
fn warnings(args: &Args) -> Vec<String> {
    let is_local = |address: &&str| {
        address.trim().parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    let warn = |address| format!("WARNING: Localhost DNS ({address}) may fail in containers.");
    args.all("dns").find(is_local).map(warn).into_iter().collect()
}

fn texts(args: &Args, pairs: &[(&str, &str)], fields: &mut Fields) {
    for (flag, key) in pairs {
        let text = args.text(flag);
        if !text.is_empty() {
            fields.insert((*key).to_owned(), text.into());
        }
    }
}

fn switches(args: &Args, pairs: &[(&str, &str)], fields: &mut Fields) {
    for (flag, key) in pairs {
        if args.on(flag) {
            fields.insert((*key).to_owned(), true.into());
        }
    }
}

fn ints(args: &Args, pairs: &[(&str, &str)], fields: &mut Fields) {
    for (flag, key) in pairs {
        if let Some(number) = args.int(flag) {
            fields.insert((*key).to_owned(), number.into());
        }
    }
}

fn lists(args: &Args, pairs: &[(&str, &str)], fields: &mut Fields) {
    for (flag, key) in pairs {
        put_list(key, args.all(flag).map(str::to_owned).collect(), fields);
    }
}

fn maps(args: &Args, names: &[(&str, &str)], fields: &mut Fields) {
    for (flag, key) in names {
        if args.given(flag) {
            fields.insert((*key).to_owned(), pairs(args.all(flag)));
        }
    }
}

fn put_list(key: &str, list: Vec<String>, fields: &mut Fields) {
    if !list.is_empty() {
        fields.insert(key.to_owned(), list.into());
    }
}

/// `key=value` texts as an object; a key alone has the empty value.
fn pairs<'a>(texts: impl Iterator<Item = &'a str>) -> Value {
    let pair = |text: &'a str| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), Value::from(value))
    };
    Value::Object(texts.map(pair).collect())
}

/// The fields of a line of comma-separated values, which may stand in double quotes.
fn comma_separated(line: &str) -> Result<Vec<String>, String> {
    let mut fields = vec![String::new()];
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        let Some(field) = fields.last_mut() else { break };
        match letter {
            ',' => fields.push(String::new()),
            '"' if field.is_empty() => loop {
                match letters.next() {
                    Some('"') if letters.next_if_eq(&'"').is_some() => field.push('"'),
                    Some('"') => break,
                    Some(letter) => field.push(letter),
                    None => return Err(format!("missing \" in {line}")),
                }
            },
            '"' => return Err(format!("bare \" in {line}")),
            letter => field.push(letter),
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests;
