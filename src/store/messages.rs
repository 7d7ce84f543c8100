//! The log: one for each room, dense, the same for every reader.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{self, Select, TransactWriteItem};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::tables::{MESSAGES, TTL};
use super::{Backoff, CONFLICT, Store, failed, item_of, number, row_of, text};
use crate::config::Config;
use crate::domain::{
    ClientMessageId, CloseReason, ContentType, Draft, Entry, File, FileId, FileName, MessageId, Name, Once,
    RESTART_GAP, Room, RoomId, RoomStatus, Seq, Style, Tail, Timestamp, UserId,
};
use crate::error::Error;

/// The attribute that tells what an entry is.
const KIND: &str = "kind";
/// Every so many entries the room's row learns how far its log has come.
const LIFT_EVERY: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Message,
    /// The room was closed: the last entry of its log.
    Closed,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Closed => "closed",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EntryRow {
    room_id: RoomId,
    message_id: MessageId,
    /// `messageId` once more, for readers of the table as other chats had it.
    id: MessageId,
    kind: Kind,
    text: String,
    created_at: String,
    user_id: UserId,
    user_name: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_icon: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_color: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply_to: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client_message_id: Option<ClientMessageId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    file: Option<FileRow>,
    /// Which try to write this entry it was that succeeded.
    attempt: String,
    ttl: i64,
}

/// A file that a message tells of. Where it is found is for the deployment to say, and may change.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FileRow {
    file_id: FileId,
    file_name: FileName,
    content_type: ContentType,
    size: u64,
}

/// That a sender's own id for a message has been used, and where the message went. It lives in the room's partition
/// and as long as the message, and sorts apart from the log.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnceRow {
    room_id: RoomId,
    message_id: String,
    seq: Seq,
    digest: String,
    ttl: i64,
}

impl OnceRow {
    fn key(once: &Once) -> String {
        format!("once#{}", once.key)
    }
}

/// A message that has its place in the log.
pub struct Appended {
    pub entry: Entry,
    /// It had it before: this was a repeated send.
    pub is_duplicate: bool,
}

/// How an attempt to put an entry ended.
enum Put {
    Done(Entry),
    /// Somebody else has taken the place.
    Taken,
    /// The same message has a place already.
    Before(Entry),
}

/// What a writer needs of the newest entry.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TailRow {
    message_id: MessageId,
    kind: Kind,
    created_at: String,
    ttl: i64,
}

/// Which part of a log is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The end.
    Latest,
    /// What comes just before a position.
    Before(Seq),
    /// What comes just after a position.
    After(Seq),
}

impl EntryRow {
    fn new(room: &RoomId, seq: Seq, draft: &Draft, created_at: Timestamp, ttl: i64) -> Self {
        let draft = draft.clone();
        Self {
            room_id: room.clone(),
            message_id: seq.message_id(),
            id: seq.message_id(),
            kind: Kind::Message,
            text: draft.content.into_string(),
            created_at: created_at.to_iso(),
            user_id: draft.user,
            user_name: draft.name,
            user_icon: draft.style.icon,
            user_color: draft.style.color,
            reply_to: draft.reply_to,
            client_message_id: draft.client_id,
            file: draft.file.map(|file| FileRow {
                file_id: file.file_id,
                file_name: file.file_name,
                content_type: file.content_type,
                size: file.size,
            }),
            attempt: format!("{:016x}", fastrand::u64(..)),
            ttl,
        }
    }

    /// `config` knows where files are found.
    fn into_entry(self, config: &Config) -> Result<Entry, Error> {
        Ok(Entry {
            seq: position(&self.message_id)?,
            created_at: moment(&self.created_at)?,
            room: self.room_id,
            user: self.user_id,
            name: self.user_name,
            style: Style { icon: self.user_icon, color: self.user_color },
            content: self.text,
            reply_to: self.reply_to,
            client_id: self.client_message_id,
            file: self.file.map(|file| File {
                file_url: config.file_url(&file.file_id),
                file_id: file.file_id,
                file_name: file.file_name,
                content_type: file.content_type,
                size: file.size,
            }),
        })
    }
}

fn position(id: &MessageId) -> Result<Seq, Error> {
    Seq::of(id).ok_or_else(|| Error::internal("an entry of the log has no position for its key"))
}

fn moment(iso: &str) -> Result<Timestamp, Error> {
    Timestamp::from_iso(iso).ok_or_else(|| Error::internal("an entry of the log has no ISO 8601 time"))
}

impl Store {
    /// The end of a room's log as it is now, also when it has expired.
    pub async fn tail(&self, room: &RoomId) -> Result<Option<Tail>, Error> {
        let newest = self
            .entries_between(room, Seq::ZERO, Seq::MAX)
            .scan_index_forward(false)
            .limit(1)
            .send()
            .await
            .map_err(failed)?;
        let Some(item) = newest.items.unwrap_or_default().pop() else { return Ok(None) };
        let row: TailRow = row_of(item)?;
        Ok(Some(Tail {
            seq: position(&row.message_id)?,
            created_at: moment(&row.created_at)?,
            expires_at: row.ttl,
            is_closing: row.kind == Kind::Closed,
        }))
    }

    /// Gives a message its place, at the end of its room's log as `tail` tells it or further on. The room's row must
    /// be there. It is written when this returns, and its `createdAt` is not before that of the entry in front of it.
    /// A message that its sender gave an id gets a place once, however often it is sent.
    ///
    /// # Errors
    /// `ROOM_BUSY` when too many write at once until `deadline`; then nothing is written. `ROOM_CLOSED`.
    /// `IDEMPOTENCY_MISMATCH` when the sender's id stands for another content.
    pub async fn append(
        &self,
        room: &RoomId,
        draft: &Draft,
        mut tail: Option<Tail>,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Appended, Error> {
        let once = draft.client_id.as_ref().map(|id| Once::new(&draft.user, id, &draft.content, draft.reply_to));
        let mut backoff = Backoff::until(deadline);
        loop {
            let Some(seq) = self.free_seq(room, tail, now).await? else {
                // What was sent before the room was closed is there, and its sender may ask again.
                return match &once {
                    Some(once) => match self.sent_before(room, once).await? {
                        Put::Before(entry) => Ok(Appended { entry, is_duplicate: true }),
                        Put::Done(_) | Put::Taken => Err(Error::RoomClosed),
                    },
                    None => Err(Error::RoomClosed),
                };
            };
            let row = self.entry_row(room, seq, draft, tail, now);
            let put = match &once {
                None => self.put_entry(row).await?,
                Some(once) => self.put_entry_once(row, once, now).await?,
            };
            match put {
                Put::Done(entry) => {
                    self.note_end(room, seq).await;
                    return Ok(Appended { entry, is_duplicate: false });
                }
                Put::Before(entry) => return Ok(Appended { entry, is_duplicate: true }),
                Put::Taken => {}
            }
            if !backoff.pause().await {
                return Err(Error::RoomBusy);
            }
            tail = self.tail(room).await?;
        }
    }

    /// Gives the message that tells of a file its place, and makes the file ready with it. `None` when it was ready
    /// before, or is not announced any more.
    ///
    /// # Errors
    /// As [`Store::append`].
    pub async fn append_file(
        &self,
        room: &RoomId,
        draft: &Draft,
        (file, tag): (&FileId, &str),
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Option<Entry>, Error> {
        let mut backoff = Backoff::until(deadline);
        loop {
            let tail = self.tail(room).await?;
            let seq = self.free_seq(room, tail, now).await?.ok_or(Error::RoomClosed)?;
            let row = self.entry_row(room, seq, draft, tail, now);
            let items = vec![
                TransactWriteItem::builder().put(self.new_entry(&row)?).build(),
                TransactWriteItem::builder().update(self.file_ready(file, tag, seq, row.ttl)?).build(),
            ];
            match self.transact(items).await? {
                Ok(()) => {
                    self.note_end(room, seq).await;
                    return row.into_entry(&self.config).map(Some);
                }
                Err(refused) if refused.get(1) == Some(&true) => return Ok(None),
                Err(_) => {}
            }
            if !backoff.pause().await {
                return Err(Error::RoomBusy);
            }
        }
    }

    /// The message at a position of a log, unless it has expired.
    pub async fn entry(&self, room: &RoomId, seq: Seq, now: Timestamp) -> Result<Option<Entry>, Error> {
        let key = MESSAGES.key_of(room.as_str(), seq.message_id().as_str());
        let row: Option<EntryRow> = self.row(&MESSAGES, key).await?;
        row.filter(|row| !now.has_passed(row.ttl)).map(|row| row.into_entry(&self.config)).transpose()
    }

    fn entry_row(&self, room: &RoomId, seq: Seq, draft: &Draft, tail: Option<Tail>, now: Timestamp) -> EntryRow {
        let created_at = tail.map_or(now, |tail| tail.created_at.max(now));
        // Never before the last one's end: then an entry that can still be seen has no deleted ones behind it, even
        // when the days that entries live were made fewer.
        let ttl =
            (created_at.as_secs() + self.config.message_ttl_seconds()).max(tail.map_or(0, |tail| tail.expires_at));
        EntryRow::new(room, seq, draft, created_at, ttl)
    }

    /// Closes a room for ever.
    ///
    /// # Errors
    /// `ROOM_NOT_FOUND`, `ROOM_CLOSED`, or `ROOM_BUSY` when too many write at once until `deadline`.
    pub async fn close_room(&self, room: &RoomId, by: &UserId, now: Timestamp, deadline: Instant) -> Result<(), Error> {
        let mut backoff = Backoff::until(deadline);
        loop {
            let tail = self.tail(room).await?;
            if self.close_behind(room, by, CloseReason::Closed, tail, now).await? {
                return Ok(());
            }
            if !backoff.pause().await {
                return Err(Error::RoomBusy);
            }
        }
    }

    /// Closes a room for ever unless somebody has written to it behind `tail`; tells whether it did.
    ///
    /// # Errors
    /// As [`Store::close_room`].
    pub async fn close_idle(&self, room: &RoomId, tail: Option<Tail>, now: Timestamp) -> Result<bool, Error> {
        self.close_behind(room, &UserId::system(), CloseReason::Idle, tail, now).await
    }

    async fn close_behind(
        &self,
        room: &RoomId,
        by: &UserId,
        reason: CloseReason,
        tail: Option<Tail>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let seq = self.free_seq(room, tail, now).await?.ok_or(Error::RoomClosed)?;
        let draft = Draft {
            user: by.clone(),
            name: by.as_name(),
            style: Style::default(),
            content: reason.into(),
            reply_to: None,
            client_id: None,
            file: None,
        };
        let row = EntryRow { kind: Kind::Closed, ..self.entry_row(room, seq, &draft, tail, now) };
        let items = vec![
            TransactWriteItem::builder().put(self.new_entry(&row)?).build(),
            TransactWriteItem::builder().update(self.closing(room, seq.previous(), now, row.ttl)?).build(),
        ];
        match self.transact(items).await? {
            Ok(()) => Ok(true),
            Err(refused) if refused.get(1) == Some(&true) => Err(match self.room(room).await? {
                None => Error::RoomNotFound,
                Some(_) => Error::RoomClosed,
            }),
            Err(_) => Ok(false),
        }
    }

    async fn note_end(&self, room: &RoomId, seq: Seq) {
        if seq.is_multiple_of(LIFT_EVERY)
            && let Err(error) = self.lift_last_seq(room, seq).await
        {
            // The message is written; the next hundredth notes it as well.
            tracing::warn!(room_id = %room, error = error.cause(), "the end of a log was not noted");
        }
    }

    /// The position that the next entry will have: behind `tail`, or, where the end of the log cannot be seen any more,
    /// far above whatever it was. A reader who has seen what is before it has missed nothing.
    pub async fn next_seq(&self, room: &RoomId, tail: Option<Tail>, now: Timestamp) -> Result<Seq, Error> {
        match tail {
            Some(tail) if !tail.is_expired(now) => Ok(tail.seq.next()),
            _ => {
                let row = self.room(room).await?.ok_or(Error::RoomNotFound)?;
                Ok(self.restart(&row, tail, now))
            }
        }
    }

    /// As [`Store::next_seq`], and `None` in a room that is closed.
    async fn free_seq(&self, room: &RoomId, tail: Option<Tail>, now: Timestamp) -> Result<Option<Seq>, Error> {
        match tail {
            Some(tail) if tail.is_closing => Ok(None),
            Some(tail) if !tail.is_expired(now) => Ok(Some(tail.seq.next())),
            _ => {
                // The entry that tells may have expired.
                let row = self.room(room).await?.ok_or(Error::RoomNotFound)?;
                Ok((row.status == RoomStatus::Active).then(|| self.restart(&row, tail, now)))
            }
        }
    }

    fn restart(&self, row: &Room, tail: Option<Tail>, now: Timestamp) -> Seq {
        let noted = tail.map_or(Seq::ZERO, |tail| tail.seq).max(row.last_seq);
        if row.status == RoomStatus::Closed {
            // Nothing comes behind it any more.
            return row.last_seq.next();
        }
        let lifetime_ms = self.config.message_ttl_seconds() * 1000;
        // In a room younger than its messages live, none can have expired: there has been none.
        let untouched = noted == Seq::ZERO && now.millis_since(row.created_at) < lifetime_ms;
        if untouched { noted.next() } else { noted.plus(RESTART_GAP) }
    }

    async fn put_entry(&self, row: EntryRow) -> Result<Put, Error> {
        use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
        let put = self
            .client
            .put_item()
            .table_name(self.name(&MESSAGES))
            .set_item(Some(item_of(&row)?))
            .condition_expression("attribute_not_exists(#room)")
            .expression_attribute_names("#room", MESSAGES.partition_key)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match put {
            Ok(_) => return row.into_entry(&self.config).map(Put::Done),
            Err(error) => error,
        };
        if error.code() == Some(CONFLICT) {
            // A transaction is about to write the same place.
            return Ok(Put::Taken);
        }
        let Some(PutItemError::ConditionalCheckFailedException(taken)) = error.as_service_error() else {
            return Err(failed(error));
        };
        // A put whose answer was lost is sent again by the SDK, and then meets itself.
        let by_us = match taken.item() {
            Some(item) => row_of::<EntryRow>(item.clone())?.attempt == row.attempt,
            None => false,
        };
        if by_us { row.into_entry(&self.config).map(Put::Done) } else { Ok(Put::Taken) }
    }

    /// Entry and id go in together or not at all. The SDK sends a transaction whose answer was lost again with the
    /// same token, and DynamoDB then answers as it did the first time.
    async fn put_entry_once(&self, row: EntryRow, once: &Once, now: Timestamp) -> Result<Put, Error> {
        let used = OnceRow {
            room_id: row.room_id.clone(),
            message_id: OnceRow::key(once),
            seq: position(&row.message_id)?,
            digest: once.digest.clone(),
            ttl: row.ttl,
        };
        let entry = self.new_entry(&row)?;
        let id = types::Put::builder()
            .table_name(self.name(&MESSAGES))
            .set_item(Some(item_of(&used)?))
            .condition_expression("attribute_not_exists(#room) OR #ttl <= :now")
            .expression_attribute_names("#room", MESSAGES.partition_key)
            .expression_attribute_names("#ttl", TTL)
            .expression_attribute_values(":now", number(now.as_secs()))
            .build()
            .map_err(Error::internal)?;
        let items = [entry, id].map(|put| TransactWriteItem::builder().put(put).build());
        match self.transact(items.to_vec()).await? {
            Ok(()) => row.into_entry(&self.config).map(Put::Done),
            Err(refused) if refused.get(1) == Some(&true) => self.sent_before(&row.room_id, once).await,
            Err(_) => Ok(Put::Taken),
        }
    }

    /// The part of a transaction that writes an entry: if its place is free.
    fn new_entry(&self, row: &EntryRow) -> Result<types::Put, Error> {
        types::Put::builder()
            .table_name(self.name(&MESSAGES))
            .set_item(Some(item_of(row)?))
            .condition_expression("attribute_not_exists(#room)")
            .expression_attribute_names("#room", MESSAGES.partition_key)
            .build()
            .map_err(Error::internal)
    }

    async fn sent_before(&self, room: &RoomId, once: &Once) -> Result<Put, Error> {
        let key = MESSAGES.key_of(room.as_str(), &OnceRow::key(once));
        let Some(used) = self.row::<OnceRow>(&MESSAGES, key).await? else {
            // It has been deleted meanwhile, since it had expired.
            return Ok(Put::Taken);
        };
        if used.digest != once.digest {
            return Err(Error::IdempotencyMismatch);
        }
        let key = MESSAGES.key_of(room.as_str(), used.seq.message_id().as_str());
        match self.row::<EntryRow>(&MESSAGES, key).await? {
            Some(entry) => entry.into_entry(&self.config).map(Put::Before),
            None => Ok(Put::Taken),
        }
    }

    /// Up to `limit` messages, oldest first, and whether there are more in the direction of reading. What has expired
    /// is not there, deleted yet or not.
    pub async fn entries(
        &self,
        room: &RoomId,
        page: Page,
        limit: usize,
        now: Timestamp,
    ) -> Result<(Vec<Entry>, bool), Error> {
        let (from, to, forward) = match page {
            Page::Latest => (Seq::ZERO, Seq::MAX, false),
            Page::Before(seq) if seq == Seq::ZERO => return Ok((Vec::new(), false)),
            Page::Before(seq) => (Seq::ZERO, seq.previous(), false),
            Page::After(seq) if seq == Seq::MAX => return Ok((Vec::new(), false)),
            Page::After(seq) => (seq.next(), Seq::MAX, true),
        };
        let wanted = limit + 1;
        let mut items = self
            .entries_between(room, from, to)
            .filter_expression("#ttl > :now AND #kind = :message")
            .expression_attribute_names("#ttl", TTL)
            .expression_attribute_names("#kind", KIND)
            .expression_attribute_values(":now", number(now.as_secs()))
            .expression_attribute_values(":message", text(Kind::Message.as_str()))
            .scan_index_forward(forward)
            .limit(i32::try_from(wanted).unwrap_or(i32::MAX))
            .into_paginator()
            .items()
            .send();
        let mut entries = Vec::with_capacity(wanted);
        while entries.len() < wanted
            && let Some(item) = items.next().await
        {
            entries.push(row_of::<EntryRow>(item.map_err(failed)?)?.into_entry(&self.config)?);
        }
        let more = entries.len() > limit;
        entries.truncate(limit);
        if !forward {
            entries.reverse();
        }
        Ok((entries, more))
    }

    /// How many messages behind `after` others than `user` wrote: exact up to `most`, and no more than one above it.
    pub async fn count_of_others(
        &self,
        room: &RoomId,
        user: &UserId,
        after: Seq,
        most: usize,
        now: Timestamp,
    ) -> Result<usize, Error> {
        let mut pages = self
            .entries_between(room, after.next(), Seq::MAX)
            .filter_expression("#ttl > :now AND #kind = :message AND #user <> :user")
            .expression_attribute_names("#ttl", TTL)
            .expression_attribute_names("#kind", KIND)
            .expression_attribute_values(":message", text(Kind::Message.as_str()))
            .expression_attribute_names("#user", "userId")
            .expression_attribute_values(":now", number(now.as_secs()))
            .expression_attribute_values(":user", text(user.as_str()))
            .select(Select::Count)
            .limit(i32::try_from(most + 1).unwrap_or(i32::MAX))
            .into_paginator()
            .send();
        let mut count = 0;
        while count <= most
            && let Some(page) = pages.next().await
        {
            count += usize::try_from(page.map_err(failed)?.count).unwrap_or_default();
        }
        Ok(count.min(most + 1))
    }

    /// The newest message, unless it has expired.
    pub async fn newest(&self, room: &RoomId, now: Timestamp) -> Result<Option<Entry>, Error> {
        Ok(self.entries(room, Page::Latest, 1, now).await?.0.pop())
    }

    /// The log alone, whatever else lives in a room's partition: positions are digits, and nothing else is.
    fn entries_between(&self, room: &RoomId, from: Seq, to: Seq) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(self.name(&MESSAGES))
            .key_condition_expression("#room = :room AND #id BETWEEN :from AND :to")
            .expression_attribute_names("#room", MESSAGES.partition_key)
            .expression_attribute_names("#id", "messageId")
            .expression_attribute_values(":room", text(room.as_str()))
            .expression_attribute_values(":from", text(from.message_id().as_str()))
            .expression_attribute_values(":to", text(to.message_id().as_str()))
            .consistent_read(true)
    }
}
