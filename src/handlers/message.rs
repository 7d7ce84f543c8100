//! Messages: to a room, to a user, to the lobby.

use futures_util::stream::{self, StreamExt};

use super::review::{self, Reviewed};
use super::{direct, mention};
use crate::access::{self, Held, Sender, Writer};
use crate::context::Context;
use crate::delivery::{Continuation, OutboundFrame};
use crate::domain::{Body, Entry, Event, Format, Seq, UserId};
use crate::error::Error;
use crate::metrics::Metric;
use crate::store::{Appended, Author, Tail, Timing};
use crate::wire::frames::{Ack, Message, Refusal, Sent, SentMessages, SentResult};
use crate::wire::requests::{BroadcastMessage, Introduction, OutboxMessage, SendMessage, SendMessages};
use crate::wire::{ENVELOPE_BYTES, fitting};

/// Messages of an outbox that are reviewed at once.
const REVIEWS_AT_ONCE: usize = 5;

/// Sends a message to a room, to a user or to the lobby.
pub async fn send(ctx: &Context, writer: Writer, request: SendMessage) -> Result<Sent, Error> {
    let SendMessage { content, reply_to, client_message_id, data, mentions, mention_room, introduction, .. } = request;
    let draft = |sender: &Sender| Body {
        reply_to,
        client_message_id,
        data,
        mentions: mentions.0,
        mention_room: mention_room.unwrap_or_default(),
        ..sender.body(content)
    };
    post(ctx, writer, &introduction, draft).await
}

/// To a room as any message; without one to everybody.
pub async fn broadcast(ctx: &Context, writer: Writer, request: BroadcastMessage) -> Result<Sent, Error> {
    let BroadcastMessage { content, client_message_id, introduction, .. } = request;
    let draft = |sender: &Sender| Body { client_message_id, ..sender.body(content) };
    post(ctx, writer, &introduction, draft).await
}

/// First the message is written, then it is published.
pub async fn post(
    ctx: &Context,
    Writer { mut sender, tail, held }: Writer,
    introduction: &Introduction,
    draft: impl FnOnce(&Sender) -> Body,
) -> Result<Sent, Error> {
    sender.introduce(introduction);
    let mut body = draft(&sender);
    check(&sender, tail.as_ref(), &body)?;
    let is_answer_wanted = ctx.trace().format != Format::Raw || body.client_message_id.is_some();
    let (not_mentioned, refused) = mentions(ctx, &sender, std::slice::from_mut(&mut body)).await?;
    let appended = match held.map(|held| held.error).or(refused) {
        Some(error) => ctx.store.repeat_of(&sender.room, &body).await?.ok_or(error)?,
        None => {
            begin(ctx, &mut sender, tail.is_none()).await?;
            append(ctx, &sender, body, tail).await?
        }
    };

    // A repeat is published again, since the first request may have ended before it: clients drop by seq.
    let own = shown(ctx, &sender, appended.entry).await?;
    let duplicate = appended.is_duplicate;
    ctx.count(Metric::Messages, u64::from(!duplicate));
    ctx.publish(&sender.channels, &outbound(ctx, &sender, &own)).await;
    direct::request(ctx, &sender).await?;

    if !sender.room.is_lobby() {
        return Ok(Sent::Message(Box::new(Message { duplicate, not_mentioned, ..own })));
    }
    let ack = Ack { position: Some(own.position), duplicate, ..Ack::of(ctx.route, sender.room) };
    Ok(if is_answer_wanted { Sent::Ack(ack) } else { Sent::AckIfAsked(ack) })
}

/// Appends a message: where the room wants it, once a review has accepted it.
async fn append(ctx: &Context, sender: &Sender, body: Body, tail: Option<Tail>) -> Result<Appended, Error> {
    let is_moderator = access::asking_rank(ctx, &sender.user, sender.is_admin, &sender.room);
    let author = Author { is_moderator, is_reviewed: sender.is_backend };
    match ctx.store.append(&sender.room, &body, tail, &author, timing(ctx, sender)).await {
        Err(Error::Unreviewed) => {}
        appended => return appended,
    }
    let body = match review::message(ctx, sender, body).await? {
        Reviewed::Accepted(body) => *body,
        Reviewed::Written(appended) => return Ok(*appended),
    };
    let author = Author { is_reviewed: true, ..author };
    let tail = ctx.store.tail(&sender.room).await?;
    ctx.store.append(&sender.room, &body, tail, &author, ctx.timing()).await
}

/// A backend's sender need not be a member, however long ago that would have been read.
fn timing(ctx: &Context, sender: &Sender) -> Timing {
    let timing = ctx.timing();
    if sender.is_backend { Timing { begun: timing.deadline, ..timing } } else { timing }
}

/// Sends several messages of a client's outbox, in their order. Those that were sent before keep their positions; the
/// others are written together.
pub async fn send_all(ctx: &Context, writer: Writer, request: SendMessages) -> Result<SentMessages, Error> {
    let Writer { mut sender, tail, held } = writer;
    sender.introduce(&request.introduction);
    let draft = |message: OutboxMessage| Body {
        reply_to: message.reply_to,
        client_message_id: Some(message.client_message_id),
        data: message.data,
        mentions: message.mentions.0,
        mention_room: message.mention_room.unwrap_or_default(),
        ..sender.body(message.content)
    };
    let mut bodies: Vec<_> = request.messages.into_iter().map(draft).collect();
    for (index, body) in bodies.iter().enumerate() {
        check(&sender, tail.as_ref(), body).map_err(|error| error.in_message(index))?;
    }
    let (not_mentioned, refused) = mentions(ctx, &sender, &mut bodies).await?;
    let held = held.or(refused.map(|error| Held { granted: 0, error }));
    let most = held.as_ref().map_or(bodies.len(), |held| held.granted);
    if most > 0 {
        begin(ctx, &mut sender, tail.is_none()).await?;
    }
    let appended = append_all(ctx, &sender, (&bodies, most), tail).await?;
    let held = match held {
        Some(Held { error, .. }) if appended.iter().all(|one| matches!(one, Ok(None))) => return Err(error),
        held => held.map(|held| held.error),
    };

    let (results, written) = results_of(ctx, &sender, appended, held.as_ref()).await?;
    publish_in_order(ctx, &sender, written).await;
    direct::request(ctx, &sender).await?;
    Ok(SentMessages { room_id: sender.room, results, not_mentioned })
}

/// As [`append`], for several messages: those that the review accepts are written together.
async fn append_all(
    ctx: &Context,
    sender: &Sender,
    (bodies, most): (&[Body], usize),
    tail: Option<Tail>,
) -> Result<Vec<Result<Option<Appended>, Error>>, Error> {
    let is_moderator = access::asking_rank(ctx, &sender.user, sender.is_admin, &sender.room);
    let author = Author { is_moderator, is_reviewed: false };
    let appended = ctx.store.append_all(&sender.room, (bodies, most), tail, &author, ctx.timing()).await;
    let mut appended = match appended {
        Err(Error::Unreviewed) => bodies.iter().map(|_| Err(Error::Unreviewed)).collect(),
        appended => appended?,
    };
    let unreviewed = appended.iter().enumerate().filter(|(_, one)| matches!(one, Err(Error::Unreviewed)));
    let unreviewed: Vec<_> = unreviewed.map(|(index, _)| index).take(most).collect();
    let reviews =
        unreviewed.into_iter().map(async |index| (index, review::message(ctx, sender, bodies[index].clone()).await));
    let reviewed: Vec<_> = stream::iter(reviews).buffered(REVIEWS_AT_ONCE).collect().await;
    let (mut places, mut accepted) = (Vec::new(), Vec::new());
    for (index, outcome) in reviewed {
        match outcome {
            Ok(Reviewed::Accepted(body)) => {
                places.push(index);
                accepted.push(*body);
            }
            Ok(Reviewed::Written(written)) => appended[index] = Ok(Some(*written)),
            Err(denied @ Error::MessageDenied { .. }) => appended[index] = Err(denied),
            Err(error) => return Err(error.in_message(index)),
        }
    }
    if !accepted.is_empty() {
        let tail = ctx.store.tail(&sender.room).await?;
        let author = Author { is_reviewed: true, ..author };
        let all = (&accepted[..], accepted.len());
        let written = ctx.store.append_all(&sender.room, all, tail, &author, ctx.timing()).await?;
        places.into_iter().zip(written).for_each(|(index, one)| appended[index] = one);
    }
    Ok(appended)
}

/// Takes those out of messages who cannot be mentioned, and returns them; and the error for who may not mention the
/// whole room.
async fn mentions(ctx: &Context, sender: &Sender, bodies: &mut [Body]) -> Result<(Vec<UserId>, Option<Error>), Error> {
    let wanted: Vec<_> = bodies.iter().flat_map(|body| body.mentions.iter().cloned()).collect();
    let (mentioned, others) = mention::split(ctx, sender, &wanted).await?;
    for body in bodies.iter_mut() {
        body.mentions.sort();
        body.mentions.dedup();
        body.mentions.retain(|user| mentioned.contains(user));
    }
    let refused = if bodies.iter().any(|body| body.mention_room) {
        mention::require_room_mention(ctx, sender).await.err()
    } else {
        None
    };
    Ok((others, refused))
}

/// The result of each message of an outbox, and the messages that are written. `held`: why the others are not.
async fn results_of(
    ctx: &Context,
    sender: &Sender,
    appended: Vec<Result<Option<Appended>, Error>>,
    held: Option<&Error>,
) -> Result<(Vec<SentResult>, Vec<Message>), Error> {
    let (mut results, mut written) = (Vec::new(), Vec::new());
    for one in appended {
        results.push(match one {
            Ok(Some(appended)) => {
                ctx.count(Metric::Messages, u64::from(!appended.is_duplicate));
                let message = shown(ctx, sender, appended.entry).await?;
                let position = message.position.clone();
                written.push(message);
                SentResult::Written { position, duplicate: appended.is_duplicate }
            }
            Ok(None) => SentResult::Refused(Refusal::from(held.unwrap_or(&Error::RoomClosed))),
            Err(error) => SentResult::Refused(Refusal::from(&error)),
        });
    }
    Ok((results, written))
}

/// A message as its sender sees it, with the one that it replies to.
async fn shown(ctx: &Context, sender: &Sender, entry: Entry) -> Result<Message, Error> {
    let parent = match &entry.event {
        Event::Said(Body { reply_to: Some(seq), .. }) => ctx.store.entry(&sender.room, *seq, ctx.now).await?,
        _ => None,
    };
    Ok(Message { parent: parent.map(|parent| Box::new(parent.into())), ..Message::from(entry) })
}

/// Publishes messages, repeats too, so that each recipient receives them in the order of the log.
async fn publish_in_order(ctx: &Context, sender: &Sender, mut messages: Vec<Message>) {
    messages.sort_by_key(|message| message.position.seq);
    let mut rest = &messages[..];
    while !rest.is_empty() {
        // No more at once than the largest single message: a fan-out may be handed on in an event.
        let (group, more) = rest.split_at(fitting(rest.iter(), ENVELOPE_BYTES).max(1));
        let mut frames = group.iter().map(|message| outbound(ctx, sender, message));
        if let Some(first) = frames.next() {
            ctx.publish(&sender.channels, &first.followed_by(frames.collect())).await;
        }
        rest = more;
    }
}

/// # Errors
/// `MESSAGE_NOT_FOUND` for a reply to a message that does not exist, `TOO_LARGE`.
fn check(sender: &Sender, tail: Option<&Tail>, body: &Body) -> Result<(), Error> {
    if body.reply_to.is_some_and(|to| to == Seq::ZERO || tail.is_none_or(|tail| to > tail.seq)) {
        return Err(Error::MessageNotFound);
    }
    if Message::fits(&sender.room, body) { Ok(()) } else { Err(Error::TooLarge) }
}

/// A message as the others receive it. Only the sender's own devices see the `clientMessageId`.
fn outbound(ctx: &Context, sender: &Sender, own: &Message) -> OutboundFrame {
    let frame = OutboundFrame::new(&own.clone().seen_by_others().into(), ctx.others());
    if own.body.client_message_id.is_some() { frame.with_own(&sender.user, &own.clone().into()) } else { frame }
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

/// A direct conversation and the lobby exist from their first message on; a request is accepted by an answer.
pub async fn begin(ctx: &Context, sender: &mut Sender, is_first: bool) -> Result<(), Error> {
    match sender.peer.clone() {
        Some(peer) if is_first || !sender.consent.by_me => direct::begin(ctx, sender, &peer, is_first).await,
        None if is_first && sender.room.is_lobby() => ctx.store.ensure_room(&super::room::lobby(ctx.now)).await,
        _ => Ok(()),
    }
}
