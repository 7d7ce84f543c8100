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

/// Implements what texts with a rule have in common; the rule is their `TryFrom<String>`.
macro_rules! text {
    ($name:ident, $kind:ident, $expected:literal, $max_length:expr) => {
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use $crate::domain::checked;
                let stored = |text| Some(Self(text));
                let check = |text: String| text.try_into().ok();
                checked::deserialize(deserializer, checked::$kind, $expected, stored, check)
            }
        }

        impl $name {
            /// Most characters or bytes, as its schema has them.
            pub const MAX_LENGTH: usize = $max_length;

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}
pub(crate) use text;
