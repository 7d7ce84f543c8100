//! The scheduled cleanup: closes idle rooms, and removes stale connections from the rooms that it visits.

use std::pin::pin;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::room;
use crate::context::Context;
use crate::delivery::{Delivered, Except};
use crate::domain::{CloseReason, RoomId, Timestamp};
use crate::error::{Error, chain};
use crate::metrics::Metric;
use crate::store::Channel;

/// Rooms that are visited at once.
const ROOMS_AT_ONCE: usize = 16;
/// No further page of rooms begins when less time than this is left.
const PAGE_RESERVE: Duration = Duration::from_secs(5);

/// Visits the rooms whose last known activity is too old, until its time is up. Each visited room leaves the front of
/// the index: the next call goes on where this one stopped, and two calls at once do no harm.
pub async fn run(ctx: &Context) -> Result<(), Error> {
    let before = ctx.now.minus_secs(ctx.config.room_idle_seconds);
    let mut pages = ctx.store.seemingly_idle(before);
    while let Some(page) = pages.next().await {
        let visits = stream::iter(page?).map(|id| async move { visit(ctx, &id, before).await });
        let mut visits = pin!(visits.buffer_unordered(ROOMS_AT_ONCE));
        while let Ok(Some(visited)) = timeout_at(ctx.deadline, visits.next()).await {
            ctx.delivered(visited.delivered);
            ctx.count(Metric::RoomsClosed, u64::from(visited.has_closed));
        }
        if ctx.deadline.saturating_duration_since(Instant::now()) < PAGE_RESERVE {
            break;
        }
    }
    Ok(())
}

/// The outcome of a visit.
#[derive(Default)]
struct Visited {
    delivered: Delivered,
    has_closed: bool,
}

/// A room that cannot be visited now is left for the next call; the others do not wait for it.
async fn visit(ctx: &Context, id: &RoomId, before: Timestamp) -> Visited {
    inspect(ctx, id, before).await.unwrap_or_else(|error| {
        tracing::warn!(room_id = %id, error = chain(&error), "failed to sweep a room");
        Visited::default()
    })
}

async fn inspect(ctx: &Context, id: &RoomId, before: Timestamp) -> Result<Visited, Error> {
    let tail = ctx.store.tail(id).await?;
    if let Some(tail) = tail.as_ref().filter(|tail| tail.created_at >= before) {
        ctx.store.note_activity(id, tail.created_at).await?;
        let gone = ctx.delivery.prune_stale(&Channel::of_room(id), ctx.now).await?;
        return Ok(Visited { delivered: Delivered { gone, ..Delivered::default() }, has_closed: false });
    }
    match ctx.store.close_idle(id, tail, ctx.now).await {
        Ok(true) => {
            let delivered = room::announce_closed(ctx, id, CloseReason::Idle, None, Except::Nobody).await;
            Ok(Visited { delivered, has_closed: true })
        }
        // Somebody has just written to it, or closed it.
        Ok(false) | Err(Error::RoomClosed | Error::RoomNotFound) => Ok(Visited::default()),
        Err(error) => Err(error),
    }
}
