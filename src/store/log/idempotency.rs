//! Idempotency rows: a message with a `clientMessageId` is written once, however often it is sent.

use aws_sdk_dynamodb::types::TransactWriteItem;
use serde::{Deserialize, Serialize};

use super::super::{Statement, Store, item_of, row_of};
use super::append::{Attempt, Draft};
use super::{Appended, entry_of};
use crate::domain::{Body, IdempotencyKey, RoomId, Seq, Timestamp};
use crate::error::Error;
use crate::tables::MESSAGES;

/// The idempotency row: a client's id for a message has been used, and where the message stands. It lives in the room's
/// partition and as long as the message, and sorts apart from the log.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdempotencyRow {
    room_id: RoomId,
    message_id: String,
    seq: Seq,
    /// Absent where the message was denied: whatever has its id is.
    #[serde(default)]
    digest: String,
    /// Why the review did not accept the message, where it did not. Then there is none, and `seq` is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    denied: Option<String>,
    ttl: i64,
}

impl IdempotencyRow {
    fn key(key: &IdempotencyKey) -> String {
        format!("once#{}", key.key)
    }
}

impl Store {
    /// The message that was written before under the same `clientMessageId`, if there is one.
    ///
    /// # Errors
    /// `IDEMPOTENCY_MISMATCH` when the id stands for another content; `MESSAGE_DENIED` when the message was denied.
    pub async fn repeat_of(&self, room: &RoomId, body: &Body) -> Result<Option<Appended>, Error> {
        let Some(key) = body.idempotency_key() else { return Ok(None) };
        Ok(match self.sent_before(room, &key).await? {
            Attempt::Duplicate(entry) => Some(Appended { entry, is_duplicate: true }),
            Attempt::Refused(denied) => return Err(denied),
            Attempt::Written(_) | Attempt::Taken => None,
        })
    }

    /// Notes that the review did not accept a message, so that no retry of it is asked about again. Nothing of its
    /// content is kept. Returns the message, if another request with the same id has written it in the meantime.
    ///
    /// # Errors
    /// `MESSAGE_DENIED`
    pub async fn deny(&self, room: &RoomId, body: &Body, reason: String, now: Timestamp) -> Result<Appended, Error> {
        let Some(key) = body.idempotency_key() else { return Err(Error::MessageDenied { reason }) };
        let row = IdempotencyRow {
            room_id: room.clone(),
            message_id: IdempotencyRow::key(&key),
            seq: Seq::ZERO,
            digest: String::new(),
            denied: Some(reason.clone()),
            ttl: now.as_secs() + self.config.message_ttl_seconds(),
        };
        if !self.put(&MESSAGES, item_of(&row)?, &is_unused(now)).await?
            && let Some(written) = self.repeat_of(room, body).await?
        {
            return Ok(written);
        }
        Err(Error::MessageDenied { reason })
    }

    /// The part of a transaction that uses the key of a message, if it is not in use.
    pub(super) fn idempotency_part(
        &self,
        draft: &Draft<'_>,
        key: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<TransactWriteItem, Error> {
        let used = IdempotencyRow {
            room_id: draft.row.room_id.clone(),
            message_id: IdempotencyRow::key(key),
            seq: draft.seq,
            digest: key.salted(draft.row.salt.as_deref()),
            denied: None,
            ttl: draft.row.ttl,
        };
        self.put_part(&MESSAGES, item_of(&used)?, &is_unused(now))
    }

    pub(super) async fn sent_before(&self, room: &RoomId, key: &IdempotencyKey) -> Result<Attempt, Error> {
        let Some(used) = self.item_at(room, &IdempotencyRow::key(key)).await? else {
            // It had expired, and has been deleted in between.
            return Ok(Attempt::Taken);
        };
        let used: IdempotencyRow = row_of(used)?;
        if let Some(reason) = used.denied {
            return Ok(Attempt::Refused(Error::MessageDenied { reason }));
        }
        let Some(item) = self.item_at(room, used.seq.message_id().as_str()).await? else { return Ok(Attempt::Taken) };
        let salt = item.get("salt").and_then(|salt| salt.as_s().ok()).cloned();
        let entry = entry_of(item, &self.config)?;
        // The content of a deleted message is gone, and so is what it could be compared with.
        if entry.changes.deleted.is_none() && used.digest != key.salted(salt.as_deref()) {
            return Err(Error::IdempotencyMismatch);
        }
        Ok(Attempt::Duplicate(entry))
    }
}

/// The condition of an idempotency row: its key is not in use.
fn is_unused(now: Timestamp) -> Statement {
    Statement::default().when("attribute_not_exists(roomId) OR ttl <= :now").bind(":now", now.as_secs())
}
