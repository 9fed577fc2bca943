//! `info`.

use std::fmt::Write as _;

use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::flags::Args;
use crate::output::json::Json;
use crate::output::{print, template, units};

/// `info`: the engine and its host.
pub(super) async fn info(client: &Client, args: &Args) -> Result<(), Failure> {
    let format = args.text("format");
    if !matches!(format, "" | "json") {
        template::check(format).map_err(|failure| Failure::with_code(64, failure.text))?;
    }
    let info = client.json(Call::get("/info")).await?;
    match format {
        "" => print::out(&text(&info))?,
        "json" => return print::line(&info.compact()),
        format => return print::line(&template::render(format, &info)?),
    }
    for warning in info.at("Warnings").list() {
        print::err(warning.text());
    }
    Ok(())
}

fn text(info: &Json) -> String {
    let mut text = format!("Client:\n Version:    {}\n\nServer:\n", env!("CARGO_PKG_VERSION"));
    counts(&mut text, info);
    storage_and_plugins(&mut text, info);
    host(&mut text, info);
    engine(&mut text, info);
    text.push('\n');
    text
}

fn line(text: &mut String, label: &str, value: impl std::fmt::Display) {
    writeln!(text, " {label}: {value}").unwrap_or(());
}

fn counts(text: &mut String, info: &Json) {
    line(text, "Containers", info.at("Containers").int());
    for (label, key) in [
        (" Running", "ContainersRunning"),
        (" Paused", "ContainersPaused"),
        (" Stopped", "ContainersStopped"),
    ] {
        line(text, label, info.at(key).int());
    }
    line(text, "Images", info.at("Images").int());
    line(text, "Server Version", info.at("ServerVersion").text());
}

fn storage_and_plugins(text: &mut String, info: &Json) {
    line(text, "Storage Driver", info.at("Driver").text());
    for pair in info.at("DriverStatus").list() {
        if let [name, value] = pair.list() {
            line(text, &format!(" {}", name.text()), value.text());
        }
    }
    line(text, "Logging Driver", info.at("LoggingDriver").text());
    line(text, "Cgroup Driver", info.at("CgroupDriver").text());
    line(text, "Cgroup Version", info.at("CgroupVersion").text());
    text.push_str(" Plugins:\n");
    for (label, key) in [("Volume", "Volume"), ("Network", "Network"), ("Log", "Log")] {
        let names = joined(info.at("Plugins").at(key), " ");
        if !names.is_empty() {
            line(text, &format!(" {label}"), names);
        }
    }
    let swarm = info.at("Swarm").at("LocalNodeState").text();
    if !swarm.is_empty() {
        line(text, "Swarm", swarm);
    }
    let runtimes: Vec<&str> =
        info.at("Runtimes").members().iter().map(|(name, _)| name.as_str()).collect();
    if !runtimes.is_empty() {
        line(text, "Runtimes", runtimes.join(" "));
        line(text, "Default Runtime", info.at("DefaultRuntime").text());
    }
    for (label, key) in [("Init Binary", "InitBinary")] {
        if !info.at(key).text().is_empty() {
            line(text, label, info.at(key).text());
        }
    }
}

fn host(text: &mut String, info: &Json) {
    let options = info.at("SecurityOptions").list();
    if !options.is_empty() {
        text.push_str(" Security Options:\n");
        for option in options {
            let mut name = "";
            let mut others = Vec::new();
            for pair in option.text().split(',') {
                match pair.split_once('=') {
                    Some(("name", value)) => name = value,
                    Some((key, value)) => others.push((key, value)),
                    None => name = pair,
                }
            }
            writeln!(text, "  {name}").unwrap_or(());
            for (key, value) in others {
                let label = if key == "profile" { "Profile" } else { key };
                writeln!(text, "   {label}: {value}").unwrap_or(());
            }
        }
    }
    for (label, key) in [
        ("Kernel Version", "KernelVersion"),
        ("Operating System", "OperatingSystem"),
        ("OSType", "OSType"),
        ("Architecture", "Architecture"),
    ] {
        line(text, label, info.at(key).text());
    }
    line(text, "CPUs", info.at("NCPU").int());
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let memory = units::binary_size(info.at("MemTotal").int() as f64);
    line(text, "Total Memory", memory);
    line(text, "Name", info.at("Name").text());
    line(text, "ID", info.at("ID").text());
}

fn engine(text: &mut String, info: &Json) {
    line(text, "Docker Root Dir", info.at("DockerRootDir").text());
    line(text, "Debug Mode", info.at("Debug").is_true());
    for (label, key) in
        [("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy")]
    {
        if !info.at(key).text().is_empty() {
            line(text, label, info.at(key).text());
        }
    }
    let labels = info.at("Labels").list();
    if !labels.is_empty() {
        text.push_str(" Labels:\n");
        for label in labels {
            writeln!(text, "  {}", label.text()).unwrap_or(());
        }
    }
    line(text, "Experimental", info.at("ExperimentalBuild").is_true());
    line(text, "Live Restore Enabled", info.at("LiveRestoreEnabled").is_true());
    let pools = info.at("DefaultAddressPools").list();
    if !pools.is_empty() {
        text.push_str(" Default Address Pools:\n");
        for pool in pools {
            let (base, size) = (pool.at("Base").text(), pool.at("Size").int());
            writeln!(text, "   Base: {base}, Size: {size}").unwrap_or(());
        }
    }
}

fn joined(list: &Json, separator: &str) -> String {
    list.list().iter().map(Json::text).collect::<Vec<_>>().join(separator)
}
