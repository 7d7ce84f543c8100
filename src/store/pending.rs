//! What waits for a user's consent: invitations into rooms; and requests, direct conversations that strangers began.

use aws_sdk_dynamodb::types::{ReturnValue, TransactWriteItem};
use serde::{Deserialize, Serialize};

use super::{FIRST_OF_IDS, Item, Key, Statement, Store, failed, item_of, row_of};
use crate::domain::{Name, RoomId, Timestamp, UserId};
use crate::error::Error;
use crate::tables::PENDING;

/// How long a user has to decide (seconds).
const LIFETIME_SECS: i64 = 30 * 86_400;

/// An invitation or a request.
#[derive(Clone, Debug)]
pub struct Pending {
    pub user: UserId,
    pub room: RoomId,
    /// Who invited the user, or wrote to them.
    pub by: UserId,
    pub at: Timestamp,
    /// Of an invitation: the room's name; of a request: the sender's.
    pub name: Option<Name>,
    /// Of an invitation: since when the inviter is a member. It ends with that membership. `None`: the inviter is an
    /// admin of all rooms.
    pub membership: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PendingRow {
    user_id: UserId,
    /// The room, behind a control character if it is a direct conversation.
    room_id: String,
    by: UserId,
    at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<Name>,
    #[serde(default, rename = "m", skip_serializing_if = "Option::is_none")]
    membership: Option<Timestamp>,
    ttl: i64,
}

impl From<&Pending> for PendingRow {
    fn from(pending: &Pending) -> Self {
        let Pending { user, room, by, at, name, membership } = pending.clone();
        let ttl = at.as_secs() + LIFETIME_SECS;
        Self { user_id: user, room_id: sort_key(&room), by, at, name, membership, ttl }
    }
}

impl From<PendingRow> for Pending {
    fn from(row: PendingRow) -> Self {
        let PendingRow { user_id, room_id, by, at, name, membership, .. } = row;
        Self {
            user: user_id,
            room: RoomId::stored(room_id.trim_start_matches('\t').to_owned()),
            by,
            at,
            name,
            membership,
        }
    }
}

fn sort_key(room: &RoomId) -> String {
    if room.is_direct() { format!("\t{room}") } else { room.to_string() }
}

fn key(user: &UserId, room: &RoomId) -> Key {
    PENDING.key_of(user.as_str(), &sort_key(room))
}

impl Store {
    /// The invitation into a room, or the request of a direct conversation.
    pub async fn pending(&self, user: &UserId, room: &RoomId, now: Timestamp) -> Result<Option<Pending>, Error> {
        let row = self.row::<PendingRow>(&PENDING, key(user, room)).await?;
        Ok(row.filter(|row| !now.has_passed(row.ttl)).map(Pending::from))
    }

    /// Up to `limit` invitations of a user, in the order of the rooms.
    pub async fn invitations(&self, user: &UserId, limit: i32, now: Timestamp) -> Result<Vec<Pending>, Error> {
        self.pending_of(user, "userId = :user AND roomId >= :first", limit, now).await
    }

    /// Up to `limit` requests of a user, in the order of the conversations.
    pub async fn requests(&self, user: &UserId, limit: i32, now: Timestamp) -> Result<Vec<Pending>, Error> {
        self.pending_of(user, "userId = :user AND roomId < :first", limit, now).await
    }

    async fn pending_of(&self, user: &UserId, which: &str, limit: i32, now: Timestamp) -> Result<Vec<Pending>, Error> {
        let statement = Statement::query(which)
            .filter("ttl > :now")
            .bind(":user", user.as_str())
            .bind(":first", FIRST_OF_IDS)
            .bind(":now", now.as_secs());
        let page = self.query(&PENDING, &statement).consistent_read(true).limit(limit).send().await.map_err(failed)?;
        let rows = page.items.unwrap_or_default().into_iter();
        rows.map(|item| row_of::<PendingRow>(item).map(Pending::from)).collect()
    }

    /// Stores an invitation or a request, over one of the same room. Returns whether there was none.
    pub async fn add_pending(&self, pending: &Pending) -> Result<bool, Error> {
        let put = self.client.put_item().table_name(self.name(&PENDING));
        let put = put.set_item(Some(item_of(&PendingRow::from(pending))?)).return_values(ReturnValue::AllOld);
        let before = put.send().await.map_err(failed)?.attributes.filter(|row: &Item| !row.is_empty());
        let before: Option<PendingRow> = before.map(row_of).transpose()?;
        Ok(before.is_none_or(|row| pending.at.has_passed(row.ttl)))
    }

    /// Ends an invitation or a request. `false` when there is none.
    pub async fn end_pending(&self, user: &UserId, room: &RoomId) -> Result<bool, Error> {
        let exists = Statement::default().when("attribute_exists(userId)");
        self.delete(&PENDING, key(user, room), &exists).await
    }

    /// The part of a transaction that ends an invitation or a request, if it is still that one.
    pub(super) fn use_pending(&self, pending: &Pending) -> Result<TransactWriteItem, Error> {
        let is_same = Statement::default().when("at = :at").bind(":at", pending.at.as_millis());
        self.delete_part(&PENDING, key(&pending.user, &pending.room), &is_same)
    }

    /// The part of a transaction that ends a request, whether there is one or not.
    pub(super) fn end_request(&self, user: &UserId, room: &RoomId) -> Result<TransactWriteItem, Error> {
        self.delete_part(&PENDING, key(user, room), &Statement::default())
    }
}
