//! What is done by the clock: idle rooms are closed, and dead connections forgotten in the rooms that are visited.

use std::pin::pin;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::room;
use crate::app::App;
use crate::delivery::{Delivered, Except, Occasion};
use crate::domain::{CloseReason, RoomId, Timestamp};
use crate::error::{Error, chain};
use crate::event::Call;
use crate::metrics::Metric;
use crate::store::Channel;

/// Rooms that are visited at once.
const ROOMS_AT_ONCE: usize = 16;
/// No further page of rooms is begun when less than this is left.
const FOR_A_PAGE: Duration = Duration::from_secs(5);

/// Visits the rooms in which nothing seems to have happened for long, until its time is up. Each that was visited
/// leaves the front of the index: the next call goes on where this one stopped, and of two at once neither does harm.
pub async fn run(app: &App, call: &mut Call) -> Result<(), Error> {
    let before = call.at.minus_secs(app.config.room_idle_seconds);
    let request_id = call.request_id.clone();
    let mut pages = app.store.seemingly_idle(before);
    while let Some(page) = pages.next().await {
        let occasion = Occasion { now: call.at, deadline: call.deadline, request_id: &request_id };
        let visits = stream::iter(page?).map(|id| async move { visit(app, &id, before, occasion).await });
        let mut visits = pin!(visits.buffer_unordered(ROOMS_AT_ONCE));
        while let Ok(Some(visited)) = timeout_at(call.deadline, visits.next()).await {
            call.trace.delivered += visited.delivered;
            call.trace.count(Metric::RoomsClosed, u64::from(visited.has_closed));
        }
        if call.deadline.saturating_duration_since(Instant::now()) < FOR_A_PAGE {
            break;
        }
    }
    Ok(())
}

/// What came of looking after a room.
#[derive(Default)]
struct Visited {
    delivered: Delivered,
    has_closed: bool,
}

/// A room that cannot be looked after now is left for the next time; the others are not kept waiting for it.
async fn visit(app: &App, id: &RoomId, before: Timestamp, occasion: Occasion<'_>) -> Visited {
    look_after(app, id, before, occasion).await.unwrap_or_else(|error| {
        tracing::warn!(room_id = %id, error = chain(&error), "a room was not looked after");
        Visited::default()
    })
}

async fn look_after(app: &App, id: &RoomId, before: Timestamp, occasion: Occasion<'_>) -> Result<Visited, Error> {
    let tail = app.store.tail(id).await?;
    if let Some(tail) = tail.filter(|tail| tail.created_at >= before) {
        app.store.note_activity(id, tail.created_at).await?;
        let gone = app.delivery.weed(&Channel::of_room(id), occasion.now).await?;
        return Ok(Visited { delivered: Delivered { gone, ..Delivered::default() }, has_closed: false });
    }
    match app.store.close_idle(id, tail, occasion.now).await {
        Ok(true) => {
            let delivered = room::wind_up(app, id, CloseReason::Idle, None, Except::Nobody, occasion).await;
            Ok(Visited { delivered, has_closed: true })
        }
        // Somebody has just said something, or closed it.
        Ok(false) | Err(Error::RoomClosed | Error::RoomNotFound) => Ok(Visited::default()),
        Err(error) => Err(error),
    }
}
