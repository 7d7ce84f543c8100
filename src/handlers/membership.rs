//! How users come into rooms and out of them, at whichever door, and what follows for their devices and the others.

use std::collections::BTreeSet;
use std::slice;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::try_join;

use super::seat::Caller;
use crate::app::App;
use crate::delivery::{Except, Publication};
use crate::domain::{InviteCode, Member, Name, Role, Room, RoomId, RoomStatus, RoomType, Timestamp, UserId};
use crate::error::Error;
use crate::event::Call;
use crate::metrics::Metric;
use crate::store::{Admission, Channel, Connection, Standing, Subscription};
use crate::wire::{Frame, LeaveReason, Presence};

/// Devices that are subscribed or unsubscribed at once.
const DEVICES_AT_ONCE: usize = 16;
/// Most rooms that a user can be in: a list of them all must be read in one go.
pub const MOST_ROOMS: usize = 200;

/// A room that somebody has just become a member of, or was one of already.
pub struct Entered {
    pub room: Room,
    is_new: bool,
}

/// # Errors
/// `FORBIDDEN` for a user who is in as many rooms as one can be in.
pub async fn require_place(app: &App, user: &UserId) -> Result<(), Error> {
    if app.store.count_memberships(user).await? < MOST_ROOMS { Ok(()) } else { Err(Error::TooManyRooms) }
}

/// Makes a room that was asked for by its id, with the caller as its owner.
pub async fn found(app: &App, call: &mut Call, me: &Caller, id: &RoomId) -> Result<Entered, Error> {
    let now = call.at;
    let room = Room { participant_count: 1, ..Room::new(id.clone(), me.user.clone(), now) };
    require_place(app, &me.user).await?;
    let owner = Member::new(me.user.clone(), me.display_name(), id.clone(), Role::Owner, now);
    if app.store.create_room(&room, &[owner]).await? {
        call.trace.count(Metric::RoomsOpened, 1);
        return Ok(Entered { room, is_new: true });
    }
    // Somebody was faster.
    admit(app, me, id, None, now).await
}

/// Makes the caller a member of a room.
///
/// # Errors
/// `ROOM_NOT_FOUND`, `ROOM_CLOSED`, `BANNED`, `INVITE_REQUIRED`, `ROOM_FULL`.
pub async fn admit(
    app: &App,
    me: &Caller,
    id: &RoomId,
    invite: Option<&InviteCode>,
    now: Timestamp,
) -> Result<Entered, Error> {
    let (room, standing) = try_join!(app.store.room(id), app.store.standing(&me.user, id))?;
    let mut room = room.ok_or(Error::RoomNotFound)?;
    if room.status == RoomStatus::Closed {
        return Err(Error::RoomClosed);
    }
    match standing {
        Standing::Member(_) => return Ok(Entered { room, is_new: false }),
        Standing::Banned => return Err(Error::Banned),
        Standing::Stranger => {}
    }
    // Whoever made a private room is not locked out of it.
    let is_private = room.room_type == RoomType::Private && room.creator != me.user;
    if is_private && invite.is_none() {
        return Err(Error::InviteRequired);
    }
    require_place(app, &me.user).await?;
    let role = if room.creator == me.user { Role::Owner } else { Role::Member };
    let member = Member::new(me.user.clone(), me.display_name(), id.clone(), role, now);
    let is_new = app.store.admit(&member, invite.filter(|_| is_private), now).await? == Admission::Joined;
    room.participant_count += u64::from(is_new);
    Ok(Entered { room, is_new })
}

/// What follows when a member hears a room: so do the user's other devices, and the others are told. Over HTTP all
/// devices are others.
pub async fn settle(app: &App, call: &mut Call, me: &Caller, entered: &Entered) -> Result<(), Error> {
    let id = &entered.room.id;
    let subscribed = subscribe_others(app, me, id, call.at).await;
    // A membership that was ended meanwhile takes its subscriptions with it, these too, also when not all were made.
    if app.store.member(&me.user, id).await?.is_none() {
        unsubscribe_user(app, &me.user, id, call.at).await?;
        return Err(Error::NotAMember);
    }
    subscribed?;
    if entered.is_new {
        let frame =
            Frame::Joined { room_id: id.clone(), user_id: me.user.clone(), user_name: me.display_name(), copies: None };
        let publication = Publication::new(&frame, Except::caller(call.connection.as_ref()));
        call.trace.delivered += app.delivery.announce(&Channel::of_room(id), &publication, call.at).await;
    } else if let Some(connection) = &me.connection
        && !connection.channels.contains(Channel::of_room(id).as_str())
    {
        call.trace.delivered += app.delivery.announce_presence(id, connection, Presence::Online, call.at).await;
    }
    Ok(())
}

/// Lets the caller's own connection hear a room, where there is one.
pub async fn enter(app: &App, me: &Caller, room: &RoomId) -> Result<(), Error> {
    let Some(connection) = &me.connection else { return Ok(()) };
    let connection = Connection { room_id: Some(room.clone()), ..connection.clone() };
    let there = app.store.enter(&connection, connection.on(Channel::of_room(room), me.display_name())).await?;
    if there { Ok(()) } else { Err(Error::Reconnect) }
}

/// Lets the caller's other devices hear a room. Those that were opened for another one do not, unless the caller has
/// no connection of its own to hear it on.
pub async fn subscribe_others(app: &App, me: &Caller, room: &RoomId, now: Timestamp) -> Result<(), Error> {
    let own = me.connection.as_ref().map(|connection| &connection.connection_id);
    let devices = devices(app, &me.user, now).await?;
    let others = devices.into_iter().filter(|live| match own {
        Some(own) => !live.pinned && live.connection_id != *own,
        None => true,
    });
    subscribe(app, others, me.name.as_ref(), room).await
}

/// Lets all of a user's devices hear a room, but for those that were opened for another one.
pub async fn subscribe_devices(app: &App, user: &UserId, room: &RoomId, now: Timestamp) -> Result<(), Error> {
    let devices = devices(app, user, now).await?;
    subscribe(app, devices.into_iter().filter(|live| !live.pinned), None, room).await
}

pub async fn subscribe_all(app: &App, users: &BTreeSet<UserId>, room: &RoomId, now: Timestamp) -> Result<(), Error> {
    stream::iter(users)
        .map(|user| async move { subscribe_devices(app, user, room, now).await })
        .buffer_unordered(DEVICES_AT_ONCE)
        .try_collect::<Vec<_>>()
        .await
        .map(drop)
}

async fn devices(app: &App, user: &UserId, now: Timestamp) -> Result<Vec<Subscription>, Error> {
    app.store.all_subscribers(&Channel::of_user(user), now).await
}

/// Each device keeps its name unless one is given.
async fn subscribe(
    app: &App,
    devices: impl Iterator<Item = Subscription>,
    name: Option<&Name>,
    room: &RoomId,
) -> Result<(), Error> {
    stream::iter(devices.map(|live| live.on(Channel::of_room(room), name.unwrap_or(&live.name).clone())))
        .map(|row| async move { app.store.subscribe(&row.connection_id, slice::from_ref(&row)).await })
        .buffer_unordered(DEVICES_AT_ONCE)
        .try_collect::<Vec<_>>()
        .await
        .map(drop)
}

pub async fn unsubscribe_user(app: &App, user: &UserId, room: &RoomId, now: Timestamp) -> Result<(), Error> {
    let channel = Channel::of_room(room);
    let devices = devices(app, user, now).await?;
    stream::iter(&devices)
        .map(|live| app.store.unsubscribe(&live.connection_id, &channel))
        .buffer_unordered(DEVICES_AT_ONCE)
        .try_collect::<Vec<_>>()
        .await
        .map(drop)
}

/// What follows when a user is no longer a member: no device hears the room any more, and both sides are told, if it
/// has been one. Called in any case: an earlier try may have got no further than the membership.
pub async fn depart(
    app: &App,
    call: &mut Call,
    user: &UserId,
    room: &RoomId,
    reason: LeaveReason,
    was_member: bool,
) -> Result<(), Error> {
    unsubscribe_user(app, user, room, call.at).await?;
    // Whoever joined again meanwhile on another device may have lost its subscriptions to this.
    if app.store.member(user, room).await?.is_some() {
        return subscribe_devices(app, user, room, call.at).await;
    }
    if was_member {
        let frame = Frame::Left { room_id: room.clone(), user_id: user.clone(), reason, copies: None };
        let publication = Publication::new(&frame, Except::caller(call.connection.as_ref())).with_own(user, &frame);
        call.trace.delivered += app.delivery.publish(&[Channel::of_user(user)], &publication, call.occasion()).await;
        call.trace.delivered += app.delivery.announce(&Channel::of_room(room), &publication, call.at).await;
    }
    Ok(())
}
