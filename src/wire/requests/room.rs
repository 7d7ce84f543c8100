//! Requests about rooms, their members and their invites.

use std::collections::BTreeSet;

use macro_rules_attribute::apply;

use super::{Introduction, Request};
use crate::domain::{InviteCode, Location, Metres, Mode, Name, Role, RoomId, Switch, UserId, Who};
use crate::error::Error;
use crate::wire::types::{
    Capacity, Cursor, EditWindow, Latitude, Lifetime, Limit, Longitude, MessageRate, Moment, RoomRadius, SearchRadius,
    Slowness, Users, Uses, Visibility,
};

/// A room with its first members.
#[apply(received)]
pub struct CreateRoom {
    pub room_name: Option<Name>,
    /// By default public.
    #[serde(default)]
    pub room_type: Visibility,
    #[serde(default)]
    pub members: Users,
    pub max_participants: Option<Capacity>,
}

/// A room to join.
#[apply(received)]
pub struct JoinRoom {
    pub room_id: RoomId,
    /// Needed for a private room.
    pub invite: Option<InviteCode>,
    #[serde(rename = "$introduction")]
    pub introduction: Introduction,
}

/// A room.
#[apply(received)]
pub struct AboutRoom {
    pub room_id: RoomId,
}

/// A room, and where a page of its participants begins.
#[apply(received)]
pub struct RoomInfo {
    pub room_id: RoomId,
    /// The `nextCursor` of the page before.
    pub cursor: Option<UserId>,
}

/// Another user in a room.
#[apply(received)]
pub struct AboutMember {
    pub room_id: RoomId,
    pub user_id: UserId,
}

/// Another user.
#[apply(received)]
pub struct AboutUser {
    pub user_id: UserId,
}

/// Most users in one request to add some: each costs a few reads.
const MAX_ADDITIONS: usize = 20;

/// Users to add to a room.
#[apply(received)]
pub struct AddMembers {
    pub room_id: RoomId,
    /// 1 to 20 users.
    members: Users,
}

impl AddMembers {
    /// The users, each once.
    pub fn users(self) -> BTreeSet<UserId> {
        self.members.0.into_iter().collect()
    }
}

impl Request for AddMembers {
    fn check(&self) -> Result<(), Error> {
        let is_valid = (1..=MAX_ADDITIONS).contains(&self.members.0.len());
        if is_valid { Ok(()) } else { Err(Error::invalid("members", "must be a list of 1 to 20 users")) }
    }
}

/// Where a page of the blocked users begins.
#[apply(received)]
pub struct ListBlocked {
    /// The `nextCursor` of the page before.
    pub cursor: Option<UserId>,
}

/// A member to mute.
#[apply(received)]
pub struct MuteMember {
    pub room_id: RoomId,
    pub user_id: UserId,
    /// By default until `unmuteMember`.
    pub until: Option<Moment>,
}

/// A new role for a member.
#[apply(received)]
pub struct SetRole {
    pub room_id: RoomId,
    pub user_id: UserId,
    pub role: Role,
}

/// A new mode of a room: what is absent stays as it is.
#[apply(received)]
pub struct SetRoomMode {
    pub room_id: RoomId,
    #[serde(rename = "$mode")]
    change: ModeChange,
}

/// What a request sets of a room's mode.
#[apply(received)]
pub struct ModeChange {
    /// Who may send messages and files.
    write: Option<Who>,
    /// Who may react to messages.
    react: Option<Who>,
    /// How many seconds a member waits after a message before the next one: 0 to 21,600.
    slow_seconds: Option<Slowness>,
    /// How many messages the room takes in a second: 1 to 100.
    max_per_second: Option<MessageRate>,
    /// For how many seconds after it was sent a message can be edited.
    edit_window_seconds: Option<EditWindow>,
    /// Whether texts are reviewed before they are accepted.
    review: Option<Switch>,
}

impl ModeChange {
    /// What is to be set.
    pub fn mode(&self) -> Mode {
        Mode {
            write: self.write,
            react: self.react,
            slow_seconds: self.slow_seconds.as_ref().map(|slow| slow.0),
            max_per_second: self.max_per_second.as_ref().map(|most| most.0),
            edit_window_seconds: self.edit_window_seconds.as_ref().map(|window| window.0),
            review: self.review,
        }
    }
}

impl SetRoomMode {
    /// What is to be set.
    pub fn mode(&self) -> Mode {
        self.change.mode()
    }
}

impl Request for SetRoomMode {
    fn check(&self) -> Result<(), Error> {
        if self.mode().is_empty() {
            const PROBLEM: &str = "or another setting must be given: `react`, `slowSeconds`, `maxPerSecond`, \
                `editWindowSeconds`, `review`";
            return Err(Error::invalid("write", PROBLEM));
        }
        Ok(())
    }
}

/// A new name for a room.
#[apply(received)]
pub struct RenameRoom {
    pub room_id: RoomId,
    pub room_name: Name,
}

/// Where a page of the caller's rooms begins.
#[apply(received)]
pub struct ListRooms {
    /// The `nextCursor` of the page before.
    pub cursor: Option<Cursor>,
}

/// An invite into a private room.
#[apply(received)]
pub struct CreateInvite {
    pub room_id: RoomId,
    /// How many times it can be used. By default once.
    #[serde(default = "CreateInvite::default_uses")]
    pub max_uses: Uses,
    /// By default a day.
    #[serde(default = "CreateInvite::default_lifetime")]
    pub expires_in_seconds: Lifetime,
}

impl CreateInvite {
    fn default_uses() -> Uses {
        Uses(1)
    }

    fn default_lifetime() -> Lifetime {
        Lifetime(86_400)
    }
}

/// Where a page of a room's invites begins.
#[apply(received)]
pub struct ListInvites {
    pub room_id: RoomId,
    /// The `nextCursor` of the page before.
    pub cursor: Option<InviteCode>,
}

/// An invite that is no longer valid.
#[apply(received)]
pub struct RevokeInvite {
    pub room_id: RoomId,
    pub invite: InviteCode,
}

/// A room at a location.
#[apply(received)]
pub struct CreateRoomAt {
    latitude: Latitude,
    longitude: Longitude,
    pub road_name: Option<Name>,
    /// The distance up to which searches find the room, in metres. By default 1,000.
    #[serde(default = "CreateRoomAt::default_radius")]
    pub radius: RoomRadius,
    pub room_name: Option<Name>,
    /// By default public.
    #[serde(default)]
    pub room_type: Visibility,
    pub max_participants: Option<Capacity>,
    /// The display name of the creator.
    pub user_name: Option<Name>,
}

impl CreateRoomAt {
    /// The radius of a room that names none.
    pub fn default_radius() -> RoomRadius {
        RoomRadius(Metres::new(1_000.0))
    }

    /// Where the room is.
    ///
    /// # Errors
    /// `INVALID_FIELD`.
    pub fn location(&self) -> Result<Location, Error> {
        location(&self.latitude, &self.longitude)
    }
}

/// # Errors
/// `INVALID_FIELD` for a place that is not on earth.
pub(super) fn location(latitude: &Latitude, longitude: &Longitude) -> Result<Location, Error> {
    let location = Location::new(latitude.0, longitude.0);
    location.ok_or_else(|| Error::invalid("latitude", "and `longitude` must be a place on earth"))
}

/// A search for rooms near a location.
#[apply(received)]
pub struct SearchRooms {
    latitude: Latitude,
    longitude: Longitude,
    /// By default both.
    pub room_type: Option<Visibility>,
    /// The search radius in metres. By default 5,000.
    #[serde(default = "SearchRooms::default_radius")]
    pub radius: SearchRadius,
    limit: Option<Limit>,
    /// The `nextCursor` of the page before.
    pub cursor: Option<Cursor>,
}

impl SearchRooms {
    /// Also the default. The participants of each room on a page cost a request.
    const MAX_ROOMS: usize = 20;

    fn default_radius() -> SearchRadius {
        SearchRadius(Metres::new(5_000.0))
    }

    /// The centre of the search.
    ///
    /// # Errors
    /// `INVALID_FIELD`.
    pub fn location(&self) -> Result<Location, Error> {
        location(&self.latitude, &self.longitude)
    }

    /// The length of the page: 1 to 20.
    pub fn limit(&self) -> usize {
        self.limit.as_ref().map_or(Self::MAX_ROOMS, |limit| limit.0.min(Self::MAX_ROOMS))
    }
}
