//! Reading parts of the log, for a search.

use super::super::{Store, failed, units_of};
use super::read::between;
use super::{ReadBudget, entry_of};
use crate::domain::{Entry, RoomId, Seq, Timestamp};
use crate::error::Error;

/// Read units of the largest entry.
const LARGEST_UNITS: f64 = 6.0;
/// How many times as many entries are read next, at most, as were read before.
const GROWTH: usize = 4;

/// A part of a log, the newest entry first.
pub struct Part {
    pub entries: Vec<Entry>,
    /// Down to here it was read, if not down to its beginning.
    pub reached: Option<Seq>,
}

impl Store {
    /// Reads a part of the log, both ends inclusive, for about `share` read units at the most. Expired entries are
    /// absent.
    pub async fn part(
        &self,
        room: &RoomId,
        (from, to): (Seq, Seq),
        (budget, share): (&ReadBudget, f64),
        now: Timestamp,
    ) -> Result<Part, Error> {
        let statement = between(room, from, to).filter("ttl > :now").bind(":now", now.as_secs());
        let query = self.log_query(statement).scan_index_forward(false);
        let (mut entries, mut left, mut start) = (Vec::new(), share, None);
        let mut limit = ((share / LARGEST_UNITS) as usize).max(1);
        loop {
            let query = query.clone().limit(i32::try_from(limit).unwrap_or(i32::MAX)).set_exclusive_start_key(start);
            let answer = query.send().await.map_err(failed)?;
            let units = units_of(&answer);
            budget.spend(units);
            left -= units;
            let read = usize::try_from(answer.scanned_count).unwrap_or_default().max(1);
            for item in answer.items.unwrap_or_default() {
                entries.push(entry_of(item, &self.config)?);
            }
            start = answer.last_evaluated_key;
            limit = ((left * read as f64 / units.max(0.5)) as usize).min(read * GROWTH);
            if start.is_none() || limit == 0 {
                break;
            }
        }
        let last = start.and_then(|key| key.get("messageId")?.as_s().ok()?.parse().ok());
        Ok(Part { entries, reached: last.and_then(|seq| Seq::new(seq).ok()) })
    }
}
