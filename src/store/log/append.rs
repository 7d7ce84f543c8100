//! Appending to the log: each entry is written at the position after the one that the writer saw, if that is free.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem};

use super::super::{Backoff, CONFLICT, Item, Statement, Store, failed, item_of, row_of};
use super::permit::Refusal;
use super::{Author, Carry, EntryRow, MESSAGE, Next, SYSTEM, Tail, Timing};
use crate::domain::{Body, Changes, Entry, Event, FileId, IdempotencyKey, RoomId, Seq, System, Timestamp};
use crate::error::Error;
use crate::tables::MESSAGES;

/// Every so many entries the room's row learns where its log ends.
const LIFT_EVERY: u64 = 100;

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
    /// It may not be written, unless it was before.
    Refused(Error),
}

/// The parts of the transactions that append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Entry,
    /// Of the message at this place of several.
    Idempotency(usize),
    Mention,
    Slow,
    File,
    Room,
}

/// An entry about to be written: its row, its message and the item of both.
pub(super) struct Draft<'a> {
    pub row: EntryRow,
    pub seq: Seq,
    pub created_at: Timestamp,
    /// What the entry behind it takes over.
    pub carry: Carry,
    body: &'a Body,
    system: Option<System>,
    pub item: Item,
}

impl Draft<'_> {
    pub(super) fn entry(self) -> Entry {
        let body = self.body.clone();
        let event = match self.system {
            Some(system) => Event::System { system, body },
            None => Event::Said(body),
        };
        let Self { row, seq, created_at, carry, .. } = self;
        Entry { room: row.room_id, epoch: carry.epoch(), seq, created_at, event, changes: Changes::default() }
    }

    /// Tells what happened, instead of a message.
    pub(super) fn with_system(mut self, system: System) -> Result<Self, Error> {
        self.item.insert(SYSTEM.to_owned(), AttributeValue::M(item_of(&system)?));
        Ok(Self { system: Some(system), ..self })
    }
}

impl Store {
    /// Appends a message to a room's log, whose end was `tail` when it was read. The room's row must exist. The message
    /// is written when this returns, and its `createdAt` is not before that of the entry before it. A message with a
    /// `clientMessageId` is written once, however often it is sent.
    ///
    /// # Errors
    /// `ROOM_BUSY` when too many write at once until the deadline; then nothing is written. `ROOM_CLOSED`.
    /// `READ_ONLY`, `SLOW_MODE`, `ROOM_RATE` by the mode of the room. `IDEMPOTENCY_MISMATCH` when the id stands for
    /// another content, `MESSAGE_DENIED` when it stands for one that the review did not accept. `NOT_A_MEMBER` when the
    /// sender was removed in the meantime. [`Error::Unreviewed`] for one that has to be reviewed first.
    pub async fn append(
        &self,
        room: &RoomId,
        body: &Body,
        mut tail: Option<Tail>,
        author: &Author<'_>,
        mut timing: Timing,
    ) -> Result<Appended, Error> {
        let mut backoff = Backoff::until(timing.deadline);
        loop {
            self.confirm_sender(room, &body.user_id, &mut timing).await?;
            match self.attempt(room, body, tail.as_ref(), author, timing.now).await? {
                Attempt::Written(entry) => {
                    self.note_end(room, entry.seq).await;
                    return Ok(Appended { entry, is_duplicate: false });
                }
                Attempt::Duplicate(entry) => return Ok(Appended { entry, is_duplicate: true }),
                // A message that was sent before the room was closed is there, and its sender may retry.
                Attempt::Refused(error) => return self.repeat_of(room, body).await?.ok_or(error),
                Attempt::Taken => {}
            }
            if !backoff.pause().await {
                return Err(Error::RoomBusy);
            }
            tail = self.tail(room).await?;
        }
    }

    /// Tries to write a message behind the tail.
    async fn attempt(
        &self,
        room: &RoomId,
        body: &Body,
        tail: Option<&Tail>,
        author: &Author<'_>,
        now: Timestamp,
    ) -> Result<Attempt, Error> {
        let Some(next) = self.free_seq(room, tail, now).await? else { return Ok(Attempt::Refused(Error::RoomClosed)) };
        let permit = self.permit(&next, 1, now, author).await?;
        if let Some(refusal) = permit.refusal {
            return Ok(Attempt::Refused(refusal.into()));
        }
        let draft = self.draft(room, next, (MESSAGE, body), tail)?;
        let key = body.idempotency_key();
        if key.is_none() && permit.slow.is_none() && body.mentions.is_empty() {
            return self.put_entry(draft).await;
        }
        let mut parts = self.entry_parts(&draft, key.as_ref().map(|key| (0, key)), now)?;
        let slow = permit.slow.map(|slow| (draft.created_at, slow));
        if let Some(slow) = slow {
            parts.push((Part::Slow, self.slow_part(room, &body.user_id, slow)?));
        }
        let refused = self.transact(parts).await?;
        Ok(match key.filter(|_| refused.contains(&Part::Idempotency(0))) {
            Some(key) => self.sent_before(room, &key).await?,
            None if refused.is_empty() => Attempt::Written(draft.entry()),
            None if refused.contains(&Part::Entry) => Attempt::Taken,
            None => match slow {
                Some(slow) => self.slow_refusal(room, &body.user_id, slow).await?,
                None => None,
            }
            .map_or(Attempt::Taken, |refusal: Refusal| Attempt::Refused(refusal.into())),
        })
    }

    /// Appends the message that tells of a file, and makes the file ready with it. `None` when it was ready before, or
    /// is no longer announced. Whether the author has waited in slow mode was asked when the file was announced.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub async fn append_file(
        &self,
        room: &RoomId,
        body: &Body,
        (file, tag): (&FileId, &str),
        author: &Author<'_>,
        mut timing: Timing,
    ) -> Result<Option<Entry>, Error> {
        let now = timing.now;
        let mut backoff = Backoff::until(timing.deadline);
        loop {
            let tail = self.tail(room).await?;
            self.confirm_sender(room, &body.user_id, &mut timing).await?;
            let next = self.free_seq(room, tail.as_ref(), now).await?.ok_or(Error::RoomClosed)?;
            let seq = next.seq;
            if let Some(refusal @ Refusal::ReadOnly) = self.permit(&next, 1, now, author).await?.refusal {
                return Err(refusal.into());
            }
            let draft = self.draft(room, next, (MESSAGE, body), tail.as_ref())?;
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

    /// The next entry. It takes over what the tail carries, also what this version does not know.
    pub(super) fn draft<'a>(
        &self,
        room: &RoomId,
        Next { seq, created_at, carry }: Next,
        (kind, body): (&str, &'a Body),
        tail: Option<&Tail>,
    ) -> Result<Draft<'a>, Error> {
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
        let carry = if kind == MESSAGE { carry.after_message(seq, body.mention_room, created_at) } else { carry };
        let item = row.item(body, &carry)?;
        Ok(Draft { row, seq, created_at, carry, body, system: None, item })
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

    /// The parts of a transaction that write an entry, its idempotency row if it has a key, and its mentions: together
    /// or not at all. The SDK retries a transaction whose answer was lost with the same token, and DynamoDB then
    /// answers as it did the first time.
    pub(super) fn entry_parts(
        &self,
        draft: &Draft<'_>,
        key: Option<(usize, &IdempotencyKey)>,
        now: Timestamp,
    ) -> Result<Vec<(Part, TransactWriteItem)>, Error> {
        let mut parts = vec![(Part::Entry, self.put_part(&MESSAGES, draft.item.clone(), &is_free())?)];
        if let Some((index, key)) = key {
            parts.push((Part::Idempotency(index), self.idempotency_part(draft, key, now)?));
        }
        for user in draft.body.mentions.iter().filter(|user| **user != draft.body.user_id) {
            parts.push((Part::Mention, self.mention_part(user, (&draft.row.room_id, draft.seq), draft.row.ttl)?));
        }
        Ok(parts)
    }
}

fn random() -> String {
    format!("{:016x}", fastrand::u64(..))
}

/// The condition of an entry: its position is free.
pub(super) fn is_free() -> Statement {
    Statement::default().when("attribute_not_exists(roomId)")
}
