//! What containers write: into their logs, to the attached, and back out of the logs.
//!
//! A log byte is moved, not copied, out of the pipe, and appears in the log exactly once whenever
//! this process is killed: [`spool`], [`checkpoint`], [`sink`].

mod checkpoint;
mod copier;
mod file;
mod hub;
mod line;
mod reader;
mod sink;
mod spool;

pub(crate) use copier::{Copier, Sources};
pub(crate) use file::{Limits, Shelf};
pub(crate) use hub::{Hub, Subscription};
pub(crate) use reader::LogReader;
pub(crate) use sink::{Begin, LogTarget};
