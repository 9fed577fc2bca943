//! Networks: the three that are always there.

use crate::error::ApiError;
use crate::extract::Call;
use crate::reply::Reply;

/// `GET /networks`: 200.
pub(super) async fn list(call: Call) -> Result<Reply, ApiError> {
    Ok(Reply::json(&call.app.engine.networks(&call.filters()?)?))
}

/// `GET /networks/{id}`: 200.
pub(super) async fn inspect(call: Call) -> Result<Reply, ApiError> {
    let network = call.app.engine.network_inspect(&call.name)?;
    let scope = call.query.text("scope");
    if !matches!(scope, "" | "local") {
        return Err(ApiError::no_such("network", &call.name));
    }
    Ok(Reply::json(&network))
}
