//! `history`.

use crate::client::{Call, Client, segment};
use crate::failure::Failure;
use crate::flags::Args;
use crate::output::json::Json;
use crate::output::template::{self, Listing, Row};
use crate::output::text::{ellipsis, short_id};
use crate::output::{print, time, units};

const TABLE: &str = "table {{.ID}}\\t{{.CreatedSince}}\\t{{.CreatedBy}}\\t{{.Size}}\\t{{.Comment}}";

const HEADINGS: [(&str, &str); 6] = [
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];

/// `history`: the layers of an image, the newest first.
pub(super) async fn history(client: &Client, args: &Args) -> Result<(), Failure> {
    let typed = args.text("format");
    if !typed.is_empty() {
        template::check(typed)?;
    }
    let call = Call::get(format!("/images/{}/history", segment(args.at(0))))
        .query("platform", args.text("platform"));
    let layers = client.json(call).await?;
    let human = args.on_unless_unset("human");
    let truncate = !args.on("no-trunc");
    let rows: Vec<Row> = layers.list().iter().map(|layer| row(layer, human, truncate)).collect();
    let format = match typed {
        "" | "table" if args.on("quiet") => "{{.ID}}",
        "" | "table" if human => TABLE,
        "" | "table" => {
            "table {{.ID}}\\t{{.CreatedAt}}\\t{{.CreatedBy}}\\t{{.Size}}\\t{{.Comment}}"
        }
        typed => typed,
    };
    print::out(&Listing { format, headings: &HEADINGS }.render(&rows)?)
}

fn row(layer: &Json, human: bool, truncate: bool) -> Row {
    let created = layer.at("Created").int();
    let size = layer.at("Size").int();
    let id = layer.at("Id").text();
    let by = layer.at("CreatedBy").text().replace('\t', " ");
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let human_size = units::size_with_precision(size as f64, 3);
    let since = units::duration(time::now_seconds() - created) + " ago";
    Row::of([
        ("Comment", layer.at("Comment").text().to_owned()),
        ("CreatedAt", if created == 0 { String::new() } else { time::rfc3339(created) }),
        ("CreatedBy", if truncate { ellipsis(&by, 45) } else { by }),
        ("CreatedSince", if human { since } else { time::rfc3339(created) }),
        ("ID", if truncate { short_id(id) } else { id }.to_owned()),
        ("Size", if human { human_size } else { size.to_string() }),
    ])
}
