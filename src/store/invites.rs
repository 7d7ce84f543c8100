//! What lets users into private rooms.

use aws_sdk_dynamodb::types::TransactWriteItem;
use serde::{Deserialize, Serialize};

use super::{Statement, Store, failed, item_of, row_of};
use crate::domain::{InviteCode, RoomId, Timestamp, UserId};
use crate::error::Error;
use crate::tables::INVITES;

/// Rows that are read for one page.
const INVITES_PAGE: i32 = 100;

/// An invite into a room: for so many users, until it expires.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invite {
    pub room_id: RoomId,
    pub invite: InviteCode,
    /// Who made it.
    pub creator: UserId,
    /// The membership of who made it, by when it began: the invite ends with it. 0 for who needs none. Rows of earlier
    /// versions do not say.
    #[serde(default, rename = "m", skip_serializing_if = "Option::is_none")]
    pub membership: Option<Timestamp>,
    pub uses_left: u64,
    /// Epoch seconds.
    pub ttl: i64,
}

impl Store {
    /// Stores a new invite.
    pub async fn add_invite(&self, invite: &Invite) -> Result<(), Error> {
        self.put(&INVITES, item_of(invite)?, &Statement::default()).await.map(drop)
    }

    /// An invite that has a use left and has not expired.
    pub async fn invite(&self, room: &RoomId, invite: &InviteCode, now: Timestamp) -> Result<Option<Invite>, Error> {
        let row: Option<Invite> = self.row(&INVITES, INVITES.key_of(room.as_str(), invite.as_str())).await?;
        Ok(row.filter(|row| row.uses_left > 0 && !now.has_passed(row.ttl)))
    }

    /// A page of the invites into a room, from behind `after`, and where the next page begins.
    pub async fn invites(
        &self,
        room: &RoomId,
        after: Option<&InviteCode>,
        now: Timestamp,
    ) -> Result<(Vec<Invite>, Option<InviteCode>), Error> {
        let statement = Statement::query("roomId = :room")
            .filter("usesLeft > :none AND ttl > :now")
            .bind(":room", room.as_str())
            .bind(":none", 0_i64)
            .bind(":now", now.as_secs());
        let start = after.map(|invite| INVITES.key_of(room.as_str(), invite.as_str()));
        let query = self.query(&INVITES, &statement).consistent_read(true).limit(INVITES_PAGE);
        let page = query.set_exclusive_start_key(start).send().await.map_err(failed)?;
        let invites = page.items.unwrap_or_default().into_iter().map(row_of).collect::<Result<Vec<Invite>, _>>()?;
        let next = page.last_evaluated_key.as_ref().and_then(|key| key.get("invite")?.as_s().ok());
        Ok((invites, next.map(|invite| InviteCode::stored(invite.clone()))))
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
