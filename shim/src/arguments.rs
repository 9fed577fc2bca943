//! The command line. No crate for it: six options, all with a value or none.

use std::ffi::OsString;
use std::path::PathBuf;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Serve until killed.
    Serve,
    /// Remove what the engine has in the kernel, its containers, and with `data` its layers.
    Purge { data: bool },
    /// Check an audit log.
    VerifyAudit(PathBuf),
    /// Print the version.
    Version,
}

/// As given, with the installed engine's places where nothing was given.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub mode: Mode,
    pub config_dir: PathBuf,
    pub run_dir: PathBuf,
    pub state_dir: PathBuf,
    /// Where `bulkhead-worker` and `bulkhead-init` are; none: beside this program.
    pub libexec_dir: Option<PathBuf>,
    /// Where the engines of this host note which id ranges are theirs.
    pub claims_dir: PathBuf,
    /// `sd_notify(3)`: told when the socket listens.
    pub notify_socket: Option<OsString>,
    /// This process runs from its sealed copy.
    pub sealed: bool,
    /// As they were, to hand them to the sealed copy.
    pub raw: Vec<OsString>,
}

impl Arguments {
    pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Self, String> {
        let raw: Vec<OsString> = args.collect();
        let mut parsed = Self {
            mode: Mode::Serve,
            config_dir: "/etc/bulkhead".into(),
            run_dir: "/run/bulkhead".into(),
            state_dir: "/var/lib/bulkhead".into(),
            libexec_dir: None,
            claims_dir: "/var/lib/bulkhead-ids".into(),
            notify_socket: std::env::var_os("NOTIFY_SOCKET"),
            sealed: false,
            raw: raw.clone(),
        };
        let mut rest = raw.into_iter();
        let mut purge = false;
        let mut data = false;
        while let Some(argument) = rest.next() {
            let name = argument.to_string_lossy().into_owned();
            let mut value = || rest.next().ok_or_else(|| format!("{name} needs a value"));
            match name.as_str() {
                "--config-dir" => parsed.config_dir = value()?.into(),
                "--run-dir" => parsed.run_dir = value()?.into(),
                "--state-dir" => parsed.state_dir = value()?.into(),
                "--libexec-dir" => parsed.libexec_dir = Some(value()?.into()),
                "--claims-dir" => parsed.claims_dir = value()?.into(),
                "--notify-socket" => parsed.notify_socket = Some(value()?),
                "--verify-audit" => parsed.mode = Mode::VerifyAudit(value()?.into()),
                "--version" => parsed.mode = Mode::Version,
                "--purge" => purge = true,
                "--data" => data = true,
                "--sealed" => parsed.sealed = true,
                other => return Err(format!("unknown option {other:?}")),
            }
        }
        match (purge, data) {
            (true, data) => parsed.mode = Mode::Purge { data },
            (false, true) => return Err("--data goes with --purge".to_owned()),
            (false, false) => {}
        }
        for (option, path) in [
            ("--config-dir", &parsed.config_dir),
            ("--run-dir", &parsed.run_dir),
            ("--state-dir", &parsed.state_dir),
            ("--claims-dir", &parsed.claims_dir),
        ] {
            if !path.is_absolute() {
                return Err(format!("{option} must be an absolute path"));
            }
        }
        Ok(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        Arguments::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for words in [
            &["--state-dir"][..],
            &["--state-dir", "relative"],
            &["--data"],
            &["--unknown"],
            &["positional"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
        assert_eq!(parse(&["--purge", "--data"]).unwrap().mode, Mode::Purge { data: true });
    }
}
