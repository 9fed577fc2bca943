//! Commands that do one thing to each of the containers named.

use crate::client::{Call, Client, Error, segment};
use crate::failure::Failure;
use crate::flags::Args;
use crate::output::json::Json;
use crate::output::print;
use crate::output::table::Layout;

/// The path of an operation on a container.
pub(super) fn path(container: &str, operation: &str) -> String {
    format!("/containers/{}/{operation}", segment(container))
}

/// `stop`.
pub(super) async fn stop(client: &Client, args: &Args) -> Result<(), Failure> {
    each(client, args, |name| with_timeout(Call::post(path(name, "stop")), args)).await
}

/// `restart`.
pub(super) async fn restart(client: &Client, args: &Args) -> Result<(), Failure> {
    each(client, args, |name| with_timeout(Call::post(path(name, "restart")), args)).await
}

/// `kill`.
pub(super) async fn kill(client: &Client, args: &Args) -> Result<(), Failure> {
    let signal = args.text("signal");
    each(client, args, |name| Call::post(path(name, "kill")).query("signal", signal)).await
}

/// `pause`.
pub(super) async fn pause(client: &Client, args: &Args) -> Result<(), Failure> {
    each(client, args, |name| Call::post(path(name, "pause"))).await
}

/// `unpause`.
pub(super) async fn unpause(client: &Client, args: &Args) -> Result<(), Failure> {
    each(client, args, |name| Call::post(path(name, "unpause"))).await
}

/// `rename`.
pub(super) async fn rename(client: &Client, args: &Args) -> Result<(), Failure> {
    let (old, new) = (args.at(0).trim(), args.at(1).trim());
    if old.is_empty() || new.is_empty() {
        return Err(Failure::new("Error: Neither old nor new names may be empty"));
    }
    let call = Call::post(path(old, "rename")).query("name", new);
    client.done(call).await.map_err(|error| {
        Failure::new(format!("{error}\nError: failed to rename container named {old}"))
    })
}

/// `wait`: until each has ended; prints their exit codes.
pub(super) async fn wait(client: &Client, args: &Args) -> Result<(), Failure> {
    let mut errors = Vec::new();
    for name in args.positional() {
        match client.json(Call::post(path(name, "wait"))).await {
            Ok(ended) => {
                let error = ended.at("Error").at("Message").text();
                if error.is_empty() {
                    print::line(&ended.at("StatusCode").int().to_string())?;
                } else {
                    errors.push(error.to_owned());
                }
            }
            Err(error) => errors.push(error.to_string()),
        }
    }
    all_good(errors)
}

/// `rm`.
pub(super) async fn rm(client: &Client, args: &Args) -> Result<(), Failure> {
    let mut errors = Vec::new();
    for name in args.positional() {
        let name = name.trim_matches('/');
        if name.is_empty() {
            return Err(Failure::new("container name cannot be empty"));
        }
        let call = Call::delete(format!("/containers/{}", segment(name)))
            .switch("v", args.on("volumes"))
            .switch("link", args.on("link"))
            .switch("force", args.on("force"));
        match client.done(call).await {
            Ok(()) => print::line(name)?,
            Err(error) if args.on("force") && error.status() == Some(404) => {
                print::err(&error.to_string());
            }
            Err(error) => errors.push(error.to_string()),
        }
    }
    all_good(errors)
}

/// `top`: the processes of a container.
pub(super) async fn top(client: &Client, args: &Args) -> Result<(), Failure> {
    let options: Vec<&str> = args.positional().iter().skip(1).map(String::as_str).collect();
    let call = Call::get(path(args.at(0), "top")).query("ps_args", options.join(" "));
    let list = client.json(call).await?;
    let line = |cells: &Json| {
        let cells: Vec<&str> = cells.list().iter().map(Json::text).collect();
        cells.join("\t") + "\n"
    };
    let mut text = line(list.at("Titles"));
    text.extend(list.at("Processes").list().iter().map(line));
    print::out(&Layout::PROCESSES.align(&text))
}

fn with_timeout(call: Call, args: &Args) -> Call {
    call.query("signal", args.text("signal")).query("t", args.text("timeout"))
}

/// Send a call for each container at the same time; print the names in their order as they are done.
async fn each(client: &Client, args: &Args, call: impl Fn(&str) -> Call) -> Result<(), Failure> {
    let mut errors = Vec::new();
    // A handful at a time: each has a connection.
    for names in args.positional().chunks(16) {
        for (name, done) in names.iter().zip(at_once(client, names, &call).await) {
            match done {
                Ok(()) => print::line(name)?,
                Err(error) => errors.push(error.to_string()),
            }
        }
    }
    all_good(errors)
}

async fn at_once(
    client: &Client,
    names: &[String],
    call: impl Fn(&str) -> Call,
) -> Vec<Result<(), Error>> {
    let mut running: Vec<_> = names.iter().map(|name| Box::pin(client.done(call(name)))).collect();
    let mut done: Vec<Option<Result<(), Error>>> = names.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (future, done) in running.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(result) = future.as_mut().poll(context)
            {
                *done = Some(result);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(done.iter_mut().filter_map(Option::take).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

fn all_good(errors: Vec<String>) -> Result<(), Failure> {
    if errors.is_empty() { Ok(()) } else { Err(Failure::new(errors.join("\n"))) }
}
