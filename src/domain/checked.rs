//! Deserialization of validated values. Input of clients is validated; rows were validated when they were written and
//! are read unchanged, so a stricter rule never makes an old row unreadable.
//!
//! The deserializer makes the difference: the one for requests (`wire::deserialize`) recognises the names below and
//! visits the value itself; all others visit a newtype.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{StringDeserializer, U64Deserializer};
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// A text; in a request also a number, if it is exact.
pub const ID: &str = "$switchboard::id";
/// A text.
pub const TEXT: &str = "$switchboard::text";
/// A whole number up to 2^53 - 1; in a request also one with a fraction of zero, or written as text.
pub const WHOLE: &str = "$switchboard::whole";
/// Any JSON, as the text that the client wrote.
pub const JSON: &str = "$switchboard::json";

/// Deserialises a `T` of one of the kinds above. `expected` completes the sentence "`field` ..." of an error.
///
/// # Errors
/// `check` refuses the input of a client.
pub fn deserialize<'de, D: Deserializer<'de>, S: Deserialize<'de>, T>(
    deserializer: D,
    kind: &'static str,
    expected: &'static str,
    stored: fn(S) -> Option<T>,
    check: fn(S) -> Option<T>,
) -> Result<T, D::Error> {
    deserializer.deserialize_newtype_struct(kind, Checked { expected, stored, check, from: PhantomData })
}

struct Checked<'de, S, T> {
    expected: &'static str,
    stored: fn(S) -> Option<T>,
    check: fn(S) -> Option<T>,
    from: PhantomData<&'de ()>,
}

impl<'de, S: Deserialize<'de>, T> Visitor<'de> for Checked<'de, S, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    /// A row, or another trusted source.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        accepted((self.stored)(S::deserialize(deserializer)?), self.expected)
    }

    /// Text of a client.
    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        accepted((self.check)(S::deserialize(StringDeserializer::new(text.to_owned()))?), self.expected)
    }

    /// A number of a client.
    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        accepted((self.check)(S::deserialize(U64Deserializer::new(number))?), self.expected)
    }
}

fn accepted<T, E: Error>(value: Option<T>, expected: &'static str) -> Result<T, E> {
    value.ok_or_else(|| E::invalid_value(Unexpected::Other("a value"), &expected))
}

/// Declares texts with a rule: the check, the largest length, and what an error says.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident by $check:ident, up to $max_length:expr, $kind:ident $expected:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl TryFrom<String> for $name {
            type Error = $crate::domain::Invalid;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                $check(text).map(Self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use $crate::domain::checked;
                let check = |text: String| text.try_into().ok();
                checked::deserialize(deserializer, checked::$kind, $expected, |text| Some(Self::stored(text)), check)
            }
        }

        impl $name {
            /// Most characters or bytes, as its schema has them.
            pub const MAX_LENGTH: usize = $max_length;

            /// From a row: validated when it was written, perhaps by the rules of an earlier version.
            pub fn stored(text: String) -> Self {
                Self(text)
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}
pub(crate) use texts;
