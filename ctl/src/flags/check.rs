//! What flag values must look like, with the words Docker's command line uses when they do not.

use std::net::IpAddr;

use super::Kind;
use crate::create::{devices, mounts, networks, resources};
use crate::output::text;

pub(crate) use crate::output::text::quote;

/// Check a value against its flag's kind.
pub(super) fn kind(kind: Kind, value: &str) -> Result<(), String> {
    match kind {
        Kind::Bool => match parse_bool(value) {
            Some(_) => Ok(()),
            None => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", quote(value))),
        },
        Kind::Int => parse_int(value).map(drop),
        Kind::Uint => parse_uint(value, u64::MAX),
        Kind::Uint16 => parse_uint(value, u64::from(u16::MAX)),
        Kind::Bytes => parse_size(value).map(drop),
        Kind::SwapBytes => parse_bytes(value).map(drop),
        Kind::Decimal => parse_nano_cpus(value).map(drop),
        Kind::Duration => parse_duration(value).map(drop),
        Kind::Ulimit => resources::ulimit(value).map(drop),
        Kind::Mount => mounts::mount(value).map(drop),
        Kind::Network => networks::attachment(value).map(drop),
        Kind::Gpus => devices::gpus(value).map(drop),
        Kind::Filter if !value.is_empty() && !value.contains('=') => {
            Err("bad format of filter (expected name=value)".to_owned())
        }
        Kind::Filter | Kind::Text | Kind::List | Kind::Texts | Kind::Map => Ok(()),
    }
}

/// Go's `strconv.ParseBool`.
pub(crate) fn parse_bool(value: &str) -> Option<bool> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A signed decimal number of 64 bits.
pub(crate) fn parse_int(value: &str) -> Result<i64, String> {
    value.parse().map_err(|error: std::num::ParseIntError| number_error("ParseInt", value, &error))
}

fn parse_uint(value: &str, most: u64) -> Result<(), String> {
    match value.parse::<u64>() {
        Ok(number) if number <= most && !value.starts_with('+') => Ok(()),
        Ok(_) => Err(format!("strconv.ParseUint: parsing {}: value out of range", quote(value))),
        Err(error) => Err(number_error("ParseUint", value, &error)),
    }
}

fn number_error(function: &str, value: &str, error: &std::num::ParseIntError) -> String {
    use std::num::IntErrorKind::{NegOverflow, PosOverflow};
    let what = if matches!(error.kind(), PosOverflow | NegOverflow) {
        "value out of range"
    } else {
        "invalid syntax"
    };
    format!("strconv.{function}: parsing {}: {what}", quote(value))
}

/// A size in bytes, or -1.
pub(crate) fn parse_bytes(value: &str) -> Result<i64, String> {
    if value == "-1" { Ok(-1) } else { parse_size(value) }
}

/// A size in bytes: a number and b, k, m, g, t or p, each 1024 times the one before.
pub(crate) fn parse_size(value: &str) -> Result<i64, String> {
    let invalid = || format!("invalid size: '{value}'");
    let is_number = |c: char| c.is_ascii_digit() || c == '.' || c == ' ';
    let split = value.rfind(is_number).ok_or_else(invalid)? + 1;
    let (number, unit) = value.split_at_checked(split).ok_or_else(invalid)?;
    let number = number.strip_suffix(' ').unwrap_or(number);
    let number: f64 = number
        .parse()
        .map_err(|_bad| format!("strconv.ParseFloat: parsing {}: invalid syntax", quote(number)))?;
    if number.is_nan() || number < 0.0 {
        return Err(invalid());
    }
    let unit = unit.to_ascii_lowercase();
    let power = match unit.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return Err(format!("invalid suffix: '{unit}'")),
    };
    let bytes = number * 1024_f64.powi(power);
    if bytes >= 9.2e18 {
        return Err(invalid());
    }
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 9.2e18, as just checked")]
    Ok(bytes as i64)
}

/// A number of CPUs, in billionths of one.
pub(crate) fn parse_nano_cpus(value: &str) -> Result<i64, String> {
    let bad = || format!("failed to parse {value} as a rational number");
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return Err(bad());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > 9 {
        return Err("value is too precise".to_owned());
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_bad| bad())? };
    let nano: i64 = format!("{fraction:0<9}").parse().map_err(|_bad| bad())?;
    whole.checked_mul(1_000_000_000).and_then(|all| all.checked_add(nano)).ok_or_else(bad)
}

/// A Go duration (`1h2m3.5s`), in nanoseconds.
pub(crate) fn parse_duration(value: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quote(value));
    let (negative, mut rest) = match value.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, value.strip_prefix('+').unwrap_or(value)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0_f64;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(end).ok_or_else(invalid)?;
        let number: f64 = number.parse().map_err(|_bad| invalid())?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(end).ok_or_else(invalid)?;
        total += number
            * match unit {
                "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 60e9,
                "h" => 3600e9,
                "" => return Err(format!("time: missing unit in duration {}", quote(value))),
                _ => {
                    let (unit, value) = (quote(unit), quote(value));
                    return Err(format!("time: unknown unit {unit} in duration {value}"));
                }
            };
        rest = after;
    }
    if total > 9.2e18 {
        return Err(invalid());
    }
    #[expect(clippy::cast_possible_truncation, reason = "below 9.2e18, as just checked")]
    let nanoseconds = total.round() as i64;
    Ok(if negative { -nanoseconds } else { nanoseconds })
}

/// `stdin`, `stdout` or `stderr`.
pub(super) fn attach(value: &str) -> Result<(), String> {
    match value.to_ascii_lowercase().as_str() {
        "stdin" | "stdout" | "stderr" => Ok(()),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_owned()),
    }
}

/// `NAME=value` or `NAME`.
pub(super) fn env(value: &str) -> Result<(), String> {
    if value.is_empty() || value.starts_with('=') {
        return Err(format!("invalid environment variable: {value}"));
    }
    Ok(())
}

/// `name=value` or `name`.
pub(super) fn label(value: &str) -> Result<(), String> {
    if value.is_empty() || value.starts_with('=') {
        return Err(format!("invalid label '{value}': empty name"));
    }
    Ok(())
}

/// `host:ip` or `host=ip`; the address may stand in brackets or be `host-gateway`.
pub(super) fn extra_host(value: &str) -> Result<(), String> {
    let bad = || format!("bad format for add-host: {}", quote(value));
    let (name, address) =
        value.split_once('=').or_else(|| value.split_once(':')).ok_or_else(bad)?;
    if name.is_empty() {
        return Err(bad());
    }
    let bare = text::in_brackets(address).unwrap_or(address);
    if address != "host-gateway" && bare.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address in add-host: {}", quote(address)));
    }
    Ok(())
}

/// An IP address.
pub(super) fn address(value: &str) -> Result<(), String> {
    match value.trim().parse::<IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("IP address is not correctly formatted: {value}")),
    }
}

/// A domain to search in, or `.` for none.
pub(super) fn dns_search(value: &str) -> Result<(), String> {
    let domain = value.trim();
    let label_ok = |label: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let has_letter = domain.contains(|c: char| c.is_ascii_alphabetic());
    let bare = domain.strip_suffix('.').unwrap_or(domain);
    if domain == "." || (has_letter && domain.len() < 255 && bare.split('.').all(label_ok)) {
        return Ok(());
    }
    Err(format!("{value} is not a valid domain"))
}

/// `container[:alias]`.
pub(super) fn link(value: &str) -> Result<(), String> {
    if value.is_empty() {
        return Err("empty string specified for links".to_owned());
    }
    if value.matches(':').count() > 1 {
        return Err(format!("bad format for links: {value}"));
    }
    Ok(())
}

/// `type major:minor access` as in the device cgroup.
pub(super) fn device_cgroup_rule(value: &str) -> Result<(), String> {
    let words: Vec<&str> = value.split(' ').collect();
    let number = |text: &str| {
        text == "*" || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let good = match words.as_slice() {
        [kind, node, access] => {
            matches!(*kind, "a" | "b" | "c")
                && node.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor))
                && (1..=3).contains(&access.len())
                && access.chars().all(|letter| "rwm".contains(letter))
        }
        _ => false,
    };
    if good { Ok(()) } else { Err(format!("invalid device cgroup format '{value}'")) }
}

/// `name=value`. Which names are allowed is the engine's to say.
pub(super) fn sysctl(value: &str) -> Result<(), String> {
    if value.contains('=') { Ok(()) } else { Err(format!("sysctl '{value}' is not allowed")) }
}

/// `path:bytes`.
pub(super) fn device_bps(value: &str) -> Result<(), String> {
    devices::throttle(value, true).map(drop)
}

/// `path:operations`.
pub(super) fn device_iops(value: &str) -> Result<(), String> {
    devices::throttle(value, false).map(drop)
}

/// `path:weight`.
pub(super) fn device_weight(value: &str) -> Result<(), String> {
    devices::weight(value).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, nanoseconds) in [
            ("0", Some(0)),
            ("1ns", Some(1)),
            ("1.5s", Some(1_500_000_000)),
            ("1h2m3s", Some(3_723_000_000_000)),
            ("-1m", Some(-60_000_000_000)),
            ("100us", Some(100_000)),
            ("", None),
            ("5", None),
            ("5d", None),
            ("s", None),
        ] {
            assert_eq!(parse_duration(text).ok(), nanoseconds, "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("32", Some(32)),
            ("32b", Some(32)),
            ("32 kb", Some(32 << 10)),
            ("32KiB", Some(32 << 10)),
            ("1.5g", Some(3 << 29)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("1kk", None),
        ] {
            assert_eq!(parse_size(text).ok(), bytes, "{text}");
        }
    }

    #[test]
    fn hosts_and_domains() {
        for good in ["a:1.2.3.4", "a:::1", "a=[::1]", "a:host-gateway"] {
            assert_eq!(extra_host(good), Ok(()), "{good}");
        }
        for bad in ["a", ":1.2.3.4", "a:b"] {
            assert!(extra_host(bad).is_err(), "{bad}");
        }
        for good in [".", "example.org", "a-b.c.", "x_y"] {
            assert_eq!(dns_search(good), Ok(()), "{good}");
        }
        for bad in ["", "a..b", "-a.b", "1.2.3.4"] {
            assert!(dns_search(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn device_cgroup_rules() {
        for good in ["c 1:3 rwm", "a *:* r", "b 8:* m"] {
            assert_eq!(device_cgroup_rule(good), Ok(()), "{good}");
        }
        for bad in ["", "x 1:3 r", "c 1 r", "c 1:3 rwx", "c 1:3 rwmr", "c 1:3"] {
            assert!(device_cgroup_rule(bad).is_err(), "{bad}");
        }
    }
}
