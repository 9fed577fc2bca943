//! Ids and names: making them, and finding what a client means by one.

use crate::error::{EngineError, Result};
use bulkhead_proto::ContainerId;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Docker's rule for names (`daemon/names`).
pub(crate) const NAME_RULE: &str = "[a-zA-Z0-9][a-zA-Z0-9_.-]";

/// 32 bytes of the kernel's randomness.
fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    // The system call itself: a static program has no getrandom(3) to look up, and in the sandbox no
    // /dev/urandom to fall back to. 32 bytes come whole (getrandom(2), up to 256).
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| EngineError::internal("getrandom").because(error))?;
    Ok(bytes)
}

/// 64 hex digits, as Docker's ids are.
pub(crate) fn random_hex() -> Result<String> {
    Ok(ContainerId::from_bytes(random()?).to_string())
}

/// A new container's id. Its first 12 digits, which become the host name, are not all decimal:
/// Docker avoids those too, because they look like numbers.
pub(crate) fn new_container_id() -> Result<ContainerId> {
    loop {
        let id = ContainerId::from_bytes(random()?);
        let text = id.to_string();
        if !text.bytes().take(12).all(|digit| digit.is_ascii_digit()) {
            return Ok(id);
        }
    }
}

/// The first 12 digits.
pub(crate) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// `adjective_surname`, with a digit behind it after some attempts.
pub(crate) fn random_name(attempt: u32) -> Result<String> {
    let [one, two, three, ..] = random::<4>()?;
    let pick = |list: &'static [&'static str], byte: u8, more: u8| {
        let number = usize::from(byte) << 1 | usize::from(more & 1);
        list.get(number % list.len().max(1)).copied().unwrap_or("plain")
    };
    let mut name = format!("{}_{}", pick(ADJECTIVES, one, three), pick(SURNAMES, two, three >> 1));
    if attempt > 0 {
        // Writing to a string does not fail.
        write!(name, "{}", three % 10).unwrap_or_default();
    }
    Ok(name)
}

/// A name as given, with or without the leading `/`, if it is one.
///
/// # Errors
/// `BadParameter`, in Docker's words.
pub(crate) fn checked_name(given: &str) -> Result<String> {
    let name = given.strip_prefix('/').unwrap_or(given);
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let mut others = 0;
    let rest = bytes.all(|byte| {
        others += 1;
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
    });
    if first && rest && others > 0 {
        return Ok(name.to_owned());
    }
    Err(EngineError::bad(format!("Invalid container name ({given}), only {NAME_RULE} are allowed")))
}

/// What a client may write to mean one of many: the id, the name, or a beginning of the id that
/// fits no other.
#[derive(Debug)]
pub(crate) struct Index<T> {
    by_id: BTreeMap<String, T>,
    by_name: BTreeMap<String, String>,
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self { by_id: BTreeMap::new(), by_name: BTreeMap::new() }
    }
}

impl<T: Clone> Index<T> {
    /// What is meant.
    ///
    /// # Errors
    /// `NotFound`, `BadParameter` (several ids begin so), in Docker's words.
    pub(crate) fn find(&self, word: &str) -> Result<T> {
        let name = word.strip_prefix('/').unwrap_or(word);
        let exact = self
            .by_id
            .get(word)
            .or_else(|| self.by_name.get(name).and_then(|id| self.by_id.get(id)));
        if let Some(found) = exact {
            return Ok(found.clone());
        }
        let none = || EngineError::not_found(format!("No such container: {word}"));
        if word.is_empty() {
            return Err(EngineError::bad("bad parameter: no container name or ID"));
        }
        let mut begins = self
            .by_id
            .range(word.to_owned()..)
            .take_while(|(id, _)| id.starts_with(word))
            .map(|(_, item)| item);
        match (begins.next(), begins.next()) {
            (Some(found), None) => Ok(found.clone()),
            (Some(_), Some(_)) => {
                Err(EngineError::bad(format!("multiple IDs found with provided prefix: {word}")))
            }
            (None, _) => Err(none()),
        }
    }

    /// By its whole id only.
    pub(crate) fn get(&self, id: &str) -> Option<T> {
        self.by_id.get(id).cloned()
    }

    /// Take a name.
    ///
    /// # Errors
    /// The id of whoever has it.
    pub(crate) fn reserve(&mut self, name: &str, id: &str) -> std::result::Result<(), String> {
        match self.by_name.get(name) {
            Some(holder) => Err(holder.clone()),
            None => {
                self.by_name.insert(name.to_owned(), id.to_owned());
                Ok(())
            }
        }
    }

    /// Give a name back.
    pub(crate) fn release(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// Put something behind an id whose name is reserved.
    pub(crate) fn insert(&mut self, id: &str, item: T) {
        self.by_id.insert(id.to_owned(), item);
    }

    /// Forget an id and its name.
    pub(crate) fn remove(&mut self, id: &str) {
        self.by_id.remove(id);
        self.by_name.retain(|_, of| of != id);
    }

    /// Everything.
    pub(crate) fn all(&self) -> Vec<T> {
        self.by_id.values().cloned().collect()
    }
}

const ADJECTIVES: &[&str] = &[
    "able", "airy", "amber", "ample", "apt", "arctic", "avid", "balmy", "bold", "brave", "breezy",
    "brief", "bright", "brisk", "calm", "candid", "clear", "clever", "coastal", "cool", "coral",
    "cosy", "crisp", "daring", "deft", "dry", "eager", "early", "earnest", "easy", "fair", "firm",
    "fleet", "fluent", "fond", "frank", "free", "fresh", "gallant", "gentle", "glad", "golden",
    "grand", "hale", "handy", "hardy", "hearty", "honest", "humble", "jolly", "just", "keen",
    "kind", "late", "level", "light", "lively", "loyal", "lucid", "merry", "mild", "modest",
    "neat", "nimble", "noble", "north", "patient", "placid", "plain", "polite", "prime", "proud",
    "prudent", "quick", "quiet", "rapid", "ready", "regal", "robust", "rosy", "sage", "sandy",
    "serene", "sharp", "silent", "silver", "sleek", "smooth", "snug", "sober", "solid", "sound",
    "stable", "steady", "stout", "sunny", "sure", "swift", "tidal", "tidy", "true", "trusty",
    "upright", "valiant", "vivid", "warm", "watchful", "westerly", "wise", "witty", "zesty",
];

/// Navigators, shipbuilders, hydrographers and engineers of the sea.
const SURNAMES: &[&str] = &[
    "amundsen",
    "barents",
    "bass",
    "beaufort",
    "bering",
    "blackwell",
    "bligh",
    "bougainville",
    "bowditch",
    "brunel",
    "bueno",
    "cabot",
    "cano",
    "cartier",
    "chen",
    "clerke",
    "columbus",
    "cook",
    "cousteau",
    "cunard",
    "dampier",
    "dana",
    "davis",
    "delisle",
    "dias",
    "drake",
    "duperrey",
    "earle",
    "elcano",
    "ericson",
    "eriksson",
    "fitzroy",
    "flinders",
    "foyn",
    "franklin",
    "freycinet",
    "frobisher",
    "froude",
    "fulton",
    "gama",
    "godfrey",
    "hadley",
    "halley",
    "harrison",
    "hawkins",
    "he",
    "henry",
    "herreshoff",
    "heyerdahl",
    "hudson",
    "ibnmajid",
    "jansz",
    "kotzebue",
    "kruzenshtern",
    "laird",
    "laperouse",
    "lazarev",
    "magellan",
    "makarov",
    "marchant",
    "matthews",
    "maury",
    "mclintock",
    "mcclure",
    "mercator",
    "nansen",
    "nordenskjold",
    "norwood",
    "oates",
    "orellana",
    "parry",
    "piccard",
    "pike",
    "plimsoll",
    "polo",
    "ponting",
    "pytheas",
    "quiros",
    "reis",
    "rennell",
    "ross",
    "russell",
    "saavedra",
    "scoresby",
    "scott",
    "shackleton",
    "slocum",
    "smeaton",
    "stevenson",
    "sverdrup",
    "symington",
    "tasman",
    "torres",
    "tupaia",
    "urdaneta",
    "vancouver",
    "vespucci",
    "wallis",
    "weddell",
    "wilkes",
    "worsley",
    "zheng",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_dockers_rule() {
        for good in ["ab", "/ab", "a.b-c_d", "1x"] {
            assert!(checked_name(good).is_ok(), "{good}");
        }
        for bad in ["", "/", "a", ".a", "-a", "a b", "a/b", "//ab", "ä1"] {
            let error = checked_name(bad).unwrap_err();
            assert!(error.message().starts_with("Invalid container name ("), "{bad}");
        }
        for attempt in [0, 1] {
            assert!(checked_name(&random_name(attempt).unwrap()).is_ok());
        }
    }

    #[test]
    fn a_word_is_an_id_a_name_or_a_beginning_in_this_order() {
        let mut index = Index::default();
        for (id, name) in [("abc1", "one"), ("abd2", "abc"), ("ffff", "abc1")] {
            index.reserve(name, id).unwrap();
            index.insert(id, name);
        }
        assert_eq!(index.find("abc1").unwrap(), "one", "an id before a name");
        assert_eq!(index.find("abc").unwrap(), "abc", "a name before a beginning");
        assert_eq!(index.find("/abc").unwrap(), "abc");
        assert_eq!(index.find("f").unwrap(), "abc1");
        let several = index.find("ab").unwrap_err();
        assert_eq!(several.message(), "multiple IDs found with provided prefix: ab");
        assert_eq!(index.find("x").unwrap_err().message(), "No such container: x");
        assert_eq!(index.reserve("one", "x"), Err("abc1".to_owned()));
        index.remove("abc1");
        assert_eq!(index.reserve("one", "x"), Ok(()));
    }
}
