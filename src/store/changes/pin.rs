//! Pins. The rows of the log of changes carry which messages are pinned, so a pin costs no row of its own.

use tokio::time::Instant;

use super::super::{Statement, Store};
use super::{PIN, Plan, Seen, UNPIN, Write};
use crate::domain::{Rev, RoomId, Seq, Timestamp, UserId};
use crate::error::Error;

/// Most pinned messages in a room.
const MAX_PINS: usize = 50;

impl Store {
    /// Pins a message, or unpins it. Returns the position of its last change, and whether it has changed.
    ///
    /// # Errors
    /// `MESSAGE_NOT_FOUND`, `TOO_MANY_PINS`, `ROOM_BUSY`.
    pub async fn set_pinned(
        &self,
        room: &RoomId,
        user: &UserId,
        (seq, pinned): (Seq, bool),
        (now, deadline): (Timestamp, Instant),
    ) -> Result<(Option<Rev>, bool), Error> {
        let keys = [seq.message_id().as_str().to_owned()];
        let plan = |seen: &Seen<'_>| {
            let (entry, _) = seen.living(seq)?;
            let mut pins = seen.pins();
            if pins.contains(&seq) == pinned {
                return Ok(Plan::Done(entry.changes.rev));
            }
            if pinned && pins.len() >= MAX_PINS {
                return Err(Error::TooManyPins);
            }
            pins.retain(|other| *other != seq);
            let update = if pinned {
                pins.push(seq);
                Statement::update("SET pinned = :true, rev = :rev").bind(":true", true)
            } else {
                Statement::update("SET rev = :rev REMOVE pinned")
            };
            let what = if pinned { PIN } else { UNPIN };
            let write = Write { updates: vec![(seq, update)], ..Write::new(what, vec![seq], pins) };
            Ok(Plan::Write(write, None))
        };
        let (known, rev) = self.change(room, user, &keys, (now, deadline), plan).await?;
        Ok((rev.or(known), rev.is_some()))
    }
}
