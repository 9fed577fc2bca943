//! `--network` and the flags that speak of the first network.

use serde_json::{Value, json};

use super::{Fields, comma_separated};
use crate::flags::Args;
use crate::output::text::quote;

/// One network to attach to, with the endpoint's settings.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Attachment {
    target: String,
    aliases: Vec<String>,
    driver_options: Fields,
    links: Vec<String>,
    link_local: Vec<String>,
    ipv4: String,
    ipv6: String,
    mac: String,
    gateway_priority: Option<i64>,
}

/// Put the networks asked for into the body.
pub(super) fn fill(args: &Args, host: &mut Fields, body: &mut Fields) -> Result<(), String> {
    let mut attachments = args.all("network").map(attachment).collect::<Result<Vec<_>, _>>()?;
    let mode = match attachments.first() {
        Some(first) => first.target.clone(),
        None => "default".to_owned(),
    };
    host.insert("NetworkMode".to_owned(), mode.as_str().into());
    if attachments.is_empty() {
        attachments.push(Attachment { target: mode, ..Attachment::default() });
    }
    if let Some(first) = attachments.first_mut() {
        first.add_flags(args)?;
    }
    let only_one = attachments.len() == 1;
    let own = attachments.iter().filter(|attachment| attachment.is_user_defined()).count();
    let mut endpoints = Fields::new();
    for attachment in attachments {
        let target = attachment.target.clone();
        let endpoint = attachment.endpoint()?;
        if endpoints.contains_key(&target) {
            return Err(format!("network {} is specified multiple times", quote(&target)));
        }
        // A network without settings is the server's to attach.
        if !(only_one && endpoint == json!({})) {
            endpoints.insert(target, endpoint);
        }
    }
    if !only_one && own != 0 && own != endpoints.len() {
        return Err("conflicting options: cannot attach both user-defined and non-user-defined \
                    network-modes"
            .to_owned());
    }
    if !endpoints.is_empty() {
        body.insert("NetworkingConfig".to_owned(), json!({"EndpointsConfig": endpoints}));
    }
    Ok(())
}

/// `net`, or `name=net,alias=web,ip=10.0.0.9,...`.
pub(crate) fn attachment(text: &str) -> Result<Attachment, String> {
    let mut attachment = Attachment::default();
    if !text.contains('=') {
        text.clone_into(&mut attachment.target);
        return Ok(attachment);
    }
    for field in comma_separated(text)? {
        let Some((key, value)) = field.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            return Err(format!("invalid field {field}"));
        };
        let value = value.trim();
        match key.trim() {
            "name" => value.clone_into(&mut attachment.target),
            "alias" => attachment.aliases.push(value.to_owned()),
            "ip" => value.clone_into(&mut attachment.ipv4),
            "ip6" => value.clone_into(&mut attachment.ipv6),
            "mac-address" => value.clone_into(&mut attachment.mac),
            "link-local-ip" => attachment.link_local.push(value.to_owned()),
            "driver-opt" => {
                let option = value.split_once('=').filter(|(name, _)| !name.is_empty());
                let (name, value) =
                    option.ok_or("invalid key value pair format in driver options")?;
                attachment.driver_options.insert(name.trim().to_owned(), value.trim().into());
            }
            "gw-priority" => {
                let priority = value.parse();
                attachment.gateway_priority = Some(priority.map_err(|_bad| {
                    format!("invalid gw-priority ({}): invalid syntax", quote(value))
                })?);
            }
            key => return Err(format!("invalid field key {key}")),
        }
    }
    if attachment.target.is_empty() {
        return Err("network name/id is not specified".to_owned());
    }
    Ok(attachment)
}

impl Attachment {
    /// Everything but the modes that are no network of the user's.
    fn is_user_defined(&self) -> bool {
        !matches!(self.target.as_str(), "default" | "bridge" | "host" | "none")
            && !self.target.starts_with("container:")
    }

    fn add_flags(&mut self, args: &Args) -> Result<(), String> {
        let conflict = |flag: &str, what: &str| {
            format!("conflicting options: cannot specify both --{flag} and per-network {what}")
        };
        for (flag, what, own) in [
            ("network-alias", "alias", &mut self.aliases),
            ("link-local-ip", "link-local IP addresses", &mut self.link_local),
        ] {
            if args.given(flag) && !own.is_empty() {
                return Err(conflict(flag, what));
            }
            own.extend(args.all(flag).map(str::to_owned));
        }
        for (flag, what, own) in [
            ("ip", "IPv4 address", &mut self.ipv4),
            ("ip6", "IPv6 address", &mut self.ipv6),
            ("mac-address", "MAC address", &mut self.mac),
        ] {
            let given = args.text(flag);
            if !given.is_empty() {
                if !own.is_empty() {
                    return Err(conflict(flag, what));
                }
                given.clone_into(own);
            }
        }
        if self.is_user_defined() {
            self.links = args.all("link").map(str::to_owned).collect();
        }
        Ok(())
    }

    fn endpoint(self) -> Result<Value, String> {
        if self.target.trim().is_empty() {
            return Err("no name set for network".to_owned());
        }
        if !self.is_user_defined() && !self.aliases.is_empty() {
            return Err(
                "network-scoped aliases are only supported for user-defined networks".to_owned()
            );
        }
        let mut ipam = Fields::new();
        for (key, address) in [("IPv4Address", self.ipv4), ("IPv6Address", self.ipv6)] {
            if !address.is_empty() {
                ipam.insert(key.to_owned(), address.into());
            }
        }
        if !self.link_local.is_empty() {
            ipam.insert("LinkLocalIPs".to_owned(), self.link_local.into());
        }
        let mut endpoint = Fields::new();
        if !ipam.is_empty() {
            endpoint.insert("IPAMConfig".to_owned(), Value::Object(ipam));
        }
        for (key, list) in [("Aliases", self.aliases), ("Links", self.links)] {
            if !list.is_empty() {
                endpoint.insert(key.to_owned(), list.into());
            }
        }
        if !self.driver_options.is_empty() {
            endpoint.insert("DriverOpts".to_owned(), Value::Object(self.driver_options));
        }
        if !self.mac.is_empty() {
            endpoint.insert("MacAddress".to_owned(), self.mac.into());
        }
        if let Some(priority) = self.gateway_priority {
            endpoint.insert("GwPriority".to_owned(), priority.into());
        }
        Ok(Value::Object(endpoint))
    }
}
