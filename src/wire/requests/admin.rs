//! Requests of backends.

use macro_rules_attribute::apply;

use super::{Introduction, Recipient, Request};
use crate::domain::{Content, Data, RoomId, UserId};
use crate::error::Error;
use crate::wire::types::{Cursor, Day, Moment, Rooms, Users};

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
