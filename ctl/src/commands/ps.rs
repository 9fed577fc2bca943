//! `ps`.

use super::filters;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::flags::Args;
use crate::output::json::Json;
use crate::output::template::{self, Listing, Row};
use crate::output::text::{ellipsis, quote, short_id};
use crate::output::{print, time, units};

const TABLE: &str = "table {{.ID}}\\t{{.Image}}\\t{{.Command}}\\t{{.RunningFor}}\\t{{.Status}}\\t\
                     {{.Ports}}\\t{{.Names}}";

const HEADINGS: [(&str, &str); 15] = [
    ("ID", "CONTAINER ID"),
    ("Names", "NAMES"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Ports", "PORTS"),
    ("State", "STATE"),
    ("Status", "STATUS"),
    ("Size", "SIZE"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
    ("Platform", "PLATFORM"),
];

/// `ps`: the containers.
pub(super) async fn ps(client: &Client, args: &Args) -> Result<(), Failure> {
    let quiet = args.on("quiet");
    let typed = args.text("format");
    if !typed.is_empty() {
        template::check(typed)?;
        if quiet {
            print::err(
                "WARNING: Ignoring custom format, because both --format and --quiet are set.",
            );
        }
    }
    let wants_size = args.on("size")
        || (!quiet && !args.given("size") && (typed == "json" || typed.contains(".Size")));
    let last = args.int("last").unwrap_or(-1);
    let limit = if last == -1 && args.on("latest") { 1 } else { last };
    let call = Call::get("/containers/json")
        .switch("all", args.on("all"))
        .query("limit", if limit > 0 { limit.to_string() } else { String::new() })
        .switch("size", wants_size)
        .query("filters", filters(args));
    let containers = client.json(call).await?;
    let truncate = !args.on("no-trunc");
    let rows: Vec<Row> =
        containers.list().iter().map(|container| row(container, truncate)).collect();
    let format = match typed {
        _ if quiet => "{{.ID}}".to_owned(),
        "" | "table" if wants_size => format!("{TABLE}\\t{{{{.Size}}}}"),
        "" | "table" => TABLE.to_owned(),
        "raw" => raw(wants_size),
        typed => typed.to_owned(),
    };
    print::out(&Listing { format: &format, headings: &HEADINGS }.render(&rows)?)
}

fn raw(with_size: bool) -> String {
    let mut format = "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\n\
                      created_at: {{.CreatedAt}}\nstate: {{- pad .State 1 0}}\n\
                      status: {{- pad .Status 1 0}}\nnames: {{.Names}}\n\
                      labels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n"
        .to_owned();
    if with_size {
        format.push_str("size: {{.Size}}\n");
    }
    format
}

fn row(container: &Json, truncate: bool) -> Row {
    let id = container.at("Id").text();
    let created = container.at("Created").int();
    let command = container.at("Command").text();
    let command = if truncate { ellipsis(command, 20) } else { command.to_owned() };
    let mounts = container.at("Mounts").list();
    let local = mounts.iter().filter(|mount| mount.at("Driver").text() == "local").count();
    let networks = container.at("NetworkSettings").at("Networks").members();
    Row::of([
        ("Command", quote(&command)),
        ("CreatedAt", time::go_string(created)),
        ("ID", if truncate { short_id(id) } else { id }.to_owned()),
        ("Image", image(container, truncate)),
        ("Labels", labels(container.at("Labels"))),
        ("LocalVolumes", local.to_string()),
        ("Mounts", joined(mounts.iter().map(|mount| mount_name(mount, truncate)))),
        ("Names", names(container.at("Names"), truncate)),
        ("Networks", joined(networks.iter().map(|(name, _)| name.clone()))),
        ("Ports", ports(container.at("Ports"))),
        ("RunningFor", units::duration(time::now_seconds() - created) + " ago"),
        ("Size", size(container)),
        ("State", container.at("State").text().to_owned()),
        ("Status", container.at("Status").text().to_owned()),
    ])
    .with_null("Platform")
    .with_labels(container.at("Labels"))
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join(",")
}

fn image(container: &Json, truncate: bool) -> String {
    let image = container.at("Image").text();
    if image.is_empty() {
        return "<no image>".to_owned();
    }
    if !truncate {
        return image.to_owned();
    }
    let id = short_id(container.at("ImageID").text());
    if !id.is_empty() && id == short_id(image) {
        return id.to_owned();
    }
    // A digest is not for people to read.
    image.split_once('@').map_or(image, |(name, _digest)| name).to_owned()
}

fn names(names: &Json, truncate: bool) -> String {
    let mut plain = names.list().iter().map(|name| {
        let name = name.text();
        name.strip_prefix('/').unwrap_or(name)
    });
    if truncate {
        // Others have a link's path.
        return plain.find(|name| !name.contains('/')).unwrap_or("").to_owned();
    }
    joined(plain.map(str::to_owned))
}

/// `key=value` of each label, sorted.
pub(super) fn labels(labels: &Json) -> String {
    let mut texts: Vec<String> =
        labels.members().iter().map(|(key, value)| format!("{key}={}", value.text())).collect();
    texts.sort();
    texts.join(",")
}

fn mount_name(mount: &Json, truncate: bool) -> String {
    let name = match mount.at("Name").text() {
        "" => mount.at("Source").text(),
        name => name,
    };
    if truncate { ellipsis(name, 15) } else { name.to_owned() }
}

fn size(container: &Json) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let human = |key| units::size_with_precision(container.at(key).int() as f64, 3);
    let own = human("SizeRw");
    if container.at("SizeRootFs").int() > 0 {
        format!("{own} (virtual {})", human("SizeRootFs"))
    } else {
        own
    }
}

/// A port as the API lists it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Port {
    private: i64,
    address: String,
    public: i64,
    protocol: String,
}

/// `0.0.0.0:80->80/tcp, 9000-9002/tcp`: runs of ports are drawn together.
fn ports(ports: &Json) -> String {
    let mut all: Vec<Port> = ports
        .list()
        .iter()
        .map(|port| Port {
            private: port.at("PrivatePort").int(),
            address: port.at("IP").text().to_owned(),
            public: port.at("PublicPort").int(),
            protocol: port.at("Type").text().to_owned(),
        })
        .collect();
    all.sort();
    let mut groups: Vec<(Port, i64)> = Vec::new();
    let mut done = Vec::new();
    let mut mapped = Vec::new();
    for port in all {
        if !port.address.is_empty() && port.public != port.private {
            let host = joined_address(&port.address, &port.public.to_string());
            mapped.push(format!("{host}->{}/{}", port.private, port.protocol));
            continue;
        }
        let same = |(first, _): &&mut (Port, i64)| {
            first.address == port.address && first.protocol == port.protocol
        };
        match groups.iter_mut().find(same) {
            None => groups.push((port.clone(), port.private)),
            Some((_, last)) if port.private == *last + 1 => *last = port.private,
            Some(group) => {
                done.push(range(&group.0, group.1));
                *group = (port.clone(), port.private);
            }
        }
    }
    done.extend(groups.iter().map(|(first, last)| range(first, *last)));
    done.extend(mapped);
    done.join(", ")
}

fn range(first: &Port, last: i64) -> String {
    let mut range = first.private.to_string();
    if first.private != last {
        range = format!("{range}-{last}");
    }
    if !first.address.is_empty() {
        range = format!("{}->{range}", joined_address(&first.address, &range));
    }
    format!("{range}/{}", first.protocol)
}

fn joined_address(address: &str, port: &str) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_grouped_as_docker_groups_them() {
        for (json, text) in [
            (r"[]", ""),
            (r#"[{"PrivatePort":80,"Type":"tcp"}]"#, "80/tcp"),
            (
                r#"[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":80,"Type":"tcp"},
                    {"IP":"0.0.0.0","PrivatePort":81,"PublicPort":81,"Type":"tcp"}]"#,
                "0.0.0.0:80-81->80-81/tcp",
            ),
            (
                r#"[{"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},
                    {"PrivatePort":9001,"Type":"tcp"},{"PrivatePort":9000,"Type":"tcp"},
                    {"PrivatePort":9005,"Type":"udp"}]"#,
                "9000-9001/tcp, 9005/udp, [::]:8080->80/tcp",
            ),
        ] {
            assert_eq!(ports(&serde_json::from_str(json).unwrap()), text);
        }
    }

    #[test]
    fn a_row_has_what_docker_shows() {
        let json = r#"{"Id":"0123456789abcdef","Names":["/other/link","/web"],
            "Image":"nginx:1@sha256:00","ImageID":"sha256:ffff","Command":"nginx -g 'daemon off;'",
            "Created":0,"State":"running","Status":"Up 2 hours","SizeRw":2,"SizeRootFs":4261550,
            "Labels":{"b":"2","a":"1"},"Mounts":[{"Name":"","Source":"/a/very/long/source"}],
            "NetworkSettings":{"Networks":{"bridge":{}}}}"#;
        let row = row(&serde_json::from_str(json).unwrap(), true);
        let format = "{{.ID}}|{{.Names}}|{{.Image}}|{{.Command}}|{{.Size}}|{{.Labels}}|{{.Mounts}}|\
                      {{.Networks}}|{{.Label \"b\"}}";
        assert_eq!(
            Listing { format, headings: &HEADINGS }.render(&[row]).unwrap(),
            "0123456789ab|web|nginx:1|\"nginx -g 'daemon of…\"|2B (virtual 4.26MB)|a=1,b=2|\
             /a/very/long/s…|bridge|2\n"
        );
    }
}
