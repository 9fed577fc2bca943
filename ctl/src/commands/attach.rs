//! `attach` and `start`.

use super::lifecycle;
use crate::client::{Call, Client, Error, Frames, segment};
use crate::create::Attach;
use crate::failure::Failure;
use crate::flags::Args;
use crate::output::json::Json;
use crate::output::print;
use crate::session::{End, Session, Settings, Target, terminal};

/// A container's end, waited for.
pub(super) struct Waiting(Frames);

impl Waiting {
    /// Begin to wait. When this returns the engine has noted it: what happens from now is not missed.
    pub(super) async fn begin(client: &Client, id: &str, condition: &str) -> Result<Self, Error> {
        let call = Call::post(format!("/containers/{}/wait", segment(id)));
        client.frames(call.query("condition", condition)).await.map(Self)
    }

    /// The container's exit code; 125 if it cannot be known, which is told.
    pub(super) async fn code(self) -> u8 {
        let bytes = match self.0.all().await {
            Ok(bytes) => bytes,
            Err(error) => {
                print::err(&format!("error waiting for container: {error}"));
                return 125;
            }
        };
        let Ok(json) = serde_json::from_slice::<Json>(&bytes) else {
            print::err("error waiting for container: the engine did not say how it ended");
            return 125;
        };
        let error = json.at("Error").at("Message").text();
        if !error.is_empty() {
            print::err(&format!("Error waiting for container: {error}"));
            return 125;
        }
        exit_code(&json)
    }
}

fn exit_code(json: &Json) -> u8 {
    // As exit(3): the low eight bits.
    json.at("StatusCode").int().to_le_bytes()[0]
}

/// `POST /containers/{id}/attach`.
pub(super) fn attach_call(id: &str, attach: Attach, detach_keys: &str) -> Call {
    Call::post(format!("/containers/{}/attach", segment(id)))
        .query("stream", "1")
        .switch("stdin", attach.stdin)
        .switch("stdout", attach.stdout)
        .switch("stderr", attach.stderr)
        .query("detachKeys", detach_keys)
}

/// `attach`: this terminal to a running container.
pub(super) async fn attach(client: &Client, args: &Args) -> Result<(), Failure> {
    let container = client.json(inspect_call(args.at(0))).await?;
    let state = container.at("State");
    for (key, wanted, refusal) in [
        ("Running", true, "cannot attach to a stopped container, start it first"),
        ("Paused", false, "cannot attach to a paused container, unpause it first"),
        ("Restarting", false, "cannot attach to a restarting container, wait until it is running"),
    ] {
        if state.at(key).is_true() != wanted {
            return Err(Failure::new(refusal));
        }
    }
    let id = container.at("Id").text();
    let config = container.at("Config");
    let tty = config.at("Tty").is_true();
    let stdin = !args.on("no-stdin") && config.at("OpenStdin").is_true();
    check_terminal(stdin, tty)?;
    let detach_keys = args.text("detach-keys");
    let attach = Attach { stdin, stdout: true, stderr: true };
    let (streams, waiting) = tokio::try_join!(
        client.hijack(attach_call(id, attach, detach_keys)),
        Waiting::begin(client, id, "not-running"),
    )?;
    let proxy_signals = args.on_unless_unset("sig-proxy") && !tty;
    let settings = Settings { attach, tty, detach_keys, proxy_signals };
    let mut session = Session::begin(streams, &settings)?;
    if tty && terminal::output_is_terminal() {
        // A size that differs makes a program that draws the screen draw it again for us.
        let (rows, columns) = terminal::size();
        let other = Call::post(format!("/containers/{}/resize", segment(id)))
            .query("h", (rows + 1).to_string())
            .query("w", (columns + 1).to_string());
        drop(client.done(other).await);
    }
    match session.drive(client, &Target::Container(id)).await? {
        End::Detached => Err(Failure::new("read escape sequence")),
        End::Copied => session.finish(client, &Target::Container(id), waiting.code()).await,
    }
}

/// `start`: containers that were created or have ended.
pub(super) async fn start(client: &Client, args: &Args) -> Result<(), Failure> {
    if args.given("checkpoint") || args.given("checkpoint-dir") {
        return Err(Failure::new("checkpoints are not supported"));
    }
    if !args.on("attach") && !args.on("interactive") {
        return start_all(client, args).await;
    }
    if args.positional().len() > 1 {
        return Err(Failure::new("you cannot start and attach multiple containers at once"));
    }
    let container = client.json(inspect_call(args.at(0))).await?;
    let id = container.at("Id").text();
    let config = container.at("Config");
    let tty = config.at("Tty").is_true();
    let stdin = args.on("interactive") && config.at("OpenStdin").is_true();
    check_terminal(stdin, tty)?;
    let removed = container.at("HostConfig").at("AutoRemove").is_true();
    let condition = if removed { "removed" } else { "next-exit" };
    let detach_keys = args.text("detach-keys");
    let attach = Attach { stdin, stdout: true, stderr: true };
    let (streams, waiting) = tokio::try_join!(
        client.hijack(attach_call(id, attach, detach_keys)),
        Waiting::begin(client, id, condition),
    )?;
    let settings = Settings { attach, tty, detach_keys, proxy_signals: !tty };
    let mut session = Session::begin(streams, &settings)?;
    if let Err(error) = client.done(start_call(id)).await {
        terminal::restore();
        if removed {
            waiting.code().await;
        }
        return Err(error.into());
    }
    match session.drive(client, &Target::Container(id)).await? {
        End::Detached => Ok(()),
        End::Copied => session.finish(client, &Target::Container(id), waiting.code()).await,
    }
}

async fn start_all(client: &Client, args: &Args) -> Result<(), Failure> {
    let mut failed = Vec::new();
    for name in args.positional() {
        match client.done(start_call(name)).await {
            Ok(()) => print::line(name)?,
            Err(error) => {
                print::err(&error.to_string());
                failed.push(name.as_str());
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("Error: failed to start containers: {}", failed.join(", "))))
}

fn check_terminal(stdin: bool, tty: bool) -> Result<(), Failure> {
    if stdin && tty && !terminal::input_is_terminal() {
        return Err(Failure::new("the input device is not a TTY"));
    }
    Ok(())
}

fn start_call(id: &str) -> Call {
    Call::post(lifecycle::path(id, "start"))
}

fn inspect_call(id: &str) -> Call {
    Call::get(lifecycle::path(id, "json"))
}
