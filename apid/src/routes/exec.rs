//! Processes in running containers.

use super::containers::terminal_size;
use crate::error::ApiError;
use crate::extract::Call;
use crate::reply::Reply;
use crate::stream::detach::DetachKeys;
use crate::stream::hijack::Hijack;
use crate::version::{self, stream_type};
use bulkhead_types::{ExecCreateBody, ExecStartBody, IdResponse};
use hyper::StatusCode;

/// `POST /containers/{id}/exec`: 201.
pub(super) async fn create(call: Call) -> Result<Reply, ApiError> {
    let (app, name, client) = (call.app.clone(), call.name.clone(), call.version);
    let mut body: ExecCreateBody = call.json().await?;
    if body.cmd.as_ref().is_none_or(|cmd| cmd.is_empty()) {
        return Err(ApiError::bad("No exec command specified"));
    }
    DetachKeys::parse(&body.detach_keys)?;
    version::exec_create_request(client, &mut body);
    let id = app.engine.exec_create(&name, body).await?;
    Ok(Reply::json_with(StatusCode::CREATED, &IdResponse { id }))
}

/// `POST /exec/{id}/start`: 200 with `Detach`; else 101 (or 200 without `Upgrade`), then the
/// stream. As in Docker, a process that cannot be started says so on the stream.
pub(super) async fn start(call: Call) -> Result<Reply, ApiError> {
    let (app, id, client) = (call.app.clone(), call.name.clone(), call.version);
    let upgrade = call.wants_upgrade();
    let mut body: ExecStartBody = call.json_or_default().await?;
    version::exec_start_request(client, &mut body);
    let exec = app.engine.exec_inspect(&id)?;
    if body.detach {
        app.engine.exec_start(&id, body).await?;
        return Ok(Reply::Empty(StatusCode::OK));
    }
    let terminal = exec.process_config.tty;
    let keys = DetachKeys::parse(&exec.detach_keys)?;
    let keys = (terminal && exec.open_stdin).then_some(keys);
    let kind = stream_type(client, terminal);
    Ok(Reply::Hijack(Hijack::new(kind, upgrade, move |client| async move {
        match app.engine.exec_start(&id, body).await {
            Ok(Some(attached)) => client.pump(attached, keys).await,
            Ok(None) => {}
            Err(error) => {
                let error = ApiError::from(error);
                tracing::info!("exec {id}: {}", error.message());
                client.fail(terminal, error.message()).await;
            }
        }
    })))
}

/// `POST /exec/{id}/resize`: 200.
pub(super) async fn resize(call: Call) -> Result<Reply, ApiError> {
    let (rows, columns) = terminal_size(&call)?;
    call.app.engine.exec_resize(&call.name, rows, columns).await?;
    Ok(Reply::Empty(StatusCode::OK))
}

/// `GET /exec/{id}/json`: 200.
pub(super) async fn inspect(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::json(&call.app.engine.exec_inspect(&call.name)?))
}
