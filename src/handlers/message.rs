//! Saying something: to a room, to a user, in the lobby.

use std::mem;

use tokio::join;

use super::seat::{self, Seat};
use crate::app::App;
use crate::delivery::{Except, Publication};
use crate::domain::{Draft, Format, RoomId, Seq, Tail};
use crate::error::Error;
use crate::event::{Call, Payload};
use crate::metrics::Metric;
use crate::wire::{Broadcast, Frame, Message, Recipient, SendMessage};

/// Nothing is answered where a client that knows bare text alone would take the answer for a message.
pub async fn send(app: &App, call: &mut Call) -> Result<Option<Frame>, Error> {
    let request: SendMessage = call.request()?;
    let (seat, tail) = seat_and_tail(app, call, &request.to).await?;
    say(app, call, seat, tail, request).await
}

/// To a room as any message; without one to everybody, which is an admin's to do.
pub async fn broadcast(app: &App, call: &mut Call) -> Result<Option<Frame>, Error> {
    let Broadcast { room, content, client_id, by } = call.request()?;
    let to_everybody = room.is_none();
    let to = Recipient::Room(room.unwrap_or_else(RoomId::lobby));
    let request = SendMessage { to, content, reply_to: None, client_id, by };
    let (seat, tail) = seat_and_tail(app, call, &request.to).await?;
    if to_everybody && !seat.is_admin {
        return Err(Error::Forbidden("only an admin may speak to everybody; give a `roomId`"));
    }
    say(app, call, seat, tail, request).await
}

/// Both at once where the frame itself names the room.
async fn seat_and_tail(app: &App, call: &mut Call, to: &Recipient) -> Result<(Seat, Option<Tail>), Error> {
    match to {
        Recipient::Room(room) => {
            let (seat, tail) = join!(seat::find(app, call, to), app.store.tail(room));
            Ok((seat?, tail?))
        }
        _ => {
            let seat = seat::find(app, call, to).await?;
            let tail = app.store.tail(&seat.room).await?;
            Ok((seat, tail))
        }
    }
}

/// First it is written, then it is told.
async fn say(
    app: &App,
    call: &mut Call,
    mut seat: Seat,
    tail: Option<Tail>,
    request: SendMessage,
) -> Result<Option<Frame>, Error> {
    if request.reply_to.is_some_and(|to| to == Seq::ZERO || tail.is_none_or(|tail| to > tail.seq)) {
        return Err(Error::MessageNotFound);
    }
    seat.introduce(request.by);
    if tail.is_none() {
        begin(app, call, &seat).await?;
    }
    let wants_answer = call.format != Format::Raw || call.has_request_id() || request.client_id.is_some();
    let draft = Draft {
        user: seat.user,
        name: seat.name,
        style: seat.style,
        content: request.content,
        reply_to: request.reply_to,
        client_id: request.client_id,
        file: None,
    };
    if !Message::fits(&seat.room, &draft) {
        return Err(Error::TooLarge);
    }
    let appended = app.store.append(&seat.room, &draft, tail, call.at, call.deadline).await?;

    // Told again when it is a repeat, since the first may have ended before it could tell: clients drop by seq.
    let own = Message::from(appended.entry);
    let everybodys = Frame::Message(Message { client_message_id: None, ..own.clone() });
    let mut publication = Publication::new(&everybodys, Except::caller(Some(call.connection()?)));
    if own.client_message_id.is_some() {
        publication = publication.with_own(&draft.user, &Frame::Message(own.clone()));
    }
    let duplicate = appended.is_duplicate;
    call.trace.count(Metric::Messages, u64::from(!duplicate));
    call.trace.delivered += app.delivery.publish(&seat.channels, &publication, call.occasion()).await;

    if !seat.room.is_lobby() {
        return Ok(Some(Frame::Message(Message { duplicate, ..own })));
    }
    let message = Some(own.position);
    let ack = Frame::Ack { action: call.route.key(), room_id: Some(seat.room), message, duplicate };
    Ok(Some(ack).filter(|_| wants_answer))
}

/// Goes on with telling those of a room for whom another invocation had no time.
///
/// # Errors
/// Not all of them can be told: Lambda sends the event again.
pub async fn go_on(app: &App, call: &mut Call) -> Result<(), Error> {
    let Payload::Rest(rest) = mem::replace(&mut call.payload, Payload::Empty) else {
        return Err(Error::internal("the event has no rest"));
    };
    let (delivered, all) = app.delivery.go_on(&rest, call.occasion()).await;
    call.trace.delivered += delivered;
    all
}

/// A direct conversation and the lobby exist from their first message on.
pub async fn begin(app: &App, call: &Call, seat: &Seat) -> Result<(), Error> {
    if let Some(peer) = &seat.peer {
        app.store.open_direct(&seat.user, peer, seat.name.clone(), call.at).await
    } else if seat.room.is_lobby() {
        app.store.ensure_room(&super::room::lobby(call.at)).await
    } else {
        Ok(())
    }
}
