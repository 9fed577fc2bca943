//! `--device`, `--gpus`, `--device-*`, `--blkio-weight-device`.

use serde_json::{Value, json};

use super::{Fields, comma_separated, pairs};
use crate::flags::{Args, check};

/// Put the devices asked for into `host`.
pub(super) fn fill(args: &Args, host: &mut Fields) -> Result<(), String> {
    let (by_name, by_path): (Vec<&str>, Vec<&str>) =
        args.all("device").partition(|device| is_qualified_name(device));
    let mut requests = args.all("gpus").map(gpus).collect::<Result<Vec<_>, _>>()?;
    if !by_name.is_empty() {
        requests.push(json!({"Driver": "cdi", "DeviceIDs": by_name}));
    }
    let mappings = by_path.into_iter().map(mapping).collect::<Result<Vec<_>, _>>()?;
    let weights = args.all("blkio-weight-device").map(weight).collect::<Result<Vec<_>, _>>()?;
    for (key, list) in
        [("DeviceRequests", requests), ("Devices", mappings), ("BlkioWeightDevice", weights)]
    {
        if !list.is_empty() {
            host.insert(key.to_owned(), list.into());
        }
    }
    for (flag, key, is_bytes) in [
        ("device-read-bps", "BlkioDeviceReadBps", true),
        ("device-write-bps", "BlkioDeviceWriteBps", true),
        ("device-read-iops", "BlkioDeviceReadIOps", false),
        ("device-write-iops", "BlkioDeviceWriteIOps", false),
    ] {
        let rate = |text| throttle(text, is_bytes);
        let rates = args.all(flag).map(rate).collect::<Result<Vec<_>, _>>()?;
        if !rates.is_empty() {
            host.insert(key.to_owned(), rates.into());
        }
    }
    Ok(())
}

/// `vendor.com/class=name`, a name of the Container Device Interface.
fn is_qualified_name(text: &str) -> bool {
    text.split_once('=').is_some_and(|(kind, name)| {
        !name.is_empty() && !kind.starts_with('/') && kind.split_once('/').is_some()
    })
}

/// `path[:path in container][:rwm]`.
fn mapping(text: &str) -> Result<Value, String> {
    let is_access = |text: &str| {
        let once = |letter| text.matches(letter).count() <= 1;
        !text.is_empty()
            && text.chars().all(|letter| "rwm".contains(letter))
            && "rwm".chars().all(once)
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (host, container, access) = match parts.as_slice() {
        [host] => (*host, *host, "rwm"),
        [host, access] if is_access(access) => (*host, *host, *access),
        [host, container] => (*host, *container, "rwm"),
        [_, _, access] if !is_access(access) => {
            return Err(format!("bad mode specified: {access}"));
        }
        [host, container, access] => (*host, *container, *access),
        _ => return Err(format!("bad format for path: {text}")),
    };
    if host.is_empty() {
        return Err(format!("bad format for path: {text}"));
    }
    if !container.starts_with('/') {
        return Err(format!("{container} is not an absolute path"));
    }
    Ok(json!({"PathOnHost": host, "PathInContainer": container, "CgroupPermissions": access}))
}

/// `path:rate` with a rate in bytes (with unit) or in operations.
pub(crate) fn throttle(text: &str, is_bytes: bool) -> Result<Value, String> {
    let (path, rate) = device_and_number(text)?;
    let (parsed, form) = if is_bytes {
        let form = "<device-path>:<number>[<unit>]. Number must be a positive integer. Unit is \
                    optional and can be kb, mb, or gb";
        (check::parse_size(rate).ok(), form)
    } else {
        let form = "<device-path>:<number>. Number must be a positive integer";
        (rate.parse::<i64>().ok().filter(|rate| *rate >= 0), form)
    };
    match parsed {
        Some(rate) => Ok(json!({"Path": path, "Rate": rate})),
        None => Err(format!("invalid rate for device: {text}. The correct format is {form}")),
    }
}

/// `path:weight`.
pub(crate) fn weight(text: &str) -> Result<Value, String> {
    let (path, weight) = device_and_number(text)?;
    match weight.parse::<u16>() {
        Ok(weight @ (0 | 10..=1000)) => Ok(json!({"Path": path, "Weight": weight})),
        Ok(_) | Err(_) => Err(format!("invalid weight for device: {text}")),
    }
}

fn device_and_number(text: &str) -> Result<(&str, &str), String> {
    match text.split_once(':') {
        Some((path, number)) if path.starts_with("/dev/") && !number.is_empty() => {
            Ok((path, number))
        }
        Some((path, number)) if !path.is_empty() && !number.is_empty() => {
            Err(format!("bad format for device path: {text}"))
        }
        Some(_) | None => Err(format!("bad format: {text}")),
    }
}

/// `all`, a count, or `device=0,driver=x,capabilities=y,options=z`.
pub(crate) fn gpus(text: &str) -> Result<Value, String> {
    let count = |text: &str| match text {
        "all" => Ok(-1),
        _ => text.parse::<i64>().map_err(|_not_a_number| {
            format!(
                "invalid count ({text}): value must be either \"all\" or an integer: invalid syntax"
            )
        }),
    };
    let mut request = Fields::new();
    let mut capabilities = vec!["gpu".to_owned()];
    for field in comma_separated(text)? {
        match field.split_once('=') {
            None => {
                request.insert("Count".to_owned(), count(&field)?.into());
            }
            Some(("count", value)) => {
                request.insert("Count".to_owned(), count(value)?.into());
            }
            Some(("driver", value)) => {
                request.insert("Driver".to_owned(), value.into());
            }
            Some(("device", value)) => {
                let ids: Vec<&str> = value.split(',').collect();
                request.insert("DeviceIDs".to_owned(), ids.into());
            }
            Some(("capabilities", value)) => {
                capabilities = value.split(',').map(str::to_owned).collect();
                capabilities.push("gpu".to_owned());
            }
            Some(("options", value)) => {
                let options = comma_separated(value)?;
                let options = pairs(options.iter().map(String::as_str));
                request.insert("Options".to_owned(), options);
            }
            Some((key, _)) => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    if !request.contains_key("Count") && !request.contains_key("DeviceIDs") {
        request.insert("Count".to_owned(), 1.into());
    }
    request.insert("Capabilities".to_owned(), json!([capabilities]));
    Ok(Value::Object(request))
}
