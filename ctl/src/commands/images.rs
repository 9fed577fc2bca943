//! `images`.

use super::{filters, pull};
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::flags::Args;
use crate::output::json::Json;
use crate::output::template::{self, Listing, Row};
use crate::output::text::short_id;
use crate::output::{print, time, units};

const TABLE: &str = "table {{.Repository}}\\t{{.Tag}}\\t{{.ID}}\\t\
                     {{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\\t{{.Size}}";
const TABLE_WITH_DIGESTS: &str = "table {{.Repository}}\\t{{.Tag}}\\t{{.Digest}}\\t{{.ID}}\\t\
     {{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\\t{{.Size}}";

const HEADINGS: [(&str, &str); 11] = [
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("VirtualSize", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
];

/// `images`: one row a name.
pub(super) async fn images(client: &Client, args: &Args) -> Result<(), Failure> {
    if args.on("tree") {
        return Err(Failure::new("--tree is not supported"));
    }
    let typed = args.text("format");
    if !typed.is_empty() {
        template::check(typed)?;
    }
    let mut filters = filters(args);
    if !args.at(0).is_empty() {
        filters = with_reference(&filters, args.at(0));
    }
    let call = Call::get("/images/json").switch("all", args.on("all")).query("filters", filters);
    let digests = args.on("digests");
    let listed = client.json(call).await?;
    let format = match typed {
        "" | "table" if args.on("quiet") => "{{.ID}}",
        "" | "table" if digests => TABLE_WITH_DIGESTS,
        "" | "table" => TABLE,
        "raw" => {
            "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\n\
             created_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n"
        }
        typed => typed,
    };
    let wants_digest = digests || format.contains("{{.Digest}}");
    let truncate = !args.on("no-trunc");
    let rows: Vec<Row> = listed
        .list()
        .iter()
        .flat_map(|image| {
            names(image, wants_digest, digests).into_iter().map(|name| row(image, name, truncate))
        })
        .collect();
    print::out(&Listing { format, headings: &HEADINGS }.render(&rows)?)
}

fn with_reference(filters: &str, name: &str) -> String {
    let mut filters: serde_json::Value = serde_json::from_str(filters).unwrap_or_default();
    if !filters.is_object() {
        filters = serde_json::json!({});
    }
    if let Some(fields) = filters.as_object_mut() {
        let references = fields.entry("reference").or_insert_with(|| serde_json::json!([]));
        if let Some(list) = references.as_array_mut() {
            list.push(name.into());
        }
    }
    filters.to_string()
}

/// What one row names.
struct Name {
    repository: String,
    tag: String,
    digest: String,
}

/// The names of an image: each tag, with each digest of its repository if those are shown, then
/// digests of repositories without a tag; one without a name if there are none.
fn names(image: &Json, with_digests: bool, row_a_digest: bool) -> Vec<Name> {
    const NONE: &str = "<none>";
    let references = |key: &str, separator: char| -> Vec<(String, String)> {
        let split = |json: &Json| {
            let (name, rest) = match separator {
                '@' => json.text().split_once('@')?,
                _ => match pull::split_reference(json.text()) {
                    (name, Some(tag)) => (name, tag),
                    (_, None) => return None,
                },
            };
            (name != NONE).then(|| (familiar(name).to_owned(), rest.to_owned()))
        };
        image.at(key).list().iter().filter_map(split).collect()
    };
    let tags = references("RepoTags", ':');
    let mut digests = references("RepoDigests", '@');
    let mut names = Vec::new();
    for (repository, tag) in &tags {
        let own: Vec<&str> = digests
            .iter()
            .filter(|(name, _)| with_digests && name == repository)
            .map(|(_, digest)| digest.as_str())
            .collect();
        for digest in if own.is_empty() { vec![NONE] } else { own } {
            let (repository, tag, digest) = (repository.clone(), tag.clone(), digest.to_owned());
            names.push(Name { repository, tag, digest });
        }
    }
    digests.retain(|(name, _)| !tags.iter().any(|(tagged, _)| tagged == name));
    if !row_a_digest {
        digests.dedup_by(|(a, _), (b, _)| a == b);
    }
    for (repository, digest) in digests {
        let digest = if row_a_digest { digest } else { String::new() };
        names.push(Name { repository, tag: NONE.to_owned(), digest });
    }
    if names.is_empty() {
        let none = || NONE.to_owned();
        names.push(Name { repository: none(), tag: none(), digest: none() });
    }
    names
}

/// A name as people say it: without `docker.io/` and `docker.io/library/`.
fn familiar(name: &str) -> &str {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    match name.strip_prefix("library/") {
        Some(plain) if !plain.contains('/') => plain,
        Some(_) | None => name,
    }
}

fn row(image: &Json, name: Name, truncate: bool) -> Row {
    let id = image.at("Id").text();
    let created = image.at("Created").int();
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let float = |number: i64| number as f64;
    let size = image.at("Size").int();
    let known = |key| if let Json::Int(number) = image.at(key) { *number } else { -1 };
    let (shared, containers) = (known("SharedSize"), known("Containers"));
    let unless_unknown =
        |unknown: bool, text: String| if unknown { "N/A".to_owned() } else { text };
    Row::of([
        ("Containers", unless_unknown(containers == -1, containers.to_string())),
        ("CreatedAt", time::go_string(created)),
        ("CreatedSince", units::duration(time::now_seconds() - created) + " ago"),
        ("Digest", name.digest),
        ("ID", if truncate { short_id(id) } else { id }.to_owned()),
        ("Repository", name.repository),
        ("SharedSize", unless_unknown(shared == -1, units::size(float(shared)))),
        ("Size", units::size_with_precision(float(size), 3)),
        ("Tag", name.tag),
        ("UniqueSize", unless_unknown(shared == -1, units::size(float(size - shared)))),
        ("VirtualSize", units::size(float(size))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(json: &str, with_digests: bool) -> Vec<(String, String, String)> {
        names(&serde_json::from_str(json).unwrap(), with_digests, with_digests)
            .into_iter()
            .map(|name| (name.repository, name.tag, name.digest))
            .collect()
    }

    #[test]
    fn each_tag_has_a_row_and_each_digest_if_shown() {
        let json = r#"{"RepoTags":["busybox:1","busybox:2","h:5/x:y"],
                       "RepoDigests":["busybox@sha256:aa","only@sha256:bb"]}"#;
        let row = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(
            shown(json, false),
            [
                row("busybox", "1", "<none>"),
                row("busybox", "2", "<none>"),
                row("h:5/x", "y", "<none>"),
                row("only", "<none>", ""),
            ]
        );
        assert_eq!(
            shown(json, true),
            [
                row("busybox", "1", "sha256:aa"),
                row("busybox", "2", "sha256:aa"),
                row("h:5/x", "y", "<none>"),
                row("only", "<none>", "sha256:bb"),
            ]
        );
        assert_eq!(shown(r#"{"RepoTags":null}"#, false), [row("<none>", "<none>", "<none>")]);
        assert_eq!(
            shown(r#"{"RepoTags":["<none>:<none>"],"RepoDigests":["<none>@<none>"]}"#, false),
            [row("<none>", "<none>", "<none>")]
        );
    }
}
