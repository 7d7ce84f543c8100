//! Closing rooms, and what follows.

use super::room;
use crate::access::{Moderator, audit};
use crate::context::Context;
use crate::delivery::{Delivered, Except, OutboundFrame};
use crate::domain::{CloseReason, Room, RoomId, RoomStatus};
use crate::error::{Error, chain};
use crate::metrics::Metric;
use crate::store::{Channel, Tail};
use crate::wire::frames::{self, Ack, RoomClosed};
use crate::wire::requests::AboutRoom;

/// Closes a room for good, and tells those who are live in it.
pub async fn close(ctx: &Context, moderator: Moderator, request: AboutRoom) -> Result<Ack, Error> {
    let id = request.room_id;
    let was_closed = moderator.room.status == RoomStatus::Closed;
    if !was_closed {
        audit::record(ctx, &moderator.user, &id, None, None).await?;
        ctx.store.close_room(&moderator.room, &moderator.user, ctx.now, ctx.deadline).await?;
        ctx.count(Metric::RoomsClosed, 1);
    }
    // Also when it was closed before: that request may have ended before this. Those whom it told are no longer live.
    let frame = RoomClosed { room_id: id.clone(), reason: CloseReason::Closed.as_str(), user_id: Some(moderator.user) };
    ctx.delivered(announce_closed(ctx, frame, ctx.others()).await);
    if was_closed { Err(Error::RoomClosed) } else { Ok(Ack::of(ctx.route, id)) }
}

/// Closes a room whose log ended at `tail` when it was read, because it is idle, and tells those who are live in it.
/// `false` when somebody has just written to it, or closed it.
pub async fn close_idle(ctx: &Context, room: &Room, tail: Option<Tail>) -> Result<bool, Error> {
    match ctx.store.close_idle(room, tail, ctx.now).await {
        Ok(true) => {}
        Ok(false) | Err(Error::RoomClosed | Error::RoomNotFound) => return Ok(false),
        Err(error) => return Err(error),
    }
    ctx.count(Metric::RoomsClosed, 1);
    let frame = RoomClosed { room_id: room.id.clone(), reason: CloseReason::Idle.as_str(), user_id: None };
    ctx.delivered(announce_closed(ctx, frame, Except::Nobody).await);
    Ok(true)
}

/// As `close`; over HTTP the answer is the room.
pub async fn close_and_show(ctx: &Context, moderator: Moderator, request: AboutRoom) -> Result<frames::Room, Error> {
    let id = request.room_id.clone();
    close(ctx, moderator, request).await?;
    room::describe(ctx, room::existing(ctx, &id).await?, None, None, &[]).await
}

/// What follows the closing of a room: those who are live hear of it, and nothing after that; the rows of its members
/// end with its history. What fails here the sweep does later: it finds the room until all of it is noted as done.
pub async fn announce_closed(ctx: &Context, closed: RoomClosed, except: Except) -> Delivered {
    let room = closed.room_id.clone();
    let frame = OutboundFrame::new(&closed.into(), except).last();
    let (delivered, all) = ctx.delivery.publish_all(&[Channel::of_room(&room)], &frame, ctx.request()).await;
    let finished = async {
        all?;
        expire_members(ctx, &room).await?;
        ctx.store.note_closed(&room, ctx.now).await
    };
    if let Err(error) = finished.await {
        tracing::warn!(room_id = %room, error = chain(&error), "failed to finish the closing of a room");
    }
    delivered
}

/// Lets the rows of a closed room's members end with its history.
pub async fn expire_members(ctx: &Context, id: &RoomId) -> Result<(), Error> {
    let Some(room) = ctx.store.room(id, ctx.now).await? else { return Ok(()) };
    match room.ends_at {
        Some(ends_at) => ctx.store.end_members(&room, ends_at).await,
        None => Ok(()),
    }
}
