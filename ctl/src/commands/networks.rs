//! `network ls`.

use super::{filters, ps};
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::flags::Args;
use crate::output::json::Json;
use crate::output::print;
use crate::output::template::{self, Listing, Row};
use crate::output::text::short_id;

const TABLE: &str = "table {{.ID}}\\t{{.Name}}\\t{{.Driver}}\\t{{.Scope}}";

const HEADINGS: [(&str, &str); 9] = [
    ("ID", "NETWORK ID"),
    ("Name", "NAME"),
    ("Driver", "DRIVER"),
    ("Scope", "SCOPE"),
    ("IPv4", "IPV4"),
    ("IPv6", "IPV6"),
    ("Internal", "INTERNAL"),
    ("Labels", "LABELS"),
    ("CreatedAt", "CREATED AT"),
];

/// `network ls`, by name.
pub(super) async fn networks(client: &Client, args: &Args) -> Result<(), Failure> {
    let typed = args.text("format");
    if !typed.is_empty() {
        template::check(typed)?;
    }
    let listed = client.json(Call::get("/networks").query("filters", filters(args))).await?;
    let mut networks: Vec<&Json> = listed.list().iter().collect();
    networks.sort_by_key(|network| network.at("Name").text());
    let truncate = !args.on("no-trunc");
    let rows: Vec<Row> = networks.into_iter().map(|network| row(network, truncate)).collect();
    let format = match typed {
        "" | "table" if args.on("quiet") => "{{.ID}}",
        "" | "table" => TABLE,
        "raw" => "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n",
        typed => typed,
    };
    print::out(&Listing { format, headings: &HEADINGS }.render(&rows)?)
}

fn row(network: &Json, truncate: bool) -> Row {
    let id = network.at("Id").text();
    let truth = |key| network.at(key).is_true().to_string();
    let text = |key| network.at(key).text().to_owned();
    Row::of([
        ("CreatedAt", created(network.at("Created").text())),
        ("Driver", text("Driver")),
        ("ID", if truncate { short_id(id) } else { id }.to_owned()),
        ("IPv4", truth("EnableIPv4")),
        ("IPv6", truth("EnableIPv6")),
        ("Internal", truth("Internal")),
        ("Labels", ps::labels(network.at("Labels"))),
        ("Name", text("Name")),
        ("Scope", text("Scope")),
    ])
    .with_labels(network.at("Labels"))
}

/// The engine's RFC 3339 as Go prints a time.
fn created(rfc3339: &str) -> String {
    let Some((date, time)) = rfc3339.split_once('T') else { return rfc3339.to_owned() };
    match time.strip_suffix('Z') {
        Some(time) => format!("{date} {time} +0000 UTC"),
        None => match time.rfind(['+', '-']).and_then(|at| time.split_at_checked(at)) {
            Some((time, offset)) => {
                let offset = offset.replace(':', "");
                format!("{date} {time} {offset} {offset}")
            }
            None => rfc3339.to_owned(),
        },
    }
}
