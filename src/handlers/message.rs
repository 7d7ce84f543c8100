//! Messages: to a room, to a user, to the lobby.

use crate::access::{Sender, Writer};
use crate::context::Context;
use crate::delivery::{Continuation, OutboundFrame};
use crate::domain::{Body, Format, Seq};
use crate::error::Error;
use crate::metrics::Metric;
use crate::wire::frames::{Ack, Message, Sent};
use crate::wire::requests::{BroadcastMessage, Introduction, SendMessage};

/// Sends a message to a room, to a user or to the lobby.
pub async fn send(ctx: &Context, writer: Writer, request: SendMessage) -> Result<Sent, Error> {
    let SendMessage { content, reply_to, client_message_id, data, introduction, .. } = request;
    let draft = |sender: &Sender| Body {
        reply_to,
        client_message_id,
        data,
        ..Body::new(sender.user.clone(), sender.name.clone(), sender.style.clone(), content)
    };
    post(ctx, writer, &introduction, draft).await
}

/// To a room as any message; without one to everybody.
pub async fn broadcast(ctx: &Context, writer: Writer, request: BroadcastMessage) -> Result<Sent, Error> {
    let BroadcastMessage { content, client_message_id, introduction, .. } = request;
    let draft = |sender: &Sender| Body {
        client_message_id,
        ..Body::new(sender.user.clone(), sender.name.clone(), sender.style.clone(), content)
    };
    post(ctx, writer, &introduction, draft).await
}

/// First the message is written, then it is published.
async fn post(
    ctx: &Context,
    Writer { mut sender, tail }: Writer,
    introduction: &Introduction,
    draft: impl FnOnce(&Sender) -> Body,
) -> Result<Sent, Error> {
    sender.introduce(introduction);
    let body = draft(&sender);
    if body.reply_to.is_some_and(|to| to == Seq::ZERO || tail.as_ref().is_none_or(|tail| to > tail.seq)) {
        return Err(Error::MessageNotFound);
    }
    if tail.is_none() {
        begin(ctx, &sender).await?;
    }
    if !Message::fits(&sender.room, &body) {
        return Err(Error::TooLarge);
    }
    let is_answer_wanted = ctx.trace().format != Format::Raw || body.client_message_id.is_some();
    let appended = ctx.store.append(&sender.room, &body, tail, ctx.now, ctx.deadline).await?;

    // A repeat is published again, since the first request may have ended before it: clients drop by seq.
    let own = Message::from(appended.entry);
    let duplicate = appended.is_duplicate;
    let others = own.clone().seen_by_others().into();
    let mut frame = OutboundFrame::new(&others, ctx.others());
    if own.body.client_message_id.is_some() {
        frame = frame.with_own(&sender.user, &own.clone().into());
    }
    ctx.count(Metric::Messages, u64::from(!duplicate));
    ctx.publish(&sender.channels, &frame).await;

    if !sender.room.is_lobby() {
        return Ok(Sent::Message(Box::new(Message { duplicate, ..own })));
    }
    let ack = Ack { position: Some(own.position), duplicate, ..Ack::of(ctx.route, sender.room) };
    Ok(if is_answer_wanted { Sent::Ack(ack) } else { Sent::AckIfAsked(ack) })
}

/// Goes on with a fan-out for which another invocation had no time.
///
/// # Errors
/// Not all recipients can be told: Lambda retries the event.
pub async fn continue_fan_out(ctx: &Context, rest: &Continuation) -> Result<(), Error> {
    if let Some(room) = rest.room() {
        ctx.note_room(&room);
    }
    let (delivered, all) = ctx.delivery.go_on(rest, ctx.request()).await;
    ctx.delivered(delivered);
    all
}

/// A direct conversation and the lobby exist from their first message on.
pub async fn begin(ctx: &Context, sender: &Sender) -> Result<(), Error> {
    if let Some(peer) = &sender.peer {
        ctx.store.open_direct(&sender.user, peer, sender.name.clone(), ctx.now).await
    } else if sender.room.is_lobby() {
        ctx.store.ensure_room(&super::room::lobby(ctx.now)).await
    } else {
        Ok(())
    }
}
