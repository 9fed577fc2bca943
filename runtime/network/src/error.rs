//! What can go wrong.

use std::io;

/// Why a network operation was not done.
///
/// `Display` says the deed; for [`Error::Kernel`] the errno is the `source`.
#[derive(Debug)]
pub enum Error {
    /// The specification contradicts itself or the network it is for.
    Invalid {
        /// What is wrong, naming the field.
        what: String,
    },
    /// Something else has the name, or the network is there with other settings.
    Exists {
        /// What is there.
        what: String,
    },
    /// The subnet is in use on this host.
    Overlap {
        /// The subnet asked for.
        subnet: String,
        /// The address or route in its way.
        with: String,
    },
    /// There is no such network.
    NotFound {
        /// What.
        what: String,
    },
    /// Containers are attached, or another engine is changing networks and does not finish.
    InUse {
        /// What.
        what: String,
    },
    /// A limit of this build is reached.
    Exhausted {
        /// Which.
        what: String,
    },
    /// The kernel said no.
    Kernel {
        /// The call and its arguments.
        call: String,
        /// The kernel's own words (`NLMSGERR_ATTR_MSG`), if it gave any.
        explanation: Option<String>,
        /// The errno.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn kernel(call: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Kernel { call: call.into(), explanation: None, source: source.into() }
    }

    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid { what: what.into() }
    }

    /// The errno, if the kernel said no.
    pub fn errno(&self) -> Option<i32> {
        if let Self::Kernel { source, .. } = self { source.raw_os_error() } else { None }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invalid { what } => f.write_str(what),
            Self::Exists { what } => write!(f, "{what} exists already"),
            Self::Overlap { subnet, with } => write!(f, "subnet {subnet} overlaps {with}"),
            Self::NotFound { what } => write!(f, "no such {what}"),
            Self::InUse { what } => write!(f, "{what} is in use"),
            Self::Exhausted { what } => write!(f, "limit reached: {what}"),
            Self::Kernel { call, explanation: None, .. } => f.write_str(call),
            Self::Kernel { call, explanation: Some(words), .. } => write!(f, "{call}: {words}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Kernel { source, .. } = self { Some(source) } else { None }
    }
}
