//! `container prune` and `image prune`.

use std::io::{self, BufRead};

use super::filters;
use crate::client::{Call, Client};
use crate::failure::Failure;
use crate::flags::Args;
use crate::output::json::Json;
use crate::output::{print, units};

/// `container prune`.
pub(super) async fn containers(client: &Client, args: &Args) -> Result<(), Failure> {
    confirm(args, "WARNING! This will remove all stopped containers.")?;
    let call = Call::post("/containers/prune").query("filters", filters(args));
    let report = client.json(call).await?;
    let deleted = report.at("ContainersDeleted").list();
    if !deleted.is_empty() {
        let ids: Vec<&str> = deleted.iter().map(Json::text).collect();
        print::line(&format!("Deleted Containers:\n{}\n", ids.join("\n")))?;
    }
    reclaimed(&report)
}

/// `image prune`.
pub(super) async fn images(client: &Client, args: &Args) -> Result<(), Failure> {
    let all = args.on("all");
    confirm(
        args,
        if all {
            "WARNING! This will remove all images without at least one container associated to them."
        } else {
            "WARNING! This will remove all dangling images."
        },
    )?;
    let dangling = serde_json::json!([if all { "false" } else { "true" }]);
    let mut filters: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&filters(args)).unwrap_or_default();
    filters.insert("dangling".to_owned(), dangling);
    let filters = serde_json::Value::Object(filters).to_string();
    let report = client.json(Call::post("/images/prune").query("filters", filters)).await?;
    let deleted = report.at("ImagesDeleted").list();
    if !deleted.is_empty() {
        print::line("Deleted Images:")?;
        for one in deleted {
            let untagged = one.at("Untagged").text();
            if untagged.is_empty() {
                print::line(&format!("deleted: {}", one.at("Deleted").text()))?;
            } else {
                print::line(&format!("untagged: {untagged}"))?;
            }
        }
        print::line("")?;
    }
    reclaimed(&report)
}

fn reclaimed(report: &Json) -> Result<(), Failure> {
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let bytes = report.at("SpaceReclaimed").int() as f64;
    print::line(&format!("Total reclaimed space: {}", units::size(bytes)))
}

fn confirm(args: &Args, warning: &str) -> Result<(), Failure> {
    if args.on("force") {
        return Ok(());
    }
    print::out(&format!("{warning}\nAre you sure you want to continue? [y/N] "))?;
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|error| Failure::io("standard input", &error))?;
    if answer.trim().eq_ignore_ascii_case("y") {
        return Ok(());
    }
    // To change one's mind is no failure.
    Err(Failure::silent(0))
}
