//! How many participants a room has: counted in the transactions that change memberships.
//!
//! Transactions that write the same row at the same time are in conflict, and only one of them succeeds. A room is
//! counted in its own row, until so many join or leave at once that this row holds them up. From then on it is counted
//! in several rows, and its number of participants is the sum. A room with `maxParticipants` stays with its own row:
//! only there a condition can hold the limit.

use aws_sdk_dynamodb::types::TransactWriteItem;
use futures_util::stream::TryStreamExt;
use serde::Deserialize;

use super::super::{Backoff, Key, Statement, Store, pages};
use super::Part;
use crate::domain::{Room, RoomId, RoomStatus, Timestamp};
use crate::error::Error;
use crate::tables::{MEMBERS, ROOMS};

/// Rows among which the participants of a busy room are counted. A thousand joins in a second are some sixty in each,
/// at 20 ms for a transaction.
pub(in crate::store) const COUNTERS: u32 = 16;

/// One of the rows that count a room's participants. It may be below zero: a member may be counted in one row, and be
/// taken off in another one.
#[derive(Deserialize)]
struct Counter {
    participants: i64,
}

/// The partition of a room's counters. Ids have no control characters, so it is nobody's; and an earlier room of the
/// same id has others.
fn partition(room: &Room) -> String {
    format!("\u{1}count#{}#{}", room.created_at.as_millis(), room.id)
}

/// The keys of a room's counters.
pub(super) fn counters(room: &Room) -> impl Iterator<Item = Key> + use<> {
    let partition = partition(room);
    (0..COUNTERS).map(move |number| MEMBERS.key_of(&partition, &format!("\u{1}{number:02}")))
}

impl Store {
    /// Writes `parts`, which change a membership, and counts `change` participants more. Returns the parts whose
    /// conditions did not hold. [`Part::Participants`] is one of them if the room is closed or has no capacity; where
    /// it is counted in several rows, the others have been written then.
    pub(super) async fn transact_counted(
        &self,
        room: &Room,
        change: i64,
        parts: Vec<(Part, TransactWriteItem)>,
        now: Timestamp,
    ) -> Result<Vec<Part>, Error> {
        let and = |part: TransactWriteItem| [&parts[..], &[(Part::Participants, part)]].concat();
        if !room.is_count_spread {
            let is_limited = room.max_participants.is_some();
            let backoff = if is_limited { Backoff::of_memberships() } else { Backoff::brief() };
            match self.transact_within(backoff, and(self.count_in_room(&room.id, change)?)).await {
                Err(Error::RoomBusy) if !is_limited => self.spread_count(&room.id).await?,
                done => return done,
            }
        }
        let number = fastrand::usize(..COUNTERS as usize);
        let Some(key) = counters(room).nth(number) else { return Err(Error::internal("a counter has no key")) };
        let statement = Statement::update("ADD participants :change").bind(":change", change);
        let counter = self.update_part(&MEMBERS, key, &statement)?;
        let refused = self.transact_within(Backoff::of_memberships(), and(counter)).await?;
        // Only the room's row shows whether it is open. It is read after the write: so a join before the closing is
        // found by what follows the closing, and one after it is found here.
        let is_open = async {
            Ok::<_, Error>(self.room(&room.id, now).await?.is_some_and(|room| room.status == RoomStatus::Active))
        };
        if refused.is_empty() && change > 0 && !is_open.await? { Ok(vec![Part::Participants]) } else { Ok(refused) }
    }

    /// The part of a transaction that counts in the room's own row; participants are added only if the room is open and
    /// has capacity.
    pub(in crate::store) fn count_in_room(&self, room: &RoomId, change: i64) -> Result<TransactWriteItem, Error> {
        const HAS_CAPACITY: &str = "attribute_exists(id) AND status = :active AND \
            (attribute_not_exists(maxParticipants) OR participantCount < maxParticipants)";
        let statement = Statement::update("ADD participantCount :change").bind(":change", change);
        let statement = if change > 0 {
            statement.when(HAS_CAPACITY).bind(":active", "active")
        } else {
            statement.when("attribute_exists(id)")
        };
        self.update_part(&ROOMS, ROOMS.key(room.as_str()), &statement)
    }

    /// Notes that a room is counted in several rows from now on.
    async fn spread_count(&self, room: &RoomId) -> Result<(), Error> {
        let statement = Statement::update("SET countSpread = :true").when("attribute_exists(id)").bind(":true", true);
        let mut backoff = Backoff::of_memberships();
        loop {
            match self.update(&ROOMS, ROOMS.key(room.as_str()), &statement).await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(Error::RoomNotFound),
                // A transaction is writing the row. Reading it is in conflict with nothing.
                Err(Error::Unavailable(_)) if self.any_room(room).await?.is_some_and(|room| room.is_count_spread) => {
                    return Ok(());
                }
                Err(Error::Unavailable(_)) if backoff.pause().await => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// How many participants a room has that are counted in rows of their own.
    pub(in crate::store) async fn counted_apart(&self, room: &Room) -> Result<i64, Error> {
        let statement = Statement::query("userId = :room").bind(":room", &*partition(room));
        let query = self.query(&MEMBERS, &statement).consistent_read(true);
        let counters: Vec<Counter> = pages(query).try_concat().await?;
        Ok(counters.iter().map(|counter| counter.participants).sum())
    }
}
