//! `docker rmi` (moby `daemon/images/image_delete.go`, whose order of checks and words these are).

use rusqlite::{Connection, params};

use super::{ImageStore, references_of, resolve};
use crate::digest::{Digest, ImageId};
use crate::error::{Conflict, Error};
use crate::reference::Reference;

/// How to remove.
#[derive(Debug, Clone, Copy)]
pub struct RemoveOptions {
    /// Although it has several names, or stopped containers use it.
    pub force: bool,
    /// Also its parents that have no name (the API's `noprune=false`).
    pub prune: bool,
}

/// A container of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageUser {
    /// The container's id, shortened.
    pub container: String,
    /// It runs, or is paused.
    pub running: bool,
}

/// What was removed.
#[derive(Debug, Clone, PartialEq)]
pub struct Removed {
    /// The image that the name or id meant.
    pub image: ImageId,
    /// What was done, in order.
    pub steps: Vec<RemovalStep>,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq)]
pub enum RemovalStep {
    /// A name, in familiar form, was taken from the image: the event `untag`.
    Untagged {
        /// The name.
        name: String,
        /// The image.
        image: ImageId,
    },
    /// An image is gone: the event `delete`.
    Deleted(ImageId),
    /// With it, a layer is without an image; Docker names it by its chain id.
    DeletedLayer(Digest),
}

/// Which reasons not to delete are looked at.
#[derive(Clone, Copy)]
struct Checks {
    names: bool,
    stopped: bool,
}

/// Tells who uses an image.
type Users<'a> = &'a dyn Fn(&ImageId) -> Vec<ImageUser>;

impl ImageStore {
    /// Take a name from an image; with its last name, or by id, delete the image.
    ///
    /// `users` tells which containers use an image. It must not call the store, and the caller
    /// must keep containers from being made of the image meanwhile.
    ///
    /// Layers are only released: see [`ImageStore::collect_layers`].
    ///
    /// # Errors
    /// [`Error::NoSuchImage`], [`Error::Ambiguous`], [`Error::Conflict`].
    pub fn remove(
        &self,
        text: &str,
        options: RemoveOptions,
        users: &dyn Fn(&ImageId) -> Vec<ImageUser>,
    ) -> Result<Removed, Error> {
        let mut database = self.database();
        let image = resolve::resolve(&database, text)?;
        let transaction = database.transaction().map_err(Error::database("begin"))?;
        let mut removal = Removal { database: &transaction, users, options, steps: Vec::new() };
        if is_id(&image, text) {
            removal.by_id(&image)?;
        } else {
            removal.by_name(&image, text)?;
        }
        let steps = removal.steps;
        transaction.commit().map_err(Error::database("remove image"))?;
        for step in &steps {
            if let RemovalStep::Deleted(image) = step {
                self.blobs.remove(image)?;
            }
        }
        Ok(Removed { image, steps })
    }
}

struct Removal<'a> {
    database: &'a Connection,
    users: Users<'a>,
    options: RemoveOptions,
    steps: Vec<RemovalStep>,
}

impl Removal<'_> {
    fn by_name(&mut self, image: &ImageId, text: &str) -> Result<(), Error> {
        let names = references_of(self.database, image)?;
        if !self.options.force
            && is_single(&names)
            && let Some(user) = (self.users)(image).into_iter().next()
        {
            let (name, container) = (text.to_owned(), user.container);
            return Err(Conflict::Reference { name, container, image: *image }.into());
        }
        let name = text.parse::<Reference>()?.or_latest();
        self.untag(image, &name)?;
        let mut rest = references_of(self.database, image)?;
        let same = |other: &Reference| other.repository() == name.repository();
        if name.digest().is_none() && !rest.iter().any(|other| other.tag().is_some() && same(other))
        {
            // Without a tag in that repository, its digests are of no use.
            for other in rest.iter().filter(|other| same(other)) {
                self.untag(image, other)?;
            }
            rest.retain(|other| !same(other));
        }
        if !rest.is_empty() {
            return Ok(());
        }
        self.delete(image)
    }

    fn by_id(&mut self, image: &ImageId) -> Result<(), Error> {
        let names = references_of(self.database, image)?;
        if is_single(&names) {
            let stopped = !self.options.force;
            if let Some((conflict, _)) = self.conflict(image, Checks { names: false, stopped })? {
                return Err(conflict.into());
            }
            for name in &names {
                self.untag(image, name)?;
            }
        }
        self.delete(image)
    }

    /// Delete an image, and its nameless parents if asked.
    fn delete(&mut self, image: &ImageId) -> Result<(), Error> {
        let soft = !self.options.force;
        if let Some((conflict, _)) = self.conflict(image, Checks { names: soft, stopped: soft })? {
            return Err(conflict.into());
        }
        let mut parent = self.delete_one(image)?;
        while let Some(image) = parent.filter(|_| self.options.prune) {
            let soft = Checks { names: true, stopped: true };
            if !super::exists(self.database, &image)? || self.conflict(&image, soft)?.is_some() {
                break;
            }
            parent = self.delete_one(&image)?;
        }
        Ok(())
    }

    fn delete_one(&mut self, image: &ImageId) -> Result<Option<ImageId>, Error> {
        for name in references_of(self.database, image)? {
            self.untag(image, &name)?;
        }
        let released = released_chains(self.database, image)?;
        let parent: Option<[u8; 32]> = self
            .database
            .query_row(
                "DELETE FROM images WHERE id = ?1 RETURNING parent",
                [image.as_bytes()],
                |row| row.get(0),
            )
            .map_err(Error::database("delete image"))?;
        self.steps.push(RemovalStep::Deleted(*image));
        self.steps.extend(released.into_iter().map(RemovalStep::DeletedLayer));
        Ok(parent.map(Digest::from_bytes))
    }

    fn untag(&mut self, image: &ImageId, name: &Reference) -> Result<(), Error> {
        match name.digest() {
            Some(digest) => self.database.execute(
                "DELETE FROM digests WHERE repository = ?1 AND digest = ?2",
                params![name.repository(), digest.as_bytes()],
            ),
            None => self.database.execute(
                "DELETE FROM tags WHERE repository = ?1 AND tag = ?2",
                params![name.repository(), name.tag().unwrap_or("latest")],
            ),
        }
        .map_err(Error::database("untag image"))?;
        self.steps.push(RemovalStep::Untagged { name: name.to_string(), image: *image });
        Ok(())
    }

    /// The first reason not to delete, and whether it is a container.
    fn conflict(&self, image: &ImageId, checks: Checks) -> Result<Option<(Conflict, bool)>, Error> {
        let conflict = |hard, why: String| Conflict::Image { image: *image, hard, why };
        let has_children = self
            .database
            .prepare_cached("SELECT 1 FROM images WHERE parent = ?1")
            .and_then(|mut statement| statement.exists([image.as_bytes()]))
            .map_err(Error::database("look for children"))?;
        if has_children {
            let why = "image has dependent child images".to_owned();
            return Ok(Some((conflict(true, why), false)));
        }
        let users = (self.users)(image);
        if let Some(user) = users.iter().find(|user| user.running) {
            let why = format!("image is being used by running container {}", user.container);
            return Ok(Some((conflict(true, why), true)));
        }
        if checks.names && !references_of(self.database, image)?.is_empty() {
            let why = "image is referenced in multiple repositories".to_owned();
            return Ok(Some((conflict(false, why), false)));
        }
        if let Some(user) = users.first().filter(|_| checks.stopped) {
            let why = format!("image is being used by stopped container {}", user.container);
            return Ok(Some((conflict(false, why), true)));
        }
        Ok(None)
    }
}

/// `isImageIDPrefix`.
fn is_id(image: &ImageId, text: &str) -> bool {
    let hex = image.hex();
    image.to_string().starts_with(text) || hex.starts_with(text)
}

/// `isSingleReference`: at most one tag, and digests of its repository only.
fn is_single(names: &[Reference]) -> bool {
    if names.len() <= 1 {
        return true;
    }
    let mut tags = names.iter().filter(|name| name.tag().is_some());
    let (first, second) = (tags.next(), tags.next());
    if second.is_some() {
        return false;
    }
    let Some(single) = first.or_else(|| names.first()) else { return true };
    names.iter().all(|name| name.repository() == single.repository())
}

/// The chain ids that no other image has, the topmost first.
fn released_chains(database: &Connection, image: &ImageId) -> Result<Vec<Digest>, Error> {
    database
        .prepare_cached(
            "SELECT chain FROM image_layers AS mine WHERE image = ?1 AND NOT EXISTS
                 (SELECT 1 FROM image_layers WHERE chain = mine.chain AND image <> ?1)
             ORDER BY position DESC",
        )
        .and_then(|mut statement| {
            statement
                .query_map([image.as_bytes()], |row| Ok(Digest::from_bytes(row.get(0)?)))?
                .collect()
        })
        .map_err(Error::database("list layers"))
}
