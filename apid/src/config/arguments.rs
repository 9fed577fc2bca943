//! The command line, with dockerd's names where it has them.

use std::ffi::OsString;
use std::path::PathBuf;

/// `--help`
pub(crate) const HELP: &str = "\
Usage: bulkhead-apid [OPTIONS]

The unprivileged API daemon of Bulkhead.

Options:
      --config-file FILE   Configuration (default /etc/bulkhead/daemon.json)
  -D, --debug              Log more
  -G, --group GROUP        Group of the socket
  -H, --host ADDRESS       Listen on unix://PATH, tcp://IP:PORT or fd:// (repeatable;
                           default: unix://RUN-DIR/api/docker.sock)
  -l, --log-level LEVEL    debug, info, warn, error or fatal (default info)
      --run-dir DIR        Sockets (default /run/bulkhead)
      --shim-socket PATH   The shim's socket (default: RUN-DIR/shim/shim.sock)
      --state-dir DIR      Databases, images and logs (default /var/lib/bulkhead/apid)
      --validate           Check the configuration and exit
  -v, --version            Print the version and exit
      --help               Print this and exit
";

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Serve.
    Serve(Arguments),
    /// Read the configuration, say what is wrong with it.
    Validate(Arguments),
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
}

/// Options as written; what is none was not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) debug: bool,
    pub(crate) group: Option<String>,
    pub(crate) hosts: Vec<String>,
    pub(crate) log_level: Option<String>,
    pub(crate) run_dir: Option<PathBuf>,
    pub(crate) shim_socket: Option<PathBuf>,
    pub(crate) state_dir: Option<PathBuf>,
}

impl Arguments {
    /// Read the command line without the program's name.
    ///
    /// # Errors
    ///
    /// The sentence for what is wrong.
    pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Wanted, String> {
        let mut arguments = Self::default();
        let mut validate = false;
        let mut words = words;
        while let Some(word) = words.next() {
            let word = text(word)?;
            let (name, mut attached) = split(&word);
            let mut value = || match attached.take() {
                Some(value) => Ok(value.to_owned()),
                None => words.next().ok_or_else(|| format!("{name} needs a value")).and_then(text),
            };
            match name {
                "--config-file" => arguments.config_file = Some(value()?.into()),
                "-G" | "--group" => arguments.group = Some(value()?),
                "-H" | "--host" => arguments.hosts.push(value()?),
                "-l" | "--log-level" => arguments.log_level = Some(value()?),
                "--run-dir" => arguments.run_dir = Some(value()?.into()),
                "--shim-socket" => arguments.shim_socket = Some(value()?.into()),
                "--state-dir" => arguments.state_dir = Some(value()?.into()),
                "-D" | "--debug" => arguments.debug = true,
                "--validate" => validate = true,
                "--help" => return Ok(Wanted::Help),
                "-v" | "--version" => return Ok(Wanted::Version),
                other => return Err(format!("{other} is not an option; see --help")),
            }
            if attached.is_some() {
                return Err(format!("{name} takes no value"));
            }
        }
        Ok(if validate { Wanted::Validate(arguments) } else { Wanted::Serve(arguments) })
    }
}

fn text(word: OsString) -> Result<String, String> {
    word.into_string().map_err(|word| format!("{} is not UTF-8", word.display()))
}

/// `--name=value`
fn split(word: &str) -> (&str, Option<&str>) {
    match word.split_once('=') {
        Some((name, value)) if name.starts_with("--") => (name, Some(value)),
        _ => (word, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Wanted, String> {
        Arguments::parse(words.iter().map(OsString::from))
    }

    #[test]
    fn hosts_add_up_and_values_may_be_attached() {
        let wanted = parse(&["-H", "unix:///a", "--host=tcp://b", "-D", "--state-dir", "/s"]);
        let Ok(Wanted::Serve(arguments)) = wanted else { panic!("{wanted:?}") };
        assert_eq!(arguments.hosts, ["unix:///a", "tcp://b"]);
        assert!(arguments.debug);
        assert_eq!(arguments.state_dir, Some("/s".into()));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for words in [&["--tlsverify"][..], &["-H"], &["--debug=yes"], &["serve"]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
