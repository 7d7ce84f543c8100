//! Who may speak, type and read where: the caller's place in a conversation.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio::try_join;

use crate::app::App;
use crate::auth::{self, Credentials};
use crate::domain::{Member, Name, RoomId, Style, UserId};
use crate::error::Error;
use crate::event::{Call, Payload};
use crate::store::{Channel, Connection, Subscription};
use crate::wire::{Introduction, Recipient};

/// A join and a message sent in one breath are handled by two Lambdas at once: for so long is a join waited for.
const JOIN_UNDER_WAY: Duration = Duration::from_millis(300);
const JOIN_LOOKED_FOR_EVERY: Duration = Duration::from_millis(30);

/// Who asks, at whichever door.
pub struct Caller {
    pub user: UserId,
    /// The display name, where one is known.
    pub name: Option<Name>,
    /// Whether a token vouches for the name: nobody changes it then.
    name_verified: bool,
    pub style: Style,
    /// By its token: of everything, not of a room.
    pub is_admin: bool,
    /// What it asks on; nothing over HTTP.
    pub connection: Option<Connection>,
}

impl From<Connection> for Caller {
    fn from(connection: Connection) -> Self {
        Self {
            user: connection.user_id.clone(),
            name: connection.name.clone(),
            name_verified: connection.name_verified,
            style: connection.style(),
            is_admin: connection.is_admin(),
            connection: Some(connection),
        }
    }
}

impl Caller {
    /// The name to show: the one given, or the user id.
    pub fn display_name(&self) -> Name {
        self.name.clone().unwrap_or_else(|| self.user.as_name())
    }

    /// Takes on a name and looks that came with a request.
    pub fn introduce(&mut self, by: Introduction) {
        if !self.name_verified {
            self.name = by.name.or(self.name.take());
        }
        self.style.adopt(by.style);
        if let Some(connection) = &mut self.connection {
            connection.name.clone_from(&self.name);
            connection.user_icon.clone_from(&self.style.icon);
            connection.user_color.clone_from(&self.style.color);
        }
    }
}

/// The caller's place in a conversation.
pub struct Seat {
    pub room: RoomId,
    /// Where the conversation is heard.
    pub channels: Vec<Channel>,
    pub user: UserId,
    pub name: Name,
    name_verified: bool,
    pub style: Style,
    pub is_admin: bool,
    /// The other one, in a direct conversation.
    pub peer: Option<UserId>,
}

impl Seat {
    fn of_caller(caller: &Caller, room: RoomId, channels: Vec<Channel>) -> Self {
        Self {
            room,
            channels,
            user: caller.user.clone(),
            name: caller.display_name(),
            name_verified: caller.name_verified,
            style: caller.style.clone(),
            is_admin: caller.is_admin,
            peer: None,
        }
    }

    /// The place that a connection's own subscription to a room shows.
    pub fn of_subscription(app: &App, live: &Subscription, room: RoomId) -> Self {
        Self {
            room,
            channels: vec![live.channel.clone()],
            user: live.user_id.clone(),
            name: live.name.clone(),
            name_verified: !live.may_rename && !app.config.auth.is_open(),
            style: Style { icon: live.user_icon.clone(), color: live.user_color.clone() },
            is_admin: live.role.as_deref() == Some(Connection::ADMIN),
            peer: None,
        }
    }

    /// Takes on a name and looks that came with this very frame.
    pub fn introduce(&mut self, by: Introduction) {
        if let Some(name) = by.name.filter(|_| !self.name_verified) {
            self.name = name;
        }
        self.style.adopt(by.style);
    }
}

/// The caller's connection.
///
/// # Errors
/// `RECONNECT` when nothing is known of it.
pub async fn known(app: &App, call: &mut Call) -> Result<Connection, Error> {
    let connection = app.store.connection(call.connection()?, call.at).await?.ok_or(Error::Reconnect)?;
    call.trace.user = Some(connection.user_id.clone());
    call.format = connection.format;
    Ok(connection)
}

/// Who asks, on a connection or over HTTP.
///
/// # Errors
/// `RECONNECT`; over HTTP what is wrong with the token, or `INVALID_FIELD` for a request that does not say who asks.
pub async fn caller(app: &App, call: &mut Call) -> Result<Caller, Error> {
    if call.connection.is_some() {
        return known(app, call).await.map(Caller::from);
    }
    guest(app, call)?.ok_or(Error::InvalidField { field: "userId", problem: "is missing" })
}

/// Who asks over HTTP, if they say so.
///
/// # Errors
/// What is wrong with the token, where one is asked for.
pub fn guest(app: &App, call: &mut Call) -> Result<Option<Caller>, Error> {
    match &call.payload {
        Payload::Request { user: None, .. } if app.config.auth.is_open() => Ok(None),
        _ => identified(app, call).map(Some),
    }
}

/// Who asks over HTTP, as a handshake would have it: a guest who says nothing is anonymous.
///
/// # Errors
/// What is wrong with the token, where one is asked for.
pub fn identified(app: &App, call: &mut Call) -> Result<Caller, Error> {
    let Payload::Request { headers, user, .. } = &call.payload else {
        return Err(Error::internal("the event is no request"));
    };
    let shown = Credentials { headers, query_token: None, user: user.clone(), advice: auth::OVER_HTTP };
    let identity = auth::identify(&app.config.auth, shown, call.at)?;
    call.trace.user = Some(identity.user.clone());
    Ok(Caller {
        user: identity.user,
        name_verified: identity.name.is_some(),
        name: identity.name,
        style: Style::default(),
        is_admin: identity.is_admin,
        connection: None,
    })
}

/// The caller's place in the conversation that a frame is for.
///
/// # Errors
/// `NOT_A_MEMBER` and `ROOM_NOT_FOUND`, `TARGET_REQUIRED`, `RECONNECT`.
pub async fn find(app: &App, call: &mut Call, to: &Recipient) -> Result<Seat, Error> {
    let seat = match to {
        Recipient::Room(room) if room.is_direct() => {
            let me = caller(app, call).await?;
            direct(&me, &direct_peer(app, &me.user, room).await?)
        }
        Recipient::Room(room) => in_room(app, call, room).await?,
        Recipient::User(peer) => direct(&caller(app, call).await?, peer),
        Recipient::Either(target) => {
            let me = caller(app, call).await?;
            // What cannot be a room's id is a user's.
            let Ok(room) = RoomId::try_from(target.to_string()) else { return Ok(noted(call, direct(&me, target))) };
            match app.store.member(&me.user, &room).await? {
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
    Ok(noted(call, seat))
}

/// A place in a conversation, of which the log tells.
fn noted(call: &mut Call, seat: Seat) -> Seat {
    call.trace.user = Some(seat.user.clone());
    call.trace.room = Some(seat.room.clone());
    seat
}

async fn in_room(app: &App, call: &mut Call, room: &RoomId) -> Result<Seat, Error> {
    if room.is_lobby() && !app.config.lobby {
        return Err(Error::RoomNotFound);
    }
    let channel = Channel::of_room(room);
    if let Some(connection) = &call.connection
        && let Some(live) = app.store.subscription(&channel, connection, call.at).await?
    {
        call.format = live.format;
        return Ok(Seat::of_subscription(app, &live, room.clone()));
    }
    let me = caller(app, call).await?;
    if room.is_lobby() {
        return Ok(Seat::of_caller(&me, room.clone(), vec![channel]));
    }
    let member = membership(app, &me.user, room).await?;
    Ok(member_seat(&me, &member))
}

/// A member's place in a room that this connection does not hear.
fn member_seat(me: &Caller, member: &Member) -> Seat {
    let mut seat = Seat::of_caller(me, member.room.clone(), vec![Channel::of_room(&member.room)]);
    if me.name.is_none() {
        seat.name = member.name.clone();
    }
    seat
}

/// Both hear a direct conversation on all their devices, whichever rooms these are in.
fn direct(me: &Caller, peer: &UserId) -> Seat {
    let mut seat = Seat::of_caller(me, RoomId::direct(&me.user, peer), Channel::of_both(&me.user, peer));
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
