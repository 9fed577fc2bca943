//! Start, stop and what is between.

use crate::error::ApiError;
use crate::extract::{Call, collect};
use crate::reply::{JSON, Reply, json_line};
use bulkhead_engine::{StopOptions, WaitCondition};

/// More than this is read of no body that is refused anyway, in bytes.
const MAX_START_BODY: usize = 64;

/// `POST /containers/{id}/start`: 204, or 304 if it runs.
pub(super) async fn start(call: Call) -> Result<Reply, ApiError> {
    for checkpoint in ["checkpoint", "checkpoint-dir"] {
        if !call.query.text(checkpoint).is_empty() {
            return Err(ApiError::not_implemented("checkpoints are not supported"));
        }
    }
    // Old clients sent the host configuration here; `{}` still comes from some.
    if collect(call.body, MAX_START_BODY).await.map_or(true, |body| body.len() > 2) {
        return Err(ApiError::bad(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        ));
    }
    call.app.engine.start(&call.name).await?;
    Ok(Reply::DONE)
}

/// `POST /containers/{id}/stop`: 204 once it has stopped, or 304 if it does not run.
pub(super) async fn stop(call: Call) -> Result<Reply, ApiError> {
    call.app.engine.stop(&call.name, stop_options(&call)?).await?;
    Ok(Reply::DONE)
}

/// `POST /containers/{id}/restart`: 204.
pub(super) async fn restart(call: Call) -> Result<Reply, ApiError> {
    call.app.engine.restart(&call.name, stop_options(&call)?).await?;
    Ok(Reply::DONE)
}

fn stop_options(call: &Call) -> Result<StopOptions, ApiError> {
    let signal = call.query.get("signal").filter(|signal| !signal.is_empty());
    Ok(StopOptions { signal: signal.map(str::to_owned), timeout: call.query.number("t")? })
}

/// `POST /containers/{id}/kill`: 204.
pub(super) async fn kill(call: Call) -> Result<Reply, ApiError> {
    call.app.engine.kill(&call.name, call.query.text("signal")).await?;
    Ok(Reply::DONE)
}

/// `POST /containers/{id}/pause`: 204.
pub(super) async fn pause(call: Call) -> Result<Reply, ApiError> {
    call.app.engine.pause(&call.name).await?;
    Ok(Reply::DONE)
}

/// `POST /containers/{id}/unpause`: 204.
pub(super) async fn unpause(call: Call) -> Result<Reply, ApiError> {
    call.app.engine.unpause(&call.name).await?;
    Ok(Reply::DONE)
}

/// `POST /containers/{id}/wait`: 200 at once, and the result when there is one. `docker run` reads
/// the head of this answer before it starts the container, so that it cannot miss the end.
pub(super) async fn wait(call: Call) -> Result<Reply, ApiError> {
    let condition = WaitCondition::parse(call.query.text("condition"))?;
    let waiter = call.app.engine.wait(&call.name, condition)?;
    Ok(Reply::stream(JSON, |client| async move {
        // A client that is gone does not want to know.
        drop(client.send(json_line(&waiter.finish().await)).await);
    }))
}
