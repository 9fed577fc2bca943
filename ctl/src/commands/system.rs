//! `events` and `system df`.

use super::filters;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::flags::Args;
use crate::output::json::Json;
use crate::output::template::{self, Listing, Row};
use crate::output::{print, time, units};

/// `events`, as they happen.
pub(super) async fn events(client: &Client, args: &Args) -> Result<(), Failure> {
    let format = args.text("format");
    let format = if format == "json" { "{{json .}}" } else { format };
    if !format.is_empty() {
        template::check(format).map_err(|failure| {
            Failure::with_code(64, format!("Error parsing format: {}", failure.text))
        })?;
    }
    let call = Call::get("/events")
        .query("since", time::for_api_now(args.text("since")))
        .query("until", time::for_api_now(args.text("until")))
        .query("filters", filters(args));
    let mut messages = client.frames(call).await?.messages();
    while let Some(event) = messages.next().await? {
        if format.is_empty() {
            print::line(&line(&event))?;
        } else {
            print::line(&template::render(format, &with_sorted_attributes(event))?)?;
        }
    }
    Ok(())
}

/// As Docker's command line has it, whose attributes are a map.
fn with_sorted_attributes(mut event: Json) -> Json {
    if let Some(Json::Object(attributes)) =
        event.get_mut("Actor").and_then(|actor| actor.get_mut("Attributes"))
    {
        attributes.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    event
}

/// `2024-05-01T12:00:00.000000000Z container start 0123 (image=busybox, name=x)`.
fn line(event: &Json) -> String {
    let time = match (event.at("timeNano").int(), event.at("time").int()) {
        (0, 0) => String::new(),
        (0, seconds) => time::rfc3339_nanoseconds(seconds.saturating_mul(1_000_000_000)) + " ",
        (nanoseconds, _) => time::rfc3339_nanoseconds(nanoseconds) + " ",
    };
    let actor = event.at("Actor");
    let mut line = format!(
        "{time}{} {} {}",
        event.at("Type").text(),
        event.at("Action").text(),
        actor.at("ID").text()
    );
    let mut attributes: Vec<String> = actor
        .at("Attributes")
        .members()
        .iter()
        .map(|(name, value)| format!("{name}={}", value.text()))
        .collect();
    if !attributes.is_empty() {
        attributes.sort();
        line = format!("{line} ({})", attributes.join(", "));
    }
    line
}

/// `system df`: what takes room.
pub(super) async fn df(client: &Client, args: &Args) -> Result<(), Failure> {
    if args.on("verbose") {
        return Err(Failure::new(
            "--verbose is not supported; `images` and `ps --size` show the parts",
        ));
    }
    let usage = client.json(Call::get("/system/df")).await?;
    let rows = [
        kind("Images", usage.at("Images").list(), usage.at("LayersSize").int(), |image| {
            (image.at("Containers").int() > 0, image.at("Size").int())
        }),
        kind("Containers", usage.at("Containers").list(), -1, |container| {
            let busy = matches!(container.at("State").text(), "running" | "paused" | "restarting");
            (busy, container.at("SizeRw").int())
        }),
        kind("Local Volumes", usage.at("Volumes").list(), -1, |volume| {
            let data = volume.at("UsageData");
            (data.at("RefCount").int() > 0, data.at("Size").int().max(0))
        }),
        kind("Build Cache", usage.at("BuildCache").list(), -1, |record| {
            (record.at("InUse").is_true(), record.at("Size").int())
        }),
    ];
    let format = match args.text("format") {
        "" | "table" => {
            "table {{.Type}}\\t{{.TotalCount}}\\t{{.Active}}\\t{{.Size}}\\t{{.Reclaimable}}"
        }
        typed => typed,
    };
    let headings = [
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ];
    print::out(&Listing { format, headings: &headings }.render(&rows)?)
}

fn kind(name: &str, all: &[Json], known: i64, of: impl Fn(&Json) -> (bool, i64)) -> Row {
    let sizes: Vec<(bool, i64)> = all.iter().map(of).collect();
    let sum: i64 = sizes.iter().map(|(_, size)| size).sum();
    // What images share is counted once by the engine.
    let total = if known >= 0 { known } else { sum };
    let active = sizes.iter().filter(|(active, _)| *active).count();
    let used: i64 = sizes.iter().filter(|(active, _)| *active).map(|(_, size)| size).sum();
    let free = (total - used).max(0);
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let human = |bytes: i64| units::size(bytes as f64);
    let percent = if total > 0 && name != "Build Cache" {
        format!(" ({}%)", free.saturating_mul(100) / total)
    } else {
        String::new()
    };
    Row::of([
        ("Active", active.to_string()),
        ("Reclaimable", human(free) + &percent),
        ("Size", human(total)),
        ("TotalCount", all.len().to_string()),
        ("Type", name.to_owned()),
    ])
}
