//! The images behind the API: the store of `bulkhead-image`, whose layers the shim keeps.
//!
//! Every call of the store blocks, so all of them run on threads that may. A container is made of
//! an image under [`Images::hold`]; images are removed only while nobody holds.

mod layers;
mod show;

use crate::error::{EngineError, Result};
use crate::events::{EventLog, Kind};
use crate::options::Filters;
use crate::shim_client::ShimClient;
use bulkhead_image::{
    Error, ImageConfig, ImageId, ImageStore, ImageUser, ListFilter, Platform, RemovalStep,
    RemoveOptions, Removed,
};
use bulkhead_proto::LayerId;
use bulkhead_types as api;
use layers::{Layers, ShimSink};
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{OwnedRwLockReadGuard, RwLock};

/// The pause between two attempts to learn which layers there are.
const RECONCILE_PAUSE: Duration = Duration::from_secs(1);

/// Tells which containers use an image.
pub(crate) type Users = Arc<dyn Fn(&ImageId) -> Vec<ImageUser> + Send + Sync>;

/// Of `docker import`.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// What it is called, possibly with a tag; empty: nothing.
    pub repository: String,
    /// Empty: that of `repository`, else `latest`.
    pub tag: String,
    /// A word on it; empty: Docker's `Imported from -`.
    pub message: String,
    /// Instructions as in a Dockerfile.
    pub changes: Vec<String>,
}

/// The image operations of an engine. Clones are the same.
#[derive(Debug, Clone)]
pub struct Images {
    shared: Arc<Shared>,
}

struct Shared {
    store: ImageStore,
    layers: Layers,
    events: Arc<EventLog>,
    users: Users,
    /// Read: a container is being made. Write: images are being removed.
    removing: Arc<RwLock<()>>,
}

/// An image that a container can be made of.
#[derive(Debug, Clone)]
pub(crate) struct ResolvedImage {
    /// `sha256:` and 64 hex digits.
    pub id_text: String,
    /// What it says of itself.
    pub config: ImageConfig,
    /// Its layers, the lowest first.
    pub layers: Vec<LayerId>,
}

impl Images {
    /// `GET /images/json`
    ///
    /// # Errors
    /// `BadParameter`: a filter. `NotFound`: the image that a filter names.
    pub async fn list(&self, all: bool, filters: Filters) -> Result<Vec<api::ImageSummary>> {
        let filter = show::list_filter(all, &filters)?;
        let list = self.blocking(move |shared| Ok(shared.store.list(&filter)?)).await?;
        Ok(list.into_iter().map(show::summary).collect())
    }

    /// `GET /images/{name}/json`
    ///
    /// # Errors
    /// `NotFound`
    pub async fn inspect(&self, name: &str) -> Result<api::ImageInspect> {
        let name = name.to_owned();
        let image =
            self.blocking(move |shared| Ok(shared.store.image(&shared.store.resolve(&name)?)?));
        Ok(show::inspect(image.await?))
    }

    /// `GET /images/{name}/history`
    ///
    /// # Errors
    /// `NotFound`
    pub async fn history(&self, name: &str) -> Result<Vec<api::ImageHistoryItem>> {
        let name = name.to_owned();
        let steps =
            self.blocking(move |shared| Ok(shared.store.history(&shared.store.resolve(&name)?)?));
        Ok(steps.await?.into_iter().map(show::history_item).collect())
    }

    /// `POST /images/{name}/tag`; an empty tag is `latest`.
    ///
    /// # Errors
    /// `NotFound`; `BadParameter`: not a repository or tag.
    pub async fn tag(&self, name: &str, repository: &str, tag: &str) -> Result<()> {
        let Some(reference) = show::new_name(repository, tag)? else {
            return Err(EngineError::bad("invalid reference format"));
        };
        if reference.familiar_name() == "sha256" {
            return Err(EngineError::bad(
                "refusing to create an ambiguous tag using digest algorithm as name",
            ));
        }
        let name = name.to_owned();
        self.blocking(move |shared| {
            let id = shared.store.resolve(&name)?;
            shared.store.tag(&id, &reference)?;
            shared.tell("tag", &id, &reference.to_string());
            Ok(())
        })
        .await
    }

    /// `DELETE /images/{name}`
    ///
    /// # Errors
    /// `NotFound`; `Conflict`: a container uses it, or it has several names.
    pub async fn remove(&self, name: &str, force: bool) -> Result<Vec<api::ImageDeleteItem>> {
        let nobody_creates = Arc::clone(&self.shared.removing).write_owned().await;
        let name = name.to_owned();
        self.blocking(move |shared| {
            let _nobody_creates = nobody_creates;
            let removed = shared.remove(&name, force)?;
            shared.collect();
            Ok(removed.steps.into_iter().map(show::delete_item).collect())
        })
        .await
    }

    /// `POST /images/prune`: `dangling` is true unless filtered otherwise.
    ///
    /// # Errors
    /// `BadParameter`: a filter.
    pub async fn prune(&self, filters: Filters) -> Result<api::ImagesPruneReport> {
        let filter = show::prune_filter(&filters)?;
        let nobody_creates = Arc::clone(&self.shared.removing).write_owned().await;
        self.blocking(move |shared| {
            let _nobody_creates = nobody_creates;
            shared.prune(&filter)
        })
        .await
    }

    /// `POST /images/load`: the lines to tell the client, such as `Loaded image: busybox:latest`.
    /// `body` is read on a thread that may block.
    ///
    /// # Errors
    /// `BadParameter`: not an archive of images.
    pub async fn load(&self, mut body: Box<dyn Read + Send>) -> Result<Vec<String>> {
        self.blocking(move |shared| {
            let sink = ShimSink::new(&shared.layers, &shared.store);
            let platform = Platform::host();
            let loaded =
                bulkhead_image::load(&mut *body, &sink, &shared.store, &platform, &mut |_| {});
            // Of a failed load all layers, of a good one those of other platforms.
            shared.collect();
            let mut lines = Vec::new();
            for image in loaded? {
                shared.tell("load", &image.id, &image.id.to_string());
                let line = |name: &bulkhead_image::Reference| {
                    format!("Loaded image: {}", name.clone().or_latest())
                };
                lines.extend(image.names.iter().map(line));
                if image.names.is_empty() {
                    lines.push(format!("Loaded image ID: {}", image.id));
                }
            }
            Ok(lines)
        })
        .await
    }

    /// `POST /images/create` with `fromSrc=-` (`docker import`): an image of one layer from a root
    /// filesystem's tar stream; its id. `body` is read on a thread that may block.
    ///
    /// # Errors
    /// `BadParameter`: a name, a change or the archive.
    pub async fn import(
        &self,
        mut body: Box<dyn Read + Send>,
        options: ImportOptions,
    ) -> Result<String> {
        let name = show::new_name(&options.repository, &options.tag)?;
        self.blocking(move |shared| {
            let message = match options.message.as_str() {
                "" => "Imported from -",
                message => message,
            };
            let how = bulkhead_image::ImportOptions {
                changes: &options.changes,
                message,
                name: name.as_ref(),
                platform: &Platform::host(),
            };
            let sink = ShimSink::new(&shared.layers, &shared.store);
            let imported = bulkhead_image::import(&mut *body, &sink, &shared.store, &how);
            if imported.is_err() {
                shared.collect();
            }
            let id = imported?;
            if let Some(name) = &name {
                shared.tell("tag", &id, &name.to_string());
            }
            shared.tell("import", &id, &id.to_string());
            Ok(id.to_string())
        })
        .await
    }

    /// Open the store in a directory, which must exist, and learn from the shim, as soon as it is
    /// there, which layers there are. `users` tells which containers use an image, and must call
    /// nothing of this. Within a runtime; blocks for some milliseconds.
    pub(crate) fn open(
        directory: &Path,
        shim: ShimClient,
        events: Arc<EventLog>,
        users: Users,
    ) -> Result<Self> {
        let store = ImageStore::open(directory)?;
        let layers = Layers::new(shim, tokio::runtime::Handle::current());
        let shared = Arc::new(Shared { store, layers, events, users, removing: Arc::default() });
        tokio::spawn(reconcile_until_done(Arc::downgrade(&shared)));
        Ok(Self { shared })
    }

    /// Ask the shim which layers there are and have those deleted that no image needs. For each new
    /// connection to the shim.
    pub(crate) async fn reconcile(&self) -> Result<()> {
        self.blocking(|shared| {
            let there = shared.layers.list()?;
            for lost in shared.store.reconcile_layers(&there)? {
                tracing::error!("layer {lost} of an image is not there any more");
            }
            shared.collect();
            Ok(())
        })
        .await
    }

    /// The image that a client means. Under [`Images::hold`], it stays.
    pub(crate) async fn resolve(&self, reference: &str) -> Result<ResolvedImage> {
        let name = reference.to_owned();
        self.blocking(move |shared| {
            let id = shared.store.resolve(&name)?;
            let config = shared.store.image(&id)?.config;
            let layers = config.rootfs.diff_ids.iter();
            let layers = layers.map(|layer| LayerId::from_bytes(*layer.as_bytes())).collect();
            Ok(ResolvedImage { id_text: id.to_string(), config, layers })
        })
        .await
    }

    /// Keep all images from being removed until this is dropped: from [`Images::resolve`] until
    /// `users` tells of the new container.
    pub(crate) async fn hold(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.shared.removing).read_owned().await
    }

    /// How many images there are. Blocks for a moment.
    pub(crate) fn count(&self) -> Result<u64> {
        Ok(self.shared.store.count()?)
    }

    /// Run to its end on a thread that may block, even if the caller goes away.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || work(&shared)).await.unwrap_or_else(|error| {
            Err(EngineError::internal("the operation on images broke off").because(error))
        })
    }
}

impl Shared {
    fn remove(&self, name: &str, force: bool) -> std::result::Result<Removed, Error> {
        let id = self.store.resolve(name)?;
        // Asked for before: a deleted image has none to tell.
        let labels = self.labels(&id);
        let options = RemoveOptions { force, prune: true };
        let removed = self.store.remove(name, options, &*self.users)?;
        for step in &removed.steps {
            match step {
                RemovalStep::Untagged { image, .. } => {
                    let labels = if *image == id { labels.clone() } else { api::Map::new() };
                    self.emit("untag", image, &image.to_string(), labels);
                }
                RemovalStep::Deleted(image) => {
                    self.emit("delete", image, &image.to_string(), api::Map::new());
                }
                RemovalStep::DeletedLayer(_) => {}
            }
        }
        Ok(removed)
    }

    /// Nothing that a container uses, and nothing by force.
    fn prune(&self, filter: &ListFilter) -> Result<api::ImagesPruneReport> {
        let before = self.store.layers_size()?;
        let mut steps = Vec::new();
        for image in self.store.list(filter)? {
            if !(self.users)(&image.id).is_empty() {
                continue;
            }
            let mut names = image.repo_tags;
            names.extend(image.repo_digests);
            if names.is_empty() {
                names.push(image.id.to_string());
            }
            for name in &names {
                match self.remove(name, false) {
                    Ok(removed) => steps.extend(removed.steps),
                    // Others are made from it; or it went with its last tag or its child.
                    Err(Error::Conflict(_) | Error::NoSuchImage(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        self.collect();
        let space_reclaimed = before.saturating_sub(self.store.layers_size()?);
        let attributes = api::Map::from([("reclaimed".to_owned(), space_reclaimed.to_string())]);
        self.events.emit(Kind::Image, "prune", "", attributes);
        let deleted: Vec<_> = steps.into_iter().map(show::delete_item).collect();
        let images_deleted = Some(deleted).filter(|deleted| !deleted.is_empty());
        Ok(api::ImagesPruneReport { images_deleted, space_reclaimed })
    }

    /// Have the layers deleted that nobody needs. What cannot go now goes next time, so that a
    /// failure is no failure of the operation that made them superfluous.
    fn collect(&self) {
        if let Err(error) = self.layers.collect(&self.store) {
            tracing::error!("layers that no image needs were not deleted: {error}");
        }
    }

    /// An event of an image, with its labels.
    fn tell(&self, action: &str, id: &ImageId, name: &str) {
        self.emit(action, id, name, self.labels(id));
    }

    fn emit(&self, action: &str, id: &ImageId, name: &str, mut attributes: api::Map<String>) {
        attributes.insert("name".to_owned(), name.to_owned());
        self.events.emit(Kind::Image, action, &id.to_string(), attributes);
    }

    fn labels(&self, id: &ImageId) -> api::Map<String> {
        self.store.image(id).map(|image| image.config.labels()).unwrap_or_default()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Images").field("store", &self.store).finish_non_exhaustive()
    }
}

/// A failure of the store as the API tells it. The shim's own refusal of a layer keeps its kind.
impl From<Error> for EngineError {
    fn from(error: Error) -> Self {
        use crate::error::ErrorKind as Kind;
        if let Some(refused) = layers::refusal(&error) {
            return refused.because(error);
        }
        let kind = match error.kind() {
            bulkhead_image::ErrorKind::NotFound => Kind::NotFound,
            bulkhead_image::ErrorKind::Invalid => Kind::BadParameter,
            bulkhead_image::ErrorKind::Conflict => Kind::Conflict,
            bulkhead_image::ErrorKind::Internal => Kind::Internal,
        };
        Self::new(kind, error.to_string()).because(error)
    }
}

async fn reconcile_until_done(shared: Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        match (Images { shared }).reconcile().await {
            Ok(()) => return,
            Err(error) => tracing::warn!("the layers are not known yet: {error}"),
        }
        tokio::time::sleep(RECONCILE_PAUSE).await;
    }
}

#[cfg(test)]
mod tests;
