//! The engine's progress messages: one line an object, redrawn in place on a terminal.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use super::json::Json;
use super::units;
use crate::client::Lines;
use crate::failure::Failure;
use crate::output::print;

/// A terminal narrower than this has no room for the bar beside the numbers, in columns.
const BAR_NEEDS_COLUMNS: usize = 110;
/// The bar's length, in columns.
const BAR: usize = 50;

/// Where progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
    /// Nowhere.
    Nowhere,
}

/// Show messages until they end. A message that tells of an error is the result.
pub(crate) async fn show(
    mut messages: Lines,
    to: To,
    columns: Option<usize>,
) -> Result<(), Failure> {
    let mut screen = Screen { columns, ..Screen::default() };
    while let Some(message) = messages.next().await? {
        let error = message.at("errorDetail").at("message").text();
        let error = if error.is_empty() { message.at("error").text() } else { error };
        if !error.is_empty() {
            return Err(Failure::new(error));
        }
        let text = screen.draw(&message);
        match to {
            To::Out => print::out(&text)?,
            To::Err => io::stderr().lock().write_all(text.as_bytes()).unwrap_or(()),
            To::Nowhere => {}
        }
    }
    Ok(())
}

/// What was drawn where.
#[derive(Debug, Default)]
struct Screen {
    /// The terminal's width; none if it is no terminal.
    columns: Option<usize>,
    /// Lines from the first one, by the object they show.
    lines: HashMap<String, usize>,
}

impl Screen {
    fn draw(&mut self, message: &Json) -> String {
        let mut text = String::new();
        let detail = message.at("progressDetail");
        let has_progress = matches!(detail, Json::Object(_));
        let id = message.at("id").text();
        if message.at("aux") != &Json::Null {
            return text;
        }
        let bar = bar(detail, self.columns.unwrap_or(0));
        let Some(_) = self.columns else {
            // Without a terminal only what stays is shown.
            if bar.is_empty() {
                line(&mut text, message, "", "");
            }
            return text;
        };
        if id.is_empty() || !has_progress {
            self.lines.clear();
            line(&mut text, message, "", "");
            return text;
        }
        let count = self.lines.len();
        let at = *self.lines.entry(id.to_owned()).or_insert_with(|| {
            text.push('\n');
            count
        });
        let up = self.lines.len() - at;
        // Up, clear the line, draw, back to its beginning, down.
        write!(text, "\x1b[{up}A\x1b[2K\r").unwrap_or(());
        line(&mut text, message, &bar, "\r");
        write!(text, "\x1b[{up}B").unwrap_or(());
        text
    }
}

fn line(text: &mut String, message: &Json, bar: &str, end: &str) {
    let stream = message.at("stream").text();
    if !stream.is_empty() {
        text.push_str(stream);
        return;
    }
    let id = message.at("id").text();
    if !id.is_empty() {
        write!(text, "{id}: ").unwrap_or(());
    }
    let status = message.at("status").text();
    if end.is_empty() {
        writeln!(text, "{status}").unwrap_or(());
    } else {
        write!(text, "{status} {bar}{end}").unwrap_or(());
    }
}

/// `[=====>    ]  1.2MB/3.4MB`.
pub(crate) fn bar(detail: &Json, columns: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a bar of 50 columns")]
    let (current, total) = (detail.at("current").int() as f64, detail.at("total").int() as f64);
    if current <= 0.0 && total <= 0.0 {
        return String::new();
    }
    if total <= 0.0 || current > total {
        return format!("{:>8}", units::size(current));
    }
    let mut text = String::new();
    if columns > BAR_NEEDS_COLUMNS {
        #[expect(clippy::cast_possible_truncation, reason = "between 0 and 50")]
        #[expect(clippy::cast_sign_loss, reason = "between 0 and 50")]
        let filled = ((current / total * 100.0) as usize / 2).min(BAR);
        write!(text, "[{}>{}] ", "=".repeat(filled), " ".repeat(BAR - filled)).unwrap_or(());
    }
    write!(text, "{:>8}/{}", units::size(current), units::size(total)).unwrap_or(());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(json: &str) -> Json {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn without_a_terminal_only_what_stays_is_shown() {
        let mut screen = Screen::default();
        for (json, text) in [
            (r#"{"status":"Pulling from x","id":"1.0"}"#, "1.0: Pulling from x\n"),
            (
                r#"{"status":"Pulling fs layer","progressDetail":{},"id":"ab"}"#,
                "ab: Pulling fs layer\n",
            ),
            (r#"{"status":"Downloading","progressDetail":{"current":1,"total":2},"id":"ab"}"#, ""),
            (r#"{"stream":"Loaded image: x:1\n"}"#, "Loaded image: x:1\n"),
        ] {
            assert_eq!(screen.draw(&message(json)), text);
        }
    }

    #[test]
    fn on_a_terminal_each_object_keeps_its_line() {
        let mut screen = Screen { columns: Some(120), ..Screen::default() };
        let first =
            r#"{"status":"Loading","progressDetail":{"current":500000,"total":1000000},"id":"a"}"#;
        let bar = format!("[{}>{}]    500kB/1MB", "=".repeat(25), " ".repeat(25));
        assert_eq!(
            screen.draw(&message(first)),
            format!("\n\x1b[1A\x1b[2K\ra: Loading {bar}\r\x1b[1B")
        );
        let second = r#"{"status":"Wait","progressDetail":{},"id":"b"}"#;
        assert_eq!(screen.draw(&message(second)), "\n\x1b[1A\x1b[2K\rb: Wait \r\x1b[1B");
        assert!(screen.draw(&message(first)).starts_with("\x1b[2A"));
    }
}
