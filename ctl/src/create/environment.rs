//! Environment variables and labels: from flags, from files, from this process.

use std::fs;

use crate::flags::Args;
use crate::output::text::system_words;

/// The variables of `--env-file` and then those of `--env`.
///
/// A name without a value takes it from this process. If this process has none, a name from a file
/// is left out, and one from a flag is sent alone: it takes the variable of the image away.
pub(crate) fn environment(args: &Args) -> Result<Vec<String>, String> {
    let from_process = |name: &str| std::env::var(name).ok();
    let mut variables = Vec::new();
    for path in args.all("env-file") {
        variables.extend(from_file(path, from_process)?);
    }
    variables.extend(args.all("env").map(|variable| match variable.contains('=') {
        true => variable.to_owned(),
        false => match from_process(variable) {
            Some(value) => format!("{variable}={value}"),
            None => variable.to_owned(),
        },
    }));
    Ok(variables)
}

/// The labels of `--label-file` and then those of `--label`.
pub(super) fn labels(args: &Args) -> Result<Vec<String>, String> {
    let mut labels = Vec::new();
    for path in args.all("label-file") {
        labels.extend(from_file(path, |_name| None)?);
    }
    labels.extend(args.all("label").map(str::to_owned));
    Ok(labels)
}

fn from_file(path: &str, value_of: impl Fn(&str) -> Option<String>) -> Result<Vec<String>, String> {
    let bytes = fs::read(path).map_err(|error| format!("open {path}: {}", system_words(&error)))?;
    let invalid = |why: String| format!("invalid env file ({path}): {why}");
    let mut variables = Vec::new();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let Ok(line) = std::str::from_utf8(line) else {
            return Err(invalid(format!("invalid utf8 bytes at line {}", index + 1)));
        };
        let line = line.strip_suffix('\r').unwrap_or(line).trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (line, None),
        };
        let name = name.trim_start();
        if name.contains([' ', '\t']) {
            return Err(invalid(format!("variable '{name}' contains whitespaces")));
        }
        if name.is_empty() {
            return Err(invalid(format!("no variable name on line '{line}'")));
        }
        if let Some(value) = value.or_else(|| value_of(name)) {
            variables.push(format!("{name}={value}"));
        }
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_a_variable_a_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("env");
        let path = path.to_str().unwrap();
        fs::write(path, "\u{feff}A=1\n# note\n\n  B=x y=z\r\nSET\nUNSET\nC=\n").unwrap();
        let value_of = |name: &str| (name == "SET").then(|| "yes".to_owned());
        assert_eq!(from_file(path, value_of).unwrap(), ["A=1", "B=x y=z", "SET=yes", "C="]);
        for (line, why) in [
            ("a b=c", "variable 'a b' contains whitespaces"),
            ("=c", "no variable name on line '=c'"),
        ] {
            fs::write(path, line).unwrap();
            let error = from_file(path, |_| None).unwrap_err();
            assert_eq!(error, format!("invalid env file ({path}): {why}"));
        }
        assert_eq!(
            from_file("/none/such", |_| None).unwrap_err(),
            "open /none/such: no such file or directory"
        );
    }
}
