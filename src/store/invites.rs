//! What lets users into private rooms.

use aws_sdk_dynamodb::types::Update;
use serde::{Deserialize, Serialize};

use super::tables::{INVITES, TTL};
use super::{Store, failed, item_of, number};
use crate::domain::{InviteCode, RoomId, Timestamp, UserId};
use crate::error::Error;

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
    pub async fn add_invite(&self, invite: &Invite) -> Result<(), Error> {
        let put = self.client.put_item().table_name(self.name(&INVITES)).set_item(Some(item_of(invite)?));
        put.send().await.map_err(failed).map(drop)
    }

    /// Makes an invite worthless, whether there is one or not.
    pub async fn revoke_invite(&self, room: &RoomId, invite: &InviteCode) -> Result<(), Error> {
        let key = INVITES.key_of(room.as_str(), invite.as_str());
        let delete = self.client.delete_item().table_name(self.name(&INVITES)).set_key(Some(key));
        delete.send().await.map_err(failed).map(drop)
    }

    /// The part of a transaction that spends a use of an invite: if one is left.
    pub(super) fn use_up_invite(&self, room: &RoomId, invite: &InviteCode, now: Timestamp) -> Result<Update, Error> {
        Update::builder()
            .table_name(self.name(&INVITES))
            .set_key(Some(INVITES.key_of(room.as_str(), invite.as_str())))
            .update_expression("ADD #left :minus")
            .condition_expression("#left > :none AND #ttl > :now")
            .expression_attribute_names("#left", "usesLeft")
            .expression_attribute_names("#ttl", TTL)
            .expression_attribute_values(":minus", number(-1))
            .expression_attribute_values(":none", number(0))
            .expression_attribute_values(":now", number(now.as_secs()))
            .build()
            .map_err(Error::internal)
    }
}
