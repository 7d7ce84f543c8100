//! How users become members of rooms and stop being members, over WebSocket and HTTP alike, and what follows for their
//! devices and the other members.

use std::collections::{BTreeMap, BTreeSet};
use std::{iter, slice};

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::try_join;

use super::invites;
use crate::access::Caller;
use crate::context::Context;
use crate::delivery::OutboundFrame;
use crate::domain::{InviteCode, Member, Name, Role, Room, RoomId, RoomStatus, RoomType, Timestamp, UserId};
use crate::error::Error;
use crate::metrics::Metric;
use crate::store::{Admission, Channel, Connection, Membership, Pass, Subscription};
use crate::wire::frames::{Joined, LeaveReason, Left};

/// Devices that are subscribed or unsubscribed at once.
const DEVICES_AT_ONCE: usize = 16;
/// After this time no process is left that could write a subscription for a membership that has ended: a function lives
/// 29 seconds.
const LATE_SUBSCRIPTION_MS: i64 = 60_000;
/// Most rooms that a user can make and join: one request reads a list of them all.
pub const MAX_ROOMS: usize = 200;

/// A room whose member the caller is, and whether since just now.
pub struct Entered {
    pub room: Room,
    pub member: Member,
    is_new: bool,
}

/// # Errors
/// `FORBIDDEN` for a user who is in [`MAX_ROOMS`] rooms.
pub async fn require_capacity(ctx: &Context, user: &UserId) -> Result<(), Error> {
    if ctx.store.count_own_rooms(user).await? < MAX_ROOMS { Ok(()) } else { Err(Error::TooManyRooms) }
}

/// Creates a room under an id that the caller chose, with the caller as its owner.
pub async fn create(ctx: &Context, caller: &Caller, id: &RoomId) -> Result<Entered, Error> {
    let room = Room { participant_count: 1, ..Room::new(id.clone(), caller.user.clone(), ctx.now) };
    require_capacity(ctx, &caller.user).await?;
    let owner = Member::new(caller.user.clone(), caller.display_name(), id.clone(), Role::Owner, ctx.now);
    if let Some(room) = ctx.store.create_chosen_room(room, Some(&owner)).await? {
        ctx.count(Metric::RoomsOpened, 1);
        let member = Member { joined_at: room.created_at, ..owner };
        return Ok(Entered { room, member, is_new: true });
    }
    // Somebody else created it in between.
    admit(ctx, caller, id, None).await
}

/// Makes the caller a member of a room.
///
/// # Errors
/// `ROOM_NOT_FOUND`, `ROOM_CLOSED`, `BANNED`, `INVITE_REQUIRED`, `ROOM_FULL`.
pub async fn admit(ctx: &Context, caller: &Caller, id: &RoomId, invite: Option<&InviteCode>) -> Result<Entered, Error> {
    let (room, standing) = try_join!(ctx.store.room(id, ctx.now), ctx.store.standing(&caller.user, id, ctx.now))?;
    let mut room = room.ok_or(Error::RoomNotFound)?;
    if room.status == RoomStatus::Closed {
        return Err(Error::RoomClosed);
    }
    match standing.within(&room) {
        Membership::Member(member) => return renamed(ctx, caller, room, member).await,
        Membership::Banned { .. } => return Err(Error::Banned),
        Membership::Stranger | Membership::Former => {}
    }
    // The creator of a private room needs no invite.
    let is_private = room.room_type == RoomType::Private && room.creator != caller.user;
    let pending = match invite {
        None if is_private => Some(ctx.store.pending(&caller.user, id, ctx.now).await?.ok_or(Error::InviteRequired)?),
        _ => None,
    };
    let pass = match (invite, &pending) {
        (_, Some(pending)) => Pass::Invitation(pending),
        (Some(invite), None) if is_private => {
            invites::require_valid(ctx, &room, invite).await?;
            Pass::Invite(invite)
        }
        _ => Pass::Open,
    };
    require_capacity(ctx, &caller.user).await?;
    let role = if room.creator == caller.user { Role::Owner } else { Role::Member };
    let member = Member::new(caller.user.clone(), caller.display_name(), id.clone(), role, ctx.now);
    match ctx.store.admit(member, &room, pass, ctx.now).await? {
        Admission::Joined(member) => {
            // Others may have joined and left since the room was read; there never are more than it has capacity for.
            room.participant_count = (room.participant_count + 1).min(room.max_participants.unwrap_or(u64::MAX));
            Ok(Entered { room, member, is_new: true })
        }
        Admission::AlreadyIn(member) => renamed(ctx, caller, room, member).await,
    }
}

/// A member who comes back: the name that they give now is the one that lists show.
async fn renamed(ctx: &Context, caller: &Caller, room: Room, mut member: Member) -> Result<Entered, Error> {
    if let Some(name) = caller.name.as_ref().filter(|name| **name != member.name) {
        ctx.store.rename_member(&member, name).await?;
        member.name = name.clone();
    }
    Ok(Entered { room, member, is_new: false })
}

/// What follows a join, once the caller's own connection hears the room: the user's other devices hear it too, and the
/// other members are told. Over HTTP all devices are others.
pub async fn settle(ctx: &Context, caller: &Caller, entered: &Entered) -> Result<(), Error> {
    let id = &entered.room.id;
    let subscribe = subscribe_others(ctx, caller, id, Some(&entered.member));
    let lost = subscribe_checked(ctx, &caller.user, slice::from_ref(&entered.member), subscribe).await?;
    if !lost.is_empty() {
        return Err(Error::NotAMember);
    }
    if entered.is_new || entered.member.is_unannounced {
        announce_joined(ctx, &entered.member, caller.display_name()).await?;
    } else if let Some(connection) = caller.connection.as_ref().filter(|connection| !connection.hears(id)) {
        let announced = ctx.delivery.announce_online(iter::once(id), connection, ctx.request()).await;
        ctx.delivered(announced);
    }
    Ok(())
}

/// As [`settle`], for a member whom another user has added.
pub async fn welcome(ctx: &Context, member: &Member) -> Result<(), Error> {
    let subscribe = subscribe_devices(ctx, member);
    let lost = subscribe_checked(ctx, &member.user, slice::from_ref(member), subscribe).await?;
    if lost.is_empty() { announce_joined(ctx, member, member.name.clone()).await } else { Ok(()) }
}

/// Tells a room that a user joined it.
async fn announce_joined(ctx: &Context, member: &Member, user_name: Name) -> Result<(), Error> {
    let (room_id, user_id) = (member.room.clone(), member.user.clone());
    let frame = Joined { room_id, user_id, user_name, copies: None };
    let frame = OutboundFrame::new(&frame.into(), ctx.others());
    ctx.delivered(ctx.delivery.announce(&Channel::of_room(&member.room), &frame, ctx.request()).await);
    ctx.store.note_announced(member).await
}

/// Lets connections of a user hear rooms: `subscribe` writes first, then the memberships are read. So a removal either
/// sees the new subscriptions, or is seen here, and then they are taken back; and a mute is on all of them. Returns the
/// rooms that were lost so. `members` are the memberships that the subscriptions are made from.
///
/// # Errors
/// That of `subscribe`, after the check: it may have subscribed some connections.
pub async fn subscribe_checked(
    ctx: &Context,
    user: &UserId,
    members: &[Member],
    subscribe: impl Future<Output = Result<(), Error>>,
) -> Result<BTreeSet<RoomId>, Error> {
    let subscribed = subscribe.await;
    let current: Vec<_> = match members {
        [] => Vec::new(),
        [member] => ctx.store.member(user, &member.room, ctx.now).await?.into_iter().collect(),
        _ => ctx.store.memberships(user, ctx.now).await?,
    };
    let current: BTreeMap<_, _> = current.into_iter().map(|member| (member.room.clone(), member)).collect();
    let mut lost = BTreeSet::new();
    for member in members {
        match current.get(&member.room) {
            None => {
                unsubscribe_user(ctx, user, &member.room).await?;
                lost.insert(member.room.clone());
            }
            Some(now) if now.muted_until != member.muted_until => mute_devices(ctx, now).await?,
            Some(_) => {}
        }
    }
    subscribed.map(|()| lost)
}

/// Mutes all of a member's devices in the room, or no longer, as the membership says.
pub async fn mute_devices(ctx: &Context, member: &Member) -> Result<(), Error> {
    let devices = devices(ctx, &member.user).await?;
    stream::iter(&devices)
        .map(|live| ctx.store.mute_subscription(&member.room, &live.connection_id, member.muted_until))
        .buffer_unordered(DEVICES_AT_ONCE)
        .try_collect()
        .await
}

/// Lets the caller's own connection hear a room, where there is one.
///
/// # Errors
/// `RECONNECT` for a connection that is gone.
pub async fn enter(ctx: &Context, caller: &Caller, room: &RoomId, member: Option<&Member>) -> Result<(), Error> {
    let Some(connection) = &caller.connection else { return Ok(()) };
    let connection = Connection { room_id: Some(room.clone()), ..connection.clone() };
    let row = connection.in_room(room, member, caller.display_name());
    if ctx.store.enter(&connection, row).await? { Ok(()) } else { Err(Error::Reconnect) }
}

/// Lets the caller's other devices hear a room. Those that were opened for another room do not, unless the caller has
/// no connection of its own to hear it on.
pub async fn subscribe_others(
    ctx: &Context,
    caller: &Caller,
    room: &RoomId,
    member: Option<&Member>,
) -> Result<(), Error> {
    let own = caller.connection.as_ref().map(|connection| &connection.connection_id);
    let devices = devices(ctx, &caller.user).await?;
    let others = devices.into_iter().filter(|live| match own {
        Some(own) => !live.pinned && live.connection_id != *own,
        None => true,
    });
    let rows = others.map(|live| live.in_room(room, member, caller.name.as_ref().unwrap_or(&live.name).clone()));
    subscribe(ctx, rows).await
}

/// Lets all of a member's devices hear a room, but for those that were opened for another one.
async fn subscribe_devices(ctx: &Context, member: &Member) -> Result<(), Error> {
    let devices = devices(ctx, &member.user).await?;
    let rows = devices.into_iter().filter(|live| !live.pinned);
    subscribe(ctx, rows.map(|live| live.in_room(&member.room, Some(member), live.name.clone()))).await
}

/// Lets all devices of several members hear a room.
pub async fn subscribe_all(ctx: &Context, members: &[Member]) -> Result<(), Error> {
    let subscribed = stream::iter(members).map(|member| async move { subscribe_devices(ctx, member).await });
    subscribed.buffer_unordered(DEVICES_AT_ONCE).try_collect().await
}

async fn devices(ctx: &Context, user: &UserId) -> Result<Vec<Subscription>, Error> {
    ctx.store.all_subscribers(&Channel::of_user(user), ctx.now).await
}

async fn subscribe(ctx: &Context, rows: impl Iterator<Item = Subscription>) -> Result<(), Error> {
    stream::iter(rows)
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

/// Ends the membership of a user who stands to a room as `known`, if there is one. Returns as [`depart`].
pub async fn end(
    ctx: &Context,
    known: Membership,
    user: &UserId,
    room: &Room,
    reason: LeaveReason,
) -> Result<bool, Error> {
    let has_ended = match known.member() {
        Some(member) => ctx.store.dismiss(&member, room, ctx.now).await?,
        None => false,
    };
    depart(ctx, user, &room.id, reason, has_ended).await
}

/// What follows the end of a membership: no device hears the room any more, and both sides are told. Called in any
/// case: an earlier request may have ended after the membership and before this. `has_ended`: this request ended it.
/// Returns whether the user left the room lately.
pub async fn depart(
    ctx: &Context,
    user: &UserId,
    room: &RoomId,
    reason: LeaveReason,
    has_ended: bool,
) -> Result<bool, Error> {
    let gone = ctx.store.gone_from(room).await?;
    let is_gone = gone.iter().any(|(other, _)| other == user);
    // A repeat tells again where the first request may have ended before this. Of who left by themselves, that is where
    // subscriptions are left; a moderator repeats nothing that was answered.
    let is_repeat = !has_ended && is_gone;
    if has_ended || (is_repeat && (reason != LeaveReason::Left || is_on(ctx, user, room).await?)) {
        let frame = Left { room_id: room.clone(), user_id: user.clone(), reason, copies: None }.into();
        let frame = OutboundFrame::new(&frame, ctx.others()).with_own(user, &frame);
        ctx.publish(&[Channel::of_user(user)], &frame).await;
        ctx.delivered(ctx.delivery.announce(&Channel::of_room(room), &frame, ctx.request()).await);
    }
    take_off(ctx, user, room).await?;
    let overdue = |at: Timestamp| ctx.now.millis_since(at) > LATE_SUBSCRIPTION_MS;
    for (other, at) in gone.iter().filter(|(other, at)| other != user && overdue(*at)).take(DEVICES_AT_ONCE) {
        take_off(ctx, other, room).await?;
        ctx.store.drop_gone(room, other, *at).await?;
    }
    Ok(is_gone)
}

/// Whether a device of a user is subscribed to a room, whatever that is worth.
async fn is_on(ctx: &Context, user: &UserId, room: &RoomId) -> Result<bool, Error> {
    let channel = Channel::of_room(room);
    let devices = devices(ctx, user).await?;
    let rows = devices.iter().map(|live| ctx.store.has_subscription(&channel, &live.connection_id));
    Ok(try_join_all(rows).await?.contains(&true))
}

/// Deletes the subscriptions of a user who is no longer in a room.
async fn take_off(ctx: &Context, user: &UserId, room: &RoomId) -> Result<(), Error> {
    unsubscribe_user(ctx, user, room).await?;
    // A join on another device in between may have lost its subscriptions to this.
    let Some(member) = ctx.store.member(user, room, ctx.now).await? else { return Ok(()) };
    subscribe_checked(ctx, user, slice::from_ref(&member), subscribe_devices(ctx, &member)).await.map(drop)
}
