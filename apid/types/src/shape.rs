//! How Go reads and writes JSON, said once.

use serde::de::{Deserialize, Deserializer, IgnoredAny};
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::collections::BTreeMap;

/// A JSON object with free keys; sorted, as Go prints maps.
pub type Map<T> = BTreeMap<String, T>;

/// Go's `struct{}`: written `{}`, read from anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Empty;

impl Serialize for Empty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_map(Some(0))?.end()
    }
}

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// Read `null` as the default, as Go does for every type.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// For `skip_serializing_if`: Go's `omitempty` for numbers, booleans, strings and structs of ours.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A struct of the API: every field may be missing or `null`.
///
/// `flatten { .. }` fields have no object of their own in JSON; they cannot be `null`.
macro_rules! shape {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
        }
        $(flatten { $($(#[$flat_meta:meta])* pub $flat:ident: $flat_type:ty,)* })?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, rename_all = "PascalCase")]
        pub struct $name {
            $($($(#[$flat_meta])* #[serde(flatten)] pub $flat: $flat_type,)*)?
            $(
                $(#[$field_meta])*
                #[serde(deserialize_with = "crate::shape::null_is_default")]
                pub $field: $type,
            )*
        }
    };
}
pub(crate) use shape;
