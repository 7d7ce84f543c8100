//! The access keys that the local AWS accepts: the function's, and the operator's for people and tools.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use uuid::Uuid;

/// AWS's limit for the length of an id.
const MAX_ID_CHARS: usize = 128;
const ID_LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// An access key id and its secret.
#[derive(Clone)]
pub struct AccessKey {
    pub id: String,
    pub secret: String,
}

impl AccessKey {
    /// A new key in the form of AWS's own: an id of 20 characters and a secret of 40.
    pub fn random() -> Self {
        let random = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()].map(Uuid::into_bytes);
        let letters = random[0].iter().map(|byte| char::from(ID_LETTERS[usize::from(byte % 32)]));
        let secret: Vec<u8> = random[1].into_iter().chain(random[2]).take(30).collect();
        Self { id: format!("AKIA{}", letters.collect::<String>()), secret: BASE64_STANDARD_NO_PAD.encode(secret) }
    }
}

impl AccessKey {
    /// The key of one function process, as each execution environment of Lambda has credentials of its own. So a
    /// request shows which process sent it.
    pub fn for_process(&self, number: u64) -> Self {
        Self { id: format!("{}-{number}", self.id), secret: self.secret.clone() }
    }
}

/// The number of the process that has the key `id`, if it is one of the function's processes.
pub fn process_of(id: &str, function_key_id: &str) -> Option<u64> {
    id.strip_prefix(function_key_id)?.strip_prefix('-')?.parse().ok()
}

/// Without the secret: debug output is logged.
impl fmt::Debug for AccessKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// An invalid access key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessKeyError {
    #[error("an access key must have the form ID:SECRET")]
    NoSecret,
    #[error("the id of an access key must have 1 to 128 letters, digits, '-' or '_'")]
    Id,
    #[error("the secret of an access key must not be empty, and must not contain spaces or non-ASCII characters")]
    Secret,
}

/// `ID:SECRET`
impl FromStr for AccessKey {
    type Err = AccessKeyError;

    fn from_str(text: &str) -> Result<Self, AccessKeyError> {
        let (id, secret) = text.split_once(':').ok_or(AccessKeyError::NoSecret)?;
        let is_id_letter = |letter: u8| letter.is_ascii_alphanumeric() || b"-_".contains(&letter);
        if !(1..=MAX_ID_CHARS).contains(&id.len()) || !id.bytes().all(is_id_letter) {
            return Err(AccessKeyError::Id);
        }
        if secret.is_empty() || !secret.bytes().all(|letter| letter.is_ascii_graphic()) {
            return Err(AccessKeyError::Secret);
        }
        Ok(Self { id: id.to_owned(), secret: secret.to_owned() })
    }
}

/// The two accepted keys of a stack.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The function's key, new for each stack.
    pub function: AccessKey,
    /// The operator's key: for the stack itself, people and tools.
    pub operator: AccessKey,
}

impl Keys {
    /// The key of this id.
    pub fn find(&self, id: &str) -> Option<AccessKey> {
        match process_of(id, &self.function.id) {
            Some(process) => Some(self.function.for_process(process)),
            None => [&self.function, &self.operator].into_iter().find(|key| key.id == id).cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_access_key_has_the_form_of_aws_keys() {
        let key = AccessKey::random();

        assert!(key.id.starts_with("AKIA") && key.id.len() == 20 && key.secret.len() == 40, "{key:?}");
        let parsed: AccessKey = format!("{}:{}", key.id, key.secret).parse().unwrap();
        assert_eq!((&parsed.id, &parsed.secret), (&key.id, &key.secret));
        assert_ne!(AccessKey::random().id, key.id);
    }

    #[test]
    fn an_invalid_access_key_is_explained() {
        for (text, error) in [
            ("", AccessKeyError::NoSecret),
            ("id", AccessKeyError::NoSecret),
            (":secret", AccessKeyError::Id),
            ("my id:secret", AccessKeyError::Id),
            ("id/1:secret", AccessKeyError::Id),
            ("id:", AccessKeyError::Secret),
            ("id:sec ret", AccessKeyError::Secret),
            ("id:sécret", AccessKeyError::Secret),
        ] {
            assert_eq!(text.parse::<AccessKey>().unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn the_secret_is_not_in_the_debug_output() {
        let keys = Keys { function: "one:hush-1".parse().unwrap(), operator: "two:hush-2".parse().unwrap() };

        let shown = format!("{keys:?}");

        assert!(shown.contains("one") && shown.contains("two") && !shown.contains("hush"), "{shown}");
    }
}
