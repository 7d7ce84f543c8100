//! Typing indicators. Nothing is stored.

use crate::access::Listener;
use crate::context::Context;
use crate::delivery::{Except, OutboundFrame};
use crate::error::Error;
use crate::wire::frames::{Silence, Typing};
use crate::wire::requests::TypingIndicator;

/// How long an indicator is shown unless it is sent again.
const TYPING_SECONDS: i64 = 6;

/// Tells the others that the caller is typing, or no longer.
pub async fn indicate(ctx: &Context, listener: Listener, request: TypingIndicator) -> Result<Silence, Error> {
    let Listener { mut sender, subscribers } = listener;
    if sender.is_muted {
        return Ok(Silence);
    }
    // Where names are reviewed, those of indicators are the ones that are known.
    if !ctx.reviews.is_on() {
        sender.introduce(&request.introduction);
    }
    let except = Except::User(sender.user.clone());
    let is_typing = request.is_typing.unwrap_or(true);
    let frame = Typing {
        room_id: sender.room,
        user_id: sender.user,
        user_name: sender.name,
        is_typing,
        at: ctx.now.into(),
        until: is_typing.then(|| ctx.now.plus_secs(TYPING_SECONDS).into()),
        copies: None,
    };
    let frame = OutboundFrame::new(&frame.into(), except);
    match (subscribers, &sender.channels[..]) {
        (Some((first, rest)), [channel]) => {
            ctx.delivered(ctx.delivery.publish_from(channel, first, rest, &frame, ctx.request()).await);
        }
        (_, channels) => ctx.publish(channels, &frame).await,
    }
    Ok(Silence)
}
