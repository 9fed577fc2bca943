//! Who a process runs as: Docker's `user[:group]`, resolved in the container's own files, after its
//! root is this process's root.
//!
//! What is all digits is a number and never a name (CVE-2016-3697), is written as numbers are
//! (no sign, blank, leading zero) and is checked against the ids that the container has
//! (CVE-2024-40635). Everything else is a name that must be found.

use super::open_regular;
use crate::error::{Error, Step};
use crate::plan::Ids;
use bulkhead_policy::proto::Name;
use std::os::fd::BorrowedFd;

/// The longest passwd or group file that is read.
const MAX_FILE_BYTES: u64 = 4 << 20;
/// The most supplementary groups: far below Linux's 65,536, far above anybody's.
const MAX_GROUPS: usize = 4096;

/// An identity in the container's ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups; the primary is among them, so that a file that keeps it out keeps it
    /// out (CVE-2022-36109).
    pub groups: Vec<u32>,
    /// Its home directory; `/` if nobody says.
    pub home: Vec<u8>,
}

impl User {
    /// Resolve in `/etc/passwd` and `/etc/group` below `root`.
    pub(crate) fn resolve(
        root: BorrowedFd<'_>,
        user: &Name,
        groups: &[Name],
        ids: Ids,
    ) -> Result<Self, Error> {
        let passwd = read(root, "/etc/passwd")?;
        let group = read(root, "/etc/group")?;
        find(&passwd, &group, user.as_bytes(), groups, ids)
    }
}

fn read(root: BorrowedFd<'_>, path: &str) -> Result<Vec<u8>, Error> {
    let Some((file, size)) = open_regular(root, path)? else { return Ok(Vec::new()) };
    if size > MAX_FILE_BYTES {
        return Err(Error::invalid(format!("{path} of the container is larger than 4 MiB")));
    }
    // It may grow while it is read: never more than the limit.
    let mut text = vec![0; usize::try_from(size).unwrap_or(0)];
    let mut length = 0;
    while let Some(rest) = text.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match rustix::io::read(&file, rest).step(path)? {
            0 => break,
            count => length += count,
        }
    }
    text.truncate(length);
    Ok(text)
}

fn find(passwd: &[u8], group: &[u8], user: &[u8], extra: &[Name], ids: Ids) -> Result<User, Error> {
    let bad = || Error::invalid(format!("user \"{}\": malformed", user.escape_ascii()));
    let mut parts = user.split(|byte| *byte == b':');
    let (name, wanted_group) = (parts.next().unwrap_or_default(), parts.next());
    if parts.next().is_some() || wanted_group == Some(b"") || (name.is_empty() && !user.is_empty())
    {
        return Err(bad());
    }
    let name = if name.is_empty() { b"0".as_slice() } else { name };
    let number = number(name);
    let entry = entries(passwd, 7).find(|fields| match number {
        Some(uid) => parse(fields, 2) == Some(uid),
        None => field(fields, 0) == name,
    });
    let uid = match (number, &entry) {
        (Some(uid), _) => uid,
        (None, Some(fields)) => parse(fields, 2).ok_or_else(bad)?,
        (None, None) => return Err(unknown("user", name, "passwd")),
    };
    let own_group = entry.as_ref().map_or(Some(0), |fields| parse(fields, 3)).ok_or_else(bad)?;
    let gid = wanted_group.map_or(Ok(own_group), |name| group_id(group, name))?;
    let mut groups = vec![gid];
    if let (None, Some(fields)) = (wanted_group, &entry) {
        let login = field(fields, 0);
        let memberships = entries(group, 4).filter(|fields| {
            field(fields, 3).split(|byte| *byte == b',').any(|member| member == login)
        });
        for fields in memberships {
            add(&mut groups, parse(&fields, 2).ok_or_else(bad)?)?;
        }
    }
    for name in extra {
        add(&mut groups, group_id(group, name.as_bytes())?)?;
    }
    if let Some(outside) = [uid].iter().chain(&groups).find(|id| !ids.contain(**id)) {
        return Err(Error::invalid(format!(
            "user \"{}\": id {outside} is outside the container's range",
            user.escape_ascii()
        )));
    }
    let home = entry.as_ref().map_or(b"".as_slice(), |fields| field(fields, 5));
    let home = if home.is_empty() { b"/".as_slice() } else { home };
    Ok(User { uid, gid, groups, home: home.to_vec() })
}

fn add(groups: &mut Vec<u32>, gid: u32) -> Result<(), Error> {
    if groups.len() >= MAX_GROUPS {
        return Err(Error::invalid("more than 4096 supplementary groups"));
    }
    if !groups.contains(&gid) {
        groups.push(gid);
    }
    Ok(())
}

fn group_id(group: &[u8], name: &[u8]) -> Result<u32, Error> {
    if let Some(gid) = number(name) {
        return Ok(gid);
    }
    let entry = entries(group, 4).find(|fields| field(fields, 0) == name);
    entry.and_then(|fields| parse(&fields, 2)).ok_or_else(|| unknown("group", name, "group"))
}

/// In Docker's words.
fn unknown(kind: &str, name: &[u8], file: &str) -> Error {
    let name = name.escape_ascii();
    Error::invalid(format!("unable to find {kind} {name}: no matching entries in {file} file"))
}

/// The lines of a passwd(5) or group(5) file that have this many fields. Others are skipped, as
/// getpwnam(3) does.
fn entries(file: &[u8], count: usize) -> impl Iterator<Item = Vec<&[u8]>> {
    file.split(|byte| *byte == b'\n')
        .filter(|line| line.first() != Some(&b'#'))
        .map(move |line| line.splitn(count, |byte| *byte == b':').collect::<Vec<_>>())
        .filter(|fields| fields.len() >= 3)
}

fn field<'f>(fields: &[&'f [u8]], index: usize) -> &'f [u8] {
    fields.get(index).copied().unwrap_or_default()
}

fn parse(fields: &[&[u8]], index: usize) -> Option<u32> {
    number(field(fields, index))
}

/// A number as printing it would give.
fn number(text: &[u8]) -> Option<u32> {
    let canonical = match text {
        [b'0'] => true,
        [b'0', ..] | [] => false,
        digits => digits.iter().all(u8::is_ascii_digit),
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\
        # a comment\n\
        1000:x:0:0::/:/bin/sh\n\
        app:x:1000:1001::/home/app:/bin/sh\n\
        broken\n\
        daemon:x:2:2:::";
    const GROUP: &[u8] = b"root:x:0:\napp:x:1001:\nvideo:x:44:app,root\naudio:x:29:app\n";
    const RANGE: Ids = Ids::Range { base: 524_288 };

    fn user(text: &str) -> Result<User, String> {
        find(PASSWD, GROUP, text.as_bytes(), &[], RANGE).map_err(|error| error.to_string())
    }

    fn ids(text: &str) -> Result<(u32, u32, Vec<u32>), String> {
        user(text).map(|user| (user.uid, user.gid, user.groups))
    }

    #[test]
    fn f1_a_numeric_user_is_never_a_name() {
        assert_eq!(ids("1000"), Ok((1000, 1001, vec![1001, 44, 29])));
    }

    #[test]
    fn a_user_has_its_primary_and_supplementary_groups() {
        assert_eq!(ids(""), Ok((0, 0, vec![0, 44])));
        assert_eq!(ids("app"), Ok((1000, 1001, vec![1001, 44, 29])));
        assert_eq!(ids("app:video"), Ok((1000, 44, vec![44])));
        assert_eq!(ids("5:6"), Ok((5, 6, vec![6])));
        assert_eq!(ids("7"), Ok((7, 0, vec![0])));
    }

    #[test]
    fn home_is_the_files_or_the_root() {
        assert_eq!(user("app").unwrap().home, b"/home/app");
        assert_eq!(user("daemon").unwrap().home, b"/");
        assert_eq!(user("12").unwrap().home, b"/");
    }

    #[test]
    fn f2_a_user_is_exact_or_refused() {
        for bad in [
            "65536",
            "2147483647",
            "2147483648",
            "4294967295",
            "4294967296",
            "-1",
            " 0",
            "+0",
            "0x0",
            "1:",
            ":1",
            "00",
            "0000000000000000",
            "1:2:3",
            ":",
            "0 ",
            "0\n",
            "1e3",
            "99999999999999999999",
            "65535:65536",
            "nobody",
            "app:nogroup",
            "root:",
        ] {
            assert!(ids(bad).is_err(), "{bad:?}");
        }
        assert_eq!(ids("65535:65535"), Ok((65535, 65535, vec![65535])));
        let host = |text: &str| find(PASSWD, GROUP, text.as_bytes(), &[], Ids::Host);
        assert_eq!(host("2147483647").unwrap().uid, 2_147_483_647);
        assert!(host("2147483648").is_err());
        assert!(host("4294967295").is_err());
    }

    #[test]
    fn an_unknown_name_is_refused_in_dockers_words() {
        let message = "unable to find user nobody: no matching entries in passwd file";
        assert_eq!(user("nobody").unwrap_err(), message);
        let message = "unable to find group x: no matching entries in group file";
        assert_eq!(user("app:x").unwrap_err(), message);
    }

    #[test]
    fn extra_groups_are_names_or_numbers_and_counted_once() {
        let extra: Vec<Name> =
            ["video", "44", "9"].map(|name| Name::try_from(name).unwrap()).to_vec();
        let user = find(PASSWD, GROUP, b"12:13", &extra, RANGE).unwrap();
        assert_eq!(user.groups, [13, 44, 9]);
    }

    #[test]
    fn a_million_groups_are_refused_soon() {
        let mut file = Vec::new();
        for gid in 0..5000 {
            file.extend(format!("g{gid}:x:{gid}:app\n").into_bytes());
        }
        assert!(find(PASSWD, &file, b"app", &[], RANGE).is_err());
    }
}
