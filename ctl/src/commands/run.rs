//! `run` and `create`.
//!
//! An attached `run` is three waits for the engine: create; attach and wait at the same time, on
//! connections of their own; start, on the first connection again.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use super::attach::{Waiting, attach_call};
use super::pull;
use crate::client::{Call, Client, segment};
use crate::create::{self, Plan};
use crate::failure::Failure;
use crate::flags::Args;
use crate::output::print;
use crate::output::text::quote;
use crate::session::{End, Session, Settings, Target, terminal};

/// The engine or the command line is at fault, not the container.
const ENGINE_FAILED: u8 = 125;
/// The container's command cannot be executed.
const CANNOT_EXECUTE: u8 = 126;
/// The container's command is not there.
const NOT_FOUND: u8 = 127;

/// `create`: make a container and print its id.
pub(super) async fn create(client: &Client, args: &Args) -> Result<(), Failure> {
    let plan = plan("create", args, false)?;
    let id = create_container(client, args, &plan).await?;
    print::line(&id)
}

/// `run`: make a container, start it and, unless detached, be its terminal.
pub(super) async fn run(client: &Client, args: &Args) -> Result<(), Failure> {
    let detach = args.on("detach");
    let plan = plan("run", args, detach)?;
    if detach && args.given("attach") {
        return Err(Failure::new("conflicting options: cannot specify both --attach and --detach"));
    }
    if plan.attach.stdin && plan.tty && !terminal::input_is_terminal() {
        return Err(Failure::new("the input device is not a TTY"));
    }
    let id = create_container(client, args, &plan)
        .await
        .map_err(|failure| Failure::with_code(ENGINE_FAILED, with_help("run", &failure.text)))?;
    if plan.attach.any() {
        attached(client, args, &plan, &id).await
    } else {
        print::line(&id)?;
        client.done(start_call(&id)).await.map_err(|error| start_failed(&error.to_string()))
    }
}

async fn attached(client: &Client, args: &Args, plan: &Plan, id: &str) -> Result<(), Failure> {
    let detach_keys = args.text("detach-keys");
    let condition = if plan.auto_remove { "removed" } else { "next-exit" };
    let (streams, waiting) = tokio::try_join!(
        client.hijack(attach_call(id, plan.attach, detach_keys)),
        Waiting::begin(client, id, condition),
    )
    .map_err(|error| Failure::with_code(ENGINE_FAILED, error.to_string()))?;
    let settings = Settings {
        attach: plan.attach,
        tty: plan.tty,
        detach_keys,
        proxy_signals: args.on_unless_unset("sig-proxy"),
    };
    let mut session = Session::begin(streams, &settings)?;
    if let Err(error) = client.done(start_call(id)).await {
        terminal::restore();
        let failure = start_failed(&error.to_string());
        if plan.auto_remove {
            waiting.code().await;
        }
        return Err(failure);
    }
    match session.drive(client, &Target::Container(id)).await? {
        End::Detached => Ok(()),
        End::Copied => session.finish(client, &Target::Container(id), waiting.code()).await,
    }
}

fn start_call(id: &str) -> Call {
    Call::post(format!("/containers/{}/start", segment(id)))
}

fn plan(command: &str, args: &Args, detach: bool) -> Result<Plan, Failure> {
    let refused = |why: String| Failure::with_code(ENGINE_FAILED, with_help(command, &why));
    let pull = args.last("pull").unwrap_or("missing");
    if !matches!(pull, "" | "always" | "missing" | "never") {
        return Err(refused(format!(
            "invalid pull option: '{pull}': must be one of \"always\", \"missing\" or \"never\""
        )));
    }
    if args.on("use-api-socket") {
        return Err(refused("--use-api-socket is not supported".to_owned()));
    }
    create::plan(args, detach, terminal::size()).map_err(refused)
}

fn with_help(command: &str, why: &str) -> String {
    format!("bulkhead: {why}\n\nRun 'bulkhead {command} --help' for more information")
}

/// The exit code tells whether the command was not found, not executable, or something else.
fn start_failed(why: &str) -> Failure {
    let has = |texts: &[&str]| texts.iter().any(|text| why.contains(text));
    let code = if has(&["executable file not found", "no such file or directory"]) {
        NOT_FOUND
    } else if has(&["permission denied", "is a directory"]) {
        CANNOT_EXECUTE
    } else {
        ENGINE_FAILED
    };
    Failure::with_code(code, with_help("run", why))
}

async fn create_container(client: &Client, args: &Args, plan: &Plan) -> Result<String, Failure> {
    let id_file = IdFile::new(args.text("cidfile"))?;
    let pull = args.last("pull").unwrap_or("missing");
    let quiet = args.on("quiet");
    let platform = args.text("platform");
    if pull == "always" {
        pull::for_container(client, &plan.image, platform, quiet).await?;
    }
    let call = || {
        Call::post("/containers/create")
            .query("name", args.text("name"))
            .query("platform", platform)
            .body(&plan.body)
    };
    let created = match client.json(call()).await {
        Err(error) if error.status() == Some(404) && matches!(pull, "missing" | "") => {
            let Some(name) = pull::with_default_tag(&plan.image) else { return Err(error.into()) };
            if !quiet {
                print::err(&format!("Unable to find image '{name}' locally"));
            }
            pull::for_container(client, &plan.image, platform, quiet).await?;
            client.json(call()).await?
        }
        other => other?,
    };
    for warning in created.at("Warnings").list() {
        print::err(&format!("WARNING: {}", warning.text()));
    }
    for warning in &plan.warnings {
        print::err(warning);
    }
    let id = created.at("Id").text().to_owned();
    if id.is_empty() {
        return Err(Failure::new(format!("the engine gave no id for {}", quote(&plan.image))));
    }
    id_file.write(&id)?;
    Ok(id)
}

/// The file of `--cidfile`: made before the container, removed again if there is none.
struct IdFile<'a>(Option<(&'a Path, File)>);

impl<'a> IdFile<'a> {
    fn new(path: &'a str) -> Result<Self, Failure> {
        if path.is_empty() {
            return Ok(Self(None));
        }
        let path = Path::new(path);
        let file = File::create_new(path).map_err(|error| {
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                return Failure::new(format!(
                    "container ID file found, make sure the other container isn't running or \
                     delete {}",
                    path.display()
                ));
            }
            Failure::io("failed to create the container ID file", &error)
        })?;
        Ok(Self(Some((path, file))))
    }

    fn write(mut self, id: &str) -> Result<(), Failure> {
        let Some((path, mut file)) = self.0.take() else { return Ok(()) };
        file.write_all(id.as_bytes()).map_err(|error| {
            Failure::io(format!("failed to write the container ID to {}", path.display()), &error)
        })
    }
}

impl Drop for IdFile<'_> {
    fn drop(&mut self) {
        if let Some((path, _)) = &self.0 {
            fs::remove_file(path).unwrap_or(());
        }
    }
}
