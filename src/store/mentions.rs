//! Messages that mention a user.

use aws_sdk_dynamodb::types::{ReturnConsumedCapacity, Select, TransactWriteItem};
use serde::Serialize;

use super::{Key, ReadBudget, Statement, Store, failed, item_of, units_of};
use crate::domain::{RoomId, Seq, UserId};
use crate::error::Error;
use crate::tables::MENTIONS;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MentionRow {
    user_id: UserId,
    mention: String,
    /// An id may look like the beginning of another one with a position.
    room_id: RoomId,
    /// As that of the message.
    ttl: i64,
}

/// The sort key of a mention: the room and the position, in the order of the log.
fn mention(room: &RoomId, seq: Seq) -> String {
    format!("{room}#{}", seq.message_id().as_str())
}

fn key(user: &UserId, (room, seq): (&RoomId, Seq)) -> Key {
    MENTIONS.key_of(user.as_str(), &mention(room, seq))
}

impl Store {
    /// The part of a transaction that notes that a message mentions a user.
    pub(super) fn mention_part(
        &self,
        user: &UserId,
        (room, seq): (&RoomId, Seq),
        ttl: i64,
    ) -> Result<TransactWriteItem, Error> {
        let row = MentionRow { user_id: user.clone(), mention: mention(room, seq), room_id: room.clone(), ttl };
        self.put_part(&MENTIONS, item_of(&row)?, &Statement::default())
    }

    /// The part of a transaction that takes a mention back, with its message.
    pub(super) fn unmention_part(&self, user: &UserId, message: (&RoomId, Seq)) -> Result<TransactWriteItem, Error> {
        self.delete_part(&MENTIONS, key(user, message), &Statement::default())
    }

    /// How many messages of a room after `after` mention a user, no more than about `most`.
    pub async fn count_mentions(
        &self,
        (room, user): (&RoomId, &UserId),
        after: Seq,
        most: usize,
        budget: &ReadBudget,
    ) -> Result<usize, Error> {
        let statement = Statement::query("userId = :user AND mention BETWEEN :from AND :to")
            .filter("roomId = :room")
            .bind(":user", user.as_str())
            .bind(":room", room.as_str())
            .bind(":from", &*mention(room, after.next()))
            .bind(":to", &*mention(room, Seq::MAX));
        let query = self.query(&MENTIONS, &statement).consistent_read(true).select(Select::Count);
        let query = query.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let answer = query.limit(i32::try_from(most).unwrap_or(i32::MAX)).send().await.map_err(failed)?;
        budget.spend(units_of(&answer));
        Ok(usize::try_from(answer.count).unwrap_or_default())
    }
}
