//! Catching up on changes, and messages as they are now.

use futures_util::stream::TryStreamExt;

use super::super::{Store, pages};
use super::{ChangeRow, changes_between, entry_of, expiry_of};
use crate::domain::{Entry, Rev, RoomId, Seq, Timestamp};
use crate::error::Error;
use crate::tables::MESSAGES;

/// Most messages that a reader catches up on by their changes.
const MAX_CHANGED: usize = 50;
/// Most changes that are read to catch up.
const MAX_CHANGES_READ: u64 = 200;

impl Store {
    /// The position of the last change of a room. Eventually consistent: it may be an earlier one, and the changes
    /// after it are then received twice.
    pub async fn last_rev(&self, room: &RoomId) -> Result<Rev, Error> {
        Ok(self.last_change(room, false).await?.map_or(Rev::ZERO, |last| last.rev))
    }

    /// The messages up to `up_to` that changed after `rev`, as they are now; `None` where there are too many, or some
    /// of the changes have expired. And the position up to which that is complete, which is read first: what changes in
    /// between is received twice.
    pub async fn changed_since(
        &self,
        room: &RoomId,
        rev: Option<Rev>,
        up_to: Seq,
        now: Timestamp,
    ) -> Result<(Option<Vec<Entry>>, Rev), Error> {
        let last = self.last_change(room, true).await?.map_or(Rev::ZERO, |last| last.rev);
        let Some(rev) = rev.filter(|rev| *rev != last) else { return Ok((Some(Vec::new()), last)) };
        if rev > last || last.0 - rev.0 > MAX_CHANGES_READ {
            return Ok((None, last));
        }
        let query = self.query(&MESSAGES, &changes_between(room, rev.next(), last)).consistent_read(true);
        let rows: Vec<ChangeRow> = pages(query).try_concat().await?;
        let is_complete = rows.first().is_some_and(|first| first.rev == rev.next());
        let mut seqs: Vec<_> = rows.into_iter().flat_map(|row| row.seqs).filter(|seq| *seq <= up_to).collect();
        seqs.sort();
        seqs.dedup();
        if !is_complete || seqs.len() > MAX_CHANGED {
            return Ok((None, last));
        }
        Ok((Some(self.entries_at(room, &seqs, now).await?), last))
    }

    /// The pinned messages of a room, the last one pinned first, and the position of its last change.
    pub async fn pinned(&self, room: &RoomId, now: Timestamp) -> Result<(Vec<Entry>, Rev), Error> {
        let Some(last) = self.last_change(room, true).await? else { return Ok((Vec::new(), Rev::ZERO)) };
        let mut entries = self.entries_at(room, &last.pins, now).await?;
        let place = |entry: &Entry| last.pins.iter().position(|seq| *seq == entry.seq);
        entries.sort_by_key(|entry| std::cmp::Reverse(place(entry)));
        Ok((entries, last.rev))
    }

    /// The entries at these positions that have not expired, in the order of the log.
    pub async fn entries_at(&self, room: &RoomId, seqs: &[Seq], now: Timestamp) -> Result<Vec<Entry>, Error> {
        let keys: Vec<_> = seqs.iter().map(|seq| seq.message_id().as_str().to_owned()).collect();
        let items = self.items_at(room, &keys).await?.into_values();
        let living = items.filter(|item| !now.has_passed(expiry_of(item)));
        let mut entries = living.map(|item| entry_of(item, &self.config)).collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(|entry| entry.seq);
        Ok(entries)
    }
}
