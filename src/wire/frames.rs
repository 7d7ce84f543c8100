//! What clients hear: one enum, one spelling of each field.

use std::collections::BTreeMap;

use serde::Serialize;

use super::formats::Copies;
use crate::domain::{
    ClientMessageId, ConnectionId, Draft, Entry, File, FileId, InviteCode, Location, MessageId, Metres, Name, Role,
    RoomId, RoomStatus, RoomType, Seq, Timestamp, UserId,
};
use crate::error::Error;
use crate::routes::Route;

/// The most that one frame may have, as API Gateway has it.
pub const LARGEST_FRAME_BYTES: usize = 32 * 1024;

/// The most that an answer adds around its items: a room's id, the client's request id, both with every character
/// escaped, and cursors.
pub const ENVELOPE_BYTES: usize = 1024;

/// A frame from the server, told apart by its `type`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Frame {
    Ack {
        action: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        room_id: Option<RoomId>,
        /// Where a message has gone whose sender gets no copy.
        #[serde(flatten)]
        message: Option<Position>,
        #[serde(skip_serializing_if = "is_false")]
        duplicate: bool,
    },
    Pong,
    /// Who the caller is here, and what they can count on.
    Hello {
        user_id: UserId,
        user_name: Name,
        /// What the token says that counts here.
        roles: Vec<&'static str>,
        /// Absent over HTTP.
        #[serde(skip_serializing_if = "Option::is_none")]
        connection_id: Option<ConnectionId>,
        format: &'static str,
        #[serde(serialize_with = "Timestamp::serialize_iso")]
        server_time: Timestamp,
        /// Whether there is a room that everybody is in.
        lobby: bool,
        limits: Limits,
    },
    Error {
        code: &'static str,
        status: u16,
        message: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        action: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        field: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        actions: Option<Vec<&'static str>>,
        /// The file that it is about.
        #[serde(skip_serializing_if = "Option::is_none")]
        file_id: Option<FileId>,
    },
    Message(Message),
    Typing {
        room_id: RoomId,
        user_id: UserId,
        user_name: Name,
        is_typing: bool,
        #[serde(flatten)]
        copies: Option<Box<Copies>>,
    },
    Room(Box<RoomFrame>),
    Messages {
        room_id: RoomId,
        items: Vec<Frame>,
        has_more: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_before: Option<Seq>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_after: Option<Seq>,
    },
    Joined {
        room_id: RoomId,
        user_id: UserId,
        user_name: Name,
        #[serde(flatten)]
        copies: Option<Box<Copies>>,
    },
    Rooms {
        items: Vec<ListedRoom>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_cursor: Option<String>,
    },
    Resumed {
        rooms: BTreeMap<RoomId, Resumed>,
    },
    Read {
        room_id: RoomId,
        user_id: UserId,
        seq: Seq,
        #[serde(flatten)]
        copies: Option<Box<Copies>>,
    },
    Presence {
        room_id: RoomId,
        user_id: UserId,
        status: Presence,
        #[serde(serialize_with = "Timestamp::serialize_iso")]
        at: Timestamp,
        #[serde(flatten)]
        copies: Option<Box<Copies>>,
    },
    Left {
        room_id: RoomId,
        user_id: UserId,
        reason: LeaveReason,
        #[serde(flatten)]
        copies: Option<Box<Copies>>,
    },
    Upload {
        file_id: FileId,
        upload_url: String,
        method: String,
        /// What the upload has to carry, exactly so.
        headers: BTreeMap<String, String>,
        #[serde(serialize_with = "Timestamp::serialize_iso")]
        expires_at: Timestamp,
    },
    File {
        /// Its address is signed: good for everybody who knows it, for a while.
        #[serde(flatten)]
        file: File,
        #[serde(serialize_with = "Timestamp::serialize_iso")]
        expires_at: Timestamp,
    },
    RoomClosed {
        room_id: RoomId,
        reason: &'static str,
        /// Who closed it, if somebody did.
        #[serde(skip_serializing_if = "Option::is_none")]
        user_id: Option<UserId>,
    },
    /// Over HTTP alone.
    Near {
        rooms: Vec<NearRoom>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next_cursor: Option<String>,
    },
    /// Over HTTP alone.
    Invite {
        room_id: RoomId,
        invite: InviteCode,
        #[serde(serialize_with = "Timestamp::serialize_iso")]
        expires_at: Timestamp,
        max_uses: u64,
    },
}

/// What a client can count on.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
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

/// Why somebody is no longer in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaveReason {
    Left,
    Removed,
    Banned,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    pub message_id: MessageId,
    pub seq: Seq,
    #[serde(serialize_with = "Timestamp::serialize_iso")]
    pub created_at: Timestamp,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    pub room_id: RoomId,
    #[serde(flatten)]
    pub position: Position,
    pub user_id: UserId,
    pub user_name: Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_icon: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_color: Option<String>,
    pub content: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_message_id: Option<ClientMessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Box<File>>,
    #[serde(skip_serializing_if = "is_false")]
    pub duplicate: bool,
    #[serde(flatten)]
    pub copies: Option<Box<Copies>>,
}

impl Message {
    /// An entry as `reader` sees it: a sender's own id for a message is nobody else's affair.
    pub fn seen_by(reader: &UserId, entry: Entry) -> Self {
        let mut message = Self::from(entry);
        if message.user_id != *reader {
            message.client_message_id = None;
        }
        message
    }

    /// Whether a message, once it has its place, fits a frame, and a page of history that holds nothing else.
    pub fn fits(room: &RoomId, draft: &Draft) -> bool {
        let Draft { user, name, style, content, reply_to, client_id, file } = draft.clone();
        let placed = Self::from(Entry {
            room: room.clone(),
            seq: Seq::MAX,
            created_at: Timestamp::from_millis(0),
            user,
            name,
            style,
            content: content.into_string(),
            reply_to,
            client_id,
            file,
        });
        fitting([&Frame::Message(placed)].into_iter(), ENVELOPE_BYTES) == 1
    }
}

impl From<Entry> for Message {
    fn from(entry: Entry) -> Self {
        Self {
            position: Position { message_id: entry.seq.message_id(), seq: entry.seq, created_at: entry.created_at },
            room_id: entry.room,
            user_id: entry.user,
            user_name: entry.name,
            user_icon: entry.style.icon,
            user_color: entry.style.color,
            content: entry.content,
            reply_to: entry.reply_to,
            client_message_id: entry.client_id,
            file: entry.file.map(Box::new),
            duplicate: false,
            copies: None,
        }
    }
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RoomFrame {
    pub room_id: RoomId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_name: Option<Name>,
    pub room_type: RoomType,
    pub status: RoomStatus,
    pub creator: UserId,
    #[serde(serialize_with = "Timestamp::serialize_iso")]
    pub created_at: Timestamp,
    /// Epoch milliseconds, unlike every other time.
    pub last_activity: Timestamp,
    pub auto_close: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_participants: Option<u64>,
    pub participant_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub road_name: Option<Name>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub radius: Option<Metres>,
    /// Absent where many rooms are looked through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seq: Option<Seq>,
    /// Users, not connections. Absent where many rooms are looked through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online_count: Option<u64>,
    /// Absent in a list of rooms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participants: Option<Participants>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<UserId>,
    #[serde(flatten)]
    pub copies: Option<Box<Copies>>,
}

/// Who is in a room: in full, or by their ids alone.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Participants {
    Full(Vec<Participant>),
    Ids(Vec<UserId>),
}

/// A room in the list of a user's rooms.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedRoom {
    #[serde(flatten)]
    pub room: RoomFrame,
    pub last_read_seq: Seq,
    /// What others said behind it; 99 stands for 99 and more.
    pub unread: usize,
    #[serde(skip_serializing_if = "is_false")]
    pub unread_more: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_message: Option<Frame>,
}

/// A room that was searched for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NearRoom {
    #[serde(flatten)]
    pub room: RoomFrame,
    pub distance: Metres,
}

/// What a client missed in a room, or why it is not told.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
pub enum Resumed {
    Missed {
        items: Vec<Frame>,
        /// Whether that is all.
        complete: bool,
        /// Where to go on from, if it is not.
        #[serde(skip_serializing_if = "Option::is_none")]
        next_after: Option<Seq>,
        last_seq: Seq,
        /// Set where some of what was missed is no longer there.
        #[serde(skip_serializing_if = "is_false")]
        reset: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        oldest_seq: Option<Seq>,
        /// Set where nothing more will be said.
        #[serde(skip_serializing_if = "is_false")]
        closed: bool,
    },
    Refused {
        error: Refusal,
    },
}

#[derive(Clone, Debug, Serialize)]
pub struct Refusal {
    pub code: &'static str,
    pub status: u16,
    pub message: String,
}

impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        Self { code: error.code(), status: error.status(), message: error.to_string() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    Online,
    Offline,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl RoomFrame {
    /// With as many of `participants` as fit a frame; `more` tells whether there are others behind them.
    pub fn with_participants(mut self, mut participants: Vec<Participant>, more: bool) -> Self {
        // In `compat` the ids stand there once more.
        let in_full_and_by_id = participants.iter().map(|one| size_of(one) + size_of(&one.user_id));
        let fitting = fitting_sizes(in_full_and_by_id, json(&self).len() + ENVELOPE_BYTES);
        let more = more || fitting < participants.len();
        participants.truncate(fitting);
        self.next_cursor = participants.last().map(|last| last.user_id.clone()).filter(|_| more);
        self.participants = Some(Participants::Full(participants));
        self
    }
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    pub user_id: UserId,
    pub user_name: Name,
    pub role: Role,
    #[serde(serialize_with = "Timestamp::serialize_iso")]
    pub joined_at: Timestamp,
    pub online: bool,
}

impl Frame {
    /// The answer to an action that has nothing more to tell.
    pub fn ack(route: Route, room: Option<RoomId>) -> Self {
        Self::Ack { action: route.key(), room_id: room, message: None, duplicate: false }
    }

    /// What a client is told of a failure in `route`. `request_id` is ours: it finds the failure in the log.
    pub fn error(error: &Error, route: Route, request_id: &str) -> Self {
        let mut message = error.to_string();
        if error.cause().is_some() {
            message.push_str(&format!(" (request id {request_id})"));
        }
        Self::Error {
            code: error.code(),
            status: error.status(),
            message,
            action: Route::actions().find(|action| *action == route).map(Route::key),
            field: error.field(),
            actions: error.wants_actions().then(|| Route::actions().map(Route::key).collect()),
            file_id: None,
        }
    }

    /// An error with the file that it is about.
    pub fn about_file(mut self, id: &FileId) -> Self {
        if let Self::Error { file_id, .. } = &mut self {
            *file_id = Some(id.clone());
        }
        self
    }
}

/// What `item` takes of a frame, its comma included.
pub fn size_of(item: &impl Serialize) -> usize {
    json(item).len() + 1
}

/// How many of `items`, from the first, go into one frame of which `taken` bytes are spoken for.
pub fn fitting<'a, T: Serialize + 'a>(items: impl Iterator<Item = &'a T>, taken: usize) -> usize {
    fitting_sizes(items.map(size_of), taken)
}

fn fitting_sizes(sizes: impl Iterator<Item = usize>, taken: usize) -> usize {
    let mut left = LARGEST_FRAME_BYTES.saturating_sub(taken);
    sizes
        .take_while(|&size| {
            let fits = size <= left;
            left = left.saturating_sub(size);
            fits
        })
        .count()
}

/// Frames are made of strings, numbers and lists: there is nothing in them that JSON cannot say.
pub(super) fn json(frame: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(frame).unwrap_or_default()
}
