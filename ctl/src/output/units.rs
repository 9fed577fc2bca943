//! Sizes and spans of time in the words of Docker's command line (go-units).

/// A size with up to four significant digits and powers of 1000: `4.27MB`.
pub(crate) fn size(bytes: f64) -> String {
    size_with_precision(bytes, 4)
}

/// A size with the given number of significant digits and powers of 1000.
pub(crate) fn size_with_precision(bytes: f64, digits: usize) -> String {
    scaled(bytes, 1000.0, digits, &["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"])
}

/// A size with powers of 1024: `3.842GiB`.
pub(crate) fn binary_size(bytes: f64) -> String {
    scaled(bytes, 1024.0, 4, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"])
}

fn scaled(mut size: f64, base: f64, digits: usize, units: &[&str]) -> String {
    let mut units = units.iter();
    let mut unit = units.next().unwrap_or(&"");
    while size >= base {
        let Some(next) = units.next() else { break };
        size /= base;
        unit = next;
    }
    format!("{}{unit}", general(size, digits))
}

/// Go's `%.*g` for numbers that are not negative and not large.
fn general(number: f64, digits: usize) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    // The exponent after rounding to `digits` significant digits.
    let scientific = format!("{number:.*e}", digits.saturating_sub(1));
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let significant = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= significant {
        let mantissa = trim_zeros(mantissa);
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs());
    }
    let decimals = usize::try_from(significant - 1 - exponent).unwrap_or(0);
    trim_zeros(&format!("{number:.decimals$}")).to_owned()
}

fn trim_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// A span of time in words: `About a minute`, `3 hours`.
pub(crate) fn duration(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    let hours = (seconds + HOUR / 2) / HOUR;
    match seconds {
        ..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..MINUTE => format!("{seconds} seconds"),
        MINUTE..120 => "About a minute".to_owned(),
        120..HOUR => format!("{} minutes", seconds / MINUTE),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / DAY / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_significant_digits_and_no_trailing_zeros() {
        for (bytes, digits, text) in [
            (0.0, 3, "0B"),
            (2.0, 3, "2B"),
            (999.0, 3, "999B"),
            (1000.0, 3, "1kB"),
            (4_261_550.0, 3, "4.26MB"),
            (21_500_000.0, 3, "21.5MB"),
            (999_999.0, 3, "1e+03kB"),
            (1_234_567_890.0, 4, "1.235GB"),
        ] {
            assert_eq!(size_with_precision(bytes, digits), text);
        }
        assert_eq!(binary_size(8_326_025_216.0), "7.754GiB");
    }

    #[test]
    fn durations_are_rounded_as_people_speak() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (120, "2 minutes"),
            (3599, "59 minutes"),
            (3600, "About an hour"),
            (5400, "2 hours"),
            (172_799, "2 days"),
            (172_800, "2 days"),
            (86_400 * 14, "2 weeks"),
            (86_400 * 60, "2 months"),
            (86_400 * 730, "2 years"),
        ] {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }
}
