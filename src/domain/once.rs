//! How a repeated send is known.

use super::id::hash;
use super::{ClientMessageId, Content, Seq, UserId};

/// What a sender calls a message, and what that message says: for the same name it must say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// One for each user and name.
    pub key: String,
    /// One for each content.
    pub digest: String,
}

impl Once {
    pub fn new(user: &UserId, id: &ClientMessageId, content: &Content, reply_to: Option<Seq>) -> Self {
        let reply_to = reply_to.unwrap_or(Seq::ZERO).to_string();
        Self { key: hash(&[user.as_str(), id.as_str()]), digest: hash(&[content.as_str(), &reply_to]) }
    }
}
