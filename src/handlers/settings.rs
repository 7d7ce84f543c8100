//! What moderators change of a room: its mode and its name. Each change is an entry of the room's log.

use crate::access::{Moderator, audit};
use crate::context::Context;
use crate::delivery::OutboundFrame;
use crate::error::Error;
use crate::store::{Channel, Setting};
use crate::wire::frames::{Ack, Message, Sent};
use crate::wire::requests::{RenameRoom, SetRoomMode};

/// Sets who may write in a room, and how often.
pub async fn set_mode(ctx: &Context, moderator: Moderator, request: SetRoomMode) -> Result<Sent, Error> {
    let mode = request.mode();
    audit::record(ctx, &moderator.user, &request.room_id, None, Some(&mode.in_words())).await?;
    change(ctx, moderator, &Setting::Mode(mode)).await
}

/// Gives a room another name.
pub async fn rename(ctx: &Context, moderator: Moderator, request: RenameRoom) -> Result<Sent, Error> {
    audit::record(ctx, &moderator.user, &request.room_id, None, Some(request.room_name.as_str())).await?;
    change(ctx, moderator, &Setting::Name(request.room_name)).await
}

/// A repeat is published again, since the first request may have ended before it: clients drop by seq.
async fn change(ctx: &Context, moderator: Moderator, setting: &Setting) -> Result<Sent, Error> {
    let by = (&moderator.user, &moderator.name);
    let (entry, is_changed) = ctx.store.change_room(&moderator.room, by, setting, ctx.timing()).await?;
    let Some(entry) = entry else { return Ok(Sent::Ack(Ack::of(ctx.route, moderator.room.id))) };
    let message = Message::from(entry);
    let frame = OutboundFrame::new(&message.clone().into(), ctx.others());
    ctx.publish(&[Channel::of_room(&moderator.room.id)], &frame).await;
    Ok(Sent::Message(Box::new(Message { duplicate: !is_changed, ..message })))
}
