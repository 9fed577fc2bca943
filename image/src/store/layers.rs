//! Which layers there are, and which of them nobody needs.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use rusqlite::{OptionalExtension, params};

use super::{ImageStore, unsigned};
use crate::digest::{Digest, LayerDigest};
use crate::error::Error;
use crate::sink::{LayerSink, UnpackedLayer};

/// A layer that stays although no image needs it yet. Dropping it lets it go.
#[derive(Debug)]
pub struct HeldLayer {
    layer: UnpackedLayer,
    held: Arc<Mutex<BTreeMap<LayerDigest, usize>>>,
}

impl HeldLayer {
    /// What was unpacked.
    pub fn layer(&self) -> &UnpackedLayer {
        &self.layer
    }
}

impl Drop for HeldLayer {
    fn drop(&mut self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.layer.id) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.layer.id);
            }
        }
    }
}

impl ImageStore {
    /// Unpack a layer and keep it until the answer is dropped or an image has it. Blocks for as
    /// long as the stream takes.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn unpack(
        &self,
        sink: &dyn LayerSink,
        source: &mut dyn Read,
        expected: Option<LayerDigest>,
    ) -> Result<HeldLayer, Error> {
        let _no_deleting = self.unpacking.read().unwrap_or_else(PoisonError::into_inner);
        let layer = sink.unpack(source, expected)?;
        self.note_layer(&layer)?;
        Ok(self.hold(layer))
    }

    /// The layer whose packed form has this digest, if it is known and still there. What the
    /// worker computed itself is trusted: the caller must have checked the packed bytes.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn layer_by_packed_digest(
        &self,
        sink: &dyn LayerSink,
        packed: &Digest,
    ) -> Result<Option<HeldLayer>, Error> {
        let _no_deleting = self.unpacking.read().unwrap_or_else(PoisonError::into_inner);
        let found = self
            .database()
            .query_row(
                "SELECT id, packed_bytes, bytes, entries FROM layers WHERE packed_digest = ?1",
                [packed.as_bytes()],
                |row| {
                    Ok(UnpackedLayer {
                        id: Digest::from_bytes(row.get(0)?),
                        digest: *packed,
                        packed_bytes: unsigned(row, 1)?,
                        bytes: unsigned(row, 2)?,
                        entries: unsigned(row, 3)?,
                        known: true,
                    })
                },
            )
            .optional()
            .map_err(Error::database("look for a packed layer"))?;
        Ok(found.filter(|layer| sink.has(&layer.id)).map(|layer| self.hold(layer)))
    }

    /// Tell the store which layers root holds: those it does not know, left by a crash, become
    /// subject to [`ImageStore::collect_layers`].
    ///
    /// Answers the layers that images need and that are not there.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn reconcile_layers(&self, there: &[LayerDigest]) -> Result<Vec<LayerDigest>, Error> {
        let mut database = self.database();
        let transaction = database.transaction().map_err(Error::database("begin"))?;
        for id in there {
            transaction
                .execute(
                    "INSERT INTO layers (id, packed_bytes, bytes, entries) VALUES (?1, 0, 0, 0)
                     ON CONFLICT DO NOTHING",
                    [id.as_bytes()],
                )
                .map_err(Error::database("insert layer"))?;
        }
        let needed = layers_where(&transaction, "id IN (SELECT layer FROM image_layers)")?;
        transaction.commit().map_err(Error::database("reconcile layers"))?;
        let there: std::collections::BTreeSet<_> = there.iter().collect();
        Ok(needed.into_iter().filter(|id| !there.contains(id)).collect())
    }

    /// Have the layers deleted that no image and no [`HeldLayer`] needs. Answers those deleted.
    ///
    /// `delete` has root delete one, and answers whether it is gone (a container may still use
    /// it; it is then asked again next time). While layers are being unpacked nothing is deleted:
    /// call again after the next load or removal.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn collect_layers(
        &self,
        delete: &mut dyn FnMut(&LayerDigest) -> bool,
    ) -> Result<Vec<LayerDigest>, Error> {
        let _no_unpacking = match self.unpacking.try_write() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(Vec::new()),
        };
        let unused = layers_where(&self.database(), "id NOT IN (SELECT layer FROM image_layers)")?;
        let mut gone = Vec::new();
        for id in unused {
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&id);
            if held || !delete(&id) {
                continue;
            }
            self.database()
                .execute("DELETE FROM layers WHERE id = ?1", [id.as_bytes()])
                .map_err(Error::database("delete layer"))?;
            gone.push(id);
        }
        Ok(gone)
    }

    /// How many bytes the files of all layers have: Docker's `LayersSize`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn layers_size(&self) -> Result<u64, Error> {
        self.database()
            .query_row("SELECT coalesce(sum(bytes), 0) FROM layers", [], |row| unsigned(row, 0))
            .map_err(Error::database("sum the layers"))
    }

    fn hold(&self, layer: UnpackedLayer) -> HeldLayer {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held.entry(layer.id).or_default() += 1;
        HeldLayer { layer, held: Arc::clone(&self.held) }
    }

    /// A layer can be packed in several ways; the last one seen is remembered.
    fn note_layer(&self, layer: &UnpackedLayer) -> Result<(), Error> {
        let column = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        self.database()
            .execute(
                "INSERT INTO layers (id, packed_digest, packed_bytes, bytes, entries)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET packed_digest = excluded.packed_digest,
                 packed_bytes = excluded.packed_bytes, bytes = excluded.bytes,
                 entries = excluded.entries",
                params![
                    layer.id.as_bytes(),
                    layer.digest.as_bytes(),
                    column(layer.packed_bytes),
                    column(layer.bytes),
                    column(layer.entries)
                ],
            )
            .map_err(Error::database("insert layer"))?;
        Ok(())
    }
}

fn layers_where(
    database: &rusqlite::Connection,
    condition: &'static str,
) -> Result<Vec<LayerDigest>, Error> {
    database
        .prepare_cached(&format!("SELECT id FROM layers WHERE {condition} ORDER BY id"))
        .and_then(|mut statement| {
            statement
                .query_map([], |row| Ok(Digest::from_bytes(row.get(0)?)))?
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(Error::database("list layers"))
}
