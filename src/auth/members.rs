//! The JSON objects in a token.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// The members of a JSON object in which no name occurs twice: which of two an issuer meant, nobody knows (RFC 8725,
/// section 2.4, and RFC 7519, section 4).
#[derive(Debug)]
pub struct Members(Value);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NoDuplicates)
    }
}

struct NoDuplicates;

impl<'de> Visitor<'de> for NoDuplicates {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
        let mut members = Map::new();
        while let Some((name, value)) = access.next_entry()? {
            if members.insert(name, value).is_some() {
                return Err(de::Error::custom("a name occurs twice"));
            }
        }
        Ok(Members(Value::Object(members)))
    }
}

impl Members {
    /// Whether a member is there, even if it is `null`.
    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some()
    }

    /// The value of a member, by its name or by a JSON Pointer (RFC 6901). `null` is absent.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let value = if name.starts_with('/') { self.0.pointer(name) } else { self.0.get(name) };
        value.filter(|value| !value.is_null())
    }

    /// A text, if it is there.
    ///
    /// # Errors
    /// It is something else.
    pub fn text(&self, name: &str) -> Result<Option<&str>, WrongType> {
        self.get(name).map(|value| value.as_str().ok_or(WrongType)).transpose()
    }

    /// A number, if it is there.
    ///
    /// # Errors
    /// It is something else.
    pub fn number(&self, name: &str) -> Result<Option<f64>, WrongType> {
        self.get(name).map(|value| value.as_f64().ok_or(WrongType)).transpose()
    }

    /// Whether a text, or one text of a list, is one of `accepted`.
    pub fn has_one_of(&self, name: &str, accepted: &[String]) -> bool {
        let is_accepted = |value: &Value| accepted.iter().any(|one| value.as_str() == Some(one));
        match self.get(name) {
            Some(Value::Array(values)) => values.iter().any(is_accepted),
            Some(value) => is_accepted(value),
            None => false,
        }
    }
}

/// A member that is there has the wrong type.
#[derive(Debug)]
pub struct WrongType;
