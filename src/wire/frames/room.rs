//! Frames of rooms, their members and their invites.

use std::ops::Not;

use macro_rules_attribute::apply;

use super::{DirectRequest, Invited, Iso, Item};
use crate::domain::{
    Epoch, InviteCode, Location, Metres, Mode, Name, Rev, Role, RoomId, RoomStatus, RoomType, Seq, Timestamp, UserId,
};
use crate::wire::formats::{ChatRoomCopy, RoomCopies};
use crate::wire::size::{ENVELOPE_BYTES, fitting_sizes, json, size_of};

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
    /// Absent while it is that of a new room.
    pub mode: Option<Mode>,
    pub participant_count: u64,
    pub location: Option<Location>,
    pub road_name: Option<Name>,
    /// Metres.
    pub radius: Option<Metres>,
    /// Changes when the log begins again: the room was made again under an old id, or restored from a backup.
    pub epoch: Epoch,
    /// Absent in search results.
    pub last_seq: Option<Seq>,
    /// Users, not connections. Absent in search results.
    pub online_count: Option<u64>,
    /// Whether more users may be online: in large rooms not all connections are read.
    #[serde(skip_serializing_if = "Not::not")]
    pub online_more: bool,
    /// Absent in a list of rooms.
    pub participants: Option<Participants>,
    pub next_cursor: Option<UserId>,
    #[serde(flatten)]
    pub copies: Option<Box<RoomCopies>>,
}

impl Room {
    /// As seen by a user who may not know who is online.
    pub fn without_presence(mut self) -> Self {
        self.online_count = Some(0);
        if let Some(Participants::Full(participants)) = &mut self.participants {
            participants.iter_mut().for_each(|participant| participant.online = false);
        }
        self
    }

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

/// The participants of a room: in full, or their ids only.
#[apply(sent)]
#[serde(untagged)]
pub enum Participants {
    Full(Vec<Participant>),
    Ids(Vec<UserId>),
}

/// A participant of a room.
#[apply(sent)]
pub struct Participant {
    pub user_id: UserId,
    pub user_name: Name,
    pub role: Role,
    pub joined_at: Iso,
    pub online: bool,
}

/// A page of the caller's rooms, newest activity first.
#[apply(sent)]
pub struct Rooms {
    pub items: Vec<ListedRoom>,
    /// On the first page: the first invitations that wait for an answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub invitations: Vec<Invited>,
    /// On the first page: the first direct conversations that strangers began.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<DirectRequest>,
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
    /// As in `messages`.
    pub rev: Rev,
}

/// A user joined a room.
#[apply(sent)]
pub struct Joined {
    pub room_id: RoomId,
    pub user_id: UserId,
    pub user_name: Name,
    #[serde(flatten)]
    pub copies: Option<Box<ChatRoomCopy>>,
}

/// A user left a room or was removed.
#[apply(sent)]
pub struct Left {
    pub room_id: RoomId,
    pub user_id: UserId,
    pub reason: LeaveReason,
    #[serde(flatten)]
    pub copies: Option<Box<ChatRoomCopy>>,
}

/// Why a user is no longer a member of a room.
#[apply(sent)]
#[derive(Copy, PartialEq, Eq)]
pub enum LeaveReason {
    Left,
    Removed,
    Banned,
}

/// A user came online or went offline.
#[apply(sent)]
pub struct Presence {
    pub room_id: RoomId,
    pub user_id: UserId,
    pub status: PresenceStatus,
    /// The newest one of a user counts.
    pub at: Iso,
    /// When the user counts as offline unless told again; absent if they are offline.
    pub until: Option<Iso>,
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

/// A room was closed.
#[apply(sent)]
pub struct RoomClosed {
    pub room_id: RoomId,
    pub reason: &'static str,
    /// The user who closed it; absent if it was closed for being idle.
    pub user_id: Option<UserId>,
}

/// Rooms near a location, nearest first.
#[apply(sent)]
pub struct Nearby {
    pub rooms: Vec<NearbyRoom>,
    pub next_cursor: Option<String>,
}

/// A room near a location.
#[apply(sent)]
pub struct NearbyRoom {
    #[serde(flatten)]
    pub room: Room,
    /// Metres.
    pub distance: Metres,
}

/// A page of the invites into a room that can be used.
#[apply(sent)]
pub struct Invites {
    pub room_id: RoomId,
    pub items: Vec<ListedInvite>,
    pub next_cursor: Option<InviteCode>,
}

/// An invite in a list of invites.
#[apply(sent)]
pub struct ListedInvite {
    pub invite: InviteCode,
    pub created_by: UserId,
    pub expires_at: Iso,
    pub uses_left: u64,
}

/// An invite into a private room.
#[apply(sent)]
pub struct Invite {
    pub room_id: RoomId,
    pub invite: InviteCode,
    pub expires_at: Iso,
    pub max_uses: u64,
}
