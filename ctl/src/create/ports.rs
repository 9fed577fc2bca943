//! `-p`, `--expose`.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::Fields;
use crate::flags::Args;
use crate::output::text;

/// Put published and exposed ports into the body.
pub(super) fn fill(args: &Args, host: &mut Fields, body: &mut Fields) -> Result<(), String> {
    let mut exposed = Fields::new();
    let mut bindings = Fields::new();
    for spec in args.all("publish") {
        for (port, binding) in published(&short_form(spec)?)? {
            exposed.insert(port.clone(), json!({}));
            let list = bindings.entry(port).or_insert_with(|| json!([]));
            if let Value::Array(list) = list {
                list.push(binding);
            }
        }
    }
    for spec in args.all("expose") {
        if spec.contains(':') {
            return Err(format!("invalid port format for --expose: {spec}"));
        }
        let (ports, protocol) = protocol_of(spec);
        let range = range(ports).map_err(|bad| {
            let error = format!("strconv.ParseUint: parsing {}: invalid syntax", text::quote(&bad));
            format!("invalid range format for --expose: {spec}, error: {error}")
        })?;
        for port in range.0..=range.1 {
            exposed.insert(format!("{port}/{protocol}"), json!({}));
        }
    }
    if !exposed.is_empty() {
        body.insert("ExposedPorts".to_owned(), Value::Object(exposed));
    }
    if !bindings.is_empty() {
        host.insert("PortBindings".to_owned(), Value::Object(bindings));
    }
    Ok(())
}

/// `published=8080,target=80,protocol=udp` as `8080:80/udp`.
fn short_form(spec: &str) -> Result<String, String> {
    if !spec.contains('=') {
        return Ok(spec.to_owned());
    }
    let (mut published, mut target, mut protocol) = ("", "", "tcp");
    for field in spec.split(',') {
        match field.split_once('=') {
            Some(("published", value)) => published = value,
            Some(("target", value)) => target = value,
            Some(("protocol", value)) => protocol = value,
            Some(_) => {}
            None => {
                return Err(format!(
                    "invalid publish opts format (should be name=value but got '{field}')"
                ));
            }
        }
    }
    Ok(format!("{published}:{target}/{protocol}"))
}

/// The ports of `[[address:][host port]:]container port[/protocol]`, either possibly a range.
fn published(spec: &str) -> Result<Vec<(String, Value)>, String> {
    let parts: Vec<&str> = spec.split(':').collect();
    let (address, host, container) = match parts.as_slice() {
        [container] => (String::new(), "", *container),
        [host, container] => (String::new(), *host, *container),
        [address @ .., host, container] => (address.join(":"), *host, *container),
        [] => (String::new(), "", ""),
    };
    let (container, protocol) = protocol_of(container);
    let protocol = protocol.to_ascii_lowercase();
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(format!("invalid proto: {protocol}"));
    }
    let address = text::in_brackets(&address).unwrap_or(&address);
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {address}"));
    }
    if container.is_empty() {
        return Err(format!("no port specified: {spec}<empty>"));
    }
    let (first, last) =
        range(container).map_err(|_bad| format!("invalid containerPort: {container}"))?;
    let hosts = match host {
        "" => None,
        host => Some(range(host).map_err(|_bad| format!("invalid hostPort: {host}"))?),
    };
    if let Some((host_first, host_last)) = hosts
        && host_last - host_first != last - first
        && first != last
    {
        return Err(format!(
            "invalid ranges specified for container and host Ports: {container} and {host}"
        ));
    }
    let host_port = |index: u16| match hosts {
        None => String::new(),
        // One port of the container on any free one of the range.
        Some((host_first, host_last)) if first == last && host_first != host_last => {
            format!("{host_first}-{host_last}")
        }
        Some((host_first, _)) => (host_first + index).to_string(),
    };
    Ok((0..=last - first)
        .map(|index| {
            let binding = json!({"HostIp": address, "HostPort": host_port(index)});
            (format!("{}/{protocol}", first + index), binding)
        })
        .collect())
}

fn protocol_of(port: &str) -> (&str, &str) {
    match port.split_once('/') {
        Some((port, "")) => (port, "tcp"),
        Some((port, protocol)) => (port, protocol),
        None => (port, "tcp"),
    }
}

/// `8000` or `8000-8010`; the bad number if there is one.
fn range(text: &str) -> Result<(u16, u16), String> {
    let number = |text: &str| text.parse::<u16>().map_err(|_not_a_port| text.to_owned());
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if last < first { Err(text.to_owned()) } else { Ok((first, last)) }
}
