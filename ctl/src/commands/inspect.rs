//! `inspect` in all its forms.

use crate::client::{Call, Client, Error, segment};
use crate::failure::Failure;
use crate::flags::Args;
use crate::output::json::Json;
use crate::output::text::quote;
use crate::output::{print, template};

/// What can be inspected: its name for `--type`, and its path.
type Kind = (&'static str, &'static str, &'static str);

const CONTAINER: Kind = ("container", "/containers/", "/json");
const IMAGE: Kind = ("image", "/images/", "/json");
const NETWORK: Kind = ("network", "/networks/", "");
const VOLUME: Kind = ("volume", "/volumes/", "");

/// The exit code of a template that cannot be parsed.
const BAD_TEMPLATE: u8 = 64;

/// `inspect`: whatever has that name.
pub(super) async fn any(client: &Client, args: &Args) -> Result<(), Failure> {
    const SWARM: [&str; 6] = ["config", "node", "plugin", "secret", "service", "task"];
    let kinds: &[Kind] = match args.text("type") {
        "" if args.given("type") => {
            return Err(Failure::new(
                "type is empty: must be one of \"config\", \"container\", \
                 \"image\", \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \
                 \"volume\"",
            ));
        }
        "" => &[CONTAINER, IMAGE, NETWORK, VOLUME],
        "container" => &[CONTAINER],
        "image" => &[IMAGE],
        "network" => &[NETWORK],
        "volume" => &[VOLUME],
        kind if SWARM.contains(&kind) => {
            return Err(Failure::new(format!("{kind}s are not supported")));
        }
        kind => {
            return Err(Failure::new(format!(
                "unknown type: {}: must be one of \"config\", \"container\", \"image\", \
                 \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\"",
                quote(kind)
            )));
        }
    };
    inspect(client, args, kinds).await
}

/// `container inspect`.
pub(super) async fn containers(client: &Client, args: &Args) -> Result<(), Failure> {
    inspect(client, args, &[CONTAINER]).await
}

/// `image inspect`.
pub(super) async fn images(client: &Client, args: &Args) -> Result<(), Failure> {
    inspect(client, args, &[IMAGE]).await
}

/// `network inspect`.
pub(super) async fn networks(client: &Client, args: &Args) -> Result<(), Failure> {
    inspect(client, args, &[NETWORK]).await
}

async fn inspect(client: &Client, args: &Args, kinds: &[Kind]) -> Result<(), Failure> {
    let format = args.text("format");
    let is_template = !matches!(format, "" | "json");
    if is_template {
        template::check(format)
            .map_err(|failure| Failure::with_code(BAD_TEMPLATE, failure.text))?;
    }
    let mut found = Vec::new();
    let mut rendered = String::new();
    let mut errors = Vec::new();
    for name in args.positional() {
        match object(client, args, kinds, name).await {
            Ok(object) if is_template => match template::render(format, &object) {
                Ok(text) => rendered = rendered + &text + "\n",
                Err(failure) => errors.push(failure.text),
            },
            Ok(object) => found.push(object),
            Err(failure) => errors.push(failure.text),
        }
    }
    let list = Json::List(found);
    match format {
        "" => print::line(&list.indented())?,
        "json" => print::line(&list.compact())?,
        _ if rendered.is_empty() => print::line("")?,
        _ => print::out(&rendered)?,
    }
    if errors.is_empty() { Ok(()) } else { Err(Failure::new(errors.join("\n"))) }
}

async fn object(client: &Client, args: &Args, kinds: &[Kind], name: &str) -> Result<Json, Failure> {
    for (kind, before, after) in kinds {
        let call = Call::get(format!("{before}{}{after}", segment(name)))
            .switch("size", *kind == "container" && args.on("size"))
            .switch("verbose", *kind == "network" && args.on("verbose"))
            .query("platform", if *kind == "image" { args.text("platform") } else { "" });
        match client.json(call).await {
            Ok(object) => return Ok(object),
            Err(error) if kinds.len() > 1 && may_be_another(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Failure::new(format!("Error: No such object: {name}")))
}

/// There is nothing of that kind with that name, or the engine has nothing of that kind.
fn may_be_another(error: &Error) -> bool {
    matches!(error.status(), Some(400 | 404 | 501))
}
