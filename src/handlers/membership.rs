//! How users become members of rooms and stop being members, over WebSocket and HTTP alike, and what follows for their
//! devices and the other members.

use std::collections::BTreeSet;
use std::slice;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::try_join;

use crate::access::Caller;
use crate::context::Context;
use crate::delivery::OutboundFrame;
use crate::domain::{InviteCode, Member, Name, Role, Room, RoomId, RoomStatus, RoomType, UserId};
use crate::error::Error;
use crate::metrics::Metric;
use crate::store::{Admission, Channel, Connection, Membership, Subscription};
use crate::wire::frames::{Joined, LeaveReason, Left, PresenceStatus};

/// Devices that are subscribed or unsubscribed at once.
const DEVICES_AT_ONCE: usize = 16;
/// Most rooms that a user can be in: one request reads a list of them all.
pub const MAX_ROOMS: usize = 200;

/// A room whose member the caller is, and whether since just now.
pub struct Entered {
    pub room: Room,
    is_new: bool,
}

/// # Errors
/// `FORBIDDEN` for a user who is in [`MAX_ROOMS`] rooms.
pub async fn require_capacity(ctx: &Context, user: &UserId) -> Result<(), Error> {
    if ctx.store.count_memberships(user).await? < MAX_ROOMS { Ok(()) } else { Err(Error::TooManyRooms) }
}

/// Creates a room under an id that the caller chose, with the caller as its owner.
pub async fn create(ctx: &Context, caller: &Caller, id: &RoomId) -> Result<Entered, Error> {
    let room = Room { participant_count: 1, ..Room::new(id.clone(), caller.user.clone(), ctx.now) };
    require_capacity(ctx, &caller.user).await?;
    let owner = Member::new(caller.user.clone(), caller.display_name(), id.clone(), Role::Owner, ctx.now);
    if ctx.store.create_room(&room, &[owner]).await? {
        ctx.count(Metric::RoomsOpened, 1);
        return Ok(Entered { room, is_new: true });
    }
    // Somebody else created it in between.
    admit(ctx, caller, id, None).await
}

/// Makes the caller a member of a room.
///
/// # Errors
/// `ROOM_NOT_FOUND`, `ROOM_CLOSED`, `BANNED`, `INVITE_REQUIRED`, `ROOM_FULL`.
pub async fn admit(ctx: &Context, caller: &Caller, id: &RoomId, invite: Option<&InviteCode>) -> Result<Entered, Error> {
    let (room, membership) = try_join!(ctx.store.room(id), ctx.store.membership(&caller.user, id))?;
    let mut room = room.ok_or(Error::RoomNotFound)?;
    if room.status == RoomStatus::Closed {
        return Err(Error::RoomClosed);
    }
    match membership {
        Membership::Member(_) => return Ok(Entered { room, is_new: false }),
        Membership::Banned => return Err(Error::Banned),
        Membership::Stranger => {}
    }
    // The creator of a private room needs no invite.
    let is_private = room.room_type == RoomType::Private && room.creator != caller.user;
    if is_private && invite.is_none() {
        return Err(Error::InviteRequired);
    }
    require_capacity(ctx, &caller.user).await?;
    let role = if room.creator == caller.user { Role::Owner } else { Role::Member };
    let member = Member::new(caller.user.clone(), caller.display_name(), id.clone(), role, ctx.now);
    let is_new = ctx.store.admit(&member, invite.filter(|_| is_private), ctx.now).await? == Admission::Joined;
    room.participant_count += u64::from(is_new);
    Ok(Entered { room, is_new })
}

/// What follows a join, once the caller's own connection hears the room: the user's other devices hear it too, and the
/// other members are told. Over HTTP all devices are others.
pub async fn settle(ctx: &Context, caller: &Caller, entered: &Entered) -> Result<(), Error> {
    let id = &entered.room.id;
    let lost = subscribe_checked(ctx, &caller.user, slice::from_ref(id), subscribe_others(ctx, caller, id)).await?;
    if !lost.is_empty() {
        return Err(Error::NotAMember);
    }
    if entered.is_new {
        let frame = Joined {
            room_id: id.clone(),
            user_id: caller.user.clone(),
            user_name: caller.display_name(),
            copies: None,
        };
        let frame = OutboundFrame::new(&frame.into(), ctx.others());
        ctx.delivered(ctx.delivery.announce(&Channel::of_room(id), &frame, ctx.now).await);
    } else if let Some(connection) = &caller.connection
        && !connection.hears(id)
    {
        let announced = ctx.delivery.announce_presence(id, connection, PresenceStatus::Online, ctx.now).await;
        ctx.delivered(announced);
    }
    Ok(())
}

/// Lets connections of a user hear rooms: `subscribe` writes first, then the memberships are read. So a removal either
/// sees the new subscriptions, or is seen here, and then they are taken back. Returns the rooms that were lost so.
///
/// # Errors
/// That of `subscribe`, after the check: it may have subscribed some connections.
pub async fn subscribe_checked(
    ctx: &Context,
    user: &UserId,
    rooms: &[RoomId],
    subscribe: impl Future<Output = Result<(), Error>>,
) -> Result<BTreeSet<RoomId>, Error> {
    let subscribed = subscribe.await;
    let members: Vec<_> = match rooms {
        [] => Vec::new(),
        [room] => ctx.store.member(user, room).await?.into_iter().collect(),
        _ => ctx.store.memberships(user).await?,
    };
    let current: BTreeSet<_> = members.into_iter().map(|member| member.room).collect();
    let lost: BTreeSet<_> = rooms.iter().filter(|room| !current.contains(room)).cloned().collect();
    for room in &lost {
        unsubscribe_user(ctx, user, room).await?;
    }
    subscribed.map(|()| lost)
}

/// Lets the caller's own connection hear a room, where there is one.
///
/// # Errors
/// `RECONNECT` for a connection that is gone.
pub async fn enter(ctx: &Context, caller: &Caller, room: &RoomId) -> Result<(), Error> {
    let Some(connection) = &caller.connection else { return Ok(()) };
    let connection = Connection { room_id: Some(room.clone()), ..connection.clone() };
    let row = connection.on(Channel::of_room(room), caller.display_name());
    if ctx.store.enter(&connection, row).await? { Ok(()) } else { Err(Error::Reconnect) }
}

/// Lets the caller's other devices hear a room. Those that were opened for another room do not, unless the caller has
/// no connection of its own to hear it on.
pub async fn subscribe_others(ctx: &Context, caller: &Caller, room: &RoomId) -> Result<(), Error> {
    let own = caller.connection.as_ref().map(|connection| &connection.connection_id);
    let devices = devices(ctx, &caller.user).await?;
    let others = devices.into_iter().filter(|live| match own {
        Some(own) => !live.pinned && live.connection_id != *own,
        None => true,
    });
    subscribe(ctx, others, caller.name.as_ref(), room).await
}

/// Lets all of a user's devices hear a room, but for those that were opened for another one.
pub async fn subscribe_devices(ctx: &Context, user: &UserId, room: &RoomId) -> Result<(), Error> {
    let devices = devices(ctx, user).await?;
    subscribe(ctx, devices.into_iter().filter(|live| !live.pinned), None, room).await
}

/// Lets all devices of several users hear a room.
pub async fn subscribe_all(ctx: &Context, users: &BTreeSet<UserId>, room: &RoomId) -> Result<(), Error> {
    let subscribed = stream::iter(users).map(|user| async move { subscribe_devices(ctx, user, room).await });
    subscribed.buffer_unordered(DEVICES_AT_ONCE).try_collect().await
}

async fn devices(ctx: &Context, user: &UserId) -> Result<Vec<Subscription>, Error> {
    ctx.store.all_subscribers(&Channel::of_user(user), ctx.now).await
}

/// Each device keeps its name unless one is given.
async fn subscribe(
    ctx: &Context,
    devices: impl Iterator<Item = Subscription>,
    name: Option<&Name>,
    room: &RoomId,
) -> Result<(), Error> {
    stream::iter(devices.map(|live| live.on(Channel::of_room(room), name.unwrap_or(&live.name).clone())))
        .map(|row| async move { ctx.store.subscribe(&row.connection_id, slice::from_ref(&row)).await.map(drop) })
        .buffer_unordered(DEVICES_AT_ONCE)
        .try_collect()
        .await
}

/// Takes all of a user's devices off a room.
pub async fn unsubscribe_user(ctx: &Context, user: &UserId, room: &RoomId) -> Result<(), Error> {
    let channel = Channel::of_room(room);
    let devices = devices(ctx, user).await?;
    stream::iter(&devices)
        .map(|live| ctx.store.unsubscribe(&live.connection_id, &channel))
        .buffer_unordered(DEVICES_AT_ONCE)
        .try_collect()
        .await
}

/// What follows the end of a membership: no device hears the room any more, and both sides are told, if there was one.
/// Called in any case: an earlier request may have ended after the membership and before this.
pub async fn depart(
    ctx: &Context,
    user: &UserId,
    room: &RoomId,
    reason: LeaveReason,
    was_member: bool,
) -> Result<(), Error> {
    unsubscribe_user(ctx, user, room).await?;
    // A join on another device in between may have lost its subscriptions to this.
    if ctx.store.member(user, room).await?.is_some() {
        let devices = subscribe_devices(ctx, user, room);
        return subscribe_checked(ctx, user, slice::from_ref(room), devices).await.map(drop);
    }
    if was_member {
        let frame = Left { room_id: room.clone(), user_id: user.clone(), reason, copies: None }.into();
        let frame = OutboundFrame::new(&frame, ctx.others()).with_own(user, &frame);
        ctx.publish(&[Channel::of_user(user)], &frame).await;
        ctx.delivered(ctx.delivery.announce(&Channel::of_room(room), &frame, ctx.now).await);
    }
    Ok(())
}
