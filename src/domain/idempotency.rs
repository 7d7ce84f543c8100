//! Idempotency keys: how a retry of a message is recognised.

use super::id::hash;
use super::{ClientMessageId, Content, Seq, UserId};

/// A sender's id for a message, and a digest of its content: a retry has both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// A hash of the user and the id.
    pub key: String,
    /// A hash of the content.
    pub digest: String,
}

impl IdempotencyKey {
    /// Hashes what identifies a message. `data` counts where there is some.
    pub fn new(
        user: &UserId,
        id: &ClientMessageId,
        content: &Content,
        reply_to: Option<Seq>,
        data: Option<&str>,
    ) -> Self {
        let reply_to = reply_to.unwrap_or(Seq::ZERO).to_string();
        let said: Vec<_> = [content.as_str(), &reply_to].into_iter().chain(data).collect();
        Self { key: hash(&[user.as_str(), id.as_str()]), digest: hash(&said) }
    }

    /// The digest as it is stored: without the salt nobody can check a guess of the content.
    pub fn salted(&self, salt: Option<&str>) -> String {
        salt.map_or_else(|| self.digest.clone(), |salt| hash(&[salt, &self.digest]))
    }
}
