//! `version`.

use std::fmt::Write as _;

use crate::client::{API_VERSION, Call, Client};
use crate::failure::Failure;
use crate::flags::Args;
use crate::output::json::Json;
use crate::output::{print, template};

/// `version`: of this program and of the engine.
pub(super) async fn version(client: &Client, args: &Args) -> Result<(), Failure> {
    let format = args.text("format");
    if !matches!(format, "" | "json") {
        template::check(format).map_err(|failure| Failure::with_code(64, failure.text))?;
    }
    let server = client.json(Call::get("/version")).await;
    let (server, failure) = match server {
        Ok(server) => (server, None),
        Err(error) => (Json::Null, Some(Failure::from(error))),
    };
    let all = Json::Object(vec![
        ("Client".to_owned(), this_program(client)),
        ("Server".to_owned(), server),
    ]);
    match format {
        "" => print::out(&text(&all))?,
        "json" => print::line(&all.compact())?,
        format => print::line(&template::render(format, &all)?)?,
    }
    failure.map_or(Ok(()), Err)
}

fn this_program(client: &Client) -> Json {
    let text = |text: &str| Json::Text(text.to_owned());
    Json::Object(vec![
        ("Version".to_owned(), text(env!("CARGO_PKG_VERSION"))),
        ("ApiVersion".to_owned(), text(&client.version())),
        ("APIVersion".to_owned(), text(&client.version())),
        ("DefaultAPIVersion".to_owned(), text(API_VERSION)),
        ("Os".to_owned(), text(std::env::consts::OS)),
        ("Arch".to_owned(), text(architecture())),
        ("Host".to_owned(), text(&client.endpoint().to_string())),
    ])
}

/// This machine's architecture, by Go's name.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn text(all: &Json) -> String {
    let client = all.at("Client");
    let used = client.at("ApiVersion").text();
    let api = match client.at("DefaultAPIVersion").text() {
        newest if newest == used => used.to_owned(),
        newest => format!("{used} (downgraded from {newest})"),
    };
    let mut text = format!(
        "Client:\n Version:           {}\n API version:       {api}\n OS/Arch:           {}/{}\n \
         Host:              {}\n",
        client.at("Version").text(),
        client.at("Os").text(),
        client.at("Arch").text(),
        client.at("Host").text(),
    );
    let server = all.at("Server");
    if server == &Json::Null {
        return text;
    }
    let name = server.at("Platform").at("Name").text();
    let name = if name.is_empty() { String::new() } else { format!(" {name}") };
    write!(text, "\nServer:{name}\n").unwrap_or(());
    let components = server.at("Components").list();
    if components.is_empty() {
        component(&mut text, "Engine", server.at("Version").text(), server);
    }
    for one in components {
        component(&mut text, one.at("Name").text(), one.at("Version").text(), one.at("Details"));
    }
    text
}

fn component(text: &mut String, name: &str, version: &str, details: &Json) {
    write!(text, " {name}:\n  Version:          {version}\n").unwrap_or(());
    let mut line = |label: &str, value: String| {
        if !value.is_empty() {
            writeln!(text, "  {label:<17} {value}").unwrap_or(());
        }
    };
    let detail = |key: &str| details.at(key).text().to_owned();
    if name == "Engine" {
        let minimum = detail("MinAPIVersion");
        line("API version:", format!("{} (minimum version {minimum})", detail("ApiVersion")));
        line("Git commit:", detail("GitCommit"));
        line("Built:", detail("BuildTime"));
        line("OS/Arch:", format!("{}/{}", detail("Os"), detail("Arch")));
        line("Kernel:", detail("KernelVersion"));
    } else {
        line("GitCommit:", detail("GitCommit"));
    }
}
