//! `logs`.

use super::lifecycle;
use crate::client::{Call, Client};
use crate::create::Attach;
use crate::failure::Failure;
use crate::flags::Args;
use crate::output::time;
use crate::session::Output;
use crate::session::demultiplex::{Demultiplexer, Error, Stream};

/// `logs`: what a container wrote.
pub(super) async fn logs(client: &Client, args: &Args) -> Result<(), Failure> {
    let name = args.at(0);
    let call = Call::get(lifecycle::path(name, "logs"))
        .query("stdout", "1")
        .query("stderr", "1")
        .switch("follow", args.on("follow"))
        .switch("timestamps", args.on("timestamps"))
        .switch("details", args.on("details"))
        .query("since", time::for_api_now(args.text("since")))
        .query("until", time::for_api_now(args.text("until")))
        .query("tail", args.last("tail").unwrap_or("all"));
    let mut frames = client.frames(call).await?;
    let raw = match frames.content_type() {
        "application/vnd.docker.multiplexed-stream" => false,
        // Servers before API 1.42 say the other type of both kinds.
        _ => {
            let container = client.json(Call::get(lifecycle::path(name, "json"))).await?;
            container.at("Config").at("Tty").is_true()
        }
    };
    let attach = Attach { stdin: false, stdout: true, stderr: true };
    let mut output = Output::new(attach).map_err(Failure::from_stdout)?;
    let mut demultiplexer = Demultiplexer::default();
    while let Some(bytes) = frames.next().await? {
        let written = if raw {
            output.write(Stream::Out, &bytes).map_err(Error::Write)
        } else {
            demultiplexer.feed(&bytes, |stream, bytes| output.write(stream, bytes))
        };
        match written {
            Ok(()) => {}
            Err(Error::Write(error)) => return Err(Failure::from_stdout(error)),
            Err(error) => return Err(Failure::new(error.to_string())),
        }
    }
    Ok(())
}
