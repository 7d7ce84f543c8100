//! What backends receive by the event bus: one event for each thing that was written.

use std::collections::BTreeMap;

use macro_rules_attribute::apply;
use serde::Serialize;

use super::frames::{DeletedMessages, Iso, Joined, Left, Message, Pinned, Room, RoomClosed, Unpinned};
use crate::domain::{Content, Emoji, MessageId, Rev, RoomId, Seq, Timestamp, UserId, hash};

/// The version of the format of events. A field may be added without another version.
pub const VERSION: u8 = 1;

/// Declares [`Fact`], with the type of each event.
macro_rules! facts {
    ($($(#[doc = $about:literal])+ $name:ident($data:ty) = $tag:literal,)+) => {
        /// What happened: the `type` of an event, and its `data`.
        #[derive(Clone, Debug, Serialize)]
        #[serde(tag = "type", content = "data")]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum Fact {
            $($(#[doc = $about])+ #[serde(rename = $tag)] $name($data),)+
        }

        impl Fact {
            /// The types of all events.
            pub const TYPES: &'static [&'static str] = &[$($tag,)+];

            /// The type of the event.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => $tag,)+ }
            }
        }
    };
}

facts! {
    /// A message was written: the frame `message`.
    MessageCreated(Box<Message>) = "message.created",
    /// A message was edited: the frame `edited`, with the message as it is now.
    MessageEdited(EditedMessage) = "message.edited",
    /// Messages were deleted: the frame `deleted`.
    MessageDeleted(DeletedMessages) = "message.deleted",
    /// A user reacted to a message, or took a reaction back: the frame `reactions`, with the counts as they are now.
    MessageReacted(ReactedMessage) = "message.reacted",
    /// A message was pinned: the frame `pinned`.
    MessagePinned(Pinned) = "message.pinned",
    /// A message is no longer pinned: the frame `unpinned`.
    MessageUnpinned(Unpinned) = "message.unpinned",
    /// A user is a member of a room from now on: the frame `joined`.
    MemberJoined(Joined) = "member.joined",
    /// A user is no longer a member of a room: they left, or were removed.
    MemberLeft(FormerMember) = "member.left",
    /// A user was banned from a room: the frame `left`.
    MemberBanned(Left) = "member.banned",
    /// A room was created: the frame `room`, without participants.
    RoomCreated(Box<Room>) = "room.created",
    /// A room was closed, with the last entry of its log: the frame `room-closed`.
    RoomClosed(RoomClosed) = "room.closed",
    /// A room was changed: the frame `message` with `system`, as clients receive it, or, for a change that has no entry
    /// in the log, the frame `room`.
    RoomChanged(ChangedRoom) = "room.changed",
    /// A message was reported.
    ReportCreated(Report) = "report.created",
    /// A user is to be told of a message, and has no live connection.
    NotificationWanted(Notification) = "notification.wanted",
}

/// An event: the detail of an event of EventBridge, and the body of a webhook.
#[apply(sent)]
pub struct Event {
    /// The same for each repeat of the event.
    pub id: String,
    /// Of the format: 1.
    pub version: u8,
    /// When it happened.
    pub timestamp: Iso,
    pub key: EventKey,
    #[serde(flatten)]
    pub fact: Fact,
}

/// By what events are ordered: the events of a room with a `seq` by it, and those with a `rev` by that.
#[apply(sent)]
#[derive(PartialEq, Eq)]
pub struct EventKey {
    pub room_id: RoomId,
    pub seq: Option<Seq>,
    pub rev: Option<Rev>,
}

/// A message that was edited, as it is now.
#[apply(sent)]
pub struct EditedMessage {
    pub room_id: RoomId,
    pub seq: Seq,
    pub message_id: MessageId,
    pub rev: Rev,
    /// How many times it was edited. Absent if it no longer exists.
    pub version: Option<u64>,
    /// Absent if it was deleted.
    pub content: Option<Content>,
    pub edited_at: Iso,
    pub edited_by: UserId,
}

/// The reactions to a message.
#[apply(sent)]
pub struct ReactedMessage {
    pub room_id: RoomId,
    pub seq: Seq,
    pub rev: Rev,
    /// How many users have reacted by now, by emoji.
    pub counts: BTreeMap<String, u64>,
    pub by: ReactedBy,
}

/// What a user did.
#[apply(sent)]
pub struct ReactedBy {
    pub user_id: UserId,
    pub emoji: Option<Emoji>,
    /// `false`: the reaction was taken back.
    pub on: bool,
}

/// A user who is no longer a member.
#[apply(sent)]
pub struct FormerMember {
    pub room_id: RoomId,
    pub user_id: UserId,
}

/// A change of a room.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum ChangedRoom {
    Entry(Box<Message>),
    Row(Box<Room>),
}

/// A report of a message.
#[apply(sent)]
pub struct Report {
    pub room_id: RoomId,
    pub seq: Seq,
    /// Who reported it.
    pub by: String,
    pub reason: Option<String>,
    pub at: String,
    /// Who sent it.
    pub user_id: String,
    /// As it was then.
    pub content: Option<String>,
    pub created_at: String,
}

/// A user is to be told of a message.
#[apply(sent)]
pub struct Notification {
    pub user_id: UserId,
    pub room_id: RoomId,
    pub seq: Seq,
    pub cause: Cause,
    /// Who sent the message.
    pub sender_id: UserId,
    pub sender_name: String,
    /// The beginning of the message: at most 140 characters.
    pub excerpt: Option<String>,
}

/// Why a user is to be told.
#[apply(sent)]
#[derive(Copy, PartialEq, Eq)]
pub enum Cause {
    /// A direct message.
    Direct,
    /// The message mentions the user.
    Mention,
    /// The message mentions the room.
    RoomMention,
    /// Another message of a room of at most 100 members.
    Message,
}

impl EventKey {
    /// Of an entry of a room's log.
    pub fn of_entry(room: &RoomId, seq: Seq) -> Self {
        Self { room_id: room.clone(), seq: Some(seq), rev: None }
    }

    /// Of a change.
    pub fn of_change(room: &RoomId, rev: Rev) -> Self {
        Self { room_id: room.clone(), seq: None, rev: Some(rev) }
    }

    /// Of what has no position in a log.
    pub fn of_room(room: &RoomId) -> Self {
        Self { room_id: room.clone(), seq: None, rev: None }
    }
}

impl Event {
    /// An event. `identity` tells it from others of the same type in the room.
    pub fn new(fact: Fact, key: EventKey, at: Timestamp, identity: &[&str]) -> Self {
        let digest = hash(&[&[fact.name(), key.room_id.as_str()], identity].concat());
        Self { id: format!("evt_{}", &digest[..32]), version: VERSION, timestamp: at.into(), key, fact }
    }

    /// The event as JSON.
    ///
    /// # Errors
    /// None: every event can be written.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Without what users wrote: contents, `data`, files and reasons.
    pub fn without_bodies(mut self) -> Self {
        match &mut self.fact {
            Fact::MessageCreated(message) => clear(message),
            Fact::RoomChanged(ChangedRoom::Entry(message)) => clear(message),
            Fact::MessageEdited(edited) => edited.content = None,
            Fact::ReportCreated(report) => (report.reason, report.content) = (None, None),
            Fact::NotificationWanted(wanted) => wanted.excerpt = None,
            _ => {}
        }
        self
    }
}

fn clear(message: &mut Message) {
    message.body.content = Content::default();
    message.body.data = None;
    message.body.file = None;
}
