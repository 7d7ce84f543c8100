//! Reading the log: pages, single entries, counts, and its end.

use std::sync::{Mutex, PoisonError};

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{ReturnConsumedCapacity, Select};

use super::super::{Item, Key, Statement, Store, failed, row_of, units_of};
use super::{CLOSED, Carry, EntryRow, MESSAGE, Next, Tail, entry_of};
use crate::domain::{CloseReason, Entry, Event, Page, RESTART_GAP, Room, RoomId, RoomStatus, Seq, Timestamp, UserId};
use crate::error::Error;
use crate::tables::MESSAGES;

/// Most bytes of content that are read for one page: a frame cannot hold more.
const PAGE_BYTES: usize = 32 * 1024;
/// Messages that are counted first: they show how large the others may be.
const FIRST_COUNTED: usize = 3;

/// A page of a log.
#[derive(Default)]
pub struct EntryPage {
    /// Oldest first.
    pub entries: Vec<Entry>,
    /// Whether there are more in the direction of reading.
    pub more: bool,
    pub read_units: f64,
}

impl EntryPage {
    fn content_bytes(&self) -> usize {
        let bytes = |entry: &Entry| entry.event.body().content.as_str().len();
        self.entries.iter().map(bytes).sum()
    }

    /// The page of what was read, in the order of reading, of up to one more entry than it has place for.
    pub(super) fn finished(mut self, limit: usize, more: bool, forward: bool) -> Self {
        self.more = more || self.entries.len() > limit;
        self.entries.truncate(limit);
        if !forward {
            self.entries.reverse();
        }
        self
    }

    /// How many entries to read next: as many as a page has place for, if they are like those before.
    fn next_count(&self, first: usize, wanted: usize) -> i32 {
        let bytes = self.content_bytes();
        let fitting = match self.entries.len() {
            0 if self.read_units == 0.0 => first,
            0 => wanted,
            read => PAGE_BYTES.saturating_sub(bytes) / (bytes / read).max(1) + 1,
        };
        count_of(fitting.min(wanted - self.entries.len()))
    }
}

/// How many read units a request may still take.
pub struct ReadBudget(Mutex<f64>);

impl ReadBudget {
    /// So many units.
    pub fn new(units: f64) -> Self {
        Self(Mutex::new(units))
    }

    /// Takes some of them.
    pub fn spend(&self, units: f64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) -= units;
    }

    /// How many are left: less than none if the last request took more.
    pub fn left(&self) -> f64 {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count_of(entries: usize) -> i32 {
    i32::try_from(entries).unwrap_or(i32::MAX)
}

impl Store {
    /// The end of a room's log, read consistently, also when it has expired.
    pub async fn tail(&self, room: &RoomId) -> Result<Option<Tail>, Error> {
        Ok(self.tail_and_units(room).await?.0)
    }

    /// As [`Store::tail`], and how many read units that took.
    pub async fn tail_and_units(&self, room: &RoomId) -> Result<(Option<Tail>, f64), Error> {
        let (item, units) = self.newest_item(room).await?;
        Ok((item.map(Tail::of).transpose()?, units))
    }

    /// As [`Store::tail`], and the entry there, if it can be shown.
    pub async fn end(&self, room: &RoomId, now: Timestamp) -> Result<(Option<Tail>, Option<Entry>), Error> {
        let Some(item) = self.newest_item(room).await?.0 else { return Ok((None, None)) };
        let tail = Tail::of(item.clone())?;
        let is_shown = !tail.is_closing && !tail.is_expired(now);
        let entry = is_shown.then(|| entry_of(item, &self.config)).transpose()?;
        Ok((Some(tail), entry))
    }

    pub(super) async fn newest_item(&self, room: &RoomId) -> Result<(Option<Item>, f64), Error> {
        let query = self.log_query(between(room, Seq::ZERO, Seq::MAX)).scan_index_forward(false).limit(1);
        let answer = query.send().await.map_err(failed)?;
        let units = units_of(&answer);
        Ok((answer.items.unwrap_or_default().pop(), units))
    }

    /// The entry at a position of a log, unless it has expired.
    pub async fn entry(&self, room: &RoomId, seq: Seq, now: Timestamp) -> Result<Option<Entry>, Error> {
        let key = MESSAGES.key_of(room.as_str(), seq.message_id().as_str());
        let Some(item) = self.item(&MESSAGES, key).await? else { return Ok(None) };
        let is_current = Tail::of(item.clone())?.expires_at > now.as_secs();
        if is_current { entry_of(item, &self.config).map(Some) } else { Ok(None) }
    }

    /// Up to `limit` entries, oldest first: fewer where these have more content than a page holds. `first` of them are
    /// read before the others: they show how large those may be. Expired entries are absent, whether deleted yet or
    /// not.
    pub async fn entries(
        &self,
        room: &RoomId,
        page: Page,
        (first, limit): (usize, usize),
        now: Timestamp,
    ) -> Result<EntryPage, Error> {
        let (from, to, forward) = match page {
            Page::Latest => (Seq::ZERO, Seq::MAX, false),
            Page::Before(seq) if seq == Seq::ZERO => return Ok(EntryPage::default()),
            Page::Before(seq) => (Seq::ZERO, seq.previous(), false),
            Page::After(seq) if seq == Seq::MAX => return Ok(EntryPage::default()),
            Page::After(seq) => (seq.next(), Seq::MAX, true),
        };
        self.fill((EntryPage::default(), None), (room, from, to), forward, (first, limit), now).await
    }

    /// Goes on reading a page behind what was read of it, between two positions.
    pub(super) async fn fill(
        &self,
        (mut read, mut start): (EntryPage, Option<Key>),
        (room, from, to): (&RoomId, Seq, Seq),
        forward: bool,
        (first, limit): (usize, usize),
        now: Timestamp,
    ) -> Result<EntryPage, Error> {
        // Entries of later versions are shown: without them the log would seem to have holes.
        let statement = between(room, from, to)
            .filter("ttl > :now AND kind <> :closed")
            .bind(":now", now.as_secs())
            .bind(":closed", CLOSED);
        let query = self.log_query(statement).scan_index_forward(forward);
        let wanted = limit + 1;
        while read.entries.len() < wanted && read.content_bytes() < PAGE_BYTES {
            let query = query.clone().limit(read.next_count(first, wanted)).set_exclusive_start_key(start);
            let answer = query.send().await.map_err(failed)?;
            read.read_units += units_of(&answer);
            for item in answer.items.unwrap_or_default() {
                read.entries.push(entry_of(item, &self.config)?);
            }
            start = answer.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(read.finished(limit, start.is_some(), forward))
    }

    /// How many messages after `after` others than `user` wrote, no more than one above `most`, and whether that is
    /// exact: it is as long as the budget lasts.
    pub async fn count_of_others(
        &self,
        (room, user): (&RoomId, &UserId),
        after: Seq,
        most: usize,
        budget: &ReadBudget,
        now: Timestamp,
    ) -> Result<(usize, bool), Error> {
        let statement = between(room, after.next(), Seq::MAX)
            .filter("ttl > :now AND kind = :message AND userId <> :user AND attribute_not_exists(deleted)")
            .bind(":now", now.as_secs())
            .bind(":message", MESSAGE)
            .bind(":user", user.as_str());
        let query = self.log_query(statement).select(Select::Count);
        let (mut count, mut limit, mut start) = (0, FIRST_COUNTED, None);
        loop {
            let query = query.clone().limit(count_of(limit)).set_exclusive_start_key(start);
            let answer = query.send().await.map_err(failed)?;
            count += usize::try_from(answer.count).unwrap_or_default();
            let units = units_of(&answer);
            budget.spend(units);
            start = answer.last_evaluated_key;
            if start.is_none() || count > most {
                return Ok((count.min(most + 1), true));
            }
            // As many as the rest of the budget allows, if they are like these.
            limit = ((budget.left() / units.max(1.0)) as usize * limit).min(most + 1);
            if limit == 0 {
                return Ok((count, false));
            }
        }
    }

    /// Why and by whom a room was closed.
    pub async fn closing_of(&self, room: &RoomId) -> Result<Option<(CloseReason, UserId)>, Error> {
        let newest = self.newest_item(room).await?.0.map(|item| entry_of(item, &self.config)).transpose()?;
        let Some(Entry { event: Event::System { system, body }, .. }) = newest else { return Ok(None) };
        let is_idle = body.content.as_str() == CloseReason::Idle.as_str();
        let reason = if is_idle { CloseReason::Idle } else { CloseReason::Closed };
        Ok((system.what == CLOSED).then_some((reason, body.user_id)))
    }

    /// The newest entry, unless it has expired.
    pub async fn newest(&self, room: &RoomId, now: Timestamp) -> Result<Option<Entry>, Error> {
        Ok(self.entries(room, Page::Latest, (2, 1), now).await?.entries.pop())
    }

    /// The position of the next entry: after `tail`, or, where the end of the log is no longer known, far above
    /// whatever it was. A reader who has seen what is before it has missed nothing.
    ///
    /// # Errors
    /// `ROOM_NOT_FOUND`.
    pub async fn next_seq(&self, room: &RoomId, tail: Option<&Tail>, now: Timestamp) -> Result<Seq, Error> {
        match tail {
            Some(tail) if !tail.is_expired(now) => Ok(tail.seq.next()),
            _ => {
                let row = self.room(room, now).await?.ok_or(Error::RoomNotFound)?;
                Ok(self.restart(&row, tail, now))
            }
        }
    }

    /// As [`Store::next_seq`], and `None` in a room that is closed.
    pub(super) async fn free_seq(
        &self,
        room: &RoomId,
        tail: Option<&Tail>,
        now: Timestamp,
    ) -> Result<Option<Next>, Error> {
        let living = tail.filter(|tail| !tail.is_expired(now));
        if living.is_some_and(|tail| tail.is_closing) {
            return Ok(None);
        }
        let created_at = tail.map_or(now, |tail| tail.created_at.max(now));
        if let Some(Tail { seq, carry: Some(carry), .. }) = living {
            return Ok(Some(Next { seq: seq.next(), created_at, carry: carry.clone() }));
        }
        // The entry that closed the room may have expired. What an expired entry carries decides nothing.
        let row = self.room(room, now).await?.ok_or(Error::RoomNotFound)?;
        if row.status == RoomStatus::Closed {
            return Ok(None);
        }
        let seq = living.map_or_else(|| self.restart(&row, tail, now), |tail| tail.seq.next());
        Ok(Some(Next { seq, created_at, carry: Carry::of_room(&row)? }))
    }

    fn restart(&self, row: &Room, tail: Option<&Tail>, now: Timestamp) -> Seq {
        let noted = tail.map_or(Seq::ZERO, |tail| tail.seq).max(row.last_seq);
        if row.status == RoomStatus::Closed {
            // No entry follows.
            return row.last_seq.next();
        }
        let lifetime_ms = self.config.message_ttl_seconds() * 1000;
        // In a room younger than its messages live, none can have expired: there has been none.
        let untouched = noted == Seq::ZERO && now.millis_since(row.created_at) < lifetime_ms;
        if untouched { noted.next() } else { noted.plus(RESTART_GAP) }
    }

    pub(super) fn log_query(&self, statement: Statement) -> QueryFluentBuilder {
        let query = self.query(&MESSAGES, &statement).consistent_read(true);
        query.return_consumed_capacity(ReturnConsumedCapacity::Total)
    }

    /// The item of an entry of a user, unless it has expired.
    pub(in crate::store) async fn live_item(
        &self,
        room: &RoomId,
        seq: Seq,
        now: Timestamp,
    ) -> Result<Option<Item>, Error> {
        let Some(item) = self.item_at(room, seq.message_id().as_str()).await? else { return Ok(None) };
        let row: EntryRow = row_of(item.clone())?;
        Ok((row.kind == MESSAGE && !now.has_passed(row.ttl)).then_some(item))
    }

    pub(in crate::store) async fn item_at(&self, room: &RoomId, sort_key: &str) -> Result<Option<Item>, Error> {
        self.item(&MESSAGES, MESSAGES.key_of(room.as_str(), sort_key)).await
    }
}

/// The log only, whatever else is in a room's partition: positions are digits, and nothing else is.
pub(super) fn between(room: &RoomId, from: Seq, to: Seq) -> Statement {
    Statement::query("roomId = :room AND messageId BETWEEN :from AND :to")
        .bind(":room", room.as_str())
        .bind(":from", from.message_id().as_str())
        .bind(":to", to.message_id().as_str())
}
