//! What containers there are: create, list, inspect, change, remove.

use crate::error::ApiError;
use crate::extract::Call;
use crate::reply::Reply;
use crate::version;
use bulkhead_engine::{ListOptions, RemoveOptions};
use bulkhead_types::{ContainerCreateBody, ContainerUpdateBody};
use hyper::StatusCode;

/// `GET /containers/json`: 200.
pub(super) async fn list(call: Call) -> Result<Reply, ApiError> {
    refuse_size(&call)?;
    let limit: Option<i64> = call.query.number("limit")?;
    let options = ListOptions {
        all: call.query.flag("all"),
        // Docker: 0 and less are no limit.
        limit: limit.filter(|limit| *limit > 0).and_then(|limit| usize::try_from(limit).ok()),
        filters: call.filters()?,
    };
    let mut containers = call.app.engine.list(&options)?;
    for container in &mut containers {
        version::container_summary(call.version, container);
    }
    Ok(Reply::json(&containers))
}

/// `POST /containers/create`: 201.
pub(super) async fn create(call: Call) -> Result<Reply, ApiError> {
    let name = call.query.get("name").filter(|name| !name.is_empty()).map(str::to_owned);
    check_platform(call.query.text("platform"))?;
    let (app, client) = (call.app.clone(), call.version);
    let mut body: ContainerCreateBody = call
        .json::<Option<_>>()
        .await?
        .ok_or_else(|| ApiError::bad("config cannot be empty in order to create a container"))?;
    version::create_request(client, &mut body).map_err(ApiError::bad)?;
    let created = app.engine.create(name.as_deref(), body).await?;
    Ok(Reply::json_with(StatusCode::CREATED, &created))
}

/// Images of other platforms cannot run here, whatever the image says.
pub(super) fn check_platform(platform: &str) -> Result<(), ApiError> {
    let here = super::system::architecture();
    let mut parts = platform.split('/');
    let os = parts.next().unwrap_or_default();
    let fits = parts.next().is_none_or(|machine| machine == here);
    if matches!(os, "" | "linux") && fits {
        return Ok(());
    }
    Err(ApiError::bad(format!(
        "platform \"{platform}\" does not run on this host, which is linux/{here}"
    )))
}

/// `GET /containers/{id}/json`: 200.
pub(super) async fn inspect(call: Call) -> Result<Reply, ApiError> {
    refuse_size(&call)?;
    Ok(Reply::json(&call.app.engine.inspect(&call.name)?))
}

/// Zero would be a lie.
fn refuse_size(call: &Call) -> Result<(), ApiError> {
    if call.query.flag("size") {
        return Err(ApiError::not_implemented(
            "measuring sizes of containers is not implemented by this engine yet",
        ));
    }
    Ok(())
}

/// `GET /containers/{id}/top`: 200.
pub(super) async fn top(call: Call) -> Result<Reply, ApiError> {
    let arguments = call.query.get("ps_args").filter(|text| !text.is_empty()).unwrap_or("-ef");
    Ok(Reply::json(&call.app.engine.top(&call.name, arguments).await?))
}

/// `POST /containers/{id}/rename`: 204.
pub(super) async fn rename(call: Call) -> Result<Reply, ApiError> {
    call.app.engine.rename(&call.name, call.query.text("name")).await?;
    Ok(Reply::DONE)
}

/// `POST /containers/{id}/resize`: 200.
pub(super) async fn resize(call: Call) -> Result<Reply, ApiError> {
    let (rows, columns) = terminal_size(&call)?;
    call.app.engine.resize(&call.name, rows, columns).await?;
    Ok(Reply::Empty(StatusCode::OK))
}

/// The parameters `h` and `w`, in characters; both must be there.
pub(super) fn terminal_size(call: &Call) -> Result<(u16, u16), ApiError> {
    let side = |name: &str| {
        let text = call.query.text(name);
        let invalid = || {
            ApiError::bad(format!(
                "invalid resize {name}: \"{text}\" is not a number of characters"
            ))
        };
        text.parse().map_err(|_cause| invalid())
    };
    Ok((side("h")?, side("w")?))
}

/// `POST /containers/{id}/update`: 200.
pub(super) async fn update(call: Call) -> Result<Reply, ApiError> {
    let (app, name) = (call.app.clone(), call.name.clone());
    let body: ContainerUpdateBody = call.json().await?;
    Ok(Reply::json(&app.engine.update(&name, body).await?))
}

/// `DELETE /containers/{id}`: 204.
pub(super) async fn remove(call: Call) -> Result<Reply, ApiError> {
    let options = RemoveOptions {
        force: call.query.flag("force"),
        volumes: call.query.flag("v"),
        link: call.query.flag("link"),
    };
    call.app.engine.remove(&call.name, options).await?;
    Ok(Reply::DONE)
}

/// `POST /containers/prune`: 200.
pub(super) async fn prune(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::json(&call.app.engine.prune(&call.filters()?).await?))
}
