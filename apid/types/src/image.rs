//! What the image endpoints give.

use crate::container::GraphDriver;
use crate::container_config::ContainerConfig;
use crate::shape::{Map, is_default, shape};

shape! {
    /// An element of `GET /images/json`.
    pub struct ImageSummary {
        /// -1: not counted.
        pub containers: i64,
        /// Unix seconds.
        pub created: i64,
        pub id: String,
        pub labels: Option<Map<String>>,
        pub parent_id: String,
        pub repo_digests: Vec<String>,
        pub repo_tags: Vec<String>,
        /// Bytes; -1: not counted.
        pub shared_size: i64,
        /// Bytes.
        pub size: i64,
        /// Bytes; the same as `size`, for API versions below 1.44.
        #[serde(skip_serializing_if = "is_default")]
        pub virtual_size: i64,
    }
}

shape! {
    /// `GET /images/{name}/json`
    pub struct ImageInspect {
        pub id: String,
        pub repo_tags: Vec<String>,
        pub repo_digests: Vec<String>,
        pub parent: String,
        pub comment: String,
        #[serde(skip_serializing_if = "is_default")]
        pub created: String,
        pub docker_version: String,
        pub author: String,
        pub config: Option<ContainerConfig>,
        pub architecture: String,
        #[serde(skip_serializing_if = "is_default")]
        pub variant: String,
        pub os: String,
        #[serde(skip_serializing_if = "is_default")]
        pub os_version: String,
        /// Bytes.
        pub size: i64,
        /// Bytes; the same as `size`, for API versions below 1.44.
        #[serde(skip_serializing_if = "is_default")]
        pub virtual_size: i64,
        pub graph_driver: GraphDriver,
        #[serde(rename = "RootFS")]
        pub root_fs: RootFs,
        pub metadata: ImageMetadata,
    }
}

shape! {
    /// The layers of an image, the lowest first.
    pub struct RootFs {
        pub r#type: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub layers: Option<Vec<String>>,
    }
}

shape! {
    /// What the engine knows of an image and the image itself does not.
    pub struct ImageMetadata {
        pub last_tag_time: String,
    }
}

shape! {
    /// An element of `GET /images/{name}/history`.
    pub struct ImageHistoryItem {
        pub comment: String,
        /// Unix seconds.
        pub created: i64,
        pub created_by: String,
        /// `<missing>` when the step has no image of its own.
        pub id: String,
        /// Bytes.
        pub size: i64,
        pub tags: Option<Vec<String>>,
    }
}

shape! {
    /// An element of the answer to `DELETE /images/{name}`: one of the two is set.
    pub struct ImageDeleteItem {
        #[serde(skip_serializing_if = "is_default")]
        pub deleted: String,
        #[serde(skip_serializing_if = "is_default")]
        pub untagged: String,
    }
}

shape! {
    /// `POST /images/prune`
    pub struct ImagesPruneReport {
        pub images_deleted: Option<Vec<ImageDeleteItem>>,
        /// Bytes.
        pub space_reclaimed: u64,
    }
}
