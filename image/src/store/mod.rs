//! The image store: one SQLite file for what is related to what, and small JSON blobs as files.
//!
//! ```text
//! images.db                  images, their layers, names
//! blobs/sha256/<64 hex>      configuration files, as they came
//! ```
//!
//! An image is there when its row is: its configuration file is written and synced before, and
//! deleted after, so that a crash at any point leaves at most a file without a row, which the next
//! [`ImageStore::open`] deletes.
//!
//! Layers themselves belong to root. The store knows which exist and which image needs them;
//! [`ImageStore::collect_layers`] says which can go. A layer that is being loaded has no image
//! yet; it is kept by a [`HeldLayer`].
//!
//! Every call blocks, for some milliseconds at most unless it says otherwise.

mod blobs;
mod history;
mod layers;
mod list;
mod pattern;
mod remove;
mod resolve;
mod schema;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

pub use self::history::HistoryEntry;
pub use self::layers::HeldLayer;
pub use self::list::{ListFilter, Summary};
pub use self::remove::{ImageUser, RemovalStep, RemoveOptions, Removed};

use self::blobs::Blobs;
use crate::config::ImageConfig;
use crate::digest::{Digest, ImageId, LayerDigest, chain_ids};
use crate::error::Error;
use crate::reference::Reference;

/// The store of one engine. Shared by reference between threads.
#[derive(Debug)]
pub struct ImageStore {
    database: Mutex<Connection>,
    blobs: Blobs,
    /// Read: layers are being unpacked or given to an image. Write: layers are being deleted.
    unpacking: RwLock<()>,
    /// Layers that are used by something that is not an image yet, and how often.
    held: Arc<Mutex<BTreeMap<LayerDigest, usize>>>,
}

/// An image as the store holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    /// The digest of its configuration file.
    pub id: ImageId,
    /// What the file says.
    pub config: ImageConfig,
    /// The image it was built or committed from, on this host.
    pub parent: Option<ImageId>,
    /// Names with tags, familiar form, sorted.
    pub repo_tags: Vec<String>,
    /// Names with manifest digests, familiar form, sorted.
    pub repo_digests: Vec<String>,
    /// Bytes of the files in all its layers.
    pub size: u64,
    /// When a name was last given to it here.
    pub last_tagged: Option<Timestamp>,
}

/// What to add.
#[derive(Debug)]
pub struct NewImage<'a> {
    /// The configuration file, as it came.
    pub config: &'a [u8],
    /// The image it is made from, on this host.
    pub parent: Option<ImageId>,
    /// Its names: with a tag, with a digest, or none.
    pub names: &'a [Reference],
}

impl ImageStore {
    /// Open or make the store in a directory, which must exist.
    ///
    /// Checks the database (`PRAGMA quick_check`), brings it to this version's schema, and deletes
    /// what a crash left behind.
    ///
    /// # Errors
    /// [`Error::Damaged`]: the database is corrupt, or newer than this program. [`Error::Io`],
    /// [`Error::Database`].
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let connection = schema::open(&directory.join("images.db"))?;
        let blobs = Blobs::open(directory)?;
        let store = Self {
            database: Mutex::new(connection),
            blobs,
            unpacking: RwLock::new(()),
            held: Arc::default(),
        };
        store.sweep_blobs()?;
        Ok(store)
    }

    /// Add an image, or names to one that is there. A name that another image has moves here, as
    /// `docker tag` and `docker load` do.
    ///
    /// # Errors
    /// [`Error::Archive`]: a layer has not been unpacked by [`ImageStore::unpack`].
    /// [`Error::Document`]: the configuration is malformed.
    pub fn add(&self, new: &NewImage<'_>) -> Result<ImageId, Error> {
        let config = ImageConfig::parse(new.config)?;
        let id = Digest::of(new.config);
        // Or a layer could be deleted after it was found.
        let _no_deleting = self.unpacking.read().unwrap_or_else(PoisonError::into_inner);
        let mut database = self.database();
        self.blobs.write(&id, new.config)?;
        let transaction = database.transaction().map_err(Error::database("begin"))?;
        insert_image(&transaction, &id, &config, new.parent)?;
        for name in new.names {
            insert_name(&transaction, name, &id)?;
        }
        transaction.commit().map_err(Error::database("add image"))?;
        Ok(id)
    }

    /// Give an image another name; without a tag and digest: `latest`. The name's former image
    /// loses it.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`].
    pub fn tag(&self, id: &ImageId, name: &Reference) -> Result<(), Error> {
        let mut database = self.database();
        let transaction = database.transaction().map_err(Error::database("begin"))?;
        if !exists(&transaction, id)? {
            return Err(Error::NoSuchImage(id.to_string()));
        }
        insert_name(&transaction, name, id)?;
        transaction.commit().map_err(Error::database("tag image"))
    }

    /// Everything about one image.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`].
    pub fn image(&self, id: &ImageId) -> Result<Image, Error> {
        let database = self.database();
        let row = database
            .prepare_cached("SELECT parent, size, tagged_us FROM images WHERE id = ?1")
            .and_then(|mut statement| {
                statement
                    .query_row([id.as_bytes()], |row| {
                        Ok((
                            row.get::<_, Option<[u8; 32]>>(0)?,
                            unsigned(row, 1)?,
                            row.get::<_, Option<i64>>(2)?,
                        ))
                    })
                    .optional()
            })
            .map_err(Error::database("read image"))?;
        let Some((parent, size, tagged_us)) = row else {
            return Err(Error::NoSuchImage(id.to_string()));
        };
        let (repo_tags, repo_digests) = names_of(&database, id)?;
        Ok(Image {
            id: *id,
            config: ImageConfig::parse(&self.blobs.read(id)?)?,
            parent: parent.map(Digest::from_bytes),
            repo_tags,
            repo_digests,
            size,
            last_tagged: tagged_us.and_then(|us| Timestamp::from_microsecond(us).ok()),
        })
    }

    /// An image's configuration file, as it came.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`]; [`Error::Damaged`]: the file has another digest.
    pub fn config_bytes(&self, id: &ImageId) -> Result<Vec<u8>, Error> {
        let database = self.database();
        if !exists(&database, id)? {
            return Err(Error::NoSuchImage(id.to_string()));
        }
        self.blobs.read(id)
    }

    /// How many images there are.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn count(&self) -> Result<u64, Error> {
        self.database()
            .query_row("SELECT count(*) FROM images", [], |row| unsigned(row, 0))
            .map_err(Error::database("count images"))
    }

    fn database(&self) -> MutexGuard<'_, Connection> {
        // A panic while it was held left at most an open transaction, which SQLite rolls back.
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sweep_blobs(&self) -> Result<(), Error> {
        let database = self.database();
        for blob in self.blobs.list()? {
            if !exists(&database, &blob)? {
                self.blobs.remove(&blob)?;
            }
        }
        Ok(())
    }
}

fn insert_image(
    database: &Connection,
    id: &ImageId,
    config: &ImageConfig,
    parent: Option<ImageId>,
) -> Result<(), Error> {
    if exists(database, id)? {
        return Ok(());
    }
    let mut size: i64 = 0;
    for layer in &config.rootfs.diff_ids {
        let bytes: Option<i64> = database
            .query_row("SELECT bytes FROM layers WHERE id = ?1", [layer.as_bytes()], |row| {
                row.get(0)
            })
            .optional()
            .map_err(Error::database("read layer"))?;
        let missing = || Error::Archive(format!("layer {layer} of image {id} is missing"));
        size = size.saturating_add(bytes.ok_or_else(missing)?);
    }
    let labels = serde_json::to_string(&config.labels())
        .map_err(|error| Error::Document { what: "labels", why: error.to_string() })?;
    database
        .execute(
            "INSERT INTO images (id, parent, created_us, size, labels) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                id.as_bytes(),
                parent.map(|parent| *parent.as_bytes()),
                config.created_at().as_microsecond(),
                size,
                labels
            ],
        )
        .map_err(Error::database("insert image"))?;
    let layers = &config.rootfs.diff_ids;
    for ((layer, chain), position) in layers.iter().zip(chain_ids(layers)).zip(0i64..) {
        database
            .execute(
                "INSERT INTO image_layers (image, position, layer, chain) VALUES (?1, ?2, ?3, ?4)",
                params![id.as_bytes(), position, layer.as_bytes(), chain.as_bytes()],
            )
            .map_err(Error::database("insert image layer"))?;
    }
    Ok(())
}

fn insert_name(database: &Connection, name: &Reference, id: &ImageId) -> Result<(), Error> {
    let name = name.clone().or_latest();
    if let Some(tag) = name.tag() {
        database
            .execute(
                "INSERT INTO tags (repository, tag, image) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET image = excluded.image",
                params![name.repository(), tag, id.as_bytes()],
            )
            .map_err(Error::database("insert tag"))?;
    }
    if let Some(digest) = name.digest() {
        database
            .execute(
                "INSERT INTO digests (repository, digest, image) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET image = excluded.image",
                params![name.repository(), digest.as_bytes(), id.as_bytes()],
            )
            .map_err(Error::database("insert digest"))?;
    }
    database
        .execute(
            "UPDATE images SET tagged_us = ?2 WHERE id = ?1",
            params![id.as_bytes(), Timestamp::now().as_microsecond()],
        )
        .map_err(Error::database("note the time of tagging"))?;
    Ok(())
}

fn exists(database: &Connection, id: &ImageId) -> Result<bool, Error> {
    database
        .prepare_cached("SELECT 1 FROM images WHERE id = ?1")
        .and_then(|mut statement| statement.exists([id.as_bytes()]))
        .map_err(Error::database("look for image"))
}

/// All names of an image: with tags, with digests; sorted.
fn references_of(database: &Connection, id: &ImageId) -> Result<Vec<Reference>, Error> {
    let rows = database
        .prepare_cached(
            "SELECT repository, tag, NULL FROM tags WHERE image = ?1
             UNION ALL SELECT repository, NULL, digest FROM digests WHERE image = ?1
             ORDER BY 1, 2, 3",
        )
        .and_then(|mut statement| {
            statement
                .query_map([id.as_bytes()], |row| {
                    let digest: Option<[u8; 32]> = row.get(2)?;
                    Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?, digest))
                })?
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(Error::database("read names"))?;
    rows.into_iter()
        .map(|(repository, tag, digest)| {
            let name: Reference = repository.parse()?;
            match (tag, digest) {
                (Some(tag), _) => Ok(name.with_tag(&tag)?),
                (None, Some(digest)) => Ok(name.with_digest(Digest::from_bytes(digest))),
                (None, None) => Ok(name),
            }
        })
        .collect()
}

/// The same, as Docker shows them: tags, digests.
fn names_of(database: &Connection, id: &ImageId) -> Result<(Vec<String>, Vec<String>), Error> {
    let (digests, tags): (Vec<_>, Vec<_>) =
        references_of(database, id)?.into_iter().partition(|name| name.digest().is_some());
    let familiar = |names: Vec<Reference>| names.iter().map(Reference::to_string).collect();
    Ok((familiar(tags), familiar(digests)))
}

/// A column that the schema keeps from being negative.
fn unsigned(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(|value| u64::try_from(value).unwrap_or(0))
}
