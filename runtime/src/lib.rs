//! One container: everything between "permitted" and "its program runs".
//!
//! [`create`] makes the namespaces, the root filesystem and the first process, which sets itself up
//! and then waits at its [`Gate`]; [`audit`] re-reads that process from the kernel and compares it
//! with the permit; [`Gate::open`] lets it become its program. [`exec`] does the same for a further
//! process of a running container.
//!
//! Who does what:
//!
//! * The *caller* is one process of one thread that is root and serves one container. It opens what
//!   is the host's (layers, bind sources, device nodes) as detached mounts, clones the process,
//!   maps its ids, gives it interfaces and limits. It never touches a path in the container.
//! * The *new process* mounts everything in its own user and mount namespaces, resolves everything
//!   that an image has named, and drops its rights. Nothing it does can be seen on the host.
//!
//! A step that fails, fails the start: the process is killed and reaped. What stays are the
//! directories `upper` and `work` of [`Plan::writable`], which are the caller's.
#![forbid(unsafe_code)]

mod audit;
mod create;
mod devices;
mod error;
mod exec;
mod idmap;
mod init;
mod line;
mod plan;
mod process;
mod resolve;
mod rootfs;
mod sources;
mod stage;
mod stdio;

pub use audit::{Expected, Mismatch, audit};
pub use create::{Created, Gate, create};
pub use devices::device_rules;
pub use error::Error;
pub use exec::exec;
pub use plan::{ExecPlan, Features, Ids, Joined, Plan, RANGE};
pub use process::prepare_filters;
pub use stdio::Streams;
