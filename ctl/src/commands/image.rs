//! `rmi`, `tag`, `import`, `load`.

use std::fs::File;
use std::io::{self, IsTerminal, Read};

use bytes::Bytes;
use http_body_util::channel::Channel;

use super::pull::split_reference;
use crate::client::{Call, Client, Frames, segment};
use crate::failure::Failure;
use crate::flags::{Args, help};
use crate::output::print;
use crate::output::progress::{self, To};
use crate::output::text::system_words;
use crate::session::terminal;

/// How much of a file is read at once, in bytes.
const BUFFER_BYTES: usize = 256 << 10;

/// `rmi`.
pub(super) async fn rmi(client: &Client, args: &Args) -> Result<(), Failure> {
    let mut errors = Vec::new();
    let mut all_missing = true;
    for image in args.positional() {
        let call = Call::delete(format!("/images/{}", segment(image)))
            .switch("force", args.on("force"))
            .switch("noprune", args.on("no-prune"));
        match client.json(call).await {
            Ok(removed) => {
                for one in removed.list() {
                    let deleted = one.at("Deleted").text();
                    if deleted.is_empty() {
                        print::line(&format!("Untagged: {}", one.at("Untagged").text()))?;
                    } else {
                        print::line(&format!("Deleted: {deleted}"))?;
                    }
                }
            }
            Err(error) => {
                all_missing &= error.status() == Some(404);
                errors.push(error.to_string());
            }
        }
    }
    match errors.join("\n") {
        text if text.is_empty() => Ok(()),
        // That there is nothing to remove is no failure of a forced removal.
        text if args.on("force") && all_missing => {
            print::err(&text);
            Ok(())
        }
        text => Err(Failure::new(text)),
    }
}

/// `tag`.
pub(super) async fn tag(client: &Client, args: &Args) -> Result<(), Failure> {
    let (repository, tag) = split_reference(args.at(1));
    let call = Call::post(format!("/images/{}/tag", segment(args.at(0))))
        .query("repo", repository)
        .query("tag", tag.unwrap_or("latest"));
    Ok(client.done(call).await?)
}

/// `import`: an image of one layer from a tar archive.
pub(super) async fn import(client: &Client, args: &Args) -> Result<(), Failure> {
    let source = args.at(0);
    let is_url = source.starts_with("http://") || source.starts_with("https://");
    let mut call = Call::post("/images/create")
        .query("fromSrc", if is_url { source } else { "-" })
        .query("repo", args.at(1))
        .query("message", args.text("message"))
        .query("platform", args.text("platform"));
    for change in args.all("change") {
        call = call.query("changes", change);
    }
    let frames = if is_url {
        client.frames(call).await?
    } else {
        upload(client, call, source, "/", false).await?
    };
    let columns = terminal::output_is_terminal().then(help::columns);
    progress::show(frames.messages(), To::Out, columns).await
}

/// `load`: images from a tar archive.
pub(super) async fn load(client: &Client, args: &Args) -> Result<(), Failure> {
    let input = args.text("input");
    if input.is_empty() && io::stdin().is_terminal() {
        return Err(Failure::new("requested load from stdin, but stdin is empty"));
    }
    let on_terminal = terminal::output_is_terminal();
    let quiet = args.on("quiet") || !on_terminal;
    let call =
        Call::post("/images/load").switch("quiet", quiet).query("platform", args.text("platform"));
    let source = if input.is_empty() { "-" } else { input };
    let mut frames = upload(client, call, source, "Loading", !quiet).await?;
    if frames.content_type().starts_with("application/json") {
        let columns = on_terminal.then(help::columns);
        return progress::show(frames.messages(), To::Out, columns).await;
    }
    while let Some(bytes) = frames.next().await? {
        print::out(&String::from_utf8_lossy(&bytes))?;
    }
    Ok(())
}

/// Send a file (`-`: standard input) as the body.
async fn upload(
    client: &Client,
    call: Call,
    source: &str,
    what: &str,
    show_progress: bool,
) -> Result<Frames, Failure> {
    let (mut file, size): (Box<dyn Read + Send>, u64) = if source == "-" {
        (Box::new(io::stdin()), 0)
    } else {
        let file = File::open(source)
            .map_err(|error| Failure::new(format!("open {source}: {}", system_words(&error))))?;
        let size = file.metadata().map_or(0, |metadata| metadata.len());
        (Box::new(file), size)
    };
    let (mut sender, body) = Channel::<Bytes, io::Error>::new(4);
    // Reads block, so they have a thread. It ends with the file, or when nobody takes its bytes.
    let (pieces, mut read) = tokio::sync::mpsc::channel::<io::Result<Bytes>>(2);
    let reader = std::thread::Builder::new().spawn(move || {
        loop {
            let mut buffer = vec![0; BUFFER_BYTES];
            let piece = file.read(&mut buffer).map(|length| {
                buffer.truncate(length);
                Bytes::from(buffer)
            });
            let last = !matches!(&piece, Ok(bytes) if !bytes.is_empty());
            if pieces.blocking_send(piece).is_err() || last {
                return;
            }
        }
    });
    reader.map_err(|error| Failure::io("a thread", &error))?;
    let feed = async {
        let mut sent = 0_u64;
        while let Some(piece) = read.recv().await {
            match piece {
                Ok(bytes) if bytes.is_empty() => break,
                Ok(bytes) => {
                    sent += bytes.len() as u64;
                    if sender.send_data(bytes).await.is_err() {
                        return Ok(());
                    }
                    if show_progress {
                        draw(what, sent, size);
                    }
                }
                Err(error) => {
                    let failure = Failure::io(format!("read {source}"), &error);
                    sender.abort(error);
                    return Err(failure);
                }
            }
        }
        drop(sender);
        Ok(())
    };
    let send = async { Ok(client.upload(call, "application/x-tar", body).await?) };
    let fed_and_sent = async {
        let (fed, frames) = tokio::join!(feed, send);
        fed.and(frames)
    };
    let frames = fed_and_sent.await;
    if show_progress {
        print::out("\r\x1b[2K")?;
    }
    frames
}

fn draw(what: &str, sent: u64, size: u64) {
    use crate::output::json::Json;
    let number = |number: u64| Json::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let detail = Json::Object(vec![
        ("current".to_owned(), number(sent)),
        ("total".to_owned(), number(size)),
    ]);
    let bar = progress::bar(&detail, help::columns());
    // A terminal that is gone is found out by what is printed in the end.
    drop(print::out(&format!("\r\x1b[2K{what} {bar}")));
}
