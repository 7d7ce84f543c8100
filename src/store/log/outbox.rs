//! Appending several messages at once: the outbox of a client that was offline or types fast.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::super::{Backoff, Store};
use super::append::Attempt;
use super::{Appended, MESSAGE, Next, Tail, Timing};
use crate::domain::{Body, IdempotencyKey, RoomId, Timestamp};
use crate::error::Error;

/// Repeats that are looked up at once.
const REPEATS_AT_ONCE: usize = 20;

/// A message, and its position once it has one.
struct Pending<'a> {
    body: &'a Body,
    key: IdempotencyKey,
    appended: Option<Appended>,
    /// It may not be written, unless it was before.
    is_held: bool,
}

/// The parts of the transaction, for each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Entry,
    /// Of the message at this place.
    Idempotency(usize),
}

impl Store {
    /// As [`Store::append`], for messages that each have another `clientMessageId`: those that were written before keep
    /// their positions, the others get consecutive ones in their order, by one transaction, but only the first `most`
    /// of them. Returns for each its position, none, or `ROOM_CLOSED`.
    ///
    /// # Errors
    /// As [`Store::append`]; then nothing is written. `ROOM_CLOSED` if no message was written before.
    pub async fn append_all(
        &self,
        room: &RoomId,
        bodies: &[Body],
        most: usize,
        mut tail: Option<Tail>,
        mut timing: Timing,
    ) -> Result<Vec<Result<Option<Appended>, Error>>, Error> {
        let now = timing.now;
        let mut outbox = bodies.iter().map(Pending::of).collect::<Result<Vec<_>, Error>>()?;
        if most < outbox.len() {
            self.hold_back(room, &mut outbox, most).await?;
        }
        let mut backoff = Backoff::until(timing.deadline);
        while outbox.iter().any(Pending::is_open) {
            if let Some(body) = bodies.first() {
                self.confirm_sender(room, &body.user_id, &mut timing).await?;
            }
            let Some(first) = self.free_seq(room, tail.as_ref(), now).await? else {
                // Messages that were sent before the room was closed are there, and their sender may retry.
                let open: Vec<_> = (0..outbox.len()).filter(|&index| outbox[index].is_open()).collect();
                self.find_repeats(room, &mut outbox, &open).await?;
                break;
            };
            let refused = self.put_open(room, first, tail.as_ref(), &mut outbox, now).await?;
            let repeated = |part: &Part| if let Part::Idempotency(index) = part { Some(*index) } else { None };
            let repeated: Vec<_> = refused.iter().filter_map(repeated).collect();
            let are_found = self.find_repeats(room, &mut outbox, &repeated).await?;
            if refused.contains(&Part::Entry) || !are_found {
                if !backoff.pause().await {
                    return Err(Error::RoomBusy);
                }
                tail = self.tail(room).await?;
            }
        }
        if outbox.iter().all(Pending::is_open) {
            return Err(Error::RoomClosed);
        }
        Ok(outbox.into_iter().map(Pending::outcome).collect())
    }

    /// Holds back all but the first `most` of the messages that were not written before.
    async fn hold_back(&self, room: &RoomId, outbox: &mut [Pending<'_>], most: usize) -> Result<(), Error> {
        let all: Vec<_> = (0..outbox.len()).collect();
        self.find_repeats(room, outbox, &all).await?;
        for pending in outbox.iter_mut().filter(|pending| pending.is_open()).skip(most) {
            pending.is_held = true;
        }
        Ok(())
    }

    /// Writes all messages that have no position yet, or none. Returns the parts whose conditions did not hold.
    async fn put_open(
        &self,
        room: &RoomId,
        first: Next,
        tail: Option<&Tail>,
        outbox: &mut [Pending<'_>],
        now: Timestamp,
    ) -> Result<Vec<Part>, Error> {
        let mut next = first;
        let (mut parts, mut entries) = (Vec::new(), Vec::new());
        for (index, pending) in outbox.iter().enumerate().filter(|(_, pending)| pending.is_open()) {
            let draft = self.draft(room, next.clone(), (MESSAGE, pending.body), tail, now)?;
            let (entry, idempotency) = self.parts_once(&draft, &pending.key, now)?;
            parts.extend([(Part::Entry, entry), (Part::Idempotency(index), idempotency)]);
            entries.push((index, draft.entry()));
            next.seq = next.seq.next();
        }
        let refused = self.transact(parts).await?;
        if refused.is_empty() {
            for (index, entry) in entries {
                self.note_end(room, entry.seq).await;
                outbox[index].appended = Some(Appended { entry, is_duplicate: false });
            }
        }
        Ok(refused)
    }

    /// Looks up messages that may have been sent before. Returns whether all of them were.
    ///
    /// # Errors
    /// `IDEMPOTENCY_MISMATCH`, with the message.
    async fn find_repeats(&self, room: &RoomId, outbox: &mut [Pending<'_>], places: &[usize]) -> Result<bool, Error> {
        let keys = places.iter().map(|&index| (index, &outbox[index].key));
        let attempts: Vec<_> = stream::iter(keys)
            .map(|(index, key)| async move {
                let attempt = self.sent_before(room, key).await.map_err(|error| match error {
                    Error::IdempotencyMismatch => error.in_message(index),
                    error => error,
                });
                Ok::<_, Error>((index, attempt?))
            })
            .buffered(REPEATS_AT_ONCE)
            .try_collect()
            .await?;
        let mut are_found = true;
        for (index, attempt) in attempts {
            match attempt {
                Attempt::Duplicate(entry) => outbox[index].appended = Some(Appended { entry, is_duplicate: true }),
                Attempt::Written(_) | Attempt::Taken => are_found = false,
            }
        }
        Ok(are_found)
    }
}

impl<'a> Pending<'a> {
    fn of(body: &'a Body) -> Result<Self, Error> {
        let key = body.idempotency_key().ok_or_else(|| Error::internal("a message of an outbox has no id"))?;
        Ok(Self { body, key, appended: None, is_held: false })
    }

    fn outcome(self) -> Result<Option<Appended>, Error> {
        if self.is_open() { Err(Error::RoomClosed) } else { Ok(self.appended) }
    }

    fn is_open(&self) -> bool {
        self.appended.is_none() && !self.is_held
    }
}
