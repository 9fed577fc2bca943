//! What the user sees: tables, templates, JSON, sizes, times, progress.

pub(crate) mod json;
pub(crate) mod print;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod template;
pub(crate) mod text;
pub(crate) mod time;
pub(crate) mod units;
