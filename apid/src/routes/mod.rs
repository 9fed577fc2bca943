//! The API, a route a line. What the API has and this engine has not stands in [`absent`].

mod absent;
mod containers;
mod events;
mod exec;
mod images;
mod info;
mod lifecycle;
mod networks;
mod output;
mod system;

use crate::router::{Route, fits, route};
use absent::{ABSENT, Absent};

pub(crate) use system::architecture;

/// Every endpoint that is answered.
static ROUTES: &[Route] = &[
    route!(HEAD "/_ping" => system::ping),
    route!(GET "/_ping" => system::ping),
    route!(GET "/version" => system::version),
    route!(GET "/info" => info::info),
    route!(GET "/events" => events::events),
    route!(GET "/containers/json" => containers::list),
    route!(POST "/containers/create" => containers::create),
    route!(POST "/containers/prune" => containers::prune),
    route!(GET "/containers/{}/json" => containers::inspect),
    route!(GET "/containers/{}/top" => containers::top),
    route!(GET "/containers/{}/stats" => output::stats),
    route!(GET "/containers/{}/logs" => output::logs),
    route!(POST "/containers/{}/attach" => output::attach),
    route!(POST "/containers/{}/exec" => exec::create),
    route!(POST "/containers/{}/start" => lifecycle::start),
    route!(POST "/containers/{}/stop" => lifecycle::stop),
    route!(POST "/containers/{}/restart" => lifecycle::restart),
    route!(POST "/containers/{}/kill" => lifecycle::kill),
    route!(POST "/containers/{}/pause" => lifecycle::pause),
    route!(POST "/containers/{}/unpause" => lifecycle::unpause),
    route!(POST "/containers/{}/wait" => lifecycle::wait),
    route!(POST "/containers/{}/rename" => containers::rename),
    route!(POST "/containers/{}/resize" => containers::resize),
    route!(POST "/containers/{}/update" => containers::update),
    route!(DELETE "/containers/{}" => containers::remove),
    route!(POST "/exec/{}/start" => exec::start),
    route!(POST "/exec/{}/resize" => exec::resize),
    route!(GET "/exec/{}/json" => exec::inspect),
    route!(GET "/images/json" => images::list),
    route!(POST "/images/load" => images::load),
    route!(POST "/images/create" => images::create),
    route!(POST "/images/prune" => images::prune),
    route!(GET "/images/{}/json" => images::inspect),
    route!(GET "/images/{}/history" => images::history),
    route!(POST "/images/{}/tag" => images::tag),
    route!(DELETE "/images/{}" => images::remove),
    route!(GET "/networks" => networks::list),
    route!(GET "/networks/{}" => networks::inspect),
];

/// Who answers a request.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    /// A handler, with what stood for `{}`.
    Route(&'static Route, &'a str),
    /// Nobody yet.
    Absent(&'static Absent, &'a str),
}

/// Look a request up; none: the API has nothing there.
pub(crate) fn find<'a>(method: &str, path: &'a str) -> Option<Found<'a>> {
    let answered = || {
        ROUTES
            .iter()
            .filter(|route| route.method == method)
            .find_map(|route| fits(route.pattern, path).map(|name| Found::Route(route, name)))
    };
    let absent = || {
        ABSENT
            .iter()
            .filter(|absent| absent.method == method)
            .find_map(|absent| fits(absent.pattern, path).map(|name| Found::Absent(absent, name)))
    };
    // `/containers/{}/archive` also fits `/containers/{}`, and so on: the longer pattern counts.
    match (answered(), absent()) {
        (Some(Found::Route(route, name)), Some(Found::Absent(absent, other))) => {
            Some(if absent.pattern.len() > route.pattern.len() {
                Found::Absent(absent, other)
            } else {
                Found::Route(route, name)
            })
        }
        (answered, absent) => answered.or(absent),
    }
}

#[cfg(test)]
mod tests;
