//! What clients hear: one struct for each frame, one spelling of each field.

use std::collections::BTreeMap;
use std::ops::Not;

use macro_rules_attribute::apply;
use serde::{Serialize, Serializer};

use super::formats::{ChatRoomCopy, MessageCopies, RoomCopies, TypingCopies};
use super::size::{ENVELOPE_BYTES, fitting, fitting_sizes, json, size_of};
use crate::actions::Action;
use crate::domain::{
    Body, ConnectionId, Entry, Event, File, FileId, InviteCode, Location, MessageId, Metres, Name, Role, RoomId,
    RoomStatus, RoomType, Seq, Timestamp, UserId,
};
use crate::error::Error;

/// Declares [`Frame`], with a conversion into it from the struct of each frame.
macro_rules! frames {
    ($($(#[doc = $about:literal])+ $name:ident = $tag:literal,)+) => {
        /// A frame from the server, told apart by its `type`.
        #[derive(Clone, Debug, Serialize)]
        #[serde(tag = "type")]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum Frame {
            $($(#[doc = $about])+ #[serde(rename = $tag)] $name($name),)+
        }

        $(
            impl From<$name> for Frame {
                fn from(frame: $name) -> Self {
                    Self::$name(frame)
                }
            }

            impl Answer for $name {
                const TYPES: &'static [&'static str] = &[$tag];

                fn into_frame(self, _: bool) -> Option<Frame> {
                    Some(self.into())
                }
            }
        )+
    };
}

frames! {
    /// An action was carried out and has nothing else to answer.
    Ack = "ack",
    /// The answer to `ping`.
    Pong = "pong",
    /// Who the caller is here, and what they can rely on.
    Hello = "hello",
    /// A request failed, or an upload.
    Failure = "error",
    /// A message of a room.
    Message = "message",
    /// Somebody started or stopped typing.
    Typing = "typing",
    /// A room and a page of its participants.
    Room = "room",
    /// A page of a room's history.
    Messages = "messages",
    /// Somebody became a member of a room.
    Joined = "joined",
    /// A page of the caller's rooms.
    Rooms = "rooms",
    /// What was missed in several rooms.
    Resumed = "resumed",
    /// How far a member has read.
    Read = "read",
    /// Somebody came online or went offline.
    Presence = "presence",
    /// Somebody is no longer a member of a room.
    Left = "left",
    /// Where to upload an announced file.
    Upload = "upload",
    /// Where to download a file.
    Download = "file",
    /// A room was closed.
    RoomClosed = "room-closed",
    /// Rooms near a place. Over HTTP only.
    Nearby = "near",
    /// An invite into a private room. Over HTTP only.
    Invite = "invite",
    /// The function answers. Over HTTP only.
    Health = "health",
}

/// What a handler answers.
pub trait Answer {
    /// The types of the frames that it can be.
    const TYPES: &'static [&'static str];

    /// The frame, if there is one. `is_asked`: the client gave its frame a `requestId`, and so waits for an answer.
    fn into_frame(self, is_asked: bool) -> Option<Frame>;
}

/// No answer: API Gateway would send an empty frame.
pub struct Silence;

impl Answer for Silence {
    const TYPES: &'static [&'static str] = &[];

    fn into_frame(self, _: bool) -> Option<Frame> {
        None
    }
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

/// A moment as clients see it: ISO 8601 in UTC with milliseconds and `Z`.
#[derive(Clone, Copy, Debug)]
pub struct Iso(pub Timestamp);

impl From<Timestamp> for Iso {
    fn from(moment: Timestamp) -> Self {
        Self(moment)
    }
}

impl Serialize for Iso {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_iso())
    }
}

/// The answer to an action that has nothing else to tell.
#[apply(sent)]
pub struct Ack {
    /// The action or route that was carried out.
    pub action: &'static str,
    pub room_id: Option<RoomId>,
    /// Where a message stands whose sender gets no copy.
    #[serde(flatten)]
    pub position: Option<Position>,
    #[serde(skip_serializing_if = "Not::not")]
    pub duplicate: bool,
}

impl Ack {
    /// The answer of the action or route `action` about a room.
    pub fn of(action: &'static str, room_id: RoomId) -> Self {
        Self { action, room_id: Some(room_id), position: None, duplicate: false }
    }
}

/// The answer to `ping`.
#[apply(sent)]
pub struct Pong {}

/// Who the caller is here, and what they can rely on.
#[apply(sent)]
pub struct Hello {
    pub user_id: UserId,
    pub user_name: Name,
    /// The roles of the token that count here.
    pub roles: Vec<&'static str>,
    /// Absent over HTTP.
    pub connection_id: Option<ConnectionId>,
    pub format: &'static str,
    pub server_time: Iso,
    /// Whether there is a room that everybody is in.
    pub lobby: bool,
    pub limits: Limits,
}

/// What a client can rely on.
#[apply(sent)]
pub struct Limits {
    /// Most bytes of UTF-8 in the content of a message.
    pub content_bytes: usize,
    /// Most bytes of a frame.
    pub frame_bytes: usize,
    /// Most bytes of a file.
    pub file_bytes: u64,
    /// Most rooms that a user can be in.
    pub rooms: usize,
}

/// A request failed, or an upload.
#[apply(sent)]
pub struct Failure {
    pub code: &'static str,
    pub status: u16,
    pub message: String,
    pub action: Option<&'static str>,
    /// The field at fault.
    pub field: Option<&'static str>,
    /// The actions that exist.
    pub actions: Option<Vec<&'static str>>,
    /// The file that the failure is about.
    pub file_id: Option<FileId>,
}

/// Where a message stands in its room.
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
    /// What a later version of the server tells: `content` says it as a sentence.
    pub system: Option<System>,
    #[serde(skip_serializing_if = "Not::not")]
    pub duplicate: bool,
    #[serde(flatten)]
    pub copies: Option<Box<MessageCopies>>,
}

/// The kind of a system entry.
#[apply(sent)]
pub struct System {
    pub what: String,
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
        let placed = Self::from(Entry { room: room.clone(), seq, created_at, event: Event::Said(body.clone()) });
        fitting([&Frame::from(placed)].into_iter(), ENVELOPE_BYTES) == 1
    }
}

impl From<Entry> for Message {
    fn from(Entry { room, seq, created_at, event }: Entry) -> Self {
        let (body, system) = match event {
            Event::Said(body) => (body, None),
            Event::System { what, body } => (body, Some(System { what })),
        };
        let position = Position { message_id: seq.message_id(), seq, created_at: created_at.into() };
        Self { room_id: room, position, body, system, duplicate: false, copies: None }
    }
}

/// An item of a page of history.
#[apply(sent)]
#[serde(tag = "type")]
pub enum Item {
    Message(Message),
}

/// Somebody started or stopped typing.
#[apply(sent)]
pub struct Typing {
    pub room_id: RoomId,
    pub user_id: UserId,
    pub user_name: Name,
    pub is_typing: bool,
    #[serde(flatten)]
    pub copies: Option<Box<TypingCopies>>,
}

/// A room and a page of its participants.
#[apply(sent)]
pub struct Room {
    pub room_id: RoomId,
    pub room_name: Option<Name>,
    pub room_type: RoomType,
    pub status: RoomStatus,
    pub creator: UserId,
    pub created_at: Iso,
    /// Epoch milliseconds, unlike every other time.
    pub last_activity: Timestamp,
    pub auto_close: bool,
    pub max_participants: Option<u64>,
    pub participant_count: u64,
    pub location: Option<Location>,
    pub road_name: Option<Name>,
    /// Metres.
    pub radius: Option<Metres>,
    /// Absent in search results.
    pub last_seq: Option<Seq>,
    /// Users, not connections. Absent in search results.
    pub online_count: Option<u64>,
    /// Absent in a list of rooms.
    pub participants: Option<Participants>,
    pub next_cursor: Option<UserId>,
    #[serde(flatten)]
    pub copies: Option<Box<RoomCopies>>,
}

/// Who is in a room: in full, or by their ids alone.
#[apply(sent)]
#[serde(untagged)]
pub enum Participants {
    Full(Vec<Participant>),
    Ids(Vec<UserId>),
}

/// Somebody who is in a room.
#[apply(sent)]
pub struct Participant {
    pub user_id: UserId,
    pub user_name: Name,
    pub role: Role,
    pub joined_at: Iso,
    pub online: bool,
}

/// A page of a room's history, oldest first.
#[apply(sent)]
pub struct Messages {
    pub room_id: RoomId,
    pub items: Vec<Item>,
    pub has_more: bool,
    /// The cursor of the page before this one.
    pub next_before: Option<Seq>,
    /// The cursor of the page after this one.
    pub next_after: Option<Seq>,
}

/// Somebody became a member of a room.
#[apply(sent)]
pub struct Joined {
    pub room_id: RoomId,
    pub user_id: UserId,
    pub user_name: Name,
    #[serde(flatten)]
    pub copies: Option<Box<ChatRoomCopy>>,
}

/// A page of the caller's rooms, newest activity first.
#[apply(sent)]
pub struct Rooms {
    pub items: Vec<ListedRoom>,
    pub next_cursor: Option<String>,
}

/// A room in the list of a user's rooms.
#[apply(sent)]
pub struct ListedRoom {
    #[serde(flatten)]
    pub room: Room,
    pub last_read_seq: Seq,
    /// Messages of others after `lastReadSeq`: 99 stands for 99 and more.
    pub unread: usize,
    #[serde(skip_serializing_if = "Not::not")]
    pub unread_more: bool,
    pub last_message: Option<Item>,
}

/// What was missed in several rooms.
#[apply(sent)]
pub struct Resumed {
    pub rooms: BTreeMap<RoomId, ResumedRoom>,
}

/// What a client missed in a room, or why it is not told.
#[apply(sent)]
#[serde(untagged)]
pub enum ResumedRoom {
    Missed(Missed),
    Refused { error: Refusal },
}

/// What a client missed in a room.
#[apply(sent)]
pub struct Missed {
    pub items: Vec<Item>,
    /// Whether `items` are all that was missed.
    pub complete: bool,
    /// Where to go on, if they are not.
    pub next_after: Option<Seq>,
    pub last_seq: Seq,
    /// Whether some of what was missed has expired.
    #[serde(skip_serializing_if = "Not::not")]
    pub reset: bool,
    pub oldest_seq: Option<Seq>,
    /// Whether the room is closed: no message will follow.
    #[serde(skip_serializing_if = "Not::not")]
    pub closed: bool,
}

/// Why a room is not resumed.
#[apply(sent)]
pub struct Refusal {
    pub code: &'static str,
    pub status: u16,
    pub message: String,
}

/// How far a member has read.
#[apply(sent)]
pub struct Read {
    pub room_id: RoomId,
    pub user_id: UserId,
    pub seq: Seq,
    #[serde(flatten)]
    pub copies: Option<Box<ChatRoomCopy>>,
}

/// Somebody came online or went offline.
#[apply(sent)]
pub struct Presence {
    pub room_id: RoomId,
    pub user_id: UserId,
    pub status: PresenceStatus,
    pub at: Iso,
    #[serde(flatten)]
    pub copies: Option<Box<ChatRoomCopy>>,
}

/// Whether a user has a live connection to a room.
#[apply(sent)]
#[derive(Copy, PartialEq, Eq)]
pub enum PresenceStatus {
    Online,
    Offline,
}

/// Somebody is no longer a member of a room.
#[apply(sent)]
pub struct Left {
    pub room_id: RoomId,
    pub user_id: UserId,
    pub reason: LeaveReason,
    #[serde(flatten)]
    pub copies: Option<Box<ChatRoomCopy>>,
}

/// Why somebody is no longer a member of a room.
#[apply(sent)]
#[derive(Copy, PartialEq, Eq)]
pub enum LeaveReason {
    Left,
    Removed,
    Banned,
}

/// Where to upload an announced file.
#[apply(sent)]
pub struct Upload {
    pub file_id: FileId,
    pub upload_url: String,
    pub method: String,
    /// The headers that the upload must carry, exactly these.
    pub headers: BTreeMap<String, String>,
    pub expires_at: Iso,
}

/// Where to download a file: everybody who knows the address can, until it expires.
#[apply(sent)]
pub struct Download {
    #[serde(flatten)]
    pub file: File,
    pub expires_at: Iso,
}

/// A room was closed.
#[apply(sent)]
pub struct RoomClosed {
    pub room_id: RoomId,
    pub reason: &'static str,
    /// Who closed it; absent where it was idle.
    pub user_id: Option<UserId>,
}

/// Rooms near a place, nearest first.
#[apply(sent)]
pub struct Nearby {
    pub rooms: Vec<NearbyRoom>,
    pub next_cursor: Option<String>,
}

/// A room near a place.
#[apply(sent)]
pub struct NearbyRoom {
    #[serde(flatten)]
    pub room: Room,
    /// Metres.
    pub distance: Metres,
}

/// An invite into a private room.
#[apply(sent)]
pub struct Invite {
    pub room_id: RoomId,
    pub invite: InviteCode,
    pub expires_at: Iso,
    pub max_uses: u64,
}

/// The function answers.
#[apply(sent)]
pub struct Health {
    pub status: &'static str,
}

impl Room {
    /// Adds as many of `participants` as fit a frame; `more` tells whether others follow them.
    pub fn with_participants(mut self, mut participants: Vec<Participant>, more: bool) -> Self {
        // In `compat` the ids are repeated.
        let in_full_and_by_id = participants.iter().map(|one| size_of(one) + size_of(&one.user_id));
        let fitting = fitting_sizes(in_full_and_by_id, json(&self).len() + ENVELOPE_BYTES);
        let more = more || fitting < participants.len();
        participants.truncate(fitting);
        self.next_cursor = participants.last().map(|last| last.user_id.clone()).filter(|_| more);
        self.participants = Some(Participants::Full(participants));
        self
    }
}

impl Failure {
    /// What a client hears of an error in `action`. `request_id` is ours: it finds the failure in the log.
    pub fn new(error: &Error, action: Option<Action>, request_id: &str) -> Self {
        let mut message = error.to_string();
        if error.cause().is_some() {
            message.push_str(&format!(" (request id {request_id})"));
        }
        Self {
            code: error.code(),
            status: error.status(),
            message,
            action: action.map(Action::key),
            field: error.field(),
            actions: error.wants_actions().then(|| Action::ALL.iter().map(|action| action.key()).collect()),
            file_id: None,
        }
    }
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        Self { code: error.code(), status: error.status(), message: error.to_string() }
    }
}
