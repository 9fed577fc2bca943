//! What a container writes and uses: attach, logs, stats.

use crate::error::ApiError;
use crate::extract::{Call, collect};
use crate::reply::{JSON, Reply, json_line};
use crate::stream::detach::DetachKeys;
use crate::stream::hijack::Hijack;
use crate::stream::stdcopy::frame;
use crate::version::stream_type;
use bulkhead_engine::{AttachOptions, LogsOptions, parse_time};
use bulkhead_types::ContainerStats;
use bulkhead_types::stats::CpuStats;
use std::time::Duration;

/// Between two samples of `stats`. Docker's value.
const STATS_INTERVAL: Duration = Duration::from_secs(1);
/// A body that a client sends along with attach, and that nobody reads, in bytes.
const MAX_IDLE_BODY: usize = 64 * 1024;

/// `POST /containers/{id}/attach`: 101 (or 200 without `Upgrade`), then the stream.
pub(super) async fn attach(call: Call) -> Result<Reply, ApiError> {
    let keys = DetachKeys::parse(call.query.text("detachKeys"))?;
    let options = AttachOptions {
        stdin: call.query.flag("stdin"),
        stdout: call.query.flag("stdout"),
        stderr: call.query.flag("stderr"),
        stream: call.query.flag("stream"),
        logs: call.query.flag("logs"),
    };
    let (upgrade, version) = (call.wants_upgrade(), call.version);
    let (app, name) = (call.app, call.name);
    collect(call.body, MAX_IDLE_BODY).await?;
    let attached = app.engine.attach(&name, options).await?;
    let kind = stream_type(version, attached.terminal);
    let keys = (attached.terminal && options.stdin).then_some(keys);
    Ok(Reply::Hijack(Hijack::new(kind, upgrade, |client| client.pump(attached, keys))))
}

/// `GET /containers/{id}/logs`: 200 and the stream.
pub(super) async fn logs(call: Call) -> Result<Reply, ApiError> {
    let options = LogsOptions {
        stdout: call.query.flag("stdout"),
        stderr: call.query.flag("stderr"),
        follow: call.query.flag("follow"),
        timestamps: call.query.flag("timestamps"),
        details: call.query.flag("details"),
        since: parse_time(call.query.text("since"))?,
        until: parse_time(call.query.text("until"))?,
        // As in Docker, what is not a number is "all".
        tail: call.query.text("tail").parse().ok(),
    };
    if !options.stdout && !options.stderr {
        return Err(ApiError::bad("Bad parameters: you must choose at least one stream"));
    }
    let mut lines = call.app.engine.logs(&call.name, options).await?;
    let kind = stream_type(call.version, lines.terminal);
    Ok(Reply::stream(kind, |client| async move {
        while let Some((stream, line)) = lines.output.next().await {
            if client.send(frame(lines.terminal, stream, line)).await.is_err() {
                return;
            }
        }
    }))
}

/// `GET /containers/{id}/stats`: 200 and a sample a second; with `stream=0` one sample, for which
/// two are taken unless `one-shot` is given.
pub(super) async fn stats(call: Call) -> Result<Reply, ApiError> {
    let stream = call.query.flag_or("stream", true);
    let one_shot = call.query.flag("one-shot");
    if stream && one_shot {
        return Err(ApiError::bad("cannot have stream=true and one-shot=true"));
    }
    let (engine, name) = (call.app.engine.clone(), call.name);
    let mut sample = engine.stats(&name).await?;
    if one_shot {
        return Ok(Reply::json(&sample));
    }
    Ok(Reply::stream(JSON, move |client| async move {
        if stream && client.send(json_line(&sample)).await.is_err() {
            return;
        }
        loop {
            tokio::time::sleep(STATS_INTERVAL).await;
            // The container has been removed.
            let Ok(next) = engine.stats(&name).await else { return };
            sample = after(sample, next);
            if client.send(json_line(&sample)).await.is_err() || !stream {
                return;
            }
        }
    }))
}

/// A sample with the one before it, from which clients compute rates.
fn after(before: ContainerStats, mut now: ContainerStats) -> ContainerStats {
    now.preread = before.read;
    now.precpu_stats = CpuStats { ..before.cpu_stats };
    now
}
