//! Lines of `GET /events`.

use crate::shape::{Map, is_default, shape};

/// One event. `status`, `id` and `from` repeat `Action`, `Actor.ID` and the image for clients that
/// never moved on from API 1.21; only container and image events have them.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct EventMessage {
    #[serde(skip_serializing_if = "is_default")]
    pub status: String,
    #[serde(skip_serializing_if = "is_default")]
    pub id: String,
    #[serde(skip_serializing_if = "is_default")]
    pub from: String,
    /// `container`, `image`, `network`, `volume`, `daemon`
    #[serde(rename = "Type")]
    pub r#type: String,
    #[serde(rename = "Action")]
    pub action: String,
    #[serde(rename = "Actor")]
    pub actor: Actor,
    /// `local`
    #[serde(skip_serializing_if = "is_default")]
    pub scope: String,
    /// Unix seconds.
    pub time: i64,
    /// Unix nanoseconds.
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
}

shape! {
    /// What the event is about.
    pub struct Actor {
        #[serde(rename = "ID")]
        pub id: String,
        pub attributes: Map<String>,
    }
}
