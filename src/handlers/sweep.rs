//! What is done by the clock: idle rooms are closed, and dead connections forgotten in the rooms that are visited.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::room;
use crate::app::App;
use crate::delivery::{Delivered, Except};
use crate::domain::{CloseReason, RoomId, Timestamp};
use crate::error::{Error, chain};
use crate::event::Call;
use crate::store::Channel;

/// Rooms that are visited at once.
const ROOMS_AT_ONCE: usize = 16;
/// No further page of rooms is begun when less than this is left.
const FOR_A_PAGE: Duration = Duration::from_secs(5);

/// Visits the rooms in which nothing seems to have happened for long, until its time is up. Each that was visited leaves
/// the front of the index: the next call goes on where this one stopped, and of two at once neither does harm.
pub async fn run(app: &App, call: &mut Call) -> Result<(), Error> {
    let before = call.at.minus_secs(app.config.room_idle_seconds);
    let mut pages = app.store.seemingly_idle(before);
    while let Some(page) = pages.next().await {
        let now = call.at;
        let visits = stream::iter(page?)
            .map(|id| async move { visit(app, &id, before, now).await })
            .buffer_unordered(ROOMS_AT_ONCE)
            .collect::<Vec<_>>();
        let Ok(visited) = timeout_at(call.deadline, visits).await else { break };
        for delivered in visited {
            call.trace.delivered += delivered;
        }
        if call.deadline.saturating_duration_since(Instant::now()) < FOR_A_PAGE {
            break;
        }
    }
    Ok(())
}

/// A room that cannot be looked after now is left for the next time; the others are not kept waiting for it.
async fn visit(app: &App, id: &RoomId, before: Timestamp, now: Timestamp) -> Delivered {
    match look_after(app, id, before, now).await {
        Ok(delivered) => delivered,
        Err(error) => {
            tracing::warn!(room_id = %id, error = chain(&error), "a room was not looked after");
            Delivered::default()
        }
    }
}

async fn look_after(app: &App, id: &RoomId, before: Timestamp, now: Timestamp) -> Result<Delivered, Error> {
    let tail = app.store.tail(id).await?;
    if let Some(tail) = tail.filter(|tail| tail.created_at >= before) {
        app.store.note_activity(id, tail.created_at).await?;
        let gone = app.delivery.weed(&Channel::of_room(id), now).await?;
        return Ok(Delivered { recipients: 0, gone });
    }
    match app.store.close_idle(id, tail, now).await {
        Ok(true) => Ok(room::wind_up(app, id, CloseReason::Idle, None, Except::Nobody, now).await),
        // Somebody has just said something, or closed it.
        Ok(false) | Err(Error::RoomClosed | Error::RoomNotFound) => Ok(Delivered::default()),
        Err(error) => Err(error),
    }
}
