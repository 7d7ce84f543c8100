//! What lets users into private rooms.

use aws_sdk_dynamodb::types::TransactWriteItem;
use serde::{Deserialize, Serialize};

use super::{Statement, Store, item_of};
use crate::domain::{InviteCode, RoomId, Timestamp, UserId};
use crate::error::Error;
use crate::tables::INVITES;

/// An invite into a room: for so many users, until it expires.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invite {
    pub room_id: RoomId,
    pub invite: InviteCode,
    /// Who made it.
    pub creator: UserId,
    pub uses_left: u64,
    /// Epoch seconds.
    pub ttl: i64,
}

impl Store {
    /// Stores a new invite.
    pub async fn add_invite(&self, invite: &Invite) -> Result<(), Error> {
        self.put(&INVITES, item_of(invite)?, &Statement::default()).await.map(drop)
    }

    /// Revokes an invite, whether it exists or not.
    pub async fn revoke_invite(&self, room: &RoomId, invite: &InviteCode) -> Result<(), Error> {
        self.delete(&INVITES, INVITES.key_of(room.as_str(), invite.as_str()), &Statement::default()).await.map(drop)
    }

    /// The part of a transaction that uses an invite once: if a use is left.
    pub(super) fn use_invite(
        &self,
        room: &RoomId,
        invite: &InviteCode,
        now: Timestamp,
    ) -> Result<TransactWriteItem, Error> {
        let statement = Statement::update("ADD usesLeft :minus")
            .when("usesLeft > :none AND ttl > :now")
            .bind(":minus", -1_i64)
            .bind(":none", 0_i64)
            .bind(":now", now.as_secs());
        self.update_part(&INVITES, INVITES.key_of(room.as_str(), invite.as_str()), &statement)
    }
}
