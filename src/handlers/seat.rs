//! Who may speak, type and read where: the caller's place in a conversation.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio::try_join;

use crate::app::App;
use crate::domain::{Member, Name, RoomId, Style, UserId};
use crate::error::Error;
use crate::event::Call;
use crate::store::{Channel, Connection, Subscription};
use crate::wire::Recipient;

/// A join and a message sent in one breath are handled by two Lambdas at once: for so long is a join waited for.
const JOIN_UNDER_WAY: Duration = Duration::from_millis(300);
const JOIN_LOOKED_FOR_EVERY: Duration = Duration::from_millis(30);

/// The caller's place in a conversation.
pub struct Seat {
    pub room: RoomId,
    /// Where the conversation is heard.
    pub channels: Vec<Channel>,
    pub user: UserId,
    pub name: Name,
    pub style: Style,
    pub is_admin: bool,
    /// The other one, in a direct conversation.
    pub peer: Option<UserId>,
}

impl Seat {
    fn of_connection(connection: &Connection, room: RoomId, channels: Vec<Channel>) -> Self {
        Self {
            room,
            channels,
            user: connection.user_id.clone(),
            name: connection.display_name(),
            style: connection.style(),
            is_admin: connection.is_admin(),
            peer: None,
        }
    }

    /// The place that a connection's own subscription to a room shows.
    pub fn of_subscription(live: &Subscription, room: RoomId) -> Self {
        Self {
            room,
            channels: vec![live.channel.clone()],
            user: live.user_id.clone(),
            name: live.name.clone(),
            style: Style { icon: live.user_icon.clone(), color: live.user_color.clone() },
            is_admin: live.role.as_deref() == Some(Connection::ADMIN),
            peer: None,
        }
    }
}

/// The caller's connection.
///
/// # Errors
/// `RECONNECT` when nothing is known of it.
pub async fn known(app: &App, call: &mut Call) -> Result<Connection, Error> {
    let connection = app.store.connection(call.connection()?, call.at).await?.ok_or(Error::Reconnect)?;
    call.trace.user = Some(connection.user_id.clone());
    Ok(connection)
}

/// The caller's place in the conversation that a frame is for.
///
/// # Errors
/// `NOT_A_MEMBER` and `ROOM_NOT_FOUND`, `TARGET_REQUIRED`, `RECONNECT`.
pub async fn find(app: &App, call: &mut Call, to: &Recipient) -> Result<Seat, Error> {
    let seat = match to {
        Recipient::Room(room) if room.is_direct() => {
            let me = known(app, call).await?;
            direct(&me, &direct_peer(app, &me.user_id, room).await?)
        }
        Recipient::Room(room) => in_room(app, call, room).await?,
        Recipient::User(peer) => direct(&known(app, call).await?, peer),
        Recipient::Either(target) => {
            let me = known(app, call).await?;
            let room = RoomId::try_from(target.to_string()).map_err(Error::internal)?;
            match app.store.member(&me.user_id, &room).await? {
                Some(Member { peer: Some(peer), .. }) => direct(&me, &peer),
                Some(member) => member_seat(&me, &member),
                None if room.is_lobby() => in_room(app, call, &room).await?,
                None => direct(&me, target),
            }
        }
        Recipient::Unnamed => {
            let room = known(app, call).await?.room_id.ok_or(Error::TargetRequired)?;
            Box::pin(find(app, call, &Recipient::Room(room))).await?
        }
    };
    call.trace.user = Some(seat.user.clone());
    call.trace.room = Some(seat.room.clone());
    Ok(seat)
}

async fn in_room(app: &App, call: &mut Call, room: &RoomId) -> Result<Seat, Error> {
    if room.is_lobby() && !app.config.lobby {
        return Err(Error::RoomNotFound);
    }
    let channel = Channel::of_room(room);
    if let Some(live) = app.store.subscription(&channel, call.connection()?, call.at).await? {
        return Ok(Seat::of_subscription(&live, room.clone()));
    }
    let me = known(app, call).await?;
    if room.is_lobby() {
        return Ok(Seat::of_connection(&me, room.clone(), vec![channel]));
    }
    let member = membership(app, &me.user_id, room).await?;
    Ok(member_seat(&me, &member))
}

/// A member's place in a room that this connection does not hear.
fn member_seat(me: &Connection, member: &Member) -> Seat {
    let mut seat = Seat::of_connection(me, member.room.clone(), vec![Channel::of_room(&member.room)]);
    if me.name.is_none() {
        seat.name = member.name.clone();
    }
    seat
}

/// Both hear a direct conversation on all their devices, whichever rooms these are in.
fn direct(me: &Connection, peer: &UserId) -> Seat {
    let mut channels = vec![Channel::of_user(&me.user_id), Channel::of_user(peer)];
    channels.dedup();
    let mut seat = Seat::of_connection(me, RoomId::direct(&me.user_id, peer), channels);
    seat.peer = Some(peer.clone());
    seat
}

/// The other one in a direct conversation.
///
/// # Errors
/// `NOT_A_MEMBER`, whether there is such a conversation or not: who talks to whom is nobody else's affair.
pub async fn direct_peer(app: &App, user: &UserId, room: &RoomId) -> Result<UserId, Error> {
    app.store.member(user, room).await?.and_then(|member| member.peer).ok_or(Error::NotAMember)
}

/// A user's membership in a room, waiting a little for a join that is under way.
///
/// # Errors
/// `ROOM_NOT_FOUND`, at once; `NOT_A_MEMBER`.
pub async fn membership(app: &App, user: &UserId, room: &RoomId) -> Result<Member, Error> {
    let until = Instant::now() + JOIN_UNDER_WAY;
    let (known, mut member) = try_join!(app.store.room(room), app.store.member(user, room))?;
    if known.is_none() {
        return Err(Error::RoomNotFound);
    }
    while member.is_none() && Instant::now() < until {
        sleep(JOIN_LOOKED_FOR_EVERY).await;
        member = app.store.member(user, room).await?;
    }
    member.ok_or(Error::NotAMember)
}
