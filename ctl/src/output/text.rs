//! Small things done to text, as Go and Docker's command line do them.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar;

/// Go's `strconv.Quote`.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\0'..'\u{80}' if letter.is_control() => {
                write!(quoted, "\\x{:02x}", u32::from(letter)).unwrap_or(());
            }
            _ if letter.is_control() => {
                write!(quoted, "\\u{:04x}", u32::from(letter)).unwrap_or(());
            }
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// What stands between `[` and `]`, if the whole text does.
pub(crate) fn in_brackets(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

/// The first `columns - 1` columns of the text and an ellipsis, if it is wider than `columns`.
pub(crate) fn ellipsis(text: &str, columns: usize) -> String {
    let width_of = |letter: char| if letter.width() == Some(2) { 2 } else { 1 };
    if text.chars().map(width_of).sum::<usize>() <= columns {
        return text.to_owned();
    }
    let mut width = 0;
    let mut short: String = text
        .chars()
        .take_while(|letter| {
            width += width_of(*letter);
            width < columns
        })
        .collect();
    short.push('…');
    short
}

/// An id as people see it: without `sha256:`, 12 digits.
pub(crate) fn short_id(id: &str) -> &str {
    let digits = id.split_once(':').map_or(id, |(_algorithm, digits)| digits);
    digits.get(..12).unwrap_or(digits)
}

/// The system's words for an error as C and Go have them, without Rust's `(os error N)`.
pub(crate) fn system_words(error: &std::io::Error) -> String {
    let text = error.to_string();
    let words = text.split_once(" (os error").map_or(text.as_str(), |(words, _)| words);
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quote_is_go_quote() {
        for (text, quoted) in [
            ("sh -c 'a'", r#""sh -c 'a'""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("a\tb\nc\u{7}\0", r#""a\tb\nc\a\x00""#),
            ("grüße…", r#""grüße…""#),
            ("\u{85}", r#""\u0085""#),
        ] {
            assert_eq!(quote(text), quoted);
        }
    }

    #[test]
    fn ellipsis_counts_columns() {
        assert_eq!(ellipsis("sleep 1000", 10), "sleep 1000");
        assert_eq!(ellipsis("sleep 10000", 10), "sleep 100…");
        assert_eq!(ellipsis("日本語日本語", 7), "日本語…");
    }

    #[test]
    fn short_ids_have_twelve_digits() {
        assert_eq!(short_id("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(short_id("0123456789abcdef"), "0123456789ab");
        assert_eq!(short_id("abc"), "abc");
    }
}
