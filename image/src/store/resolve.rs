//! From what a user wrote to an image (moby `daemon/images/image.go`, `GetImage`): a name first,
//! then the beginning of an id.

use rusqlite::{Connection, OptionalExtension, params};

use super::{ImageStore, exists};
use crate::digest::{Digest, ImageId};
use crate::error::Error;
use crate::reference::{Reference, is_identifier};

impl ImageStore {
    /// The image that a user means: `name`, `name:tag`, `name@digest`, an id, or the beginning of
    /// one, with or without `sha256:`.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`], [`Error::Ambiguous`], [`Error::Reference`].
    pub fn resolve(&self, text: &str) -> Result<ImageId, Error> {
        resolve(&self.database(), text)
    }

    /// The image that has exactly this name, if there is one.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn lookup(&self, name: &Reference) -> Result<Option<ImageId>, Error> {
        lookup(&self.database(), name)
    }
}

pub(super) fn resolve(database: &Connection, text: &str) -> Result<ImageId, Error> {
    let as_id = if is_identifier(text) { Digest::from_hex(text) } else { text.parse() };
    if let Ok(id) = as_id {
        if exists(database, &id)? {
            return Ok(id);
        }
        return Err(Error::NoSuchImage(id.to_string()));
    }
    let name = text.parse::<Reference>()?.or_latest();
    if let Some(id) = lookup(database, &name)? {
        return Ok(id);
    }
    match search(database, text)?.as_slice() {
        [] => Err(Error::NoSuchImage(name.to_string())),
        [one] => Ok(*one),
        _ => Err(Error::Ambiguous(text.to_owned())),
    }
}

/// With both tag and digest, the digest counts.
fn lookup(database: &Connection, name: &Reference) -> Result<Option<ImageId>, Error> {
    let image: Option<[u8; 32]> = match (name.digest(), name.tag()) {
        (Some(digest), _) => database
            .query_row(
                "SELECT image FROM digests WHERE repository = ?1 AND digest = ?2",
                params![name.repository(), digest.as_bytes()],
                |row| row.get(0),
            )
            .optional(),
        (None, tag) => database
            .query_row(
                "SELECT image FROM tags WHERE repository = ?1 AND tag = ?2",
                params![name.repository(), tag.unwrap_or("latest")],
                |row| row.get(0),
            )
            .optional(),
    }
    .map_err(Error::database("look for a name"))?;
    Ok(image.map(Digest::from_bytes))
}

/// At most two of the images whose ids begin with these hex digits.
fn search(database: &Connection, text: &str) -> Result<Vec<ImageId>, Error> {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    let padded = |with: &str| {
        let missing = 64usize.saturating_sub(digits.len());
        Digest::from_hex(&format!("{digits}{}", with.repeat(missing)))
    };
    let (Ok(first), Ok(last)) = (padded("0"), padded("f")) else { return Ok(Vec::new()) };
    database
        .prepare_cached("SELECT id FROM images WHERE id BETWEEN ?1 AND ?2 LIMIT 2")
        .and_then(|mut statement| {
            statement
                .query_map(params![first.as_bytes(), last.as_bytes()], |row| {
                    Ok(Digest::from_bytes(row.get(0)?))
                })?
                .collect()
        })
        .map_err(Error::database("look for an id"))
}
