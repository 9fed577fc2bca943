//! The database file: opening, checking, migrating.

use std::path::Path;

use rusqlite::Connection;

use crate::error::Error;

/// One step of the schema; the database's `user_version` is how many it has been through. Steps
/// are appended, never changed.
const MIGRATIONS: &[&str] = &["
CREATE TABLE images (
    id         BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 32),
    parent     BLOB CHECK (length(parent) = 32),
    created_us INTEGER NOT NULL,
    size       INTEGER NOT NULL CHECK (size >= 0),
    labels     TEXT NOT NULL,
    tagged_us  INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX images_parent ON images (parent) WHERE parent IS NOT NULL;

CREATE TABLE layers (
    id            BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 32),
    packed_digest BLOB CHECK (length(packed_digest) = 32),
    packed_bytes  INTEGER NOT NULL CHECK (packed_bytes >= 0),
    bytes         INTEGER NOT NULL CHECK (bytes >= 0),
    entries       INTEGER NOT NULL CHECK (entries >= 0)
) STRICT, WITHOUT ROWID;
CREATE INDEX layers_packed_digest ON layers (packed_digest);

CREATE TABLE image_layers (
    image    BLOB NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    position INTEGER NOT NULL CHECK (position >= 0),
    layer    BLOB NOT NULL REFERENCES layers (id),
    chain    BLOB NOT NULL CHECK (length(chain) = 32),
    PRIMARY KEY (image, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_layers_layer ON image_layers (layer);
CREATE INDEX image_layers_chain ON image_layers (chain);

CREATE TABLE tags (
    repository TEXT NOT NULL,
    tag        TEXT NOT NULL,
    image      BLOB NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    PRIMARY KEY (repository, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_image ON tags (image);

CREATE TABLE digests (
    repository TEXT NOT NULL,
    digest     BLOB NOT NULL CHECK (length(digest) = 32),
    image      BLOB NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    PRIMARY KEY (repository, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX digests_image ON digests (image);
"];

/// How long a call waits for another process that has the file open, such as `sqlite3`.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

pub(super) fn open(path: &Path) -> Result<Connection, Error> {
    let mut database = Connection::open(path).map_err(Error::database("open"))?;
    database.busy_timeout(BUSY_TIMEOUT).map_err(Error::database("set the busy timeout"))?;
    // FULL: what was answered with success is there after power loss. foreign_keys is off by
    // default; trusted_schema off keeps a doctored file from calling functions.
    database
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA trusted_schema = OFF;",
        )
        .map_err(Error::database("set up"))?;
    let verdict: String = database
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(Error::database("quick_check"))?;
    if verdict != "ok" {
        return Err(Error::Damaged(format!("{}: {verdict}", path.display())));
    }
    migrate(&mut database)?;
    Ok(database)
}

fn migrate(database: &mut Connection) -> Result<(), Error> {
    let version: usize = database
        .query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))
        .map_err(Error::database("read the version"))?
        .try_into()
        .map_err(|_negative| Error::Damaged("a negative schema version".to_owned()))?;
    let Some(missing) = MIGRATIONS.get(version..) else {
        return Err(Error::Damaged(format!(
            "schema version {version} is newer than this program's {}",
            MIGRATIONS.len()
        )));
    };
    for (step, reached) in missing.iter().zip(version + 1..) {
        let transaction = database.transaction().map_err(Error::database("begin"))?;
        transaction.execute_batch(step).map_err(Error::database("migrate"))?;
        transaction
            .pragma_update(None, "user_version", i64::try_from(reached).unwrap_or(i64::MAX))
            .map_err(Error::database("write the version"))?;
        transaction.commit().map_err(Error::database("migrate"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_database_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("images.db");
        drop(open(&path).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(open(&path), Err(Error::Damaged(_))));
    }

    #[test]
    fn a_damaged_database_is_reported_at_open() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("images.db");
        drop(open(&path).unwrap());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4096 * 2..4096 * 2 + 64].fill(0x5a);
        std::fs::write(&path, bytes).unwrap();
        assert!(open(&path).is_err());
    }
}
