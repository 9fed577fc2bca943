//! The user the API daemon runs as.

use std::fs;
use std::path::Path;

use crate::failure::Failure;

/// A user's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    /// User id.
    pub(super) uid: u32,
    /// Group id: the user's own group, or the user id's number if the user has no name.
    pub(super) gid: u32,
}

impl Account {
    /// By name or number.
    pub(super) fn find(user: &str) -> Result<Self, Failure> {
        let passwd = Path::new("/etc/passwd");
        let text =
            fs::read_to_string(passwd).map_err(|error| Failure::io(passwd.display(), &error))?;
        let account = Self::in_passwd(&text, user).ok_or_else(|| {
            Failure::new(format!(
                "there is no user `{user}`. Make it: useradd --system --user-group \
                 --no-create-home --shell /usr/sbin/nologin {user}; or name another with --user"
            ))
        })?;
        if account.uid == 0 || account.gid == 0 {
            return Err(Failure::new(format!(
                "the API daemon must not be root, and `{user}` is (uid {}, gid {})",
                account.uid, account.gid
            )));
        }
        Ok(account)
    }

    /// By lines of passwd(5). A number need not be there.
    fn in_passwd(text: &str, user: &str) -> Option<Self> {
        let number = user.parse::<u32>().ok();
        let entry = text.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let uid: u32 = fields.nth(1)?.parse().ok()?;
            let gid: u32 = fields.next()?.parse().ok()?;
            (name == user || number == Some(uid)).then_some(Self { uid, gid })
        });
        entry.or_else(|| number.map(|id| Self { uid: id, gid: id }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbulkhead:x:990:985::/:/sbin/nologin\n";
        let bulkhead = Some(Account { uid: 990, gid: 985 });
        assert_eq!(Account::in_passwd(passwd, "bulkhead"), bulkhead);
        assert_eq!(Account::in_passwd(passwd, "990"), bulkhead);
        assert_eq!(Account::in_passwd(passwd, "7"), Some(Account { uid: 7, gid: 7 }));
        assert_eq!(Account::in_passwd(passwd, "nobody"), None);
    }

    #[test]
    fn root_is_refused() {
        assert!(Account::find("root").unwrap_err().text.contains("must not be root"));
        assert!(Account::find("0").is_err());
    }
}
