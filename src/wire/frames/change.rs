//! Frames of changes to messages.

use std::collections::BTreeMap;
use std::ops::Not;

use macro_rules_attribute::apply;

use super::{Ack, Answer, Frame, Iso, Item};
use crate::domain::{Content, Emoji, MessageId, Rev, RoomId, Seq, UserId};

/// A message was edited.
#[apply(sent)]
pub struct Edited {
    pub room_id: RoomId,
    pub seq: Seq,
    pub message_id: MessageId,
    /// The position in the room's log of changes.
    pub rev: Option<Rev>,
    /// How many times it was edited.
    pub version: u64,
    pub content: Content,
    pub edited_at: Option<Iso>,
    pub edited_by: UserId,
    /// Nothing has changed: it had this content already, or the request is a repeat.
    #[serde(skip_serializing_if = "Not::not")]
    pub unchanged: bool,
}

/// Messages were deleted.
#[apply(sent)]
pub struct DeletedMessages {
    pub room_id: RoomId,
    pub seqs: Vec<Seq>,
    /// The position in the room's log of changes.
    pub rev: Rev,
    pub deleted_at: Iso,
    pub deleted_by: UserId,
    pub reason: Option<String>,
    /// They had been deleted before: others may have been deleted by the same change.
    #[serde(skip_serializing_if = "Not::not")]
    pub unchanged: bool,
}

/// The answer to a deletion: an ack if the messages had been deleted before.
pub enum DeletionAnswer {
    Deleted(DeletedMessages),
    Ack(Ack),
}

impl Answer for DeletionAnswer {
    const TYPES: &'static [&'static str] = &["deleted", "ack"];

    fn into_frame(self, _: bool) -> Option<Frame> {
        Some(match self {
            Self::Deleted(deleted) => deleted.into(),
            Self::Ack(ack) => ack.into(),
        })
    }
}

/// A user reacted to a message, or took a reaction back.
#[apply(sent)]
pub struct Reactions {
    pub room_id: RoomId,
    pub seq: Seq,
    /// The position in the room's log of changes.
    pub rev: Option<Rev>,
    /// How many users reacted, by emoji.
    pub counts: BTreeMap<String, u64>,
    pub by: Reaction,
    /// Nothing has changed: the request is a repeat.
    #[serde(skip_serializing_if = "Not::not")]
    pub unchanged: bool,
}

/// A reaction of a user.
#[apply(sent)]
pub struct Reaction {
    pub user_id: UserId,
    pub emoji: Emoji,
    /// `false`: the reaction was taken back.
    pub on: bool,
}

/// The users who reacted to a message.
#[apply(sent)]
pub struct ReactedUsers {
    pub room_id: RoomId,
    pub seq: Seq,
    /// At most 100, in the order of their ids.
    pub items: Vec<ReactedUser>,
    pub next_cursor: Option<UserId>,
}

/// A user who reacted to a message.
#[apply(sent)]
pub struct ReactedUser {
    pub user_id: UserId,
    pub emojis: Vec<String>,
}

/// A message was pinned.
#[apply(sent)]
pub struct Pinned {
    pub room_id: RoomId,
    pub seq: Seq,
    /// The position in the room's log of changes.
    pub rev: Option<Rev>,
    pub by: UserId,
    /// Nothing has changed: it was pinned before.
    #[serde(skip_serializing_if = "Not::not")]
    pub unchanged: bool,
}

/// A message is no longer pinned.
#[apply(sent)]
pub struct Unpinned {
    pub room_id: RoomId,
    pub seq: Seq,
    /// The position in the room's log of changes.
    pub rev: Option<Rev>,
    pub by: UserId,
    /// Nothing has changed: it was not pinned.
    #[serde(skip_serializing_if = "Not::not")]
    pub unchanged: bool,
}

/// The pinned messages of a room.
#[apply(sent)]
pub struct Pins {
    pub room_id: RoomId,
    /// The last one pinned first.
    pub items: Vec<Item>,
    /// As in `messages`.
    pub rev: Rev,
}
