//! `docker history`.

use jiff::Timestamp;

use super::{ImageStore, names_of, unsigned};
use crate::digest::ImageId;
use crate::error::Error;

/// One step in the making of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEntry {
    /// The image that the step made, where it is on this host; Docker shows `<missing>` else.
    pub image: Option<ImageId>,
    /// When.
    pub created: Timestamp,
    /// The instruction.
    pub created_by: String,
    /// That image's names, familiar form.
    pub tags: Vec<String>,
    /// Bytes of the files in its layer; 0: it made none.
    pub size: u64,
    /// A word on it.
    pub comment: String,
}

impl ImageStore {
    /// How an image was made, the last step first.
    ///
    /// # Errors
    /// [`Error::NoSuchImage`].
    pub fn history(&self, id: &ImageId) -> Result<Vec<HistoryEntry>, Error> {
        let image = self.image(id)?;
        let mut sizes = self.layer_sizes(id)?.into_iter();
        let steps = image.config.history.unwrap_or_default();
        let mut entries: Vec<HistoryEntry> = steps
            .iter()
            .map(|step| HistoryEntry {
                image: None,
                created: step.created_at(),
                created_by: step.created_by.clone().unwrap_or_default(),
                tags: Vec::new(),
                size: match step.empty_layer {
                    Some(true) => 0,
                    Some(false) | None => sizes.next().unwrap_or(0),
                },
                comment: step.comment.clone().unwrap_or_default(),
            })
            .collect();
        entries.reverse();

        let mut made_by = Some(*id);
        for entry in &mut entries {
            let Some(id) = made_by else { break };
            entry.image = Some(id);
            entry.tags = names_of(&self.database(), &id)?.0;
            made_by = match self.image(&id) {
                Ok(image) => image.parent,
                Err(Error::NoSuchImage(_)) => None,
                Err(other) => return Err(other),
            };
        }
        Ok(entries)
    }

    /// Bytes of the files in each of an image's layers, the lowest first.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub fn layer_sizes(&self, id: &ImageId) -> Result<Vec<u64>, Error> {
        self.database()
            .prepare_cached(
                "SELECT layers.bytes FROM image_layers JOIN layers ON layers.id = layer
                 WHERE image = ?1 ORDER BY position",
            )
            .and_then(|mut statement| {
                statement.query_map([id.as_bytes()], |row| unsigned(row, 0))?.collect()
            })
            .map_err(Error::database("read layer sizes"))
    }
}
