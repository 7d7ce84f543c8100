//! Requests of backends.

use macro_rules_attribute::apply;

use super::room::{self, CreateRoomAt, ModeChange};
use super::{Introduction, Recipient, Request};
use crate::domain::{Content, Data, ExportId, Mode, Name, Place, Role, RoomId, UserId};
use crate::error::Error;
use crate::wire::types::{Capacity, Cursor, Day, Latitude, Longitude, Moment, RoomRadius, Rooms, Users, Visibility};

/// Most targets of one message.
const MAX_TARGETS: usize = 25;

/// A user whose tokens are revoked.
#[apply(received)]
pub struct DisconnectUser {
    pub user_id: UserId,
    /// Tokens that were issued before are refused. By default now.
    pub not_before: Option<Moment>,
    /// Until then the user is refused, whatever the token.
    pub block_until: Option<Moment>,
}

/// A message of a backend.
#[apply(received)]
pub struct PostMessage {
    /// As whom: a user or a bot. By default the chat itself, `switchboard`.
    #[serde(rename = "as")]
    pub speaker: Option<UserId>,
    #[serde(rename = "$introduction")]
    pub introduction: Introduction,
    /// Rooms, and with `users` at most 25 in all.
    #[serde(default)]
    rooms: Rooms,
    /// Users, each in the direct conversation with the sender.
    #[serde(default)]
    users: Users,
    pub content: Content,
    pub data: Option<Data>,
}

impl PostMessage {
    /// The rooms, then the users.
    pub fn recipients(&self) -> Vec<Recipient> {
        let rooms = self.rooms.0.iter().cloned().map(Recipient::Room);
        rooms.chain(self.users.0.iter().cloned().map(Recipient::User)).collect()
    }
}

impl Request for PostMessage {
    fn check(&self) -> Result<(), Error> {
        if self.content.is_too_large() {
            return Err(Error::TooLarge);
        }
        let is_valid = (1..=MAX_TARGETS).contains(&(self.rooms.0.len() + self.users.0.len()));
        if is_valid { Ok(()) } else { Err(Error::invalid("rooms", "and `users` must be 1 to 25 in all")) }
    }
}

/// A room that is to be so: what is absent stays as it is, or as it is in a new room.
#[apply(received)]
pub struct PutRoom {
    pub room_id: RoomId,
    /// An owner of the room. By default a new room has none.
    pub owner: Option<UserId>,
    pub room_name: Option<Name>,
    /// By default public.
    pub room_type: Option<Visibility>,
    pub max_participants: Option<Capacity>,
    /// Whether the room closes when it is idle. By default it stays open.
    pub auto_close: Option<bool>,
    latitude: Option<Latitude>,
    longitude: Option<Longitude>,
    road_name: Option<Name>,
    /// The distance up to which searches find the room, in metres. By default 1,000.
    radius: Option<RoomRadius>,
    #[serde(rename = "$mode")]
    mode: ModeChange,
}

impl PutRoom {
    /// The place of the room, if the request names one.
    ///
    /// # Errors
    /// `INVALID_FIELD`.
    pub fn place(&self) -> Result<Option<Place>, Error> {
        const INCOMPLETE: &str = "and `longitude` must be given together, and with `roadName` or `radius`";
        let radius = self.radius.as_ref().map_or_else(|| CreateRoomAt::default_radius().0, |radius| radius.0);
        match (&self.latitude, &self.longitude) {
            (Some(latitude), Some(longitude)) => {
                let location = room::location(latitude, longitude)?;
                Ok(Some(Place { location, road_name: self.road_name.clone(), radius }))
            }
            (None, None) if self.road_name.is_none() && self.radius.is_none() => Ok(None),
            _ => Err(Error::invalid("latitude", INCOMPLETE)),
        }
    }

    /// What is to be set of the room's mode.
    pub fn mode(&self) -> Mode {
        self.mode.mode()
    }
}

impl Request for PutRoom {
    fn check(&self) -> Result<(), Error> {
        if self.room_id.is_lobby() || self.room_id.is_direct() {
            return Err(Error::invalid("roomId", "must be that of a room: not the lobby, nor a direct conversation"));
        }
        self.place().map(drop)
    }
}

/// A user who is to be a member of a room.
#[apply(received)]
pub struct PutMember {
    pub room_id: RoomId,
    pub user_id: UserId,
    /// By default a new member is a `member`, and who is one already keeps their role.
    pub role: Option<Role>,
}

/// An export of a user.
#[apply(received)]
pub struct GetExport {
    pub user_id: UserId,
    pub export_id: ExportId,
}

/// A day of the record.
#[apply(received)]
pub struct ListActs {
    /// Such as `2026-11-26`. By default today.
    pub day: Option<Day>,
    /// The `nextCursor` of the page before.
    pub cursor: Option<Cursor>,
}

/// A room whose messages were reported.
#[apply(received)]
pub struct ListReports {
    pub room_id: RoomId,
    /// The `nextCursor` of the page before.
    pub cursor: Option<Cursor>,
}
