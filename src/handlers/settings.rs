//! What moderators change of a room: its mode and its name. Each change is an entry of the room's log.

use super::review;
use crate::access::{Moderator, audit};
use crate::context::Context;
use crate::delivery::OutboundFrame;
use crate::domain::{Mode, Name, Room, UserId};
use crate::error::Error;
use crate::store::{Channel, Setting};
use crate::wire::frames::{Ack, Message, Sent};
use crate::wire::requests::{RenameRoom, SetRoomMode};

/// Sets who may write in a room, and how often.
pub async fn set_mode(ctx: &Context, moderator: Moderator, request: SetRoomMode) -> Result<Sent, Error> {
    let mode = request.mode();
    require_review_function(ctx, &mode)?;
    audit::record(ctx, &moderator.user, &request.room_id, None, Some(&mode.in_words())).await?;
    change(ctx, &moderator.room, (&moderator.user, &moderator.name), &Setting::Mode(mode)).await
}

/// Gives a room another name.
pub async fn rename(ctx: &Context, moderator: Moderator, request: RenameRoom) -> Result<Sent, Error> {
    let by = (&moderator.user, &moderator.name);
    let name = review::room_name(ctx, &moderator.room, by, request.room_name).await?;
    audit::record(ctx, &moderator.user, &request.room_id, None, Some(name.as_str())).await?;
    let name = Setting::Name(name);
    change(ctx, &moderator.room, (&moderator.user, &moderator.name), &name).await
}

/// # Errors
/// `INVALID_FIELD` where texts are to be reviewed and there is nothing that does.
pub fn require_review_function(ctx: &Context, mode: &Mode) -> Result<(), Error> {
    const MISSING: &str = "needs a review function, and this deployment has none (REVIEW_FUNCTION)";
    if mode.is_reviewed() && !ctx.reviews.is_on() { Err(Error::invalid("review", MISSING)) } else { Ok(()) }
}

/// Changes a room by an entry of its log. A repeat is published again, since the first request may have ended before
/// it: clients drop by seq.
pub async fn change(ctx: &Context, room: &Room, by: (&UserId, &Name), setting: &Setting) -> Result<Sent, Error> {
    let (entry, is_changed) = ctx.store.change_room(room, by, setting, ctx.timing()).await?;
    let Some(entry) = entry else { return Ok(Sent::Ack(Ack::of(ctx.route, room.id.clone()))) };
    let message = Message::from(entry);
    let frame = OutboundFrame::new(&message.clone().into(), ctx.others());
    ctx.publish(&[Channel::of_room(&room.id)], &frame).await;
    Ok(Sent::Message(Box::new(Message { duplicate: !is_changed, ..message })))
}
