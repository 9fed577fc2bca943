//! Points in time: as users type them, as the API wants them, as Docker's command line prints them.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::flags::check;

/// Now, in seconds since 1970.
pub(crate) fn now_seconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A `--since` or `--until` as the API takes it: `seconds[.nanoseconds]`.
///
/// Taken are Go durations before now (`1h30m`), RFC 3339 with or without zone, seconds or date
/// only (in the local zone if none is said), and seconds since 1970. Anything else goes to the
/// server as it is, which then says what is wrong with it.
pub(crate) fn for_api(typed: &str, now: Timestamp, zone: &TimeZone) -> String {
    if let Ok(ago) = check::parse_duration(typed) {
        let then = now.as_nanosecond() - i128::from(ago);
        return format!("{}.{:09}", then.div_euclid(1_000_000_000), then.rem_euclid(1_000_000_000));
    }
    if let Ok(time) = typed.parse::<Timestamp>() {
        return seconds_and_nanoseconds(time);
    }
    // `2006-01-02Z` and `2006-01-02+01:00` are what Docker takes beyond RFC 3339.
    if let Some((date, zone)) = typed.split_at_checked(10).filter(|(_, zone)| !zone.is_empty())
        && let Ok(time) = format!("{date}T00:00:00{zone}").parse::<Timestamp>()
    {
        return seconds_and_nanoseconds(time);
    }
    let complete = match typed.len() {
        13 => format!("{typed}:00:00"),
        16 => format!("{typed}:00"),
        _ => typed.to_owned(),
    };
    if typed.contains('-')
        && let Ok(local) = complete.parse::<DateTime>()
        && let Ok(zoned) = local.to_zoned(zone.clone())
    {
        return seconds_and_nanoseconds(zoned.timestamp());
    }
    typed.to_owned()
}

fn seconds_and_nanoseconds(time: Timestamp) -> String {
    let nanoseconds = time.as_nanosecond();
    format!(
        "{}.{:09}",
        nanoseconds.div_euclid(1_000_000_000),
        nanoseconds.rem_euclid(1_000_000_000)
    )
}

/// A [`for_api`] at this moment and place; empty stays empty.
pub(crate) fn for_api_now(typed: &str) -> String {
    if typed.is_empty() {
        return String::new();
    }
    for_api(typed, Timestamp::now(), &TimeZone::system())
}

/// Go's `time.Time.String` for seconds since 1970, in the local zone.
pub(crate) fn go_string(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => zoned_string(&time.to_zoned(TimeZone::system())),
        Err(_) => seconds.to_string(),
    }
}

fn zoned_string(zoned: &Zoned) -> String {
    let name = zoned.strftime("%Z").to_string();
    zoned.strftime(&format!("%Y-%m-%d %H:%M:%S %z {name}")).to_string()
}

/// `2006-01-02T15:04:05Z07:00` in the local zone, as `history` prints it.
pub(crate) fn rfc3339(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => {
            let zoned = time.to_zoned(TimeZone::system());
            let offset = if zoned.offset().seconds() == 0 { "Z" } else { "%:z" };
            zoned.strftime(&format!("%Y-%m-%dT%H:%M:%S{offset}")).to_string()
        }
        Err(_) => seconds.to_string(),
    }
}

/// `2006-01-02T15:04:05.000000000Z07:00` in the local zone, as `events` prints it.
pub(crate) fn rfc3339_nanoseconds(nanoseconds: i64) -> String {
    match Timestamp::from_nanosecond(i128::from(nanoseconds)) {
        Ok(time) => {
            let zoned = time.to_zoned(TimeZone::system());
            let offset = if zoned.offset().seconds() == 0 { "Z" } else { "%:z" };
            zoned.strftime(&format!("%Y-%m-%dT%H:%M:%S.%9f{offset}")).to_string()
        }
        Err(_) => nanoseconds.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_times_become_seconds() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        for (typed, sent) in [
            ("10m", "1699999400.000000000"),
            ("1.5h", "1699994600.000000000"),
            ("2023-11-14T22:13:20Z", "1700000000.000000000"),
            ("2023-11-14T22:13:20.123456789Z", "1700000000.123456789"),
            ("2023-11-15T00:13:20+02:00", "1700000000.000000000"),
            ("2023-11-15T00:13:20", "1700000000.000000000"),
            ("2023-11-15T00:13", "1699999980.000000000"),
            ("2023-11-15T00", "1699999200.000000000"),
            ("2023-11-15", "1699999200.000000000"),
            ("2023-11-15Z", "1700006400.000000000"),
            ("1700000000", "1700000000"),
            ("1700000000.5", "1700000000.5"),
            ("yesterday", "yesterday"),
        ] {
            assert_eq!(for_api(typed, now, &zone), sent, "{typed}");
        }
    }

    #[test]
    fn printed_times_are_those_of_go() {
        let utc = Timestamp::from_second(1_700_000_000).unwrap().to_zoned(TimeZone::UTC);
        assert_eq!(zoned_string(&utc), "2023-11-14 22:13:20 +0000 UTC");
    }
}
