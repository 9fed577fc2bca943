//! The decision and the table, from outside.
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::type_complexity,
    clippy::wildcard_enum_match_arm,
    clippy::unwrap_used,
    reason = "tests end where something is not as it should be"
)]

mod contradictions;
mod grants;
mod properties;
mod request;
mod rows;
mod spellings;
mod table;
