//! `docker images` and its filters.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::Connection;

use super::pattern::matches;
use super::{ImageStore, references_of, resolve, unsigned};
use crate::digest::{Digest, ImageId};
use crate::error::Error;
use crate::reference::Reference;

/// Which images to list. All that is given must hold; the default lists what `docker images` does.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Also images without a name that others were built on.
    pub all: bool,
    /// Only those without (or with) a name.
    pub dangling: Option<bool>,
    /// `name` or `name=value`; each must be there.
    pub labels: Vec<String>,
    /// As [`ListFilter::labels`], but none may be there.
    pub without_labels: Vec<String>,
    /// Patterns for names as Go's `path.Match` has them; one must match. Names that do not match
    /// are not shown.
    pub references: Vec<String>,
    /// Made before this image was.
    pub before: Option<String>,
    /// Made after this image was.
    pub since: Option<String>,
    /// Made before this time.
    pub until: Option<Timestamp>,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The image.
    pub id: ImageId,
    /// The image it was made from, on this host.
    pub parent: Option<ImageId>,
    /// Names with tags, familiar form.
    pub repo_tags: Vec<String>,
    /// Names with manifest digests, familiar form.
    pub repo_digests: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Bytes of the files in all its layers.
    pub size: u64,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl ImageStore {
    /// The images, the newest first.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`] for `before` and `since`; [`Error::InvalidArgument`] for a malformed
    /// pattern.
    pub fn list(&self, filter: &ListFilter) -> Result<Vec<Summary>, Error> {
        let database = self.database();
        let made = |name: &Option<String>| -> Result<Option<i64>, Error> {
            let Some(name) = name else { return Ok(None) };
            let id = resolve::resolve(&database, name)?;
            created_us(&database, &id).map(Some)
        };
        let before = made(&filter.before)?;
        let since = made(&filter.since)?;
        let until = filter.until.map(Timestamp::as_microsecond);

        let mut list = Vec::new();
        for row in rows(&database)? {
            let too_new = [before, until].into_iter().flatten().any(|end| row.created_us >= end);
            let too_old = since.is_some_and(|begin| row.created_us <= begin);
            if too_new || too_old {
                continue;
            }
            let labels: BTreeMap<String, String> = serde_json::from_str(&row.labels)
                .map_err(|error| Error::Damaged(format!("labels of {}: {error}", row.id)))?;
            let has = |wanted: &String| has_label(&labels, wanted);
            if !filter.labels.iter().all(has) || filter.without_labels.iter().any(has) {
                continue;
            }
            let Some(names) = names_to_show(&database, filter, &row)? else {
                continue;
            };
            let (digests, tags): (Vec<_>, Vec<_>) =
                names.iter().partition(|name| name.digest().is_some());
            let familiar =
                |names: Vec<&Reference>| names.into_iter().map(Reference::to_string).collect();
            list.push(Summary {
                id: row.id,
                parent: row.parent,
                repo_tags: familiar(tags),
                repo_digests: familiar(digests),
                created: Timestamp::from_microsecond(row.created_us).unwrap_or_default(),
                size: row.size,
                labels,
            });
        }
        Ok(list)
    }
}

struct Row {
    id: ImageId,
    parent: Option<ImageId>,
    created_us: i64,
    size: u64,
    labels: String,
    has_children: bool,
}

fn rows(database: &Connection) -> Result<Vec<Row>, Error> {
    database
        .prepare_cached(
            "SELECT id, parent, created_us, size, labels,
                    EXISTS (SELECT 1 FROM images AS child WHERE child.parent = images.id)
             FROM images ORDER BY created_us DESC, id",
        )
        .and_then(|mut statement| {
            statement
                .query_map([], |row| {
                    Ok(Row {
                        id: Digest::from_bytes(row.get(0)?),
                        parent: row.get::<_, Option<[u8; 32]>>(1)?.map(Digest::from_bytes),
                        created_us: row.get(2)?,
                        size: unsigned(row, 3)?,
                        labels: row.get(4)?,
                        has_children: row.get(5)?,
                    })
                })?
                .collect()
        })
        .map_err(Error::database("list images"))
}

/// The image's names that match, or `None` if the image is not to be shown.
fn names_to_show(
    database: &Connection,
    filter: &ListFilter,
    row: &Row,
) -> Result<Option<Vec<Reference>>, Error> {
    let mut names = references_of(database, &row.id)?;
    let dangling = names.is_empty();
    if dangling && !filter.all && row.has_children {
        return Ok(None);
    }
    let tagged = names.iter().any(|name| name.tag().is_some());
    match filter.dangling {
        Some(true) if tagged => return Ok(None),
        Some(false) if dangling => return Ok(None),
        Some(_) | None => {}
    }
    if !filter.references.is_empty() {
        let mut shown = Vec::new();
        for name in names {
            if matches_any(&filter.references, &name)? {
                shown.push(name);
            }
        }
        if shown.is_empty() {
            return Ok(None);
        }
        names = shown;
    }
    Ok(Some(names))
}

/// `reference.FamiliarMatch`: the name with or without tag.
fn matches_any(patterns: &[String], name: &Reference) -> Result<bool, Error> {
    for pattern in patterns {
        if matches(pattern, &name.to_string())? || matches(pattern, &name.familiar_name())? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn has_label(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((name, value)) => labels.get(name).is_some_and(|have| have == value),
        None => labels.contains_key(wanted),
    }
}

fn created_us(database: &Connection, id: &ImageId) -> Result<i64, Error> {
    database
        .query_row("SELECT created_us FROM images WHERE id = ?1", [id.as_bytes()], |row| row.get(0))
        .map_err(Error::database("read image"))
}
