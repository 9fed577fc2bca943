//! `GET /events`

use crate::error::ApiError;
use crate::extract::Call;
use crate::reply::{JSON, Reply, json_line};
use bulkhead_engine::{EventsOptions, parse_time};

/// `GET /events`: 200 and a line of JSON an event, each sent at once, until `until` or the client
/// leaves.
pub(super) async fn events(call: Call) -> Result<Reply, ApiError> {
    let options = EventsOptions {
        since: parse_time(call.query.text("since"))?,
        until: parse_time(call.query.text("until"))?,
        filters: call.filters()?,
    };
    if let (Some(since), Some(until)) = (options.since, options.until)
        && until < since
    {
        return Err(ApiError::bad(format!(
            "`since` time ({}) cannot be after `until` time ({})",
            call.query.text("since"),
            call.query.text("until")
        )));
    }
    let mut events = call.app.engine.events(options).await?;
    Ok(Reply::stream(JSON, |client| async move {
        while let Some(event) = events.next().await {
            if client.send(json_line(&event)).await.is_err() {
                return;
            }
        }
    }))
}
