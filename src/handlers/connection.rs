//! Connections: how they open and close, and what they ask that concerns no room.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::HeaderMap;
use http::header::{AUTHORIZATION, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use tokio::try_join;

use super::{membership, review};
use crate::access::{self, Anyone, Bearer, Caller, Identified, limits};
use crate::auth::{self, Credentials, Identity, NATIVE_SUBPROTOCOL};
use crate::config;
use crate::context::Context;
use crate::delivery::Cleanup;
use crate::domain::{ConnectionId, Format, Limit, MAX_CONTENT_BYTES, Member, RoomId, Timestamp};
use crate::error::Error;
use crate::event::Connect;
use crate::metrics::Metric;
use crate::store::{Channel, Connection};
use crate::wire::LARGEST_FRAME_BYTES;
use crate::wire::frames::{Health, Hello, Limits, Pong, RateLimits, Ticket};
use crate::wire::requests::{Handshake, Nothing, RefreshToken};

/// Rooms in which a user is renamed at once.
const ROOMS_AT_ONCE: usize = 16;
/// Connections of a user that are looked at to find the oldest.
const MANY_CONNECTIONS: usize = 200;

/// Opens a connection: for one room, when the client names one; else for all that the user is a member of. Returns the
/// subprotocol that the client offers and the answer echoes.
pub async fn open(ctx: &Context, event: Connect) -> Result<Option<&'static str>, Error> {
    require_known_origin(ctx, &event.headers)?;
    let handshake = Handshake::of_query(event.query.clone())?;
    let format = format_of(&handshake, &event);
    let identity = identity(ctx, &handshake, &event).await?;
    let subprotocol = auth::offered_subprotocol(&event.headers);

    limits::admit(ctx, &identity.user).await?;
    if let Some(room) = &handshake.room_id {
        ctx.note_room(room);
    }
    let me = connection(ctx, event.connection, &identity, handshake, format);
    let result = match &me.room_id {
        Some(room) => open_for_one(ctx, &identity, &me, room).await,
        None => open_for_all(ctx, &identity, &me).await,
    };
    if result.is_ok() {
        ctx.count(Metric::ConnectionsOpened, 1);
        close_oldest(ctx, &me).await;
    } else {
        // API Gateway sends no `$disconnect` for a refused handshake. What a crash leaves behind here expires by TTL.
        let _ = ctx.store.remove_connection(&me.connection_id, None).await;
    }
    result.map(|()| subprotocol)
}

/// Browsers open WebSockets for every page and send its origin; programs send none.
///
/// # Errors
/// `FORBIDDEN` for a page of an origin that is not listed, where some are.
fn require_known_origin(ctx: &Context, headers: &HeaderMap) -> Result<(), Error> {
    let (allowed, Some(origin)) = (&ctx.config.allowed_origins, headers.get(ORIGIN)) else { return Ok(()) };
    if allowed.is_empty() || allowed.iter().any(|known| known.as_bytes() == origin.as_bytes()) {
        return Ok(());
    }
    tracing::warn!(origin = %origin.as_bytes().escape_ascii(), "the origin of a page is not in ALLOWED_ORIGINS");
    Err(Error::Forbidden("pages of this origin may not connect; the operator of this chat can allow it"))
}

/// Who opens a connection, by a ticket or by a token.
async fn identity(ctx: &Context, handshake: &Handshake, event: &Connect) -> Result<Identity, Error> {
    if let Some(ticket) = &handshake.ticket {
        return access::redeem(ctx, &ticket.0, handshake.user_id.as_ref()).await;
    }
    let credentials = Credentials {
        headers: &event.headers,
        query_token: handshake.token.as_ref().map(|token| token.0.as_str()),
        user: handshake.user_id.clone(),
        advice: auth::AT_HANDSHAKE,
    };
    auth::identify(&ctx.config.auth, &ctx.issuers, credentials, ctx.now).await
}

/// Closes the user's oldest connections, if there are too many. Another invocation does it: the new one need not wait.
async fn close_oldest(ctx: &Context, me: &Connection) {
    let Some(limits) = &ctx.config.limits else { return };
    let live = ctx.store.first_subscribers(&Channel::of_user(&me.user_id), MANY_CONNECTIONS, ctx.now).await;
    let mut others = live.unwrap_or_else(|error| {
        tracing::warn!(error = error.cause(), "failed to count the connections of a user");
        Vec::new()
    });
    others.retain(|other| other.connection_id != me.connection_id);
    others.sort_by_key(|other| other.connected_at);
    others.truncate((others.len() + 1).saturating_sub(limits.live_connections));
    ctx.delivery.request_cleanup(others, ctx.request()).await;
}

/// The format in which a connection hears frames. Who asks for none is recognised by what else the handshake has.
fn format_of(handshake: &Handshake, event: &Connect) -> Format {
    let headers = &event.headers;
    let offers = headers.contains_key(SEC_WEBSOCKET_PROTOCOL);
    // An empty parameter is as good as absent.
    let mut parameters = event.query.iter().filter(|(_, value)| !value.is_empty()).map(|(name, _)| name).peekable();
    let has_no_query = parameters.peek().is_none();
    let token_only_in_query = parameters.all(|name| name == "token" || name == "ticket");
    let shows_token = headers.contains_key(AUTHORIZATION) || !has_no_query;
    // A terminal program is called so; a page has an origin.
    let shows_token_alone = shows_token && token_only_in_query && !headers.contains_key(ORIGIN);
    let says_nothing = !offers && (!shows_token || shows_token_alone);
    let format = match handshake.format() {
        Some(format) => format,
        None if auth::offered_subprotocol(headers) == Some(NATIVE_SUBPROTOCOL) => Format::Native,
        None if says_nothing => Format::Raw,
        None => Format::Compat,
    };
    match format {
        Format::Compat if handshake.wants_messages_only() => Format::MessagesOnly,
        Format::Compat if handshake.wants_events() => Format::Events,
        format => format,
    }
}

fn connection(
    ctx: &Context,
    id: ConnectionId,
    identity: &Identity,
    handshake: Handshake,
    format: Format,
) -> Connection {
    let style = handshake.introduction.style();
    Connection {
        connection_id: id,
        user_id: identity.user.clone(),
        name_verified: identity.name.is_some(),
        may_rename: !ctx.config.auth.is_open() && identity.name.is_none(),
        name: identity.name.clone().or(handshake.introduction.user_name),
        role: identity.is_admin.then(|| Connection::ADMIN.to_owned()),
        user_icon: style.icon,
        user_color: style.color,
        format,
        auth_until: identity.session_ends_at,
        pinned: handshake.room_id.is_some(),
        room_id: handshake.room_id,
        connected_at: ctx.now,
        channels: BTreeSet::new(),
        ttl: Connection::expiry(ctx.now),
    }
}

/// Joins the room, and creates it when it is unknown: clients that connect so have no other way to create one.
async fn open_for_one(ctx: &Context, identity: &Identity, me: &Connection, id: &RoomId) -> Result<(), Error> {
    if id.is_lobby() {
        access::require_lobby(ctx)?;
        ctx.store.add_connection(me, &[me.in_room(id, None, me.display_name())]).await?;
        return access::require_unrevoked(ctx, identity).await;
    }
    if id.is_direct() {
        access::direct_peer(ctx, &me.user_id, id).await?;
        ctx.store.add_connection(me, &[]).await?;
        return access::require_unrevoked(ctx, identity).await;
    }
    // Also before: who is refused joins nothing.
    access::require_unrevoked(ctx, identity).await?;
    let mut caller = Caller::from(me.clone());
    review::caller_name(ctx, &mut caller, id).await?;
    let me = &Connection { name: caller.name.clone(), ..me.clone() };
    let entered = match membership::admit(ctx, &caller, id, None).await {
        Err(Error::RoomNotFound) => membership::create(ctx, &caller, id).await?,
        entered => entered?,
    };
    ctx.store.add_connection(me, &[me.in_room(id, Some(&entered.member), me.display_name())]).await?;
    access::require_unrevoked(ctx, identity).await?;
    membership::settle(ctx, &caller, &entered).await
}

async fn open_for_all(ctx: &Context, identity: &Identity, me: &Connection) -> Result<(), Error> {
    let lobby = ctx.config.lobby.then(|| me.in_room(&RoomId::lobby(), None, me.display_name()));
    ctx.store.add_connection(me, lobby.as_slice()).await?;

    let unrevoked = access::require_unrevoked(ctx, identity);
    let ((), memberships) = try_join!(unrevoked, ctx.store.memberships(&me.user_id, ctx.now))?;
    let members = open_rooms(ctx, me, memberships).await?;
    if members.is_empty() {
        return Ok(());
    }
    let row = |member: &Member| me.in_room(&member.room, Some(member), member.name.clone());
    let rows: Vec<_> = members.iter().map(row).collect();
    let subscribe = async { ctx.store.subscribe(&me.connection_id, &rows).await.map(drop) };
    let lost = membership::subscribe_checked(ctx, &me.user_id, &members, subscribe).await?;
    // Once more: these rows were written since, and who has been disconnected in between does not take them along.
    access::require_unrevoked(ctx, identity).await?;
    let heard = members.iter().map(|member| &member.room).filter(|room| !lost.contains(room));
    ctx.delivered(ctx.delivery.announce_online(heard, me, ctx.request()).await);
    Ok(())
}

/// Those of a user's memberships that are in open rooms. Direct conversations are heard as the user. A name that is
/// given now is the one that the rooms show from now on; but where names are reviewed, the one that was.
async fn open_rooms(ctx: &Context, me: &Connection, mut memberships: Vec<Member>) -> Result<Vec<Member>, Error> {
    memberships.retain(|member| !member.is_over);
    let Some(name) = &me.name else { return Ok(memberships) };
    let mut renamed: Vec<_> = memberships.iter_mut().filter(|member| member.name != *name).collect();
    if ctx.reviews.is_on() && !me.name_verified && !renamed.is_empty() {
        let mut reviewed = BTreeSet::new();
        for some in renamed.chunks(ROOMS_AT_ONCE) {
            let rooms = ctx.store.rooms_of(some.iter().map(|member| &member.room)).await?;
            reviewed.extend(rooms.into_iter().filter(|room| room.mode.is_reviewed()).map(|room| room.id));
        }
        renamed.retain(|member| !reviewed.contains(&member.room));
    }
    stream::iter(&renamed)
        .map(|member| ctx.store.rename_member(member, name))
        .buffer_unordered(ROOMS_AT_ONCE)
        .try_collect::<()>()
        .await?;
    renamed.into_iter().for_each(|member| member.name = name.clone());
    Ok(memberships)
}

/// Removes a connection that has closed.
pub async fn close(ctx: &Context, id: &ConnectionId) -> Result<(), Error> {
    if let Some(known) = ctx.store.remove_connection(id, None).await? {
        ctx.count(Metric::ConnectionsClosed, 1);
        ctx.note_user(&known.user_id);
        ctx.delivered(ctx.delivery.announce_gone(&[known], ctx.request()).await);
    }
    Ok(())
}

/// Removes connections that a fan-out found to be gone.
pub async fn clean_up(ctx: &Context, cleanup: &Cleanup) -> Result<(), Error> {
    ctx.delivered(ctx.delivery.clean_up(&cleanup.connections, ctx.request()).await);
    Ok(())
}

/// Tells a client that keeps its connection alive that it still is one.
pub async fn ping(_: &Context, _: Connection, _: Nothing) -> Result<Pong, Error> {
    Ok(Pong {})
}

/// Tells a client who it is here, and what it can rely on.
pub async fn hello(ctx: &Context, caller: Caller, _: Nothing) -> Result<Hello, Error> {
    let auth_until = caller.connection.as_ref().and_then(|connection| connection.auth_until);
    let roles = if caller.is_admin { vec![Connection::ADMIN] } else { Vec::new() };
    Ok(Hello {
        user_name: caller.display_name(),
        user_id: caller.user,
        roles,
        connection_id: ctx.connection.clone(),
        format: ctx.trace().format.name(),
        auth_until: auth_until.map(|end| Timestamp::from_secs(end).into()),
        server_time: ctx.now.into(),
        lobby: ctx.config.lobby,
        limits: Limits {
            content_bytes: MAX_CONTENT_BYTES,
            frame_bytes: LARGEST_FRAME_BYTES,
            file_bytes: ctx.config.uploads.max_bytes,
            rooms: membership::MAX_ROOMS,
            rates: ctx.config.limits.as_ref().map(rates),
        },
    })
}

/// Gives a ticket for the token of a request.
pub async fn ticket(ctx: &Context, Bearer(identity): Bearer, _: Nothing) -> Result<Ticket, Error> {
    let (ticket, expires_at) = ctx.store.add_ticket(&identity.into(), ctx.now).await?;
    Ok(Ticket { ticket, expires_at: expires_at.into() })
}

/// Extends a connection's session with a new token: no frame is lost to a reconnect. A token that is refused changes
/// nothing.
pub async fn refresh(ctx: &Context, connection: Connection, request: RefreshToken) -> Result<Hello, Error> {
    let identity = auth::identify_by(&ctx.config.auth, &ctx.issuers, &request.token.0, ctx.now).await?;
    if identity.user != connection.user_id {
        return Err(Error::Forbidden("the token is for another user; connect again with it"));
    }
    // Whoever revokes it from here on closes the connection.
    access::require_unrevoked(ctx, &identity).await?;
    let role = identity.is_admin.then_some(Connection::ADMIN);
    let end = identity.session_ends_at.unwrap_or_default();
    let extended = ctx.store.extend_session(&connection.connection_id, end, role).await?;
    hello(ctx, extended.ok_or(Error::Reconnect)?.into(), Nothing {}).await
}

fn rates(limits: &config::Limits) -> RateLimits {
    let per_second = |limit| limits.rate(limit).per_second();
    let per_hour = |limit| per_second(limit) * 3_600.0;
    RateLimits {
        frames_per_second: per_second(Limit::Frames),
        frames_burst: limits.rate(Limit::Frames).burst(),
        messages_per_second: per_second(Limit::Messages),
        messages_burst: limits.rate(Limit::Messages).burst(),
        changes_per_second: per_second(Limit::Changes),
        typing_per_second: per_second(Limit::Typing),
        rooms_per_hour: per_hour(Limit::Rooms),
        invites_per_hour: per_hour(Limit::Invites),
        uploads_per_hour: per_hour(Limit::Uploads),
        connections_per_minute: per_second(Limit::Connections) * 60.0,
        live_connections: limits.live_connections,
    }
}

/// As `hello`, over HTTP.
pub async fn me(ctx: &Context, Identified(caller): Identified, nothing: Nothing) -> Result<Hello, Error> {
    hello(ctx, caller, nothing).await
}

/// The function answers.
pub async fn health(_: &Context, _: Anyone, _: Nothing) -> Result<Health, Error> {
    Ok(Health { status: "ok" })
}
