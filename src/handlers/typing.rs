//! Telling the others that somebody is typing. Nothing is stored.

use futures_util::StreamExt;

use super::seat::{self, Seat};
use crate::app::App;
use crate::delivery::{Except, Publication};
use crate::error::Error;
use crate::event::Call;
use crate::store::Channel;
use crate::wire::{Frame, Recipient, Typing};

pub async fn start(app: &App, call: &mut Call) -> Result<(), Error> {
    let Typing { to, is_typing, by } = call.request()?;
    let publication_of = |mut seat: Seat| {
        seat.introduce(by);
        let except = Except::User(seat.user.clone());
        let frame =
            Frame::Typing { room_id: seat.room, user_id: seat.user, user_name: seat.name, is_typing, copies: None };
        Publication::new(&frame, except)
    };

    let delivered = match &to {
        Recipient::Room(room) if !room.is_direct() => {
            // Who hears it is read anyway, and whoever is live in a room may type there: one read for both.
            let channel = Channel::of_room(room);
            let mut pages = app.store.subscribers(&(&channel).into(), call.at);
            let first = pages.next().await.transpose()?.unwrap_or_default();
            let seat = match first.iter().find(|live| Some(&live.connection_id) == call.connection.as_ref()) {
                Some(live) => Seat::of_subscription(app, live, room.clone()),
                None => seat::find(app, call, &to).await?,
            };
            call.trace.user = Some(seat.user.clone());
            call.trace.room = Some(seat.room.clone());
            app.delivery.publish_from(&channel, first, pages, &publication_of(seat), call.occasion()).await
        }
        _ => {
            let seat = seat::find(app, call, &to).await?;
            let channels = seat.channels.clone();
            app.delivery.publish(&channels, &publication_of(seat), call.occasion()).await
        }
    };
    call.trace.delivered += delivered;
    Ok(())
}
