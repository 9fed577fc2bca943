//! Values of `policy.toml` as people write them. What is wrong with one is said with its line.

use bulkhead_policy::proto::{ContainerPath, HostPath, Ipv4, LayerId, Name};
use bulkhead_policy::{BindIdmap, DeviceNumber, Privileged, capability};
use serde::de::{Deserialize, Deserializer, Error as _};
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// As text, with `parse` for what it means.
macro_rules! from_text {
    ($($(#[$meta:meta])* $name:ident($type:ty) $parse:expr;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone)]
        pub(super) struct $name(pub(super) $type);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                let text = String::deserialize(input)?;
                let parse: fn(&str) -> Result<$type, String> = $parse;
                parse(&text).map(Self).map_err(|why| D::Error::custom(format!("{text:?}: {why}")))
            }
        }
    )*};
}

from_text! {
    /// A name: at most 256 bytes.
    #[derive(Default)]
    Text(Name) |text| Name::try_from(text).map_err(say);
    /// A path of the host.
    Outside(HostPath) |text| HostPath::new(text.as_bytes()).map_err(say);
    /// A path in the container.
    Inside(ContainerPath) |text| ContainerPath::new(text.as_bytes()).map_err(say);
    /// `none`, `full`, `squash:UID`
    Idmap(BindIdmap) idmap;
    /// `rwm` or some of it.
    Access(u8) access;
    /// A subnet: `10.0.0.0/8`.
    Address(Ipv4) address;
    /// A layer: `sha256:` and 64 hex digits.
    Id(LayerId) |text| text.strip_prefix("sha256:").unwrap_or(text).parse().map_err(say);
}

impl Default for Idmap {
    fn default() -> Self {
        Self(BindIdmap::None)
    }
}

fn say(error: impl Display) -> String {
    error.to_string()
}

fn idmap(text: &str) -> Result<BindIdmap, String> {
    match (text, text.strip_prefix("squash:")) {
        ("none", _) => Ok(BindIdmap::None),
        ("full", _) => Ok(BindIdmap::Full),
        (_, Some(id)) => Ok(BindIdmap::Squash { id: id.parse().map_err(say)? }),
        _ => Err("not \"none\", \"full\" or \"squash:UID\"".to_owned()),
    }
}

/// Bits as in `DeviceSpec::access`.
pub(super) fn access(text: &str) -> Result<u8, String> {
    text.chars().try_fold(0, |bits, letter| match letter {
        'm' => Ok(bits | 1),
        'r' => Ok(bits | 2),
        'w' => Ok(bits | 4),
        _ => Err("not some of \"rwm\"".to_owned()),
    })
}

fn address(text: &str) -> Result<Ipv4, String> {
    let (address, prefix) = text.split_once('/').ok_or("no prefix length")?;
    let address = Ipv4Addr::from_str(address).map_err(say)?.octets();
    Ok(Ipv4 { address, prefix: prefix.parse().map_err(say)? })
}

/// What is written: a number, or text.
#[derive(serde::Deserialize)]
#[serde(untagged, expecting = "expected a number or a text")]
enum Written {
    Whole(u64),
    Fraction(f64),
    Text(String),
}

macro_rules! from_written {
    ($($(#[$meta:meta])* $name:ident($type:ty) $parse:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        pub(super) struct $name(pub(super) $type);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                $parse(Written::deserialize(input)?).map(Self).map_err(D::Error::custom)
            }
        }
    )*};
}

from_written! {
    /// Bytes: `1073741824`, `"1 GiB"`, `"unlimited"`.
    Size(u64) size;
    /// A number, or `"unlimited"`.
    Number(u64) number;
    /// Soft and hard limit: `1024`, `"1024:4096"`, `"unlimited"`.
    Soft((u64, u64)) soft;
    /// Thousandths of a CPU: `1.5`, `"unlimited"`.
    Cpus(Option<u64>) cpus;
    /// Permission bits: `"0755"`.
    Mode(u32) mode;
}

fn number(written: Written) -> Result<u64, String> {
    match written {
        Written::Whole(number) => Ok(number),
        Written::Text(text) if text == "unlimited" => Ok(u64::MAX),
        Written::Text(text) => Err(format!("{text:?} is not a number and not \"unlimited\"")),
        Written::Fraction(number) => Err(format!("{number} is not a whole number")),
    }
}

const UNITS: [(&str, u32); 5] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];

fn size(written: Written) -> Result<u64, String> {
    let Written::Text(text) = &written else { return number(written) };
    let unit = UNITS.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let Some((digits, shift)) = unit else { return number(written) };
    let whole: u64 = digits.trim().parse().map_err(|error| format!("{text:?}: {error}"))?;
    whole.checked_mul(1 << shift).ok_or_else(|| format!("{text:?} is too large"))
}

fn soft(written: Written) -> Result<(u64, u64), String> {
    match &written {
        Written::Text(text) if text.contains(':') => {
            let (soft, hard) = text.split_once(':').unwrap_or_default();
            let one = |text: &str| match text {
                "unlimited" => Ok(u64::MAX),
                _ => text.parse().map_err(|error| format!("{text:?}: {error}")),
            };
            Ok((one(soft)?, one(hard)?))
        }
        Written::Text(_) | Written::Whole(_) | Written::Fraction(_) => {
            number(written).map(|both| (both, both))
        }
    }
}

fn cpus(written: Written) -> Result<Option<u64>, String> {
    match written {
        Written::Whole(cpus) => Ok(Some(cpus.saturating_mul(1000))),
        Written::Fraction(cpus) if (0.001..=65_535.0).contains(&cpus) => {
            format!("{:.0}", cpus * 1000.0).parse().map(Some).map_err(say)
        }
        Written::Fraction(cpus) => Err(format!("{cpus} CPUs")),
        text @ Written::Text(_) => number(text).map(|_| None),
    }
}

fn mode(written: Written) -> Result<u32, String> {
    match written {
        Written::Text(text) => {
            u32::from_str_radix(&text, 8).map_err(|error| format!("{text:?}: {error}"))
        }
        Written::Whole(_) | Written::Fraction(_) => {
            Err("permission bits are written as text in octal: \"0755\"".to_owned())
        }
    }
}

/// A set of capabilities: names, `"ALL"`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CapabilitySet(pub(super) u64);

impl<'de> Deserialize<'de> for CapabilitySet {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(input)?;
        capability::parse(names.iter().map(String::as_str))
            .map(Self)
            .map_err(|name| D::Error::custom(format!("{name:?} is not a capability")))
    }
}

/// `"any"`, or a list of `"MAJOR:MINOR"`.
#[derive(Debug, Clone)]
pub(super) struct BlockDevices(pub(super) Option<Vec<DeviceNumber>>);

impl<'de> Deserialize<'de> for BlockDevices {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged, expecting = "expected \"any\" or a list of \"MAJOR:MINOR\"")]
        enum Form {
            Any(String),
            Listed(Vec<String>),
        }
        let device = |text: &String| {
            let (major, minor) = text.split_once(':')?;
            Some(DeviceNumber { major: major.parse().ok()?, minor: minor.parse().ok()? })
        };
        match Form::deserialize(input)? {
            Form::Any(text) if text == "any" => Ok(Self(None)),
            Form::Any(text) => Err(D::Error::custom(format!("{text:?} is not \"any\""))),
            Form::Listed(list) => list
                .iter()
                .map(|text| {
                    device(text)
                        .ok_or_else(|| D::Error::custom(format!("{text:?} is not \"MAJOR:MINOR\"")))
                })
                .collect::<Result<_, _>>()
                .map(|devices| Self(Some(devices))),
        }
    }
}

/// `"never"`, `"userns-only"`, `"host"`
pub(super) fn privileged<'de, D: Deserializer<'de>>(
    input: D,
) -> Result<Option<Privileged>, D::Error> {
    let text = String::deserialize(input)?;
    match text.as_str() {
        "never" => Ok(Some(Privileged::Never)),
        "userns-only" => Ok(Some(Privileged::UsernsOnly)),
        "host" => Ok(Some(Privileged::Host)),
        _ => {
            Err(D::Error::custom(format!("{text:?} is not \"never\", \"userns-only\" or \"host\"")))
        }
    }
}
