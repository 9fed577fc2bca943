//! Splitting a line into words, and variables in words, as Dockerfile instructions have them.

use crate::error::Error;

/// Words parted by blanks, quotes and backslashes still in them.
///
/// # Errors
/// [`Error::InvalidArgument`]: a quote is not closed.
pub(crate) fn split(text: &str) -> Result<Vec<String>, Error> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => {
                word.push(c);
                word.extend(rest.next());
                continue;
            }
            ('\'' | '"', None) => quote = Some(c),
            (_, Some(open)) if c == open => quote = None,
            (_, None) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    if quote.is_some() {
        return Err(unclosed(text));
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// A word without its quotes and backslashes, `$name` and `${name}` replaced (not in single
/// quotes); what is not set is empty.
///
/// # Errors
/// [`Error::InvalidArgument`]: a quote or brace is not closed, or `${...}` holds more than a name.
pub(crate) fn expand(word: &str, env: &[String]) -> Result<String, Error> {
    let mut out = String::new();
    let mut quote = None;
    let mut rest = word.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (_, Some(open)) if c == open => quote = None,
            ('\\', None) => out.extend(rest.next()),
            ('\\', Some('"')) => match rest.next() {
                Some(escaped @ ('"' | '$' | '\\')) => out.push(escaped),
                Some(other) => out.extend(['\\', other]),
                None => return Err(unclosed(word)),
            },
            ('$', None | Some('"')) => {
                let mut name = String::new();
                let braced = rest.next_if_eq(&'{').is_some();
                while let Some(c) = rest.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
                    name.push(c);
                }
                if braced && (rest.next() != Some('}') || name.is_empty()) {
                    let why = format!("unsupported variable substitution in {word:?}");
                    return Err(Error::InvalidArgument(why));
                }
                if name.is_empty() {
                    out.push('$');
                } else {
                    out.push_str(value(env, &name));
                }
            }
            _ => out.push(c),
        }
    }
    if quote.is_some() {
        return Err(unclosed(word));
    }
    Ok(out)
}

fn value<'a>(env: &'a [String], name: &str) -> &'a str {
    env.iter()
        .filter_map(|pair| pair.split_once('='))
        .find_map(|(have, value)| (have == name).then_some(value))
        .unwrap_or_default()
}

fn unclosed(text: &str) -> Error {
    Error::InvalidArgument(format!(
        "unexpected end of statement while looking for a matching quote in {text:?}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_variables_are_read_as_a_shell_does() {
        let env = ["A=1".to_owned(), "B=x y".to_owned()];
        for (word, expected) in [
            ("$A", "1"),
            ("${A}b", "1b"),
            ("'$A'", "$A"),
            ("\"$B\"", "x y"),
            ("\\$A", "$A"),
            ("a\\ b", "a b"),
            ("\"\\n\\\"\"", "\\n\""),
            ("$", "$"),
            ("$none.", "."),
        ] {
            assert_eq!(expand(word, &env).unwrap(), expected, "{word}");
        }
        assert!(expand("${A:-x}", &env).is_err());
        assert!(expand("${A", &env).is_err());
        assert_eq!(split("a 'b c'  \"d e\" f\\ g").unwrap(), ["a", "'b c'", "\"d e\"", "f\\ g"]);
        assert!(split("a 'b").is_err());
    }
}
