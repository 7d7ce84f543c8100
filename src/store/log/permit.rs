//! What the mode of a room allows to the author of the next entry.

use aws_sdk_dynamodb::types::TransactWriteItem;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use super::super::{Statement, Store, item_of, row_of};
use super::{Next, Tail};
use crate::domain::{Mode, RoomId, Timestamp, UserId};
use crate::error::Error;
use crate::tables::MESSAGES;

/// Whether the author moderates the room. It is asked only where the room's mode makes a difference.
pub type IsModerator<'a> = dyn Fn() -> BoxFuture<'a, Result<bool, Error>> + Send + Sync + 'a;

/// What is known of the author of an entry.
pub struct Author<'a> {
    pub is_moderator: Box<IsModerator<'a>>,
    /// Whether the texts of the entry were reviewed, or need not be.
    pub is_reviewed: bool,
}

/// How long after it was written the row of slow mode lives: longer than anybody waits (seconds).
const SLOW_ROW_SECS: i64 = 21_600 + 3_600;

/// Why the mode of a room refuses a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal {
    ReadOnly,
    /// When the next message is taken (milliseconds from now).
    Slow(u64),
    Rate(u64),
    /// The texts have to be reviewed first.
    Unreviewed,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::ReadOnly => Self::ReadOnly,
            Refusal::Slow(retry_after_ms) => Self::SlowMode { retry_after_ms },
            Refusal::Rate(retry_after_ms) => Self::RoomRate { retry_after_ms },
            Refusal::Unreviewed => Self::Unreviewed,
        }
    }
}

/// What an author may append.
pub(super) struct Permit {
    /// How many messages.
    pub most: usize,
    /// Why not more, if more were wanted.
    pub refusal: Option<Refusal>,
    /// How long the author has to wait after the last message (milliseconds).
    pub slow: Option<i64>,
}

/// When a member last wrote in a room that is in slow mode.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SlowRow {
    room_id: RoomId,
    message_id: String,
    at: Timestamp,
    ttl: i64,
}

fn slow_key(user: &UserId) -> String {
    format!("slow#{user}")
}

impl Store {
    /// How many of `wanted` messages the mode of the room allows behind the tail.
    pub(super) async fn permit(
        &self,
        next: &Next,
        wanted: usize,
        now: Timestamp,
        author: &Author<'_>,
    ) -> Result<Permit, Error> {
        let mode = next.carry.mode()?;
        let permit = permit_by(&mode, next, wanted, now, &*author.is_moderator).await?;
        let has_to_wait = mode.is_reviewed() && !author.is_reviewed && permit.most > 0;
        Ok(if has_to_wait { Permit { most: 0, refusal: Some(Refusal::Unreviewed), slow: None } } else { permit })
    }

    /// The part of a transaction that notes a message in slow mode, if the author has waited long enough.
    pub(super) fn slow_part(
        &self,
        room: &RoomId,
        user: &UserId,
        (at, slow): (Timestamp, i64),
    ) -> Result<TransactWriteItem, Error> {
        let row = SlowRow { room_id: room.clone(), message_id: slow_key(user), at, ttl: at.as_secs() + SLOW_ROW_SECS };
        let has_waited = Statement::default()
            .when("attribute_not_exists(roomId) OR #at <= :before")
            .attribute("#at", "at".to_owned())
            .bind(":before", at.as_millis() - slow);
        self.put_part(&MESSAGES, item_of(&row)?, &has_waited)
    }

    /// When a user whom slow mode refused can write again.
    pub(super) async fn slow_refusal(
        &self,
        room: &RoomId,
        user: &UserId,
        (at, slow): (Timestamp, i64),
    ) -> Result<Option<Refusal>, Error> {
        let Some(item) = self.item_at(room, &slow_key(user)).await? else { return Ok(None) };
        let row: SlowRow = row_of(item)?;
        let left = row.at.as_millis() + slow - at.as_millis();
        Ok((left > 0).then(|| Refusal::Slow(left.unsigned_abs())))
    }

    /// Whether a user may write a message now, as far as the mode of the room goes.
    ///
    /// # Errors
    /// `READ_ONLY`, `SLOW_MODE`, `ROOM_RATE`; [`Error::Unreviewed`].
    pub async fn require_permit(
        &self,
        (room, user): (&RoomId, &UserId),
        tail: Option<&Tail>,
        now: Timestamp,
        author: &Author<'_>,
    ) -> Result<(), Error> {
        let Some(next) = self.free_seq(room, tail, now).await? else { return Err(Error::RoomClosed) };
        let mut permit = self.permit(&next, 1, now, author).await?;
        if let Some(slow) = permit.slow {
            permit.refusal = self.slow_refusal(room, user, (now, slow)).await?;
        }
        permit.refusal.map_or(Ok(()), |refusal| Err(refusal.into()))
    }
}

/// What the mode of a room allows, but for the review.
async fn permit_by(
    mode: &Mode,
    next: &Next,
    wanted: usize,
    now: Timestamp,
    is_moderator: &IsModerator<'_>,
) -> Result<Permit, Error> {
    let mut permit = Permit { most: wanted, refusal: None, slow: None };
    if let Some(most) = mode.max_per_second {
        let at = next.created_at;
        let left = usize::try_from(most.saturating_sub(next.carry.written_in(at))).unwrap_or(usize::MAX);
        if left < wanted {
            permit.most = left;
            let end = at.as_millis().div_euclid(1000) * 1000 + 1000;
            permit.refusal = Some(Refusal::Rate((end - now.as_millis()).unsigned_abs()));
        }
    }
    let slow = mode.slow_millis();
    if (!mode.is_read_only() && slow.is_none()) || is_moderator().await? {
        return Ok(permit);
    }
    if mode.is_read_only() {
        return Ok(Permit { most: 0, refusal: Some(Refusal::ReadOnly), slow: None });
    }
    permit.slow = slow;
    if let Some(slow) = slow
        && permit.most > 1
    {
        permit.most = 1;
        permit.refusal = Some(Refusal::Slow(slow.unsigned_abs()));
    }
    Ok(permit)
}
