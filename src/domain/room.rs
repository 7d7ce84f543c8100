//! Rooms and their members.

use serde::{Deserialize, Serialize};

use super::{Epoch, Location, Metres, Mode, Name, NotifyLevel, Rev, RoomId, Seq, Timestamp, UserId};

/// Who can join a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RoomType {
    /// Everybody can join.
    #[default]
    Public,
    /// Joining requires an invite.
    Private,
    /// The conversation of two users.
    Direct,
}

/// Whether a room takes members and messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum RoomStatus {
    #[default]
    Active,
    /// Takes no members and no messages; its history can still be read.
    Closed,
}

/// Why a room was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// By a user.
    Closed,
    /// It was idle.
    Idle,
}

impl CloseReason {
    /// The name in rows and frames.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Idle => "idle",
        }
    }
}

/// What a member may do in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Owner,
    Admin,
    Member,
}

impl Role {
    /// The name in rows and frames.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }
}

/// Where a room is.
#[derive(Clone, Debug)]
pub struct Place {
    pub location: Location,
    pub road_name: Option<Name>,
    /// Up to this distance the room is near, also for searches with a smaller radius.
    pub radius: Metres,
}

/// A room.
#[derive(Clone, Debug)]
pub struct Room {
    pub id: RoomId,
    pub name: Option<Name>,
    pub room_type: RoomType,
    pub status: RoomStatus,
    pub creator: UserId,
    pub created_at: Timestamp,
    /// The last known activity: the log's tail knows of later ones.
    pub last_activity: Timestamp,
    pub place: Option<Place>,
    /// Whether the room closes when it is idle.
    pub auto_close: bool,
    pub max_participants: Option<u64>,
    /// As the last entry of its log that set it.
    pub mode: Mode,
    /// Kept equal to the number of members by the transactions that change memberships.
    pub participant_count: u64,
    /// Whether so many join at once that they are counted in rows of their own.
    pub is_count_spread: bool,
    /// Another one than that of an earlier room of the same id.
    pub epoch: Epoch,
    /// When a closed room expires, with its history (epoch seconds).
    pub ends_at: Option<i64>,
    /// A lower bound of the end of the log.
    pub last_seq: Seq,
    /// A lower bound of the end of the log of changes; 0 before the first one.
    pub last_rev: Rev,
    /// Whether everybody has been told that it was closed.
    pub is_closing_told: bool,
    /// Whether a client chose the id, and so may make another room of that id once this one has expired. The row then
    /// outlives the room, so that no `seq` is given twice.
    pub has_chosen_id: bool,
}

impl Room {
    /// Memberships and bans from before this moment are those of an earlier room of the same id.
    pub fn since(&self) -> Timestamp {
        if self.has_chosen_id { self.created_at } else { Timestamp::from_millis(0) }
    }

    /// Public, permanent, without location, limit and members.
    pub fn new(id: RoomId, creator: UserId, now: Timestamp) -> Self {
        Self {
            id,
            name: None,
            room_type: RoomType::Public,
            status: RoomStatus::Active,
            creator,
            created_at: now,
            last_activity: now,
            place: None,
            auto_close: false,
            max_participants: None,
            mode: Mode::default(),
            participant_count: 0,
            is_count_spread: false,
            epoch: Epoch::default(),
            ends_at: None,
            last_seq: Seq::ZERO,
            last_rev: Rev::ZERO,
            is_closing_told: false,
            has_chosen_id: false,
        }
    }
}

/// What a member wants to be told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    pub level: NotifyLevel,
    /// Until when of nothing (epoch milliseconds).
    pub muted_until: Option<Timestamp>,
}

/// A member of a room, connected or not.
#[derive(Clone, Debug)]
pub struct Member {
    pub user: UserId,
    pub room: RoomId,
    pub role: Role,
    /// Also tells this membership from earlier ones of the user in the room: it is later than theirs.
    pub joined_at: Timestamp,
    pub name: Name,
    /// The other user, in a direct conversation.
    pub peer: Option<UserId>,
    /// How far the member has read.
    pub last_read: Seq,
    /// How many times the member has set that back.
    pub read_version: u64,
    pub notify: Notify,
    /// Whether the room is known to be closed.
    pub is_over: bool,
    /// Whether the others may not have been told of the join: the request that joined may have ended before.
    pub is_unannounced: bool,
    /// Whether another user added the member, who did not join: such rooms do not count among a user's own.
    pub is_added: bool,
    /// A direct conversation is hidden in the member's list as long as its log ends here or before.
    pub hidden_at: Seq,
    /// Until when the member may not send anything (epoch seconds).
    pub muted_until: Option<i64>,
}

impl Member {
    /// A new member.
    pub fn new(user: UserId, name: Name, room: RoomId, role: Role, now: Timestamp) -> Self {
        Self {
            user,
            room,
            role,
            joined_at: now,
            name,
            peer: None,
            last_read: Seq::ZERO,
            read_version: 0,
            notify: Notify::default(),
            is_over: false,
            is_unannounced: false,
            is_added: false,
            hidden_at: Seq::ZERO,
            muted_until: None,
        }
    }

    /// Whether the member may not send anything.
    pub fn is_muted(&self, now: Timestamp) -> bool {
        self.muted_until.is_some_and(|end| !now.has_passed(end))
    }
}
