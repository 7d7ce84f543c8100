//! Where the logs of a room end: that of its messages and that of its changes.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::ReturnConsumedCapacity;

use super::super::changes::{change_rev, changes_end};
use super::super::{Item, Statement, Store, failed, row_of, units_of};
use super::{CLOSED, EntryPage, EntryRow, Tail, entry_of};
use crate::domain::{Entry, Page, Rev, RoomId, Seq, Timestamp};
use crate::error::Error;
use crate::tables::MESSAGES;

/// The ends of a room's logs.
pub struct RoomEnds {
    pub tail: Option<Tail>,
    /// The entry there, if it can be shown.
    pub newest: Option<Entry>,
    pub rev: Rev,
    pub units: f64,
}

impl Store {
    /// The ends of both logs, read consistently: by one request where nothing was changed yet, since changes sort right
    /// behind messages.
    pub async fn ends(&self, room: &RoomId, now: Timestamp) -> Result<RoomEnds, Error> {
        let answer = self.both_logs(room).limit(1).send().await.map_err(failed)?;
        let mut units = units_of(&answer);
        let last = answer.items.unwrap_or_default().pop();
        let rev = last.as_ref().and_then(change_rev);
        let last = match rev {
            None => last,
            Some(_) => {
                let (item, more) = self.newest_item(room).await?;
                units += more;
                item
            }
        };
        let tail = last.clone().map(Tail::of).transpose()?;
        let is_shown = tail.as_ref().is_some_and(|tail| !tail.is_closing && !tail.is_expired(now));
        let newest = last.filter(|_| is_shown).map(|item| entry_of(item, &self.config)).transpose()?;
        Ok(RoomEnds { tail, newest, rev: rev.unwrap_or(Rev::ZERO), units })
    }

    /// The newest entries, as by [`Store::entries`], and the position of the last change that was made before they were
    /// read: by one request less where nothing was changed yet.
    pub async fn latest(
        &self,
        room: &RoomId,
        (first, limit): (usize, usize),
        now: Timestamp,
    ) -> Result<(Rev, EntryPage), Error> {
        let query = self.both_logs(room).limit(i32::try_from(first.min(limit + 1)).unwrap_or(i32::MAX));
        let answer = query.send().await.map_err(failed)?;
        let read_units = units_of(&answer);
        let items = answer.items.unwrap_or_default();
        if let Some(rev) = items.first().and_then(change_rev) {
            return Ok((rev, self.entries(room, Page::Latest, (first, limit), now).await?));
        }
        let mut read = EntryPage { read_units, ..EntryPage::default() };
        for item in items {
            if is_shown(&item, now)? {
                read.entries.push(entry_of(item, &self.config)?);
            }
        }
        let page = match answer.last_evaluated_key {
            None => read.finished(limit, false, false),
            start => self.fill((read, start), (room, Seq::ZERO, Seq::MAX), false, (first, limit), now).await?,
        };
        Ok((Rev::ZERO, page))
    }

    /// The log of changes and behind it that of messages, the newest first.
    fn both_logs(&self, room: &RoomId) -> QueryFluentBuilder {
        let statement = Statement::query("roomId = :room AND messageId BETWEEN :from AND :to")
            .bind(":room", room.as_str())
            .bind(":from", Seq::ZERO.message_id().as_str())
            .bind(":to", &*changes_end());
        let query = self.query(&MESSAGES, &statement).consistent_read(true).scan_index_forward(false);
        query.return_consumed_capacity(ReturnConsumedCapacity::Total)
    }
}

fn is_shown(item: &Item, now: Timestamp) -> Result<bool, Error> {
    let row: EntryRow = row_of(item.clone())?;
    Ok(row.kind != CLOSED && !now.has_passed(row.ttl))
}
