//! What clients receive: one struct for each frame. Those of messages and rooms are in files of their own.

mod admin;
mod change;
mod consent;
mod message;
mod room;
mod unread;

use std::collections::BTreeMap;
use std::ops::Not;

use macro_rules_attribute::apply;
use serde::Serialize;

use crate::actions::Action;
use crate::domain::{ConnectionId, File, FileId, Name, RoomId, UserId};
use crate::error::Error;

pub use crate::domain::Iso;
pub use admin::{
    Acts, Disconnected, Erasure, Export, ExportLine, LiveConnection, Posted, PostedResult, RecordedAct, Report,
    Reports, UserConnections, WorkStatus,
};
pub use change::{
    DeletedMessages, DeletionAnswer, Edited, Pinned, Pins, ReactedUser, ReactedUsers, Reaction, Reactions, Unpinned,
};
pub use consent::{Added, Blocked, DirectRequest, Invited, RefusedUser};
pub use message::{
    Item, Message, Messages, Missed, Parent, Position, Read, Refusal, Resumed, ResumedRoom, Sent, SentMessages,
    SentResult, Typing,
};
pub use room::{
    Invite, Invites, Joined, LeaveReason, Left, ListedInvite, ListedRoom, Nearby, NearbyRoom, Participant,
    Participants, Presence, PresenceStatus, Room, RoomClosed, Rooms,
};
pub use unread::{Found, NotifyChanged, UnreadRoom, Unreads};

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
    /// Confirms an action that has no other answer.
    Ack = "ack",
    /// The answer to `ping`.
    Pong = "pong",
    /// The caller's identity and the limits.
    Hello = "hello",
    /// A request or an upload failed.
    Failure = "error",
    /// A message of a room.
    Message = "message",
    /// The positions of several messages that the caller sent.
    SentMessages = "sent",
    /// A message was edited.
    Edited = "edited",
    /// Messages were deleted.
    DeletedMessages = "deleted",
    /// A user reacted to a message, or took a reaction back.
    Reactions = "reactions",
    /// The users who reacted to a message.
    ReactedUsers = "reacted",
    /// A message was pinned.
    Pinned = "pinned",
    /// A message is no longer pinned.
    Unpinned = "unpinned",
    /// The pinned messages of a room.
    Pins = "pins",
    /// A user started or stopped typing.
    Typing = "typing",
    /// A room and a page of its participants.
    Room = "room",
    /// A page of a room's history.
    Messages = "messages",
    /// A user joined a room.
    Joined = "joined",
    /// A member invites the user into a room.
    Invited = "invited",
    /// A stranger began a direct conversation.
    DirectRequest = "request",
    /// What became of the users that a moderator added.
    Added = "added",
    /// A page of the users whom the caller has blocked.
    Blocked = "blocked",
    /// A page of the caller's rooms.
    Rooms = "rooms",
    /// What is unread in a page of the caller's conversations.
    Unreads = "unreads",
    /// The user changed, on another device, what they want to be told of.
    NotifyChanged = "notify",
    /// A page of the messages that contain a text.
    Found = "found",
    /// The messages missed in several rooms.
    Resumed = "resumed",
    /// A member's read position.
    Read = "read",
    /// A user came online or went offline.
    Presence = "presence",
    /// A user left a room or was removed.
    Left = "left",
    /// A presigned request to upload an announced file.
    Upload = "upload",
    /// A presigned URL to download a file.
    Download = "file",
    /// A room was closed.
    RoomClosed = "room-closed",
    /// Rooms near a location. Over HTTP only.
    Nearby = "near",
    /// An invite into a private room. Over HTTP only.
    Invite = "invite",
    /// A page of the invites into a room that can be used.
    Invites = "invites",
    /// A ticket, which lets one handshake in. Over HTTP only.
    Ticket = "ticket",
    /// A user whose tokens were revoked. Over HTTP only.
    Disconnected = "disconnected",
    /// What became of a backend's message. Over HTTP only.
    Posted = "posted",
    /// How far an export of a user is, and where it is. Over HTTP only.
    Export = "export",
    /// How far the erasure of a user is. Over HTTP only.
    Erasure = "erasure",
    /// The live connections of a user. Over HTTP only.
    UserConnections = "connections",
    /// A page of the record of a day. Over HTTP only.
    Acts = "audit",
    /// A page of the reports of a room's messages. Over HTTP only.
    Reports = "reports",
    /// The function is healthy. Over HTTP only.
    Health = "health",
}

/// The answer of a handler.
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

/// Confirms an action that has no other answer.
#[apply(sent)]
pub struct Ack {
    /// The action or route that was carried out.
    pub action: &'static str,
    pub room_id: Option<RoomId>,
    /// The position of a message whose sender gets no copy.
    #[serde(flatten)]
    pub position: Option<Position>,
    #[serde(skip_serializing_if = "Not::not")]
    pub duplicate: bool,
}

impl Ack {
    /// The answer of the action or route `action` about a room.
    pub fn of(action: &'static str, room_id: RoomId) -> Self {
        Self { room_id: Some(room_id), ..Self::confirming(action) }
    }

    /// The answer of the action or route `action` that is about no room.
    pub fn confirming(action: &'static str) -> Self {
        Self { action, room_id: None, position: None, duplicate: false }
    }
}

/// The answer to `ping`.
#[apply(sent)]
pub struct Pong {}

/// The caller's identity and the limits.
#[apply(sent)]
pub struct Hello {
    pub user_id: UserId,
    pub user_name: Name,
    /// The roles of the token that count here.
    pub roles: Vec<&'static str>,
    /// Absent over HTTP.
    pub connection_id: Option<ConnectionId>,
    pub format: &'static str,
    /// When the connection ends because its token expires. Absent over HTTP and without tokens.
    pub auth_until: Option<Iso>,
    pub server_time: Iso,
    /// Whether there is a room that everybody is in.
    pub lobby: bool,
    pub limits: Limits,
}

/// The limits of this deployment.
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
    /// The rate limits of a user; absent if they are switched off.
    #[serde(flatten)]
    pub rates: Option<RateLimits>,
}

/// The rate limits of a user.
#[apply(sent)]
pub struct RateLimits {
    pub frames_per_second: f64,
    pub frames_burst: u64,
    pub messages_per_second: f64,
    pub messages_burst: u64,
    pub changes_per_second: f64,
    pub typing_per_second: f64,
    pub rooms_per_hour: f64,
    pub invites_per_hour: f64,
    pub uploads_per_hour: f64,
    pub connections_per_minute: f64,
    /// Above it the oldest connection is closed.
    pub live_connections: usize,
}

/// A request or an upload failed.
#[apply(sent)]
pub struct Failure {
    pub code: &'static str,
    pub status: u16,
    pub message: String,
    pub action: Option<&'static str>,
    /// The field at fault.
    pub field: Option<&'static str>,
    /// The message at fault, of several: its place in `messages`, from 0.
    pub index: Option<usize>,
    /// The message as it is now, where a change was made to an earlier state of it.
    pub current: Option<Box<Message>>,
    /// Why the review did not accept a text.
    pub reason: Option<String>,
    /// The rate limit that refuses the request.
    pub scope: Option<&'static str>,
    /// When the same request can succeed, in milliseconds from now.
    pub retry_after_ms: Option<u64>,
    /// The actions that exist.
    pub actions: Option<Vec<&'static str>>,
    /// The file that the failure is about.
    pub file_id: Option<FileId>,
}

impl Failure {
    /// The frame of an error in `action`. `request_id` is API Gateway's: it finds the failure in the log.
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
            index: error.index(),
            current: error.current().cloned().map(|entry| Box::new(Message::from(entry).seen_by_others())),
            reason: error.reason().map(str::to_owned),
            scope: error.scope(),
            retry_after_ms: error.retry_after_ms(),
            actions: error.wants_actions().then(|| Action::ALL.iter().map(|action| action.key()).collect()),
            file_id: None,
        }
    }
}

/// A presigned request to upload an announced file.
#[apply(sent)]
pub struct Upload {
    pub file_id: FileId,
    pub upload_url: String,
    pub method: String,
    /// The headers that the upload must carry, exactly these.
    pub headers: BTreeMap<String, String>,
    pub expires_at: Iso,
}

/// A presigned URL to download a file: valid for everybody who has it, until it expires.
#[apply(sent)]
pub struct Download {
    #[serde(flatten)]
    pub file: File,
    pub expires_at: Iso,
}

/// A ticket, which lets one handshake in.
#[apply(sent)]
pub struct Ticket {
    pub ticket: String,
    pub expires_at: Iso,
}

/// The function is healthy.
#[apply(sent)]
pub struct Health {
    pub status: &'static str,
}
