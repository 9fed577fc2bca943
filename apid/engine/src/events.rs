//! What happened: told to whoever listens, and kept in the database for `since`.
//!
//! Every event has a sequence number; a listener that fell behind reads what it missed from the
//! database, so that none is skipped.

use crate::error::Result;
use crate::options::{EventsOptions, Filters};
use crate::store::{EventRange, Store, StoredEvent, Write};
use bulkhead_types::{Actor, EventMessage, Map};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::broadcast;

/// How many events a listener may be behind before it reads from the database.
const LIVE: usize = 256;
/// How often old events are deleted: once in so many.
const TRIM_EVERY: i64 = 256;
/// Filters that `GET /events` knows.
const FILTERS: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Container,
    Image,
    Network,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
        }
    }
}

/// All events of an engine.
#[derive(Debug)]
pub(crate) struct EventLog {
    store: Store,
    kept: u64,
    last: Mutex<i64>,
    live: broadcast::Sender<(i64, EventMessage)>,
}

impl EventLog {
    /// Go on after the last one in the database.
    pub(crate) fn new(store: Store, last: i64, kept: u64) -> Self {
        Self { store, kept, last: Mutex::new(last), live: broadcast::Sender::new(LIVE) }
    }

    /// Something happened now.
    pub(crate) fn emit(&self, kind: Kind, action: &str, id: &str, attributes: Map<String>) {
        let at_ns = now_ns();
        let legacy = kind != Kind::Network;
        let from = match kind {
            Kind::Container => attributes.get("image").cloned().unwrap_or_default(),
            Kind::Image | Kind::Network => String::new(),
        };
        let message = EventMessage {
            status: if legacy { action.to_owned() } else { String::new() },
            id: if legacy { id.to_owned() } else { String::new() },
            from,
            r#type: kind.name().to_owned(),
            action: action.to_owned(),
            actor: Actor { id: id.to_owned(), attributes },
            scope: "local".to_owned(),
            time: at_ns / 1_000_000_000,
            time_nano: at_ns,
        };
        let text = serde_json::to_string(&message).unwrap_or_default();
        // Held over both, so that numbers reach the database and the listeners in order.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last += 1;
        self.store.later(Write::AddEvent(StoredEvent { sequence: *last, at_ns, message: text }));
        if *last % TRIM_EVERY == 0 {
            self.store.later(Write::TrimEvents { kept: self.kept });
        }
        // Nobody need listen.
        self.live.send((*last, message)).unwrap_or_default();
    }

    /// Listen, from the past on if asked.
    pub(crate) async fn listen(&self, options: EventsOptions) -> Result<Events> {
        options.filters.only(FILTERS)?;
        let (receiver, last) = {
            let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            (self.live.subscribe(), *last)
        };
        let mut events = Events {
            backlog: VecDeque::new(),
            live: receiver,
            last,
            until: options.until,
            filters: options.filters,
            store: self.store.clone(),
        };
        if options.since.is_some() {
            let range =
                EventRange { after_sequence: 0, from_ns: options.since, to_ns: options.until };
            let stored = self.store.events(range).await?;
            events.read_stored(stored.into_iter().filter(|event| event.sequence <= last));
        }
        Ok(events)
    }

    /// How many listen.
    pub(crate) fn listeners(&self) -> u64 {
        self.live.receiver_count() as u64
    }
}

/// Events as they come.
#[derive(Debug)]
pub struct Events {
    backlog: VecDeque<EventMessage>,
    live: broadcast::Receiver<(i64, EventMessage)>,
    /// The last one seen.
    last: i64,
    until: Option<i64>,
    filters: Filters,
    store: Store,
}

impl Events {
    /// The next one; none: `until` is reached or the engine ends. May be dropped while it waits.
    pub async fn next(&mut self) -> Option<EventMessage> {
        loop {
            if let Some(event) = self.backlog.pop_front() {
                if fits(&self.filters, &event) {
                    return Some(event);
                }
                continue;
            }
            let left = match self.until {
                Some(until) => Duration::from_nanos(u64::try_from(until - now_ns()).ok()?),
                None => Duration::MAX,
            };
            match tokio::time::timeout(left, self.live.recv()).await.ok()? {
                Ok((number, event)) if number > self.last => {
                    self.last = number;
                    self.backlog.push_back(event);
                }
                Ok(_) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
                Err(broadcast::error::RecvError::Lagged(_)) => {
                    let range = EventRange { after_sequence: self.last, ..EventRange::default() };
                    let missed = self.store.events(range).await.ok()?;
                    self.read_stored(missed.into_iter());
                }
            }
        }
    }

    fn read_stored(&mut self, events: impl Iterator<Item = StoredEvent>) {
        for event in events {
            self.last = self.last.max(event.sequence);
            if let Ok(message) = serde_json::from_str(&event.message) {
                self.backlog.push_back(message);
            }
        }
    }
}

/// moby `daemon/events/filter.go`.
fn fits(filters: &Filters, event: &EventMessage) -> bool {
    let attribute = |name: &str| event.actor.attributes.get(name).map_or("", String::as_str);
    // Of its own kind by a beginning of id or name; others do not pass.
    let of_kind = |kind: &str| {
        filters.admits(kind, |value| {
            event.r#type == kind
                && (event.actor.id.starts_with(value) || attribute("name").starts_with(value))
        })
    };
    let image = |value: &str| {
        let name = attribute(if event.r#type == "image" { "name" } else { "image" });
        [event.actor.id.as_str(), name].into_iter().any(|is| is == value || untagged(is) == value)
    };
    let action = |value: &str| {
        event.action == value || event.action.split(':').next().is_some_and(|verb| verb == value)
    };
    filters.admits("event", action)
        && filters.admits("type", |value| event.r#type == value)
        && filters.admits("scope", |value| event.scope == value)
        && ["container", "network", "volume", "daemon", "plugin"].into_iter().all(of_kind)
        && ["service", "node", "secret", "config"].into_iter().all(of_kind)
        && filters.admits("image", image)
        && filters.admits_labels(&event.actor.attributes)
}

fn untagged(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

/// Nanoseconds since 1970.
pub(crate) fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(dir: &std::path::Path) -> EventLog {
        let (store, stored, _) = Store::open(&dir.join("engine.db")).unwrap();
        EventLog::new(store, stored.last_event, 10_000)
    }

    fn named(name: &str) -> Map<String> {
        Map::from([
            ("name".to_owned(), name.to_owned()),
            ("image".to_owned(), "busybox:latest".to_owned()),
        ])
    }

    #[tokio::test]
    async fn stored_and_live_events_follow_each_other_without_a_gap() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path());
        log.emit(Kind::Container, "create", "abc", named("one"));
        let options = EventsOptions { since: Some(1), ..EventsOptions::default() };
        let mut events = log.listen(options).await.unwrap();
        for number in 0..2 * LIVE {
            log.emit(Kind::Container, &format!("exec_start: {number}"), "abc", named("one"));
        }
        assert_eq!(events.next().await.unwrap().action, "create");
        for number in 0..2 * LIVE {
            assert_eq!(events.next().await.unwrap().action, format!("exec_start: {number}"));
        }
    }

    #[tokio::test]
    async fn filters_choose_as_dockers_do() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path());
        log.emit(Kind::Container, "start", "abc", named("one"));
        log.emit(Kind::Container, "exec_create: ls", "def", named("two"));
        log.emit(Kind::Image, "tag", "sha256:1", Map::from([("name".into(), "a:b".into())]));
        log.emit(Kind::Network, "connect", "n", Map::from([("name".into(), "bridge".into())]));
        for (filters, wanted) in [
            (r#"{"container":["one"]}"#, vec!["start"]),
            (r#"{"container":["ab","de"]}"#, vec!["start", "exec_create: ls"]),
            (r#"{"event":["exec_create"]}"#, vec!["exec_create: ls"]),
            (r#"{"image":["busybox"]}"#, vec!["start", "exec_create: ls"]),
            (r#"{"image":["a"]}"#, vec!["tag"]),
            (r#"{"type":["network","image"]}"#, vec!["tag", "connect"]),
            (r#"{"label":["name=two"]}"#, vec!["exec_create: ls"]),
        ] {
            let filters = Filters::parse(filters).unwrap();
            let until = Some(now_ns());
            let options = EventsOptions { since: Some(1), until, filters: filters.clone() };
            let mut events = log.listen(options).await.unwrap();
            let mut found = Vec::new();
            while let Some(event) = events.next().await {
                found.push(event.action);
            }
            assert_eq!(found, wanted, "{filters:?}");
        }
        let unknown = Filters::parse(r#"{"colour":["red"]}"#).unwrap();
        let options = EventsOptions { filters: unknown, ..EventsOptions::default() };
        assert!(log.listen(options).await.is_err());
    }

    #[tokio::test]
    async fn events_are_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = log(dir.path());
        first.emit(Kind::Network, "connect", "n", Map::new());
        first.store.flush().await;
        drop(first);
        let second = log(dir.path());
        second.emit(Kind::Network, "disconnect", "n", Map::new());
        let options =
            EventsOptions { since: Some(1), until: Some(now_ns()), ..EventsOptions::default() };
        let mut events = second.listen(options).await.unwrap();
        assert_eq!(events.next().await.unwrap().action, "connect");
        assert_eq!(events.next().await.unwrap().action, "disconnect");
        assert_eq!(events.next().await, None);
    }
}
