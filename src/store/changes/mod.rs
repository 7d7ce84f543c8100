//! Changes to messages: edits, deletions, reactions and pins.
//!
//! Beside its messages every room has a log of changes, dense as well: `rev` 1, 2, 3, ... A row of that log says which
//! messages changed and how, never their content. The row of a message has its current state and the `rev` of its last
//! change. Both are written in one transaction, on the condition that the position is free and that the message is as
//! it was read: so a change is never made to a state that its writer has not seen.

mod deletion;
mod edit;
mod pin;
mod reaction;
mod read;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio::try_join;

use super::log::{MESSAGE, entry_of, expiry_of, mode_in};
use super::{Backoff, Item, Statement, Store, failed, item_of, row_of};
use crate::domain::{Emoji, Entry, Mode, RESTART_GAP, Rev, Room, RoomId, Seq, Timestamp, UserId};
use crate::error::Error;
use crate::tables::{MESSAGES, ROOMS};

pub use deletion::{Deleted, Removal};
pub use edit::Edit;
pub(super) use reaction::{counts_of, reaction_of};

/// Every so many changes the room's row learns where its log of changes ends.
const LIFT_EVERY: u64 = 100;

/// Stands for the row of the room among the sort keys that are read.
const ROOM_ROW: &str = "\u{1}room";

/// A row of the log of changes. It sorts behind the digits of the messages, in the same partition.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangeRow {
    room_id: RoomId,
    message_id: String,
    rev: Rev,
    seqs: Vec<Seq>,
    what: String,
    by: UserId,
    /// ISO 8601.
    at: String,
    /// Of a reaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    emoji: Option<Emoji>,
    /// Of a reaction that was taken back: `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    on: Option<bool>,
    /// The pinned messages after the change, the first one pinned first: every change takes them over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pins: Vec<Seq>,
    /// Never before that of the row before it: the last one tells where the log ends.
    ttl: i64,
}

/// The sort key of a position in the log of changes: below it in the order of the log, and behind all messages.
fn sort_key(rev: Rev) -> String {
    format!("chg#{:020}", rev.0)
}

/// A change of messages, as the log of changes has it.
#[derive(Clone, Debug)]
pub struct Change {
    pub room: RoomId,
    pub rev: Rev,
    pub seqs: Vec<Seq>,
    pub kind: ChangeKind,
    pub by: UserId,
    pub at: Timestamp,
}

/// What was done to messages.
#[derive(Clone, Debug)]
pub enum ChangeKind {
    Edit,
    Delete,
    /// The emoji, which versions before this one did not write; and whether it was added, not taken back.
    React(Option<Emoji>, bool),
    Pin,
    Unpin,
}

impl Change {
    /// # Errors
    /// The row is not one of the log of changes, or tells of a kind that only a later version knows.
    pub(super) fn of(item: Item) -> Result<Self, Error> {
        let ChangeRow { room_id, rev, seqs, what, by, at, emoji, on, .. } = row_of(item)?;
        let kind = match what.as_str() {
            EDIT => ChangeKind::Edit,
            DELETE => ChangeKind::Delete,
            REACT => ChangeKind::React(emoji, on.unwrap_or(true)),
            PIN => ChangeKind::Pin,
            UNPIN => ChangeKind::Unpin,
            _ => return Err(Error::internal("a change of an unknown kind")),
        };
        let at = Timestamp::from_iso(&at).ok_or_else(|| Error::internal("the time of a change is not ISO 8601"))?;
        Ok(Self { room: room_id, rev, seqs, kind, by, at })
    }
}

/// The kinds of changes, as rows have them.
const EDIT: &str = "edit";
const DELETE: &str = "delete";
const REACT: &str = "react";
const PIN: &str = "pin";
const UNPIN: &str = "unpin";

/// What is to be written: the change itself, and what becomes of each message.
struct Write {
    what: &'static str,
    seqs: Vec<Seq>,
    /// Of a reaction: the emoji, and whether it is added.
    reaction: Option<(Emoji, bool)>,
    /// The pinned messages after it.
    pins: Vec<Seq>,
    /// The updates of the messages, without their condition. `rev` is set besides.
    updates: Vec<(Seq, Statement)>,
    others: Vec<TransactWriteItem>,
}

impl Write {
    fn new(what: &'static str, seqs: Vec<Seq>, pins: Vec<Seq>) -> Self {
        Self { what, seqs, reaction: None, pins, updates: Vec::new(), others: Vec::new() }
    }
}

/// What a change comes to, as its author reads the messages.
enum Plan<T> {
    /// Nothing has to be written.
    Done(T),
    Write(Write, T),
}

/// What was read before a change.
struct Seen<'a> {
    items: HashMap<String, Item>,
    /// The newest row of the log of changes.
    last: Option<ChangeRow>,
    store: &'a Store,
    now: Timestamp,
}

impl Seen<'_> {
    /// A message of a user that can be changed, with its row; one that is deleted too.
    ///
    /// # Errors
    /// `MESSAGE_NOT_FOUND`; `FORBIDDEN` for an entry that is no message.
    fn message(&self, seq: Seq) -> Result<(Entry, &Item), Error> {
        let item = self.items.get(seq.message_id().as_str()).ok_or(Error::MessageNotFound)?;
        if self.now.has_passed(expiry_of(item)) {
            return Err(Error::MessageNotFound);
        }
        if item.get("kind").and_then(|kind| kind.as_s().ok()).is_none_or(|kind| kind != MESSAGE) {
            return Err(Error::Forbidden("only messages of users can be changed"));
        }
        Ok((entry_of(item.clone(), &self.store.config)?, item))
    }

    /// As [`Seen::message`], and not deleted.
    fn living(&self, seq: Seq) -> Result<(Entry, &Item), Error> {
        self.message(seq).and_then(|(entry, item)| match entry.changes.deleted {
            None => Ok((entry, item)),
            Some(_) => Err(Error::MessageNotFound),
        })
    }

    /// The mode of the room, where its row was read.
    fn mode(&self) -> Result<Mode, Error> {
        self.items.get(ROOM_ROW).map_or_else(|| Ok(Mode::default()), mode_in)
    }

    fn pins(&self) -> Vec<Seq> {
        self.last.as_ref().map(|last| last.pins.clone()).unwrap_or_default()
    }
}

/// The parts of the transaction of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Change,
    Message,
    Room,
    Other,
}

impl Store {
    /// Makes a change to messages of a room: reads the rows of `keys` and the end of the log of changes, lets `plan`
    /// decide, and writes all of it or nothing; again if somebody else changed one of them in between. Returns what
    /// `plan` decided, and the position and the time of the change if there was something to write.
    ///
    /// # Errors
    /// Those of `plan`. `ROOM_BUSY` when others change messages all the time until `deadline`.
    async fn change<T>(
        &self,
        room: &RoomId,
        by: &UserId,
        keys: &[String],
        (now, deadline): (Timestamp, Instant),
        plan: impl Fn(&Seen<'_>) -> Result<Plan<T>, Error>,
    ) -> Result<(T, Option<Rev>), Error> {
        let mut backoff = Backoff::until(deadline);
        loop {
            let (items, last) = try_join!(self.items_at(room, keys), self.last_change(room, true))?;
            let seen = Seen { items, last, store: self, now };
            let (write, outcome) = match plan(&seen)? {
                Plan::Done(outcome) => return Ok((outcome, None)),
                Plan::Write(write, outcome) => (write, outcome),
            };
            let Some(rev) = self.next_rev(room, seen.last.as_ref(), now).await? else { continue };
            let refused = self.transact(self.parts_of(room, by, rev, &seen, write)?).await?;
            if refused.is_empty() {
                self.note_last_rev(room, rev).await;
                return Ok((outcome, Some(rev)));
            }
            if !backoff.pause().await {
                return Err(Error::RoomBusy);
            }
        }
    }

    fn parts_of(
        &self,
        room: &RoomId,
        by: &UserId,
        rev: Rev,
        seen: &Seen<'_>,
        write: Write,
    ) -> Result<Vec<(Part, TransactWriteItem)>, Error> {
        let (emoji, on) = write.reaction.map(|(emoji, on)| (emoji, (!on).then_some(false))).unzip();
        let row = ChangeRow {
            emoji,
            on: on.flatten(),
            room_id: room.clone(),
            message_id: sort_key(rev),
            rev,
            seqs: write.seqs,
            what: write.what.to_owned(),
            by: by.clone(),
            at: seen.now.to_iso(),
            pins: write.pins,
            ttl: (seen.now.as_secs() + self.config.message_ttl_seconds())
                .max(seen.last.as_ref().map_or(0, |last| last.ttl)),
        };
        let is_free = Statement::default().when("attribute_not_exists(roomId)");
        let mut parts = vec![(Part::Change, self.put_part(&MESSAGES, item_of(&row)?, &is_free)?)];
        for (seq, update) in write.updates {
            let before = seen.items.get(seq.message_id().as_str()).and_then(|item| item.get("rev")).cloned();
            let statement = as_it_was(update, before).bind(":rev", rev.as_i64());
            let key = MESSAGES.key_of(room.as_str(), seq.message_id().as_str());
            parts.push((Part::Message, self.update_part(&MESSAGES, key, &statement)?));
        }
        parts.extend(write.others.into_iter().map(|part| (Part::Other, part)));
        if seen.last.is_none() {
            let noted = Statement::update("SET lastRev = :rev").when("attribute_exists(id)").bind(":rev", rev.as_i64());
            parts.push((Part::Room, self.update_part(&ROOMS, ROOMS.key(room.as_str()), &noted)?));
        }
        Ok(parts)
    }

    /// The newest row of a room's log of changes, also if it has expired.
    async fn last_change(&self, room: &RoomId, consistent: bool) -> Result<Option<ChangeRow>, Error> {
        let statement = changes_between(room, Rev::ZERO, Rev::MAX);
        let query = self.query(&MESSAGES, &statement).consistent_read(consistent).scan_index_forward(false).limit(1);
        query.send().await.map_err(failed)?.items.unwrap_or_default().pop().map(row_of).transpose()
    }

    /// The position of the next change: after the last one, or, where all rows of the log have expired, far above
    /// whatever it was. `None` if somebody has made the first change since `last` was read.
    async fn next_rev(&self, room: &RoomId, last: Option<&ChangeRow>, now: Timestamp) -> Result<Option<Rev>, Error> {
        if let Some(last) = last {
            return Ok(Some(last.rev.next()));
        }
        let Room { last_rev, .. } = self.room(room, now).await?.ok_or(Error::RoomNotFound)?;
        if last_rev == Rev::ZERO {
            return Ok(Some(Rev(1)));
        }
        let has_begun = self.last_change(room, true).await?.is_some();
        Ok((!has_begun).then_some(Rev(last_rev.0 + RESTART_GAP)))
    }

    async fn note_last_rev(&self, room: &RoomId, rev: Rev) {
        if !rev.0.is_multiple_of(LIFT_EVERY) {
            return;
        }
        let statement = Statement::update("SET lastRev = :rev")
            .when("attribute_exists(id) AND lastRev < :rev")
            .bind(":rev", rev.as_i64());
        if let Err(error) = self.update(&ROOMS, ROOMS.key(room.as_str()), &statement).await {
            // The change is written; the next hundredth one notes it as well.
            tracing::warn!(room_id = %room, error = error.cause(), "failed to note the end of a log of changes");
        }
    }

    /// Rows of a room's partition by their sort keys, at most 100, read consistently.
    async fn items_at(&self, room: &RoomId, keys: &[String]) -> Result<HashMap<String, Item>, Error> {
        let row = |key: &String| match key.as_str() {
            ROOM_ROW => (&ROOMS, ROOMS.key(room.as_str())),
            key => (&MESSAGES, MESSAGES.key_of(room.as_str(), key)),
        };
        let items = self.items(&keys.iter().map(row).collect::<Vec<_>>()).await?;
        Ok(keys.iter().cloned().zip(items).filter_map(|(key, item)| Some((key, item?))).collect())
    }
}

/// An update of a message that holds only if nobody has changed it since it was read. `before`: the `rev` that it had.
fn as_it_was(update: Statement, before: Option<AttributeValue>) -> Statement {
    const IS_MESSAGE: &str = "kind = :message AND attribute_not_exists(deleted) AND ";
    let update = match before {
        Some(before) => update.when(&format!("{IS_MESSAGE}rev = :before")).bind_value(":before", before),
        None => update.when(&format!("{IS_MESSAGE}attribute_not_exists(rev)")),
    };
    update.bind(":message", MESSAGE)
}

/// The last sort key of the log of changes.
pub(super) fn changes_end() -> String {
    sort_key(Rev::MAX)
}

/// The position of a row in the log of changes; `None` for another row.
pub(super) fn change_rev(item: &Item) -> Option<Rev> {
    let key = item.get("messageId")?.as_s().ok()?;
    key.strip_prefix("chg#")?.parse().ok().map(Rev)
}

fn changes_between(room: &RoomId, from: Rev, to: Rev) -> Statement {
    Statement::query("roomId = :room AND messageId BETWEEN :from AND :to")
        .bind(":room", room.as_str())
        .bind(":from", &*sort_key(from))
        .bind(":to", &*sort_key(to))
}
