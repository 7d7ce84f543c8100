//! Requests that change messages.

use macro_rules_attribute::apply;

use super::Request;
use super::message::check_size;
use crate::domain::{ClientMessageId, Content, Emoji, Reason, RoomId, Seq, UserId};
use crate::error::Error;
use crate::wire::types::{Seqs, Version};

/// Another content for a message of the caller's own.
#[apply(received)]
pub struct EditMessage {
    pub room_id: RoomId,
    pub seq: Seq,
    /// 1 byte to 16 KB of UTF-8.
    pub content: Content,
    /// The `version` that is edited: 0 for a message that was never edited. Another version is refused.
    pub version: Option<Version>,
    /// Instead of `version`: a retry with the same id is done once.
    pub client_message_id: Option<ClientMessageId>,
}

impl Request for EditMessage {
    fn check(&self) -> Result<(), Error> {
        if self.version.is_none() && self.client_message_id.is_none() {
            return Err(Error::invalid("version", "or `clientMessageId` must be given"));
        }
        check_size(&self.content)
    }
}

/// Messages to delete.
#[apply(received)]
pub struct DeleteMessage {
    pub room_id: RoomId,
    seq: Option<Seq>,
    /// Instead of `seq`: 1 to 20 messages.
    seqs: Option<Seqs>,
    /// For the other members.
    pub reason: Option<Reason>,
}

impl DeleteMessage {
    /// The messages.
    pub fn seqs(&self) -> Vec<Seq> {
        let mut seqs = self.seqs.as_ref().map(|seqs| seqs.0.clone()).unwrap_or_default();
        seqs.extend(self.seq);
        seqs.sort();
        seqs.dedup();
        seqs
    }
}

impl Request for DeleteMessage {
    fn check(&self) -> Result<(), Error> {
        match (self.seq, &self.seqs) {
            (Some(_), None) | (None, Some(_)) => Ok(()),
            _ => Err(Error::invalid("seq", "or `seqs` must be given, and not both")),
        }
    }
}

/// A reaction to a message.
#[apply(received)]
pub struct React {
    pub room_id: RoomId,
    pub seq: Seq,
    /// 1 to 64 bytes of UTF-8.
    pub emoji: Emoji,
    /// By default true; `false` takes the reaction back.
    pub on: Option<bool>,
}

/// A message, and where a page of those who reacted to it begins.
#[apply(received)]
pub struct GetReactions {
    pub room_id: RoomId,
    pub seq: Seq,
    /// Only those who reacted with this one.
    pub emoji: Option<Emoji>,
    /// The `nextCursor` of the page before.
    pub cursor: Option<UserId>,
}

/// A message of a room.
#[apply(received)]
pub struct AboutMessage {
    pub room_id: RoomId,
    pub seq: Seq,
}

/// A room whose pinned messages are wanted.
#[apply(received)]
pub struct ListPins {
    pub room_id: RoomId,
}
