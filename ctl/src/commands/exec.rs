//! `exec`.

use serde_json::{Value, json};

use super::lifecycle;
use crate::client::{Call, Client, segment};
use crate::create::{self, Attach};
use crate::failure::Failure;
use crate::flags::Args;
use crate::session::{End, Session, Settings, Target, terminal};

/// `exec`: a further process in a running container.
pub(super) async fn exec(client: &Client, args: &Args) -> Result<(), Failure> {
    let detach = args.on("detach");
    let tty = args.on("tty");
    let attach =
        Attach { stdin: !detach && args.on("interactive"), stdout: !detach, stderr: !detach };
    let env = create::environment(args).map_err(Failure::new)?;
    if attach.stdin && tty && !terminal::input_is_terminal() {
        return Err(Failure::new("the input device is not a TTY"));
    }
    let detach_keys = args.text("detach-keys");
    let console = if tty { json!(terminal::size()) } else { Value::Null };
    let mut body = json!({
        "AttachStdin": attach.stdin,
        "AttachStdout": attach.stdout,
        "AttachStderr": attach.stderr,
        "Tty": tty,
        "Cmd": args.positional().iter().skip(1).collect::<Vec<_>>(),
        "Privileged": args.on("privileged"),
    });
    for (key, value) in [
        ("User", args.text("user").into()),
        ("WorkingDir", args.text("workdir").into()),
        ("DetachKeys", detach_keys.into()),
        ("Env", Value::from(env)),
        ("ConsoleSize", console.clone()),
    ] {
        let empty = value.is_null() || value == "" || value == json!([]);
        if let (false, Some(fields)) = (empty, body.as_object_mut()) {
            fields.insert(key.to_owned(), value);
        }
    }
    let created = client.json(Call::post(lifecycle::path(args.at(0), "exec")).body(&body)).await?;
    let id = created.at("Id").text();
    if id.is_empty() {
        return Err(Failure::new("exec ID empty"));
    }
    let mut start = json!({"Detach": detach, "Tty": tty});
    if let (false, Some(fields)) = (console.is_null(), start.as_object_mut()) {
        fields.insert("ConsoleSize".to_owned(), console);
    }
    let start = Call::post(format!("/exec/{}/start", segment(id))).body(&start);
    if detach {
        return Ok(client.done(start).await?);
    }
    let streams = client.hijack(start).await?;
    let settings = Settings { attach, tty, detach_keys, proxy_signals: false };
    let mut session = Session::begin(streams, &settings)?;
    if session.drive(client, &Target::Exec(id)).await? == End::Detached {
        return Err(Failure::new("read escape sequence"));
    }
    let ended = client.json(Call::get(format!("/exec/{}/json", segment(id)))).await?;
    // As exit(3): the low eight bits.
    match ended.at("ExitCode").int().to_le_bytes()[0] {
        0 => Ok(()),
        code => Err(Failure::silent(code)),
    }
}
