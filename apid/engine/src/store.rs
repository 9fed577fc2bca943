//! `engine.db`: all state of the engine that must survive. One thread owns the database; whoever
//! changes something sends it [`Write`]s and hears when they are durable.
//!
//! The engine keeps everything in memory and reads the database at start only (events excepted),
//! so there are no locks and no readers to wait for. Writes that wait together are committed
//! together: eight starts at once cost one `fsync`.

use rusqlite::{Connection, Row, params};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// The most writes in one transaction.
const BATCH: usize = 256;
/// How long writes that nobody waits for stay uncommitted.
const LAZY: Duration = Duration::from_millis(50);
/// Every version of the schema, as the step from the one before. `user_version` counts them.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE container (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        definition TEXT NOT NULL,
        state TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE network (id TEXT PRIMARY KEY, definition TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE event (
        sequence INTEGER PRIMARY KEY,
        at_ns INTEGER NOT NULL,
        message TEXT NOT NULL
    ) STRICT;
    CREATE INDEX event_at ON event (at_ns);
"];

/// Why the database did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StoreError {
    /// A container of this name or id is there.
    #[error("already there")]
    Exists,
    /// SQLite's message.
    #[error("engine.db: {0}")]
    Sqlite(String),
    /// The thread has ended.
    #[error("engine.db is closed")]
    Closed,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::ConstraintViolation) => Self::Exists,
            _ => Self::Sqlite(error.to_string()),
        }
    }
}

impl From<StoreError> for crate::EngineError {
    fn from(error: StoreError) -> Self {
        Self::internal(error.to_string())
    }
}

/// A container as stored; the texts are JSON (`container::record`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredContainer {
    pub id: String,
    pub name: String,
    pub definition: String,
    pub state: String,
}

/// An event as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredEvent {
    pub sequence: i64,
    pub at_ns: i64,
    /// `EventMessage` as JSON.
    pub message: String,
}

/// One change.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    /// A new container.
    InsertContainer(StoredContainer),
    /// Another name or definition.
    Redefine { id: String, name: String, definition: String },
    /// Another state.
    SetState { id: String, state: String },
    /// A container is gone.
    DeleteContainer { id: String },
    /// A network, new or changed.
    PutNetwork { id: String, definition: String },
    /// An event.
    AddEvent(StoredEvent),
    /// Only so many of the newest events stay.
    TrimEvents { kept: u64 },
}

/// Which stored events: after a sequence number, from a time, to a time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EventRange {
    pub after_sequence: i64,
    pub from_ns: Option<i64>,
    pub to_ns: Option<i64>,
}

/// What was in the database at start.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    pub containers: Vec<StoredContainer>,
    /// Definitions.
    pub networks: Vec<String>,
    pub last_event: i64,
}

enum Job {
    Write(Vec<Write>, Option<oneshot::Sender<Result<(), StoreError>>>),
    Events(EventRange, oneshot::Sender<Result<Vec<StoredEvent>, StoreError>>),
    /// Everything before this is committed when it is answered.
    Flush(oneshot::Sender<()>),
}

/// The way to the database's thread. When the last one is dropped, the thread commits and ends.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    jobs: Sender<Job>,
}

impl Store {
    /// Open or make the database, bring its schema up to date, read it.
    pub(crate) fn open(path: &Path) -> Result<(Self, Stored, JoinHandle<()>), StoreError> {
        let mut connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.set_prepared_statement_cache_capacity(16);
        migrate(&mut connection)?;
        let stored = read_all(&connection)?;
        let (jobs, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("engine.db".to_owned())
            .spawn(move || run(&mut connection, &receiver))
            .map_err(|error| StoreError::Sqlite(error.to_string()))?;
        Ok((Self { jobs }, stored, thread))
    }

    /// Do these together or not at all, and say when they are durable.
    pub(crate) async fn commit(&self, writes: Vec<Write>) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        self.jobs.send(Job::Write(writes, Some(done))).or(Err(StoreError::Closed))?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Do this soon: with the next commit, at most [`LAZY`] from now.
    pub(crate) fn later(&self, write: Write) {
        if self.jobs.send(Job::Write(vec![write], None)).is_err() {
            tracing::error!("engine.db is closed; a change was not stored");
        }
    }

    /// Stored events in order. Those given to [`Self::later`] before are among them.
    pub(crate) async fn events(&self, range: EventRange) -> Result<Vec<StoredEvent>, StoreError> {
        let (done, answer) = oneshot::channel();
        self.jobs.send(Job::Events(range, done)).or(Err(StoreError::Closed))?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Wait until all that was sent before is durable.
    pub(crate) async fn flush(&self) {
        let (done, answer) = oneshot::channel();
        if self.jobs.send(Job::Flush(done)).is_ok() {
            answer.await.unwrap_or_default();
        }
    }
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let mut version = 0;
    for step in MIGRATIONS {
        version += 1;
        if version > found {
            let transaction = connection.transaction()?;
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "user_version", version)?;
            transaction.commit()?;
        }
    }
    if found > version {
        return Err(StoreError::Sqlite(format!("made by a newer version (schema {found})")));
    }
    Ok(())
}

fn read_all(connection: &Connection) -> Result<Stored, StoreError> {
    let container = |row: &Row<'_>| {
        Ok(StoredContainer {
            id: row.get(0)?,
            name: row.get(1)?,
            definition: row.get(2)?,
            state: row.get(3)?,
        })
    };
    let mut query = connection.prepare("SELECT id, name, definition, state FROM container")?;
    let containers = query.query_map([], container)?.collect::<Result<_, _>>()?;
    let mut query = connection.prepare("SELECT definition FROM network")?;
    let networks = query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let last_event =
        connection
            .query_row("SELECT coalesce(max(sequence), 0) FROM event", [], |row| row.get(0))?;
    Ok(Stored { containers, networks, last_event })
}

/// Someone who waits for a commit, with what became of the writes so far.
type Pending = (oneshot::Sender<Result<(), StoreError>>, Result<(), StoreError>);

fn run(connection: &mut Connection, jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let mut pending = Vec::new();
        let mut flushes = Vec::new();
        let result = batch(connection, jobs, first, &mut pending, &mut flushes);
        if let Err(error) = &result {
            tracing::error!("engine.db: {error}");
        }
        for (done, written) in pending {
            // Whoever waited may be gone.
            drop(done.send(written.and_then(|()| result.clone())));
        }
        for done in flushes {
            done.send(()).unwrap_or_default();
        }
    }
}

/// One transaction: the first job and all that wait behind it.
fn batch(
    connection: &mut Connection,
    jobs: &Receiver<Job>,
    first: Job,
    pending: &mut Vec<Pending>,
    flushes: &mut Vec<oneshot::Sender<()>>,
) -> Result<(), StoreError> {
    let mut transaction = connection.transaction()?;
    let mut next = Some(first);
    for _ in 0..BATCH {
        let job = match next.take() {
            Some(job) => job,
            None if pending.is_empty() && flushes.is_empty() => match jobs.recv_timeout(LAZY) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            },
            None => match jobs.try_recv() {
                Ok(job) => job,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            },
        };
        match job {
            Job::Write(writes, done) => {
                let savepoint = transaction.savepoint()?;
                let written = writes.into_iter().try_for_each(|write| apply(&savepoint, write));
                if written.is_ok() {
                    savepoint.commit()?;
                } else {
                    savepoint.finish()?;
                }
                match (done, written) {
                    (Some(done), written) => pending.push((done, written)),
                    (None, Err(error)) => tracing::error!("a change was not stored: {error}"),
                    (None, Ok(())) => {}
                }
            }
            Job::Events(range, done) => {
                drop(done.send(read_events(&transaction, range)));
            }
            Job::Flush(done) => flushes.push(done),
        }
    }
    transaction.commit()?;
    Ok(())
}

fn apply(connection: &Connection, write: Write) -> Result<(), StoreError> {
    match write {
        Write::InsertContainer(container) => connection
            .prepare_cached(
                "INSERT INTO container (id, name, definition, state) VALUES (?, ?, ?, ?)",
            )?
            .execute(params![container.id, container.name, container.definition, container.state]),
        Write::Redefine { id, name, definition } => connection
            .prepare_cached("UPDATE container SET name = ?, definition = ? WHERE id = ?")?
            .execute(params![name, definition, id]),
        Write::SetState { id, state } => connection
            .prepare_cached("UPDATE container SET state = ? WHERE id = ?")?
            .execute(params![state, id]),
        Write::DeleteContainer { id } => {
            connection.prepare_cached("DELETE FROM container WHERE id = ?")?.execute([id])
        }
        Write::PutNetwork { id, definition } => connection
            .prepare_cached("INSERT OR REPLACE INTO network (id, definition) VALUES (?, ?)")?
            .execute([id, definition]),
        Write::AddEvent(event) => connection
            .prepare_cached("INSERT INTO event (sequence, at_ns, message) VALUES (?, ?, ?)")?
            .execute(params![event.sequence, event.at_ns, event.message]),
        Write::TrimEvents { kept } => connection
            .prepare_cached(
                "DELETE FROM event WHERE sequence <= (SELECT max(sequence) FROM event) - ?",
            )?
            .execute([i64::try_from(kept).unwrap_or(i64::MAX)]),
    }?;
    Ok(())
}

fn read_events(connection: &Connection, range: EventRange) -> Result<Vec<StoredEvent>, StoreError> {
    let event = |row: &Row<'_>| {
        Ok(StoredEvent { sequence: row.get(0)?, at_ns: row.get(1)?, message: row.get(2)? })
    };
    let mut query = connection.prepare_cached(
        "SELECT sequence, at_ns, message FROM event
         WHERE sequence > ?1 AND at_ns BETWEEN ?2 AND ?3 ORDER BY sequence",
    )?;
    let from = range.from_ns.unwrap_or(i64::MIN);
    let to = range.to_ns.unwrap_or(i64::MAX);
    let events = query.query_map(params![range.after_sequence, from, to], event)?;
    Ok(events.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(id: &str, name: &str) -> Write {
        Write::InsertContainer(StoredContainer {
            id: id.to_owned(),
            name: name.to_owned(),
            definition: "{}".to_owned(),
            state: "{}".to_owned(),
        })
    }

    #[tokio::test]
    async fn what_was_committed_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("engine.db");
        let (store, stored, thread) = Store::open(&path).unwrap();
        assert!(stored.containers.is_empty());
        store.commit(vec![container("1", "a"), container("2", "b")]).await.unwrap();
        store.commit(vec![Write::DeleteContainer { id: "1".to_owned() }]).await.unwrap();
        store.later(Write::SetState { id: "2".to_owned(), state: "[]".to_owned() });
        drop(store);
        thread.join().unwrap();

        let (_store, stored, _thread) = Store::open(&path).unwrap();
        assert_eq!(stored.containers.len(), 1);
        assert_eq!(stored.containers[0].name, "b");
        assert_eq!(stored.containers[0].state, "[]");
    }

    #[tokio::test]
    async fn a_failed_write_takes_its_own_job_back_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (store, ..) = Store::open(&dir.path().join("engine.db")).unwrap();
        let (first, second, third) = tokio::join!(
            store.commit(vec![container("1", "a")]),
            store.commit(vec![container("2", "b"), container("3", "a")]),
            store.commit(vec![container("4", "b")]),
        );
        first.unwrap();
        assert!(matches!(second, Err(StoreError::Exists)));
        third.expect("the name b was never taken");
    }

    #[tokio::test]
    async fn events_are_kept_up_to_a_count() {
        let dir = tempfile::tempdir().unwrap();
        let (store, ..) = Store::open(&dir.path().join("engine.db")).unwrap();
        for sequence in 1..=10 {
            let message = "{}".to_owned();
            store.later(Write::AddEvent(StoredEvent { sequence, at_ns: sequence * 10, message }));
        }
        store.later(Write::TrimEvents { kept: 4 });
        let all = store.events(EventRange::default()).await.unwrap();
        assert_eq!(all.iter().map(|event| event.sequence).collect::<Vec<_>>(), [7, 8, 9, 10]);
        let range = EventRange { from_ns: Some(80), to_ns: Some(90), ..Default::default() };
        assert_eq!(store.events(range).await.unwrap().len(), 2);
    }
}
