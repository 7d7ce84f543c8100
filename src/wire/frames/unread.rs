//! Frames about what is unread, and about searches.

use std::ops::Not;

use macro_rules_attribute::apply;

use super::{DirectRequest, Iso, Item};
use crate::domain::{NotifyLevel, Rev, RoomId, Seq, UserId};

/// What is unread in a page of the caller's conversations.
#[apply(sent)]
pub struct Unreads {
    /// Of the rooms in this answer.
    pub total: usize,
    pub total_mentions: usize,
    /// All open ones, in the order of their ids.
    pub rooms: Vec<UnreadRoom>,
    /// On the first page: the first direct conversations that strangers began.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<DirectRequest>,
    pub next_cursor: Option<RoomId>,
}

/// What is unread in a conversation.
#[apply(sent)]
pub struct UnreadRoom {
    pub room_id: RoomId,
    pub last_seq: Seq,
    /// The position of the room's last change.
    pub rev: Rev,
    pub last_read_seq: Seq,
    /// How many times the user has set the mark back.
    pub read_version: u64,
    /// Messages of others after `lastReadSeq`: 99 stands for 99 and more.
    pub unread: usize,
    /// Whether there may be more.
    #[serde(skip_serializing_if = "Not::not")]
    pub unread_more: bool,
    /// How many of them mention the user.
    pub mentions: usize,
    /// Whether one of them mentions everybody in the room.
    #[serde(skip_serializing_if = "Not::not")]
    pub room_mention: bool,
    pub notify: NotifyLevel,
    /// Until when the user wants to be told of nothing.
    pub muted_until: Option<Iso>,
    /// The newest message, where some are unread: its time and its author.
    pub last_at: Option<Iso>,
    pub last_by: Option<UserId>,
}

/// The user changed, on another device, what they want to be told of.
#[apply(sent)]
pub struct NotifyChanged {
    pub room_id: RoomId,
    pub level: NotifyLevel,
    pub muted_until: Option<Iso>,
}

/// A page of the messages of a room that contain a text, the newest first.
#[apply(sent)]
pub struct Found {
    pub room_id: RoomId,
    pub items: Vec<Item>,
    /// Whether there is more to search: a page may be empty all the same.
    pub has_more: bool,
    /// Where to go on: the next `before`.
    pub next_before: Option<Seq>,
}
