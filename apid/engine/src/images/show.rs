//! Images in the shapes of the API, and the API's words for which and what they are called.

use crate::error::{EngineError, Result};
use crate::options::{Filters, parse_time};
use crate::time::NEVER;
use bulkhead_image::{HistoryEntry, Image, ListFilter, Reference, RemovalStep, RunConfig, Summary};
use bulkhead_types as api;
use jiff::{SignedDuration, Timestamp};

/// An element of the list.
pub(super) fn summary(image: Summary) -> api::ImageSummary {
    api::ImageSummary {
        containers: -1,
        created: image.created.as_second(),
        id: image.id.to_string(),
        labels: Some(image.labels).filter(|labels| !labels.is_empty()),
        parent_id: image.parent.map(|parent| parent.to_string()).unwrap_or_default(),
        repo_digests: image.repo_digests,
        repo_tags: image.repo_tags,
        shared_size: -1,
        size: signed(image.size),
        ..api::ImageSummary::default()
    }
}

/// All about one image.
pub(super) fn inspect(image: Image) -> api::ImageInspect {
    let config = image.config;
    let created = config.created.as_ref().map(|_| config.created_at().to_string());
    // An image that says nothing of itself may have been built with a word on its last step.
    let last_step = config.history.as_ref().and_then(|history| history.last());
    let comment = config.comment.filter(|comment| !comment.is_empty());
    let comment = comment.or_else(|| last_step.and_then(|step| step.comment.clone()));
    let layers: Vec<_> = config.rootfs.diff_ids.iter().map(ToString::to_string).collect();
    api::ImageInspect {
        id: image.id.to_string(),
        repo_tags: image.repo_tags,
        repo_digests: image.repo_digests,
        parent: image.parent.map(|parent| parent.to_string()).unwrap_or_default(),
        comment: comment.unwrap_or_default(),
        created: created.unwrap_or_default(),
        docker_version: config.docker_version.unwrap_or_default(),
        author: config.author.unwrap_or_default(),
        config: config.config.map(container_config),
        architecture: config.architecture,
        variant: config.variant.unwrap_or_default(),
        os: config.os,
        os_version: config.os_version.unwrap_or_default(),
        size: signed(image.size),
        graph_driver: api::GraphDriver { data: None, name: "overlay2".to_owned() },
        root_fs: api::RootFs {
            r#type: config.rootfs.kind,
            layers: Some(layers).filter(|layers| !layers.is_empty()),
        },
        metadata: api::image::ImageMetadata {
            last_tag_time: image.last_tagged.map_or_else(|| NEVER.to_owned(), |at| at.to_string()),
        },
        ..api::ImageInspect::default()
    }
}

/// One step of an image's making.
pub(super) fn history_item(step: HistoryEntry) -> api::ImageHistoryItem {
    api::ImageHistoryItem {
        comment: step.comment,
        created: step.created.as_second(),
        created_by: step.created_by,
        id: step.image.map_or_else(|| "<missing>".to_owned(), |id| id.to_string()),
        size: signed(step.size),
        tags: Some(step.tags).filter(|tags| !tags.is_empty()),
    }
}

/// One step of a removal.
pub(super) fn delete_item(step: RemovalStep) -> api::ImageDeleteItem {
    let deleted = |id: String| api::ImageDeleteItem { deleted: id, ..Default::default() };
    match step {
        RemovalStep::Untagged { name, .. } => {
            api::ImageDeleteItem { untagged: name, ..Default::default() }
        }
        RemovalStep::Deleted(id) => deleted(id.to_string()),
        RemovalStep::DeletedLayer(chain) => deleted(chain.to_string()),
    }
}

/// A name to give (moby `api/server/httputils`, `RepoTagReference`); none if `repository` is empty.
pub(super) fn new_name(repository: &str, tag: &str) -> Result<Option<Reference>> {
    if repository.is_empty() {
        return Ok(None);
    }
    let invalid = |error| EngineError::from(bulkhead_image::Error::Reference(error));
    let name: Reference = repository.parse().map_err(invalid)?;
    if name.digest().is_some() {
        return Err(EngineError::bad("cannot import digest reference"));
    }
    match tag {
        "" => Ok(Some(name.or_latest())),
        tag => name.with_tag(tag).map(Some).map_err(invalid),
    }
}

/// Of `GET /images/json`.
pub(super) fn list_filter(all: bool, filters: &Filters) -> Result<ListFilter> {
    filters.only(&["dangling", "label", "label!", "before", "since", "reference", "until"])?;
    Ok(ListFilter {
        all,
        dangling: flag(filters, "dangling")?,
        labels: values(filters, "label"),
        without_labels: values(filters, "label!"),
        references: values(filters, "reference"),
        before: single(filters, "before")?,
        since: single(filters, "since")?,
        until: until(filters)?,
    })
}

/// Of `POST /images/prune`.
pub(super) fn prune_filter(filters: &Filters) -> Result<ListFilter> {
    filters.only(&["dangling", "label", "label!", "until"])?;
    let dangling = flag(filters, "dangling")?.unwrap_or(true);
    Ok(ListFilter {
        all: !dangling,
        dangling: dangling.then_some(true),
        labels: values(filters, "label"),
        without_labels: values(filters, "label!"),
        until: until(filters)?,
        ..ListFilter::default()
    })
}

/// The image's run configuration has the field names of the API's.
fn container_config(run: RunConfig) -> api::ContainerConfig {
    let read = |run: &RunConfig| serde_json::from_value(serde_json::to_value(run)?);
    // What the builder wrote beside the known fields may have any type: better without it.
    read(&run)
        .or_else(|_: serde_json::Error| read(&RunConfig { extra: serde_json::Map::new(), ..run }))
        .unwrap_or_default()
}

fn values(filters: &Filters, name: &str) -> Vec<String> {
    filters.get(name).unwrap_or_default().to_vec()
}

fn flag(filters: &Filters, name: &str) -> Result<Option<bool>> {
    match single(filters, name)?.as_deref() {
        None => Ok(None),
        Some("1" | "true") => Ok(Some(true)),
        Some("0" | "false") => Ok(Some(false)),
        Some(_) => Err(invalid_filter(filters, name)),
    }
}

fn single(filters: &Filters, name: &str) -> Result<Option<String>> {
    match filters.get(name) {
        None | Some([]) => Ok(None),
        Some([value]) => Ok(Some(value.clone())),
        Some(_) => Err(invalid_filter(filters, name)),
    }
}

/// Docker's text for a value that is not one.
fn invalid_filter(filters: &Filters, name: &str) -> EngineError {
    EngineError::bad(format!("invalid filter '{name}=[{}]'", values(filters, name).join(" ")))
}

/// A duration that has passed (`24h`), a point in time, or a date, in UTC.
fn until(filters: &Filters) -> Result<Option<Timestamp>> {
    let Some(text) = single(filters, "until")? else { return Ok(None) };
    let at = match text.parse::<SignedDuration>() {
        Ok(passed) => Timestamp::now().checked_sub(passed).ok(),
        Err(_) => point_in_time(&text),
    };
    at.map(Some).ok_or_else(|| invalid_filter(filters, "until"))
}

fn point_in_time(text: &str) -> Option<Timestamp> {
    match parse_time(text) {
        Ok(at) => Timestamp::from_nanosecond(at.unwrap_or(0).into()).ok(),
        Err(_) => {
            let date: jiff::civil::DateTime = text.parse().ok()?;
            Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
        }
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
