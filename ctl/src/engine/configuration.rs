//! The files below `etc`, written if they are not there.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bulkhead_policy::Policy;

use super::account::Account;
use super::layout::Layout;
use crate::failure::Failure;
use crate::output::print;
use crate::policy;

/// Engines of `--root` have their networks in 10.128.0.0/9, a /24 each.
const FIRST_SUBNET: u32 = 0x0a80_0000;
/// How many /24 there are in a /9.
const SUBNETS: u32 = 1 << 15;

/// Write what is missing. `preset` is what `--policy` said, if anything.
pub(super) fn prepare(
    layout: &Layout,
    account: Account,
    preset: Option<&str>,
) -> Result<(), Failure> {
    let subnet = layout.root.as_ref().map(|_| subnet(&layout.lib));
    let daemon = layout.etc.join("daemon.json");
    let pools = subnet.map_or_else(
        || "{}\n".to_owned(),
        |subnet| {
            format!(
                "{{\n  \"default-address-pools\": [{{\"base\": \"{subnet}/24\", \"size\": 24}}]\n}}\n"
            )
        },
    );
    write_if_missing(&daemon, &pools, 0o644)?;
    let table = layout.etc.join("policy.bin");
    let source = layout.etc.join("policy.toml");
    if !table.exists() {
        let name = preset.unwrap_or("hardened");
        let shipped = policy::preset(name).ok_or_else(|| {
            Failure::new(format!("--policy {name}: there are \"hardened\" and \"compat\""))
        })?;
        write_if_missing(&source, &of_this_engine(shipped, account, subnet), 0o600)?;
        let text =
            fs::read_to_string(&source).map_err(|error| Failure::io(source.display(), &error))?;
        let failed =
            |error: policy::PolicyError| Failure::new(format!("{}: {error}", source.display()));
        let policy = policy::compile(&text, Some(account.uid)).map_err(failed)?;
        policy::install(&policy, &table).map_err(failed)?;
    } else if preset.is_some() {
        print::err(&format!("{} is there already: --policy is ignored", table.display()));
    }
    check_peer(&table, account)
}

/// A preset with the engine's user and networks filled in.
fn of_this_engine(preset: &str, account: Account, subnet: Option<Ipv4Addr>) -> String {
    let own = subnet.map_or_else(String::new, |subnet| format!(", \"{subnet}/24\""));
    let mut text = String::with_capacity(preset.len() + 64);
    for line in preset.lines() {
        match line {
            line if line.starts_with("# uid = ") => {
                text.push_str(&format!("uid = {}", account.uid))
            }
            line if line.starts_with("pools = [") => {
                text.push_str(&line.replacen(']', &format!("{own}]"), 1))
            }
            line => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

/// The policy speaks of uids: one for another user would refuse everything.
fn check_peer(table: &Path, account: Account) -> Result<(), Failure> {
    let bytes = fs::read(table).map_err(|error| Failure::io(table.display(), &error))?;
    let policy = Policy::from_table(&bytes)
        .map_err(|error| Failure::new(format!("{}: {error}", table.display())))?;
    if policy.admits(account.uid) {
        return Ok(());
    }
    let uids: Vec<String> = policy.sections.iter().map(|section| section.uid.to_string()).collect();
    Err(Failure::new(format!(
        "{} is for uid {}, but the API daemon is to run as uid {}: change the policy, or give --user",
        table.display(),
        uids.join(", "),
        account.uid
    )))
}

fn write_if_missing(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    use io::Write;
    let opened = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = match opened {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => Err(error),
        Ok(mut file) => file.write_all(text.as_bytes()).and_then(|()| file.sync_all()),
    };
    written.map_err(|error| Failure::io(path.display(), &error))
}

/// The engine's /24: by the hash of its path, the next free one if the host has routes there.
fn subnet(state: &Path) -> Ipv4Addr {
    let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
    choose_subnet(state, &routes)
}

fn choose_subnet(state: &Path, routes: &str) -> Ipv4Addr {
    let taken: Vec<(u32, u32)> = routes.lines().skip(1).filter_map(route).collect();
    let overlaps = |subnet: u32| {
        taken.iter().any(|(network, mask)| {
            let common = mask & 0xffff_ff00;
            *mask != 0 && subnet & common == network & common
        })
    };
    // FNV-1a of 32 bits.
    let hash =
        state.as_os_str().as_bytes().iter().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        });
    let at = |step: u32| FIRST_SUBNET + (hash.wrapping_add(step) % SUBNETS) * 256;
    Ipv4Addr::from((0..SUBNETS).map(at).find(|subnet| !overlaps(*subnet)).unwrap_or_else(|| at(0)))
}

/// Destination and mask of a line of /proc/net/route, whose numbers have the first byte last.
fn route(line: &str) -> Option<(u32, u32)> {
    let mut fields = line.split_whitespace();
    let number = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::swap_bytes);
    let destination = number(fields.nth(1)?)?;
    let mask = number(fields.nth(5)?)?;
    Some((destination, mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_chosen_by_path_and_beside_routes() {
        let state = Path::new("/var/tmp/a/lib");
        let first = choose_subnet(state, "");
        assert_eq!(first, choose_subnet(state, ""), "the same for the same path");
        assert_ne!(first, choose_subnet(Path::new("/var/tmp/b/lib"), ""));
        let octets = first.octets();
        assert!(octets[0] == 10 && octets[1] >= 128 && octets[3] == 0, "{first}");
        let header = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";
        let destination = u32::from(first).swap_bytes();
        let routes = format!(
            "{header}eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
             br0\t{destination:08X}\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        );
        assert_ne!(choose_subnet(state, &routes), first, "taken");
    }

    #[test]
    fn presets_compile_for_the_engines_user_and_network() {
        let account = Account { uid: 4242, gid: 4242 };
        for name in ["hardened", "compat"] {
            let subnet = Some(Ipv4Addr::new(10, 200, 3, 0));
            let text = of_this_engine(policy::preset(name).unwrap(), account, subnet);
            assert!(text.contains("\"10.200.3.0/24\"]"), "{name}");
            let policy = policy::compile(&text, None).unwrap();
            assert!(policy.admits(4242), "{name}");
            assert_eq!(policy.name(), name);
        }
    }
}
