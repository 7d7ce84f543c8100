//! The scheduled cleanup: closes idle rooms, and removes stale connections from the rooms that it visits.

use std::pin::pin;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::{change, closing};
use crate::context::Context;
use crate::delivery::{Delivered, Except};
use crate::domain::{CloseReason, RoomId, Timestamp, UserId};
use crate::error::{Error, chain};
use crate::store::Channel;
use crate::wire::frames::RoomClosed;

/// Rooms that are visited at once.
const ROOMS_AT_ONCE: usize = 16;
/// No further page of rooms begins when less time than this is left.
const PAGE_RESERVE: Duration = Duration::from_secs(5);

/// Visits the rooms whose last known activity is too old, and closed rooms with something left to do, until its time is
/// up. Each visited room leaves the front of its index: the next call goes on where this one stopped, and two calls at
/// once do no harm.
pub async fn run(ctx: &Context) -> Result<(), Error> {
    for removal in ctx.store.overdue_removals(ctx.now).await? {
        change::finish_removal(ctx, &removal).await;
    }
    for user in ctx.store.overdue_erasures(ctx.now).await? {
        ctx.delivery.request_erasure(&user, ctx.request()).await;
    }
    for (user, export) in ctx.store.overdue_exports(ctx.now).await? {
        ctx.delivery.request_export(&user, &export, ctx.request()).await;
    }
    let before = ctx.now.minus_secs(ctx.config.room_idle_seconds);
    let mut pages = ctx.store.seemingly_idle(before);
    while let Some(page) = pages.next().await {
        let visits = stream::iter(page?).map(|id| async move { visit(ctx, &id, before).await });
        let mut visits = pin!(visits.buffer_unordered(ROOMS_AT_ONCE));
        while let Ok(Some(())) = timeout_at(ctx.deadline, visits.next()).await {}
        if ctx.deadline.saturating_duration_since(Instant::now()) < PAGE_RESERVE {
            break;
        }
    }
    Ok(())
}

/// A room that cannot be visited now is left for the next call; the others do not wait for it.
async fn visit(ctx: &Context, id: &RoomId, before: Timestamp) {
    if let Err(error) = inspect(ctx, id, before).await {
        tracing::warn!(room_id = %id, error = chain(&error), "failed to sweep a room");
    }
}

/// Closes a room that is idle, notes the activity of one that is not, and finishes the closing of one that is closed.
async fn inspect(ctx: &Context, id: &RoomId, before: Timestamp) -> Result<(), Error> {
    let tail = ctx.store.tail(id).await?;
    if tail.as_ref().is_some_and(|tail| tail.closes_room(ctx.now)) {
        return finish_closing(ctx, id).await;
    }
    if let Some(tail) = tail.as_ref().filter(|tail| tail.created_at >= before) {
        ctx.store.note_activity(id, tail.created_at).await?;
        let gone = ctx.delivery.prune_stale(&Channel::of_room(id), ctx.request()).await?;
        ctx.delivered(Delivered { gone, ..Delivered::default() });
        return Ok(());
    }
    let Some(room) = ctx.store.room(id, ctx.now).await? else { return Ok(()) };
    closing::close_idle(ctx, &room, tail).await.map(drop)
}

/// Finishes what the request that closed a room did not: it ended before everybody was told.
async fn finish_closing(ctx: &Context, id: &RoomId) -> Result<(), Error> {
    let Some(room) = ctx.store.room(id, ctx.now).await? else { return Ok(()) };
    if room.is_closing_told {
        // Once more: the index may have lagged behind the first time.
        closing::expire_members(ctx, id).await?;
        return ctx.store.note_ended(id).await;
    }
    let closing = ctx.store.closing_of(id).await?;
    let (reason, closer) = closing.unwrap_or((CloseReason::Closed, UserId::system()));
    let user_id = (reason == CloseReason::Closed).then_some(closer);
    let frame = RoomClosed { room_id: id.clone(), reason: reason.as_str(), user_id };
    ctx.delivered(closing::announce_closed(ctx, frame, Except::Nobody).await);
    Ok(())
}
