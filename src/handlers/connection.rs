//! Connections: how they open, how they close, and what they ask that concerns no room.

use std::collections::BTreeSet;

use aws_lambda_events::query_map::QueryMap;
use futures_util::stream::{self, StreamExt};
use http::HeaderMap;
use http::header::{AUTHORIZATION, ORIGIN, SEC_WEBSOCKET_PROTOCOL};

use super::seat::Caller;
use super::{membership, room, seat};
use crate::app::App;
use crate::auth::{self, Credentials, Identity, NATIVE_SUBPROTOCOL};
use crate::domain::{ConnectionId, Format, MAX_CONTENT_BYTES, Member, RoomId};
use crate::error::Error;
use crate::event::{Call, Payload};
use crate::metrics::Metric;
use crate::store::{Channel, Connection, Subscription};
use crate::wire::{Frame, Handshake, LARGEST_FRAME_BYTES, Limits, Presence};

/// Rooms that are told at once that somebody has come.
const ROOMS_AT_ONCE: usize = 16;

/// Opens a connection: for one room, when the client names one; else for all that the user is a member of.
/// Tells which subprotocol the client offered, which the answer echoes then.
pub async fn open(app: &App, call: &mut Call) -> Result<Option<&'static str>, Error> {
    let id = call.connection()?.clone();
    let Payload::Handshake { headers, query } = &call.payload else {
        return Err(Error::internal("a connection was opened without a handshake"));
    };
    let shown = Handshake::try_from(query)?;
    let format = format_of(&shown, headers, query);
    let credentials = Credentials {
        headers,
        query_token: query.first("token"),
        user: shown.user.clone(),
        advice: auth::AT_HANDSHAKE,
    };
    let identity = auth::identify(&app.config.auth, credentials, call.at)?;
    let subprotocol = auth::offered_subprotocol(headers);

    call.trace.user = Some(identity.user.clone());
    call.trace.room = shown.room.clone();
    let me = connection(app, call, id, identity, shown, format);
    let result = match me.room_id.clone() {
        Some(room) => open_for_one(app, call, &me, &room).await,
        None => open_for_all(app, call, &me).await,
    };
    if result.is_ok() {
        call.trace.count(Metric::ConnectionsOpened, 1);
    } else {
        // A client that was refused gets no `$disconnect`. What is left behind even so goes by TTL.
        let _ = app.store.forget(&me.connection_id, None).await;
    }
    result.map(|()| subprotocol)
}

/// The format in which a connection hears frames. Who asks for none is known by what else the handshake has.
fn format_of(shown: &Handshake, headers: &HeaderMap, query: &QueryMap) -> Format {
    let offers = headers.contains_key(SEC_WEBSOCKET_PROTOCOL);
    // An empty parameter is as good as absent.
    let mut parameters = query.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name).peekable();
    let has_no_query = parameters.peek().is_none();
    let token_only_in_query = parameters.all(|name| name == "token");
    let shows_token = headers.contains_key(AUTHORIZATION) || !has_no_query;
    // As a terminal program is called; a page has an origin.
    let shows_token_alone = shows_token && token_only_in_query && !headers.contains_key(ORIGIN);
    let says_nothing = !offers && (!shows_token || shows_token_alone);
    let format = match shown.format {
        Some(format) => format,
        None if auth::offered_subprotocol(headers) == Some(NATIVE_SUBPROTOCOL) => Format::Native,
        None if says_nothing => Format::Raw,
        None => Format::Compat,
    };
    if format == Format::Compat && shown.wants_messages_only { Format::MessagesOnly } else { format }
}

fn connection(
    app: &App,
    call: &Call,
    id: ConnectionId,
    identity: Identity,
    shown: Handshake,
    format: Format,
) -> Connection {
    Connection {
        connection_id: id,
        user_id: identity.user,
        name_verified: identity.name.is_some(),
        may_rename: !app.config.auth.is_open() && identity.name.is_none(),
        name: identity.name.or(shown.by.name),
        role: identity.is_admin.then(|| Connection::ADMIN.to_owned()),
        user_icon: shown.by.style.icon,
        user_color: shown.by.style.color,
        format,
        pinned: shown.room.is_some(),
        room_id: shown.room,
        connected_at: call.at,
        channels: BTreeSet::new(),
        ttl: Connection::expiry(call.at),
    }
}

/// The room is joined, and made when it is unknown: clients that connect so have no other way to make one.
async fn open_for_one(app: &App, call: &mut Call, me: &Connection, id: &RoomId) -> Result<(), Error> {
    let mine = Channel::of_user(&me.user_id);
    if id.is_lobby() {
        room::require_lobby(app)?;
        return app.store.add_connection(me, &[mine, Channel::of_room(id)]).await;
    }
    if id.is_direct() {
        seat::direct_peer(app, &me.user_id, id).await?;
        return app.store.add_connection(me, &[mine]).await;
    }
    let caller = Caller::from(me.clone());
    let entered = match membership::admit(app, &caller, id, None, call.at).await {
        Err(Error::RoomNotFound) => membership::found(app, call, &caller, id).await?,
        entered => entered?,
    };
    app.store.add_connection(me, &[mine, Channel::of_room(id)]).await?;
    membership::settle(app, call, &caller, &entered).await
}

async fn open_for_all(app: &App, call: &mut Call, me: &Connection) -> Result<(), Error> {
    let mut channels = vec![Channel::of_user(&me.user_id)];
    if app.config.lobby {
        channels.push(Channel::of_room(&RoomId::lobby()));
    }
    app.store.add_connection(me, &channels).await?;

    let rooms = rooms_of(app, me).await?;
    if rooms.is_empty() {
        return Ok(());
    }
    app.store.subscribe(&me.connection_id, &rooms).await?;
    // Whoever ended a membership since, did not see these subscriptions.
    let still: BTreeSet<_> = rooms_of(app, me).await?.into_iter().map(|row| row.channel).collect();
    for lost in rooms.iter().filter(|row| !still.contains(&row.channel)) {
        app.store.unsubscribe(&me.connection_id, &lost.channel).await?;
    }
    let mut told = stream::iter(still.iter().filter_map(Channel::room))
        .map(|room| async move { app.delivery.announce_presence(&room, me, Presence::Online, me.connected_at).await })
        .buffer_unordered(ROOMS_AT_ONCE);
    while let Some(delivered) = told.next().await {
        call.trace.delivered += delivered;
    }
    Ok(())
}

/// A connection's rows in all open rooms of its user. Direct conversations need none: they are heard as the user.
async fn rooms_of(app: &App, me: &Connection) -> Result<Vec<Subscription>, Error> {
    let row = |member: Member| {
        let name = me.name.clone().unwrap_or(member.name);
        me.on(Channel::of_room(&member.room), name)
    };
    let memberships = app.store.memberships(&me.user_id).await?;
    Ok(memberships.into_iter().filter(|member| !member.room.is_direct() && !member.is_over).map(row).collect())
}

pub async fn close(app: &App, call: &mut Call) -> Result<(), Error> {
    if let Some(known) = app.store.forget(call.connection()?, None).await? {
        call.trace.count(Metric::ConnectionsClosed, 1);
        call.trace.delivered += app.delivery.tell_gone(&known, call.at).await;
        call.trace.user = Some(known.user_id);
    }
    Ok(())
}

/// Tells a client that keeps its connection alive whether it is still one.
pub async fn ping(app: &App, call: &mut Call) -> Result<Frame, Error> {
    seat::known(app, call).await?;
    Ok(Frame::Pong)
}

/// Tells a client who it is here, and what it can count on.
pub async fn hello(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let me = Caller::from(seat::known(app, call).await?);
    Ok(hello_frame(app, call, &me))
}

/// As `hello`, over HTTP. Where it fails, a handshake would.
pub fn me(app: &App, call: &mut Call) -> Result<Frame, Error> {
    call.take_fields()?;
    let me = seat::identified(app, call)?;
    Ok(hello_frame(app, call, &me))
}

fn hello_frame(app: &App, call: &Call, me: &Caller) -> Frame {
    Frame::Hello {
        user_id: me.user.clone(),
        user_name: me.display_name(),
        roles: if me.is_admin { vec![Connection::ADMIN] } else { Vec::new() },
        connection_id: call.connection.clone(),
        format: call.format.name(),
        server_time: call.at,
        lobby: app.config.lobby,
        limits: Limits {
            content_bytes: MAX_CONTENT_BYTES,
            frame_bytes: LARGEST_FRAME_BYTES,
            file_bytes: app.config.uploads.max_bytes,
            rooms: membership::MOST_ROOMS,
        },
    }
}

/// A frame that names no action: what is wrong with it.
pub fn not_understood(call: &mut Call) -> Result<Frame, Error> {
    call.take_fields().and(Err(Error::UnknownAction))
}
