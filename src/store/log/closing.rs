//! Closing a room: the last entry of its log.

use tokio::time::Instant;

use super::super::{Backoff, Store};
use super::append::{Part, is_free};
use super::{CLOSED, Tail};
use crate::domain::{Body, CloseReason, Room, RoomId, Style, Timestamp, UserId};
use crate::error::Error;
use crate::tables::MESSAGES;

impl Store {
    /// Closes a room for good.
    ///
    /// # Errors
    /// `ROOM_NOT_FOUND`, `ROOM_CLOSED`, or `ROOM_BUSY` when too many write at once until `deadline`.
    pub async fn close_room(&self, room: &Room, by: &UserId, now: Timestamp, deadline: Instant) -> Result<(), Error> {
        let mut backoff = Backoff::until(deadline);
        loop {
            let tail = self.tail(&room.id).await?;
            if self.close_behind(room, by, CloseReason::Closed, tail, now).await? {
                return Ok(());
            }
            if !backoff.pause().await {
                return Err(Error::RoomBusy);
            }
        }
    }

    /// Closes a room for good unless somebody has written to it after `tail`; returns whether it did.
    ///
    /// # Errors
    /// As [`Store::close_room`].
    pub async fn close_idle(&self, room: &Room, tail: Option<Tail>, now: Timestamp) -> Result<bool, Error> {
        self.close_behind(room, &UserId::system(), CloseReason::Idle, tail, now).await
    }

    async fn close_behind(
        &self,
        room: &Room,
        by: &UserId,
        reason: CloseReason,
        tail: Option<Tail>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let next = self.free_seq(&room.id, tail.as_ref(), now).await?.ok_or(Error::RoomClosed)?;
        let last = next.seq.previous();
        let body = Body::new(by.clone(), by.as_name(), Style::default(), reason.into());
        let draft = self.draft(&room.id, next, (CLOSED, &body), tail.as_ref())?;
        let closing = self.closing(room, last, now, draft.row.ttl)?;
        let entry = self.put_part(&MESSAGES, draft.item, &is_free())?;
        let refused = self.transact(vec![(Part::Entry, entry), (Part::Room, closing)]).await?;
        if refused.contains(&Part::Room) {
            return Err(self.why_not_open(&room.id, now).await?);
        }
        Ok(refused.is_empty())
    }

    /// Why the row of a room is not that of an open one.
    pub(in crate::store) async fn why_not_open(&self, room: &RoomId, now: Timestamp) -> Result<Error, Error> {
        Ok(self.room(room, now).await?.map_or(Error::RoomNotFound, |_| Error::RoomClosed))
    }
}
