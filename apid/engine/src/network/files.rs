//! `/etc/hosts` and `/etc/resolv.conf` of containers.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// Where systemd-resolved says which servers it asks itself, when `/etc/resolv.conf` names only
/// its stub on loopback, which a container cannot reach.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
/// `resolv.conf(5)`: the file of the host.
const HOST_RESOLV_CONF: &str = "/etc/resolv.conf";

/// What a container asks of its resolver; empty lists: as the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Dns {
    pub servers: Vec<IpAddr>,
    pub search: Vec<String>,
    pub options: Vec<String>,
}

/// A line of `--add-host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExtraHost {
    pub name: String,
    /// None: `host-gateway`, the host's address on the default bridge.
    pub address: Option<IpAddr>,
}

/// Docker's `/etc/hosts`. `own`: the container's address and its names.
pub(crate) fn hosts(
    own: Option<(Ipv4Addr, &str)>,
    extra: &[ExtraHost],
    host_gateway: Ipv4Addr,
) -> String {
    let mut text = "127.0.0.1\tlocalhost\n\
                    ::1\tlocalhost ip6-localhost ip6-loopback\n\
                    fe00::\tip6-localnet\n\
                    ff00::\tip6-mcastprefix\n\
                    ff02::1\tip6-allnodes\n\
                    ff02::2\tip6-allrouters\n"
        .to_owned();
    for ExtraHost { name, address } in extra {
        let address = address.unwrap_or(host_gateway.into());
        // Writing to a string does not fail.
        writeln!(text, "{address}\t{name}").unwrap_or_default();
    }
    if let Some((address, names)) = own {
        writeln!(text, "{address}\t{names}").unwrap_or_default();
    }
    text
}

/// A container's `/etc/resolv.conf`: the host's, with what the container asks for in its place.
/// `shared`: the container has the host's network, and loopback servers are right for it.
pub(crate) fn resolv_conf(wish: &Dns, shared: bool) -> String {
    resolv_conf_from(wish, shared, |path| std::fs::read_to_string(path).unwrap_or_default())
}

fn resolv_conf_from(wish: &Dns, shared: bool, read: impl Fn(&Path) -> String) -> String {
    let mut host = Host::parse(&read(Path::new(HOST_RESOLV_CONF)));
    if !shared {
        let stub = IpAddr::from([127, 0, 0, 53]);
        if host.servers == [stub] {
            host = Host::parse(&read(Path::new(RESOLVED)));
        }
        host.servers.retain(|server| !server.is_loopback());
    }
    let servers = if wish.servers.is_empty() { &host.servers } else { &wish.servers };
    let search = if wish.search.is_empty() { &host.search } else { &wish.search };
    let options = if wish.options.is_empty() { &host.options } else { &wish.options };
    let mut text = String::new();
    for server in servers {
        writeln!(text, "nameserver {server}").unwrap_or_default();
    }
    // Docker's `--dns-search .` is no search domain.
    if !search.is_empty() && *search != ["."] {
        writeln!(text, "search {}", search.join(" ")).unwrap_or_default();
    }
    if !options.is_empty() {
        writeln!(text, "options {}", options.join(" ")).unwrap_or_default();
    }
    text
}

#[derive(Debug, Default)]
struct Host {
    servers: Vec<IpAddr>,
    search: Vec<String>,
    options: Vec<String>,
}

impl Host {
    fn parse(text: &str) -> Self {
        let mut host = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let keyword = words.next().unwrap_or_default();
            let rest = words.map(str::to_owned);
            match keyword {
                "nameserver" => {
                    host.servers
                        .extend(rest.take(1).filter_map(|word| word.parse::<IpAddr>().ok()));
                }
                "search" => host.search = rest.collect(),
                "options" => host.options.extend(rest),
                _ => {}
            }
        }
        host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(etc: &str, resolved: &str) -> impl Fn(&Path) -> String {
        move |path| if path == Path::new(RESOLVED) { resolved } else { etc }.to_owned()
    }

    #[test]
    fn the_stub_on_loopback_is_replaced_by_what_it_asks() {
        let read = host(
            "nameserver 127.0.0.53\noptions edns0\nsearch stub\n",
            "nameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch example.org\n",
        );
        let text = resolv_conf_from(&Dns::default(), false, &read);
        assert_eq!(text, "nameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch example.org\n");
        let text = resolv_conf_from(&Dns::default(), true, &read);
        assert!(text.contains("127.0.0.53"), "right on the host's network: {text}");
    }

    #[test]
    fn loopback_servers_are_left_out_and_no_public_one_is_put_in() {
        let read = host("nameserver 127.0.0.1\nnameserver 192.0.2.9\n", "");
        assert_eq!(resolv_conf_from(&Dns::default(), false, read), "nameserver 192.0.2.9\n");
        let read = host("nameserver 127.0.0.1\n", "");
        assert_eq!(resolv_conf_from(&Dns::default(), false, read), "");
    }

    #[test]
    fn what_a_container_asks_for_wins_part_by_part() {
        let read = host("nameserver 192.0.2.9\nsearch a b\noptions x\n", "");
        let wish = Dns {
            servers: vec![[1, 2, 3, 4].into()],
            search: vec![".".to_owned()],
            options: vec![],
        };
        assert_eq!(resolv_conf_from(&wish, false, read), "nameserver 1.2.3.4\noptions x\n");
    }

    #[test]
    fn hosts_end_with_the_container_itself() {
        let extra = [
            ExtraHost { name: "db".to_owned(), address: Some([10, 0, 0, 9].into()) },
            ExtraHost { name: "outside".to_owned(), address: None },
        ];
        let own = Some((Ipv4Addr::new(172, 17, 0, 2), "web.example.org web"));
        let text = hosts(own, &extra, Ipv4Addr::new(172, 17, 0, 1));
        assert!(text.starts_with("127.0.0.1\tlocalhost\n"));
        assert!(
            text.ends_with("10.0.0.9\tdb\n172.17.0.1\toutside\n172.17.0.2\tweb.example.org web\n")
        );
    }
}
