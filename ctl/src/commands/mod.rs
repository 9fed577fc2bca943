//! What the commands do: one function a command, grouped by what they are about.

mod attach;
mod exec;
mod history;
mod image;
mod images;
mod info;
mod inspect;
mod lifecycle;
mod logs;
mod networks;
mod prune;
mod ps;
mod pull;
mod run;
mod system;
mod update;
mod version;

use crate::client::Client;
use crate::failure::Failure;
use crate::flags::{Action, Args, Command};

/// Do what a command says.
pub(crate) async fn perform(
    command: &Command,
    client: &Client,
    args: &Args,
) -> Result<(), Failure> {
    match command.action {
        Action::Attach => attach::attach(client, args).await,
        Action::ContainerInspect => inspect::containers(client, args).await,
        Action::ContainerPrune => prune::containers(client, args).await,
        Action::Create => run::create(client, args).await,
        Action::Events => system::events(client, args).await,
        Action::Exec => exec::exec(client, args).await,
        Action::History => history::history(client, args).await,
        Action::ImageInspect => inspect::images(client, args).await,
        Action::ImagePrune => prune::images(client, args).await,
        Action::Images => images::images(client, args).await,
        Action::Import => image::import(client, args).await,
        Action::Info => info::info(client, args).await,
        Action::Inspect => inspect::any(client, args).await,
        Action::Kill => lifecycle::kill(client, args).await,
        Action::Load => image::load(client, args).await,
        Action::Logs => logs::logs(client, args).await,
        Action::NetworkInspect => inspect::networks(client, args).await,
        Action::Networks => networks::networks(client, args).await,
        Action::Pause => lifecycle::pause(client, args).await,
        Action::Ps => ps::ps(client, args).await,
        Action::Pull => pull::pull(client, args).await,
        Action::Rename => lifecycle::rename(client, args).await,
        Action::Restart => lifecycle::restart(client, args).await,
        Action::Rm => lifecycle::rm(client, args).await,
        Action::Rmi => image::rmi(client, args).await,
        Action::Run => run::run(client, args).await,
        Action::Start => attach::start(client, args).await,
        Action::Stop => lifecycle::stop(client, args).await,
        Action::SystemDf => system::df(client, args).await,
        Action::Tag => image::tag(client, args).await,
        Action::Top => lifecycle::top(client, args).await,
        Action::Unpause => lifecycle::unpause(client, args).await,
        Action::Update => update::update(client, args).await,
        Action::Version => version::version(client, args).await,
        Action::Wait => lifecycle::wait(client, args).await,
        // These work on the host; `invocation` has taken them already.
        Action::Up
        | Action::Down
        | Action::PolicyCheck
        | Action::PolicyCompile
        | Action::PolicyExplain => Ok(()),
    }
}

/// `--filter` values as the API's query parameter: `{"name":["value",...]}`; empty if none.
fn filters(args: &Args) -> String {
    let mut filters = serde_json::Map::new();
    for (name, value) in args.all("filter").filter_map(|filter| filter.split_once('=')) {
        let values = filters
            .entry(name.trim().to_ascii_lowercase())
            .or_insert_with(|| serde_json::Value::Array(Vec::new()));
        if let serde_json::Value::Array(values) = values {
            values.push(value.trim().into());
        }
    }
    if filters.is_empty() { String::new() } else { serde_json::Value::Object(filters).to_string() }
}
