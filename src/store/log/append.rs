//! Appending to the log: each entry is written at the position after the one that the writer saw, if that is free.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::super::{Backoff, CONFLICT, Item, Statement, Store, failed, item_of, row_of};
use super::{CLOSED, EntryRow, MESSAGE, Next, Tail, Timing, entry_of, epoch_of};
use crate::domain::{
    Body, Changes, CloseReason, Entry, Epoch, Event, FileId, IdempotencyKey, Room, RoomId, Seq, Style, Timestamp,
    UserId,
};
use crate::error::Error;
use crate::tables::MESSAGES;

/// Every so many entries the room's row learns where its log ends.
const LIFT_EVERY: u64 = 100;

/// The idempotency row: a client's id for a message has been used, and where the message stands. It lives in the room's
/// partition and as long as the message, and sorts apart from the log.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdempotencyRow {
    room_id: RoomId,
    message_id: String,
    seq: Seq,
    digest: String,
    ttl: i64,
}

impl IdempotencyRow {
    fn key(key: &IdempotencyKey) -> String {
        format!("once#{}", key.key)
    }
}

/// A message in its place in the log.
pub struct Appended {
    pub entry: Entry,
    /// It was there before: this was a retry.
    pub is_duplicate: bool,
}

/// How an attempt to write an entry ended.
pub(super) enum Attempt {
    Written(Entry),
    /// Another writer took the position.
    Taken,
    /// The same message has a position already.
    Duplicate(Entry),
}

/// The parts of the transactions that append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Entry,
    Idempotency,
    File,
    Room,
}

/// An entry about to be written: its row, its message and the item of both.
pub(super) struct Draft<'a> {
    row: EntryRow,
    seq: Seq,
    created_at: Timestamp,
    epoch: Epoch,
    body: &'a Body,
    item: Item,
}

impl Draft<'_> {
    pub(super) fn entry(self) -> Entry {
        let event = Event::Said(self.body.clone());
        let Self { row, seq, created_at, epoch, .. } = self;
        Entry { room: row.room_id, epoch, seq, created_at, event, changes: Changes::default() }
    }
}

impl Store {
    /// Appends a message to a room's log, whose end was `tail` when it was read. The room's row must exist. The message
    /// is written when this returns, and its `createdAt` is not before that of the entry before it. A message with a
    /// `clientMessageId` is written once, however often it is sent.
    ///
    /// # Errors
    /// `ROOM_BUSY` when too many write at once until the deadline; then nothing is written. `ROOM_CLOSED`.
    /// `IDEMPOTENCY_MISMATCH` when the id stands for another content. `NOT_A_MEMBER` when the sender was removed in
    /// the meantime.
    pub async fn append(
        &self,
        room: &RoomId,
        body: &Body,
        mut tail: Option<Tail>,
        mut timing: Timing,
    ) -> Result<Appended, Error> {
        let now = timing.now;
        let key = body.idempotency_key();
        let mut backoff = Backoff::until(timing.deadline);
        loop {
            self.confirm_sender(room, &body.user_id, &mut timing).await?;
            let Some(next) = self.free_seq(room, tail.as_ref(), now).await? else {
                // A message that was sent before the room was closed is there, and its sender may retry.
                return self.repeat_of(room, body).await?.ok_or(Error::RoomClosed);
            };
            let seq = next.seq;
            let draft = self.draft(room, next, (MESSAGE, body), tail.as_ref(), now)?;
            let attempt = match &key {
                None => self.put_entry(draft).await?,
                Some(key) => self.put_entry_once(draft, key, now).await?,
            };
            match attempt {
                Attempt::Written(entry) => {
                    self.note_end(room, seq).await;
                    return Ok(Appended { entry, is_duplicate: false });
                }
                Attempt::Duplicate(entry) => return Ok(Appended { entry, is_duplicate: true }),
                Attempt::Taken => {}
            }
            if !backoff.pause().await {
                return Err(Error::RoomBusy);
            }
            tail = self.tail(room).await?;
        }
    }

    /// The message that was written before under the same `clientMessageId`, if there is one.
    ///
    /// # Errors
    /// `IDEMPOTENCY_MISMATCH` when the id stands for another content.
    pub async fn repeat_of(&self, room: &RoomId, body: &Body) -> Result<Option<Appended>, Error> {
        let Some(key) = body.idempotency_key() else { return Ok(None) };
        Ok(match self.sent_before(room, &key).await? {
            Attempt::Duplicate(entry) => Some(Appended { entry, is_duplicate: true }),
            Attempt::Written(_) | Attempt::Taken => None,
        })
    }

    /// Appends the message that tells of a file, and makes the file ready with it. `None` when it was ready before, or
    /// is no longer announced.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub async fn append_file(
        &self,
        room: &RoomId,
        body: &Body,
        (file, tag): (&FileId, &str),
        mut timing: Timing,
    ) -> Result<Option<Entry>, Error> {
        let now = timing.now;
        let mut backoff = Backoff::until(timing.deadline);
        loop {
            let tail = self.tail(room).await?;
            self.confirm_sender(room, &body.user_id, &mut timing).await?;
            let next = self.free_seq(room, tail.as_ref(), now).await?.ok_or(Error::RoomClosed)?;
            let seq = next.seq;
            let draft = self.draft(room, next, (MESSAGE, body), tail.as_ref(), now)?;
            let entry = self.put_part(&MESSAGES, draft.item.clone(), &is_free())?;
            let ready = self.file_ready(file, tag, seq, draft.row.ttl)?;
            let refused = self.transact(vec![(Part::Entry, entry), (Part::File, ready)]).await?;
            if refused.is_empty() {
                self.note_end(room, seq).await;
                return Ok(Some(draft.entry()));
            }
            if refused.contains(&Part::File) {
                return Ok(None);
            }
            if !backoff.pause().await {
                return Err(Error::RoomBusy);
            }
        }
    }

    /// Closes a room for good.
    ///
    /// # Errors
    /// `ROOM_NOT_FOUND`, `ROOM_CLOSED`, or `ROOM_BUSY` when too many write at once until `deadline`.
    pub async fn close_room(&self, room: &Room, by: &UserId, now: Timestamp, deadline: Instant) -> Result<(), Error> {
        let mut backoff = Backoff::until(deadline);
        loop {
            let tail = self.tail(&room.id).await?;
            if self.close_behind(room, by, CloseReason::Closed, tail, now).await? {
                return Ok(());
            }
            if !backoff.pause().await {
                return Err(Error::RoomBusy);
            }
        }
    }

    /// Closes a room for good unless somebody has written to it after `tail`; returns whether it did.
    ///
    /// # Errors
    /// As [`Store::close_room`].
    pub async fn close_idle(&self, room: &Room, tail: Option<Tail>, now: Timestamp) -> Result<bool, Error> {
        self.close_behind(room, &UserId::system(), CloseReason::Idle, tail, now).await
    }

    async fn close_behind(
        &self,
        room: &Room,
        by: &UserId,
        reason: CloseReason,
        tail: Option<Tail>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let next = self.free_seq(&room.id, tail.as_ref(), now).await?.ok_or(Error::RoomClosed)?;
        let last = next.seq.previous();
        let body = Body::new(by.clone(), by.as_name(), Style::default(), reason.into());
        let draft = self.draft(&room.id, next, (CLOSED, &body), tail.as_ref(), now)?;
        let closing = self.closing(room, last, now, draft.row.ttl)?;
        let entry = self.put_part(&MESSAGES, draft.item, &is_free())?;
        let refused = self.transact(vec![(Part::Entry, entry), (Part::Room, closing)]).await?;
        if refused.contains(&Part::Room) {
            return Err(match self.room(&room.id, now).await? {
                None => Error::RoomNotFound,
                Some(_) => Error::RoomClosed,
            });
        }
        Ok(refused.is_empty())
    }

    /// The next entry. It takes over what the tail carries, also what this version does not know.
    pub(super) fn draft<'a>(
        &self,
        room: &RoomId,
        Next { seq, carry }: Next,
        (kind, body): (&str, &'a Body),
        tail: Option<&Tail>,
        now: Timestamp,
    ) -> Result<Draft<'a>, Error> {
        let created_at = tail.map_or(now, |tail| tail.created_at.max(now));
        // Never before the end of the entry before it: then a visible entry has no deleted ones after it, even when the
        // lifetime of entries was shortened.
        let expires_at = tail.map_or(0, |tail| tail.expires_at);
        let row = EntryRow {
            room_id: room.clone(),
            message_id: seq.message_id(),
            id: Some(seq.message_id()),
            kind: kind.to_owned(),
            created_at: created_at.to_iso(),
            attempt: random(),
            salt: body.client_message_id.is_some().then(random),
            ttl: (created_at.as_secs() + self.config.message_ttl_seconds()).max(expires_at),
        };
        let item = row.item(body, carry.as_ref())?;
        Ok(Draft { row, seq, created_at, epoch: epoch_of(carry.as_ref()), body, item })
    }

    pub(super) async fn note_end(&self, room: &RoomId, seq: Seq) {
        if seq.is_multiple_of(LIFT_EVERY)
            && let Err(error) = self.lift_last_seq(room, seq).await
        {
            // The message is written; the next hundredth entry notes it as well.
            tracing::warn!(room_id = %room, error = error.cause(), "failed to note the end of a log");
        }
    }

    async fn put_entry(&self, draft: Draft<'_>) -> Result<Attempt, Error> {
        let statement = is_free();
        let put = self
            .client
            .put_item()
            .table_name(self.name(&MESSAGES))
            .set_item(Some(draft.item.clone()))
            .set_condition_expression(statement.condition.clone())
            .set_expression_attribute_names(statement.names())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match put {
            Ok(_) => return Ok(Attempt::Written(draft.entry())),
            Err(error) => error,
        };
        if error.code() == Some(CONFLICT) {
            // A transaction is about to write the same position.
            return Ok(Attempt::Taken);
        }
        let Some(PutItemError::ConditionalCheckFailedException(taken)) = error.as_service_error() else {
            return Err(failed(error));
        };
        // A put whose answer was lost is retried by the SDK, and then meets itself.
        let is_ours = match taken.item() {
            Some(item) => row_of::<EntryRow>(item.clone())?.attempt == draft.row.attempt,
            None => false,
        };
        Ok(if is_ours { Attempt::Written(draft.entry()) } else { Attempt::Taken })
    }

    /// Writes the entry and its idempotency row together or not at all. The SDK retries a transaction whose answer was
    /// lost with the same token, and DynamoDB then answers as it did the first time.
    async fn put_entry_once(&self, draft: Draft<'_>, key: &IdempotencyKey, now: Timestamp) -> Result<Attempt, Error> {
        let (entry, idempotency) = self.parts_once(&draft, key, now)?;
        let refused = self.transact(vec![(Part::Entry, entry), (Part::Idempotency, idempotency)]).await?;
        if refused.is_empty() {
            Ok(Attempt::Written(draft.entry()))
        } else if refused.contains(&Part::Idempotency) {
            self.sent_before(&draft.row.room_id, key).await
        } else {
            Ok(Attempt::Taken)
        }
    }

    /// The parts of a transaction that write an entry and its idempotency row.
    pub(super) fn parts_once(
        &self,
        draft: &Draft<'_>,
        key: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<(TransactWriteItem, TransactWriteItem), Error> {
        let used = IdempotencyRow {
            room_id: draft.row.room_id.clone(),
            message_id: IdempotencyRow::key(key),
            seq: draft.seq,
            digest: key.salted(draft.row.salt.as_deref()),
            ttl: draft.row.ttl,
        };
        let is_unused =
            Statement::default().when("attribute_not_exists(roomId) OR ttl <= :now").bind(":now", now.as_secs());
        let entry = self.put_part(&MESSAGES, draft.item.clone(), &is_free())?;
        Ok((entry, self.put_part(&MESSAGES, item_of(&used)?, &is_unused)?))
    }

    pub(super) async fn sent_before(&self, room: &RoomId, key: &IdempotencyKey) -> Result<Attempt, Error> {
        let Some(used) = self.item_at(room, &IdempotencyRow::key(key)).await? else {
            // It had expired, and has been deleted in between.
            return Ok(Attempt::Taken);
        };
        let used: IdempotencyRow = row_of(used)?;
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

fn random() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// The condition of an entry: its position is free.
fn is_free() -> Statement {
    Statement::default().when("attribute_not_exists(roomId)")
}
