//! Frames of messages: one by one, and in pages of history.

use std::collections::BTreeMap;
use std::ops::Not;

use macro_rules_attribute::apply;

use super::{Ack, Answer, Frame, Iso};
use crate::domain::{
    Body, Changes, Entry, Epoch, Event, Member, MessageId, Name, Rev, RoomId, Seq, System, Timestamp, UserId,
};
use crate::error::Error;
use crate::wire::formats::{ChatRoomCopy, MessageCopies, TypingCopies};
use crate::wire::size::{ENVELOPE_BYTES, fitting};

/// A message's position in its room.
#[apply(sent)]
pub struct Position {
    pub message_id: MessageId,
    pub seq: Seq,
    pub created_at: Iso,
}

/// A message of a room.
#[apply(sent)]
pub struct Message {
    pub room_id: RoomId,
    #[serde(flatten)]
    pub position: Position,
    #[serde(flatten)]
    pub body: Body,
    #[serde(flatten)]
    pub changes: Changes,
    /// The message that it replies to.
    pub parent: Option<Box<Parent>>,
    /// What a moderator changed: `content` says it in words.
    pub system: Option<Box<System>>,
    #[serde(skip_serializing_if = "Not::not")]
    pub duplicate: bool,
    /// To the sender: users who were named and are not in the room, or have blocked the sender.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_mentioned: Vec<UserId>,
    #[serde(flatten)]
    pub copies: Option<Box<MessageCopies>>,
}

impl Message {
    /// An entry as `reader` sees it: only its sender sees the `clientMessageId`.
    pub fn seen_by(reader: &UserId, entry: Entry) -> Self {
        let message = Self::from(entry);
        if message.body.user_id == *reader { message } else { message.seen_by_others() }
    }

    /// The message as everybody but its sender sees it.
    pub fn seen_by_others(mut self) -> Self {
        self.body.client_message_id = None;
        self
    }

    /// Whether a message fits a frame and a page of history that holds nothing else, at any place of the log.
    pub fn fits(room: &RoomId, body: &Body) -> bool {
        let (seq, created_at) = (Seq::MAX, Timestamp::from_millis(0));
        let (room, event) = (room.clone(), Event::Said(body.clone()));
        let placed =
            Self::from(Entry { room, epoch: Epoch::default(), seq, created_at, event, changes: Changes::default() });
        fitting([&Frame::from(placed)].into_iter(), ENVELOPE_BYTES) == 1
    }
}

impl From<Entry> for Message {
    fn from(Entry { room, seq, created_at, event, changes, .. }: Entry) -> Self {
        let (body, system) = match event {
            Event::Said(body) => (body, None),
            Event::System { system, body } => (body, Some(Box::new(system))),
        };
        let position = Position { message_id: seq.message_id(), seq, created_at: created_at.into() };
        Self {
            room_id: room,
            position,
            body,
            changes,
            parent: None,
            system,
            duplicate: false,
            not_mentioned: Vec::new(),
            copies: None,
        }
    }
}

/// The message that another one replies to, as it is now.
#[apply(sent)]
pub struct Parent {
    pub seq: Seq,
    pub user_id: UserId,
    pub user_name: Name,
    /// The beginning of its content: at most 140 characters.
    pub excerpt: String,
    #[serde(skip_serializing_if = "Not::not")]
    pub deleted: bool,
}

impl From<Entry> for Parent {
    fn from(entry: Entry) -> Self {
        let Message { position, body, changes, .. } = Message::from(entry);
        Self {
            seq: position.seq,
            user_id: body.user_id,
            user_name: body.user_name,
            excerpt: body.content.excerpt(),
            deleted: changes.deleted.is_some(),
        }
    }
}

/// An item of a page of history.
#[apply(sent)]
#[serde(tag = "type")]
pub enum Item {
    Message(Message),
}

/// The answer to a message: the sender's copy; in the lobby, where all hear the same, an ack.
pub enum Sent {
    Message(Box<Message>),
    Ack(Ack),
    /// For a client that knows bare text only, and would take an ack for a message.
    AckIfAsked(Ack),
}

impl Answer for Sent {
    const TYPES: &'static [&'static str] = &["message", "ack"];

    fn into_frame(self, is_asked: bool) -> Option<Frame> {
        match self {
            Self::Message(message) => Some((*message).into()),
            Self::Ack(ack) => Some(ack.into()),
            Self::AckIfAsked(ack) => is_asked.then(|| ack.into()),
        }
    }
}

/// The positions of several messages that the caller sent.
#[apply(sent)]
pub struct SentMessages {
    pub room_id: RoomId,
    /// In the order of the request.
    pub results: Vec<SentResult>,
    /// Users who were named and are not in the room, or have blocked the sender.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_mentioned: Vec<UserId>,
}

/// The position of one of several messages, or why it is not written.
#[apply(sent)]
#[serde(untagged)]
pub enum SentResult {
    Written {
        #[serde(flatten)]
        position: Position,
        #[serde(skip_serializing_if = "Not::not")]
        duplicate: bool,
    },
    Refused(Refusal),
}

/// A user started or stopped typing.
#[apply(sent)]
pub struct Typing {
    pub room_id: RoomId,
    pub user_id: UserId,
    pub user_name: Name,
    pub is_typing: bool,
    /// The newest one of a user counts.
    pub at: Iso,
    /// When the indicator ends by itself; absent if the user has stopped.
    pub until: Option<Iso>,
    #[serde(flatten)]
    pub copies: Option<Box<TypingCopies>>,
}

/// A page of a room's history, oldest first.
#[apply(sent)]
pub struct Messages {
    pub room_id: RoomId,
    /// As in `room`.
    pub epoch: Epoch,
    pub items: Vec<Item>,
    pub has_more: bool,
    /// The position of the room's last change when the page was read: later changes may be in it too.
    pub rev: Rev,
    /// The cursor of the page before this one.
    pub next_before: Option<Seq>,
    /// The cursor of the page after this one.
    pub next_after: Option<Seq>,
}

/// The messages missed in several rooms.
#[apply(sent)]
pub struct Resumed {
    pub rooms: BTreeMap<RoomId, ResumedRoom>,
    /// Rooms that were not read, to be asked for again: in `rooms` they are empty and not complete.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<RoomId>,
}

/// The messages missed in a room, or why the room cannot be resumed.
#[apply(sent)]
#[serde(untagged)]
pub enum ResumedRoom {
    Missed(Missed),
    Refused { error: Refusal },
}

/// The messages missed in a room.
#[apply(sent)]
pub struct Missed {
    pub items: Vec<Item>,
    /// Whether `items` are all that was missed.
    pub complete: bool,
    /// The cursor for the rest, if they are not.
    pub next_after: Option<Seq>,
    pub last_seq: Seq,
    /// Each message up to the given `seq` that changed after the given `rev`, as it is now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Item>,
    /// Whether there are too many changes to tell, or some have expired: read again what you show.
    #[serde(skip_serializing_if = "Not::not")]
    pub changes_reset: bool,
    /// The position of the room's last change, for the next `resume`.
    pub rev: Rev,
    /// As in `room`.
    pub epoch: Epoch,
    /// Whether some of what was missed has expired, or the position is one of an earlier room of the same id.
    #[serde(skip_serializing_if = "Not::not")]
    pub reset: bool,
    pub oldest_seq: Option<Seq>,
    /// Whether the room is closed: no more messages will follow.
    #[serde(skip_serializing_if = "Not::not")]
    pub closed: bool,
}

/// Why a room is not resumed, or a message not written.
#[apply(sent)]
pub struct Refusal {
    pub code: &'static str,
    pub status: u16,
    pub message: String,
    /// When the same request can succeed, in milliseconds from now.
    pub retry_after_ms: Option<u64>,
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        Self {
            code: error.code(),
            status: error.status(),
            message: error.to_string(),
            retry_after_ms: error.retry_after_ms(),
        }
    }
}

/// A member's read position.
#[apply(sent)]
pub struct Read {
    pub room_id: RoomId,
    pub user_id: UserId,
    pub seq: Seq,
    /// The newest one of a user counts.
    pub at: Iso,
    /// To the reader's own devices, when the mark was set back: it goes with later `markRead`s.
    pub read_version: Option<u64>,
    #[serde(flatten)]
    pub copies: Option<Box<ChatRoomCopy>>,
}

impl Read {
    /// A member's own mark after it was set back.
    pub fn own(member: &Member, at: Timestamp) -> Self {
        Self {
            room_id: member.room.clone(),
            user_id: member.user.clone(),
            seq: member.last_read,
            at: at.into(),
            read_version: Some(member.read_version),
            copies: None,
        }
    }
}
