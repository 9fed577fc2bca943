//! `pull`, and the pull before a container's creation.

use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::flags::{Args, help};
use crate::output::print;
use crate::output::progress::{self, To};
use crate::session::terminal;

/// `pull`.
pub(super) async fn pull(client: &Client, args: &Args) -> Result<(), Failure> {
    let (name, tag) = split_reference(args.at(0));
    let all = args.on("all-tags");
    if all && tag.is_some() {
        return Err(Failure::new("tag can't be used with --all-tags/-a"));
    }
    let quiet = args.on("quiet");
    if tag.is_none() && !all && !quiet {
        print::line("Using default tag: latest")?;
    }
    let tag = if all { "" } else { tag.unwrap_or("latest") };
    let to = if quiet { To::Nowhere } else { To::Out };
    send(client, name, tag, args.text("platform"), to).await?;
    print::line(&with_default_tag(args.at(0)).unwrap_or_else(|| args.at(0).to_owned()))
}

/// Pull an image that `run` or `create` needs. Progress goes to standard error: standard output is
/// for the container's id.
pub(super) async fn for_container(
    client: &Client,
    image: &str,
    platform: &str,
    quiet: bool,
) -> Result<(), Failure> {
    let (name, tag) = split_reference(image);
    let to = if quiet { To::Nowhere } else { To::Err };
    send(client, name, tag.unwrap_or("latest"), platform, to).await
}

async fn send(
    client: &Client,
    name: &str,
    tag: &str,
    platform: &str,
    to: To,
) -> Result<(), Failure> {
    let call = Call::post("/images/create")
        .query("fromImage", name)
        .query("tag", tag)
        .query("platform", platform);
    let messages = client.frames(call).await?.messages();
    let columns = terminal::output_is_terminal().then(help::columns);
    progress::show(messages, to, columns).await
}

/// Name and tag, or name and digest.
pub(super) fn split_reference(image: &str) -> (&str, Option<&str>) {
    if let Some((name, digest)) = image.split_once('@') {
        return (name, Some(digest));
    }
    match image.rsplit_once(':') {
        // A colon before a slash is that of a registry's port.
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        Some(_) | None => (image, None),
    }
}

/// The name with the tag that is meant if none is said; nothing for an image's id.
pub(super) fn with_default_tag(image: &str) -> Option<String> {
    let is_id = image.len() == 64 && image.bytes().all(|byte| byte.is_ascii_hexdigit());
    match split_reference(image) {
        _ if is_id => None,
        (_, Some(_)) => Some(image.to_owned()),
        (name, None) => Some(format!("{name}:latest")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_not_a_tag() {
        for (image, split) in [
            ("busybox", ("busybox", None)),
            ("busybox:1.36", ("busybox", Some("1.36"))),
            ("host:5000/a/b", ("host:5000/a/b", None)),
            ("host:5000/a/b:c", ("host:5000/a/b", Some("c"))),
            ("a@sha256:00", ("a", Some("sha256:00"))),
        ] {
            assert_eq!(split_reference(image), split);
        }
        assert_eq!(with_default_tag("a").as_deref(), Some("a:latest"));
        assert_eq!(with_default_tag(&"ab".repeat(32)), None);
    }
}
