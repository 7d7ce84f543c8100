//! Appending several messages at once: the outbox of a client that was offline or types fast.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::super::{Backoff, Store};
use super::append::{Attempt, Part};
use super::permit::{Permit, Refusal};
use super::{Appended, Author, MESSAGE, Next, Tail, Timing};
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
    /// Why, if the mode of the room refuses it.
    refusal: Option<Refusal>,
    /// It was denied before.
    denied: Option<Error>,
}

impl Store {
    /// As [`Store::append`], for messages that each have another `clientMessageId`: those that were written before keep
    /// their positions, the others get consecutive ones in their order, by one transaction, but only the first `most`
    /// of them. Returns for each its position, none, `ROOM_CLOSED`, or why the mode of the room refuses it.
    ///
    /// # Errors
    /// As [`Store::append`]; then nothing is written, and no message was written before.
    pub async fn append_all(
        &self,
        room: &RoomId,
        (bodies, most): (&[Body], usize),
        mut tail: Option<Tail>,
        author: &Author<'_>,
        mut timing: Timing,
    ) -> Result<Vec<Result<Option<Appended>, Error>>, Error> {
        let now = timing.now;
        let mut outbox = bodies.iter().map(Pending::of).collect::<Result<Vec<_>, Error>>()?;
        if most < outbox.len() {
            self.hold_back(room, &mut outbox, most, None).await?;
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
            let refused = self.put_open(room, first, tail.as_ref(), &mut outbox, (now, author)).await?;
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
        Pending::outcomes(outbox)
    }

    /// Holds back all but the first `most` of the messages that were not written before.
    async fn hold_back(
        &self,
        room: &RoomId,
        outbox: &mut [Pending<'_>],
        most: usize,
        refusal: Option<Refusal>,
    ) -> Result<(), Error> {
        let all: Vec<_> = (0..outbox.len()).collect();
        self.find_repeats(room, outbox, &all).await?;
        for pending in outbox.iter_mut().filter(|pending| pending.is_open()).skip(most) {
            (pending.is_held, pending.refusal) = (true, refusal);
        }
        Ok(())
    }

    /// Writes all messages that have no position yet and that the mode of the room allows, or none. Returns the parts
    /// whose conditions did not hold.
    async fn put_open(
        &self,
        room: &RoomId,
        first: Next,
        tail: Option<&Tail>,
        outbox: &mut [Pending<'_>],
        (now, author): (Timestamp, &Author<'_>),
    ) -> Result<Vec<Part>, Error> {
        let open = outbox.iter().filter(|pending| pending.is_open()).count();
        let Permit { most, refusal, slow } = self.permit(&first, open, now, author).await?;
        if refusal.is_some() {
            self.hold_back(room, outbox, most, refusal).await?;
        }
        let (mut next, mut parts, mut entries, mut slow_row) = (first, Vec::new(), Vec::new(), None);
        for (index, pending) in outbox.iter().enumerate().filter(|(_, pending)| pending.is_open()) {
            let draft = self.draft(room, next, (MESSAGE, pending.body), tail)?;
            parts.extend(self.entry_parts(&draft, Some((index, &pending.key)), now)?);
            slow_row = slow.map(|slow| (&pending.body.user_id, (draft.created_at, slow)));
            next = Next { seq: draft.seq.next(), created_at: draft.created_at, carry: draft.carry.clone() };
            entries.push((index, draft.entry()));
        }
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        if let Some((user, slow)) = slow_row {
            parts.push((Part::Slow, self.slow_part(room, user, slow)?));
        }
        let refused = self.transact(parts).await?;
        if let Some((user, slow)) = slow_row.filter(|_| refused.contains(&Part::Slow)) {
            let refusal = self.slow_refusal(room, user, slow).await?;
            self.hold_back(room, outbox, if refusal.is_some() { 0 } else { open }, refusal).await?;
        }
        for (index, entry) in entries.into_iter().filter(|_| refused.is_empty()) {
            self.note_end(room, entry.seq).await;
            outbox[index].appended = Some(Appended { entry, is_duplicate: false });
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
                Attempt::Refused(denied) => (outbox[index].is_held, outbox[index].denied) = (true, Some(denied)),
                Attempt::Written(_) | Attempt::Taken => are_found = false,
            }
        }
        Ok(are_found)
    }
}

impl<'a> Pending<'a> {
    fn of(body: &'a Body) -> Result<Self, Error> {
        let key = body.idempotency_key().ok_or_else(|| Error::internal("a message of an outbox has no id"))?;
        Ok(Self { body, key, appended: None, is_held: false, refusal: None, denied: None })
    }

    fn outcomes(outbox: Vec<Self>) -> Result<Vec<Result<Option<Appended>, Error>>, Error> {
        if outbox.iter().all(Self::is_open) {
            return Err(Error::RoomClosed);
        }
        if outbox.iter().all(|pending| pending.appended.is_none() && pending.denied.is_none())
            && let Some(refusal) = outbox.iter().find_map(|pending| pending.refusal)
        {
            return Err(refusal.into());
        }
        Ok(outbox.into_iter().map(Self::outcome).collect())
    }

    fn outcome(self) -> Result<Option<Appended>, Error> {
        if let Some(denied) = self.denied {
            return Err(denied);
        }
        match self.refusal {
            _ if self.is_open() => Err(Error::RoomClosed),
            Some(refusal) if self.appended.is_none() => Err(refusal.into()),
            _ => Ok(self.appended),
        }
    }

    fn is_open(&self) -> bool {
        self.appended.is_none() && !self.is_held
    }
}
