//! Go's `path.Match`, which Docker's `reference` filter uses.

use crate::error::Error;

/// Whether the whole name matches: `*` and `?` stand for anything but `/`, `[a-z]` and `[^a-z]`
/// for one character, `\` takes the next one literally.
///
/// # Errors
/// [`Error::InvalidArgument`]: the pattern is malformed.
pub(super) fn matches(pattern: &str, name: &str) -> Result<bool, Error> {
    let tokens = parse(pattern).ok_or_else(|| {
        Error::InvalidArgument(format!("invalid reference filter {pattern:?}: syntax error"))
    })?;
    let name: Vec<char> = name.chars().collect();
    Ok(run(&tokens, &name))
}

enum Token {
    /// Any run of characters but `/`.
    Star,
    /// Any one but `/`.
    Any,
    /// This one.
    Literal(char),
    /// One of these ranges, or, negated, none of them.
    Class { ranges: Vec<(char, char)>, negated: bool },
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Star | Self::Any => c != '/',
            Self::Literal(literal) => *literal == c,
            Self::Class { ranges, negated } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

/// Backtracks to the last `*` only, which is enough: no exponential time.
fn run(tokens: &[Token], name: &[char]) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        match (tokens.get(token), name.get(at)) {
            (None, None) => return true,
            (Some(Token::Star), _) => {
                retry = Some((token, at));
                token += 1;
                continue;
            }
            (Some(one), Some(c)) if one.takes(*c) => {
                token += 1;
                at += 1;
                continue;
            }
            (Some(_), _) | (None, Some(_)) => {}
        }
        match retry {
            Some((star, from)) if name.get(from).is_some_and(|c| Token::Star.takes(*c)) => {
                retry = Some((star, from + 1));
                token = star + 1;
                at = from + 1;
            }
            Some(_) | None => return false,
        }
    }
}

fn parse(pattern: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        tokens.push(match c {
            '*' => Token::Star,
            '?' => Token::Any,
            '\\' => Token::Literal(rest.next()?),
            '[' => parse_class(&mut rest)?,
            _ => Token::Literal(c),
        });
    }
    Some(tokens)
}

fn parse_class(rest: &mut std::str::Chars<'_>) -> Option<Token> {
    let negated = rest.as_str().starts_with('^');
    if negated {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && rest.as_str().starts_with(']') {
            rest.next();
            return Some(Token::Class { ranges, negated });
        }
        let low = class_character(rest)?;
        let mut high = low;
        if rest.as_str().starts_with('-') {
            rest.next();
            high = class_character(rest)?;
        }
        ranges.push((low, high));
    }
}

fn class_character(rest: &mut std::str::Chars<'_>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_go_does() {
        for (pattern, name, expected) in [
            ("busybox", "busybox", true),
            ("busy*", "busybox:1.36", true),
            ("*:latest", "busybox:latest", true),
            ("*", "a/b", false),
            ("*/*", "a/b", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("a\\*", "a*", true),
            ("*a*b*c*", "xxaxxbxxcx", true),
            ("*a*b*c*d", "xxaxxbxxcx", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, name).unwrap(), expected, "{pattern} {name}");
        }
        for bad in ["[", "[]", "[]a]", "[-a]", "a\\", "[a-"] {
            assert!(matches(bad, "a").is_err(), "{bad}");
        }
    }
}
