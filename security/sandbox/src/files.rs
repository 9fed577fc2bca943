//! Landlock: which files a program may reach, whatever their permission bits say.

use crate::Error;
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use std::path::PathBuf;

/// The newest version of Landlock that the rules know; older kernels enforce what they can.
const NEWEST: ABI = ABI::V7;

/// What may be done with a file, or below a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read files and list directories.
    Read,
    /// Also write, make and remove: files, directories, sockets, fifos and links; no devices, and
    /// no execution.
    Write,
}

/// One thing that stays reachable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRule {
    /// A file, or a directory with all below it. Resolved when the fence goes up.
    pub path: PathBuf,
    /// What may be done there.
    pub access: Access,
    /// Nothing is wrong if it is not there.
    pub optional: bool,
}

/// How much of the fence the kernel enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// Files, TCP, abstract sockets and signals.
    Whole,
    /// Files as far as this kernel knows; TCP needs Linux 6.7, sockets and signals 6.12.
    Partial,
}

/// Allow the rules' files and no other; no TCP connections or listeners beside open ones; no
/// abstract socket and no signal to a process outside.
pub(crate) fn fence_in(rules: &[FileRule]) -> Result<Fence, Error> {
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    for rule in rules {
        let Some(path) = open(rule)? else { continue };
        let is_directory = rule.path.is_dir();
        ruleset = ruleset.add_rule(PathBeneath::new(path, rights(rule.access, is_directory)))?;
    }
    match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Ok(Fence::Whole),
        RulesetStatus::PartiallyEnforced => Ok(Fence::Partial),
        RulesetStatus::NotEnforced => Err(Error::NoLandlock),
    }
}

fn open(rule: &FileRule) -> Result<Option<PathFd>, Error> {
    match PathFd::new(&rule.path) {
        Ok(fd) => Ok(Some(fd)),
        Err(_) if rule.optional && !rule.path.exists() => Ok(None),
        Err(error) => Err(Error::Path { path: rule.path.clone(), source: Box::new(error) }),
    }
}

fn rights(access: Access, is_directory: bool) -> BitFlags<AccessFs> {
    let rights = match access {
        Access::Read => AccessFs::ReadFile | AccessFs::ReadDir,
        Access::Write => {
            AccessFs::from_all(NEWEST)
                & !(AccessFs::Execute | AccessFs::MakeBlock | AccessFs::MakeChar)
        }
    };
    if is_directory { rights } else { rights & AccessFs::from_file(NEWEST) }
}
