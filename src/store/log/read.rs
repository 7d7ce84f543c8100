//! Reading the log: pages, single entries, counts, and its end.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::Select;

use super::super::{Item, Statement, Store, failed, row_of};
use super::{CLOSED, EntryRow, MESSAGE, Next, Tail, carry_of, entry_of};
use crate::domain::{CloseReason, Entry, Event, Page, RESTART_GAP, Room, RoomId, RoomStatus, Seq, Timestamp, UserId};
use crate::error::Error;
use crate::tables::MESSAGES;

impl Store {
    /// The end of a room's log, read consistently, also when it has expired.
    pub async fn tail(&self, room: &RoomId) -> Result<Option<Tail>, Error> {
        self.newest_item(room).await?.map(Tail::of).transpose()
    }

    async fn newest_item(&self, room: &RoomId) -> Result<Option<Item>, Error> {
        let query = self.log_query(between(room, Seq::ZERO, Seq::MAX)).scan_index_forward(false).limit(1);
        Ok(query.send().await.map_err(failed)?.items.unwrap_or_default().pop())
    }

    /// The entry at a position of a log, unless it has expired.
    pub async fn entry(&self, room: &RoomId, seq: Seq, now: Timestamp) -> Result<Option<Entry>, Error> {
        let key = MESSAGES.key_of(room.as_str(), seq.message_id().as_str());
        let Some(item) = self.item(&MESSAGES, key).await? else { return Ok(None) };
        let is_current = Tail::of(item.clone())?.expires_at > now.as_secs();
        if is_current { entry_of(item, &self.config).map(Some) } else { Ok(None) }
    }

    /// Up to `limit` entries, oldest first, and whether there are more in the direction of reading. Expired entries are
    /// absent, whether deleted yet or not.
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
        // Entries of later versions are shown: without them the log would seem to have holes.
        let statement = between(room, from, to)
            .filter("ttl > :now AND kind <> :closed")
            .bind(":now", now.as_secs())
            .bind(":closed", CLOSED);
        let query = self.log_query(statement).scan_index_forward(forward);
        let mut items = query.limit(i32::try_from(wanted).unwrap_or(i32::MAX)).into_paginator().items().send();
        let mut entries = Vec::with_capacity(wanted);
        while entries.len() < wanted
            && let Some(item) = items.next().await
        {
            entries.push(entry_of(item.map_err(failed)?, &self.config)?);
        }
        let more = entries.len() > limit;
        entries.truncate(limit);
        if !forward {
            entries.reverse();
        }
        Ok((entries, more))
    }

    /// How many messages after `after` others than `user` wrote: exact up to `most`, and no more than one above it.
    pub async fn count_of_others(
        &self,
        room: &RoomId,
        user: &UserId,
        after: Seq,
        most: usize,
        now: Timestamp,
    ) -> Result<usize, Error> {
        let statement = between(room, after.next(), Seq::MAX)
            .filter("ttl > :now AND kind = :message AND userId <> :user")
            .bind(":now", now.as_secs())
            .bind(":message", MESSAGE)
            .bind(":user", user.as_str());
        let query = self.log_query(statement).select(Select::Count);
        let mut pages = query.limit(i32::try_from(most + 1).unwrap_or(i32::MAX)).into_paginator().send();
        let mut count = 0;
        while count <= most
            && let Some(page) = pages.next().await
        {
            count += usize::try_from(page.map_err(failed)?.count).unwrap_or_default();
        }
        Ok(count.min(most + 1))
    }

    /// Why and by whom a room was closed.
    pub async fn closing_of(&self, room: &RoomId) -> Result<Option<(CloseReason, UserId)>, Error> {
        let newest = self.newest_item(room).await?.map(|item| entry_of(item, &self.config)).transpose()?;
        let Some(Entry { event: Event::System { what, body }, .. }) = newest else { return Ok(None) };
        let is_idle = body.content.as_str() == CloseReason::Idle.as_str();
        let reason = if is_idle { CloseReason::Idle } else { CloseReason::Closed };
        Ok((what == CLOSED).then_some((reason, body.user_id)))
    }

    /// The newest entry, unless it has expired.
    pub async fn newest(&self, room: &RoomId, now: Timestamp) -> Result<Option<Entry>, Error> {
        Ok(self.entries(room, Page::Latest, 1, now).await?.0.pop())
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
        match tail {
            Some(tail) if tail.closes_room(now) => Ok(None),
            Some(tail) if !tail.is_expired(now) => Ok(Some(Next { seq: tail.seq.next(), carry: tail.carry.clone() })),
            _ => {
                // The entry that closed the room may have expired. What an expired entry carries decides nothing.
                let row = self.room(room, now).await?.ok_or(Error::RoomNotFound)?;
                let next = || Next { seq: self.restart(&row, tail, now), carry: carry_of(&row.epoch) };
                Ok((row.status == RoomStatus::Active).then(next))
            }
        }
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

    fn log_query(&self, statement: Statement) -> QueryFluentBuilder {
        self.query(&MESSAGES, &statement).consistent_read(true)
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

    pub(super) async fn item_at(&self, room: &RoomId, sort_key: &str) -> Result<Option<Item>, Error> {
        self.item(&MESSAGES, MESSAGES.key_of(room.as_str(), sort_key)).await
    }
}

/// The log only, whatever else is in a room's partition: positions are digits, and nothing else is.
fn between(room: &RoomId, from: Seq, to: Seq) -> Statement {
    Statement::query("roomId = :room AND messageId BETWEEN :from AND :to")
        .bind(":room", room.as_str())
        .bind(":from", from.message_id().as_str())
        .bind(":to", to.message_id().as_str())
}
