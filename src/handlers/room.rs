//! Rooms: making, joining, leaving and describing them.

use std::collections::{BTreeMap, BTreeSet};
use std::slice;

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::try_join;

use super::seat;
use crate::app::App;
use crate::delivery::{Delivered, Except, Publication};
use crate::domain::{
    ConnectionId, Member, Name, Role, Room, RoomId, RoomStatus, RoomType, Seq, Tail, Timestamp, UserId,
};
use crate::error::Error;
use crate::event::Call;
use crate::store::{Admission, Channel, Connection, MAX_FOUNDERS, PARTICIPANTS_PAGE, Subscription};
use crate::wire::{CreateRoom, Frame, JoinRoom, LeaveRoom, Participant, Presence, RoomFrame, RoomInfo};

/// Devices that are subscribed or unsubscribed at once.
const DEVICES_AT_ONCE: usize = 16;
/// Most rooms that a user can be in: a list of them all must be read in one go.
const MOST_ROOMS: usize = 200;

/// A room that somebody has just become a member of, or was one of already.
pub struct Entered {
    room: Room,
    is_new: bool,
}

pub async fn create(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let CreateRoom { name, room_type, members, max_participants } = call.request()?;
    let mut me = seat::known(app, call).await?;

    let invited: BTreeSet<_> = members.into_iter().filter(|user| *user != me.user_id).collect();
    if invited.len() >= MAX_FOUNDERS {
        return Err(Error::InvalidField {
            field: "members",
            problem: "can name at most 98 users; the others can join",
        });
    }
    if max_participants.is_some_and(|most| most < invited.len() as u64 + 1) {
        return Err(Error::InvalidField {
            field: "maxParticipants",
            problem: "must leave room for you and the members",
        });
    }
    require_place(app, &me.user_id).await?;
    let id = RoomId::fresh();
    let room = Room {
        name,
        room_type,
        max_participants,
        participant_count: invited.len() as u64 + 1,
        ..new_room(id.clone(), me.user_id.clone(), call.at)
    };
    let founders: Vec<_> = [membership(&me.user_id, me.display_name(), &id, Role::Owner, call.at)]
        .into_iter()
        .chain(invited.iter().map(|user| membership(user, user.as_name(), &id, Role::Member, call.at)))
        .collect();
    app.store.create_room(&room, &founders).await?;

    call.trace.room = Some(id.clone());
    me.room_id = Some(id.clone());
    go_live(app, call, &me, &id).await?;
    subscribe_all(app, &invited, &id, call.at).await?;
    call.trace.delivered += tell_invited(app, call, &me, &invited, &id).await;
    describe(app, call, room, None).await
}

pub async fn join(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let JoinRoom { room: id, name, style } = call.request()?;
    let mut me = seat::known(app, call).await?;
    call.trace.room = Some(id.clone());

    if !me.name_verified {
        me.name = name.or(me.name);
    }
    me.user_icon = style.icon.or(me.user_icon);
    me.user_color = style.color.or(me.user_color);
    me.room_id = Some(id.clone());
    if id.is_lobby() {
        require_lobby(app)?;
        enter(app, &me, &id).await?;
        let room = app.store.room(&id).await?.unwrap_or_else(|| lobby(call.at));
        return describe(app, call, room, None).await;
    }
    if id.is_direct() {
        seat::direct_peer(app, &me.user_id, &id).await?;
        let room = app.store.room(&id).await?.ok_or(Error::RoomNotFound)?;
        return describe(app, call, room, None).await;
    }
    let entered = admit(app, &me, &id, call.at).await?;
    enter(app, &me, &id).await?;
    settle(app, call, &me, &entered).await?;
    describe(app, call, entered.room, None).await
}

pub async fn leave(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let LeaveRoom { room: id } = call.request()?;
    let me = seat::known(app, call).await?;
    call.trace.room = Some(id.clone());

    if id.is_lobby() {
        require_lobby(app)?;
        app.store.unsubscribe(&me.connection_id, &Channel::of_room(&id)).await?;
        return Ok(Frame::ack(call.route, Some(id)));
    }
    if id.is_direct() {
        seat::direct_peer(app, &me.user_id, &id).await?;
        return Err(Error::Forbidden("a direct conversation has no way out; it is you and the other one"));
    }
    if app.store.room(&id).await?.is_none() {
        return Err(Error::RoomNotFound);
    }
    // Unsubscribed in any case: an earlier try may have got no further than the membership.
    let was_member = app.store.dismiss(&me.user_id, &id).await?;
    unsubscribe_user(app, &me.user_id, &id, call.at).await?;
    // Whoever joined again meanwhile on another device may have lost its subscriptions to this.
    if app.store.member(&me.user_id, &id).await?.is_some() {
        subscribe_devices(app, &me.user_id, None, &id, None, call.at).await?;
        return Ok(Frame::ack(call.route, Some(id)));
    }
    if was_member {
        let frame = Frame::Left { room_id: id.clone(), user_id: me.user_id.clone(), reason: "left" };
        let except = Except::Connection(&me.connection_id);
        let delivered = app.delivery.announce(&Channel::of_room(&id), Publication::new(&frame, except), call.at).await;
        call.trace.delivered += delivered;
    }
    Ok(Frame::ack(call.route, Some(id)))
}

/// For members: it tells who is in the room.
pub async fn info(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let RoomInfo { room: id, cursor } = call.request()?;
    let me = seat::known(app, call).await?;
    call.trace.room = Some(id.clone());

    if id.is_lobby() {
        require_lobby(app)?;
        let room = app.store.room(&id).await?.unwrap_or_else(|| lobby(call.at));
        return describe(app, call, room, cursor).await;
    }
    if id.is_direct() {
        seat::direct_peer(app, &me.user_id, &id).await?;
    } else {
        seat::membership(app, &me.user_id, &id).await?;
    }
    let room = app.store.room(&id).await?.ok_or(Error::RoomNotFound)?;
    describe(app, call, room, cursor).await
}

/// The room that everybody is in. It has no creator and no members, only those who are there.
pub fn lobby(now: Timestamp) -> Room {
    new_room(RoomId::lobby(), UserId::system(), now)
}

/// # Errors
/// `ROOM_NOT_FOUND` where the lobby is switched off.
pub fn require_lobby(app: &App) -> Result<(), Error> {
    if app.config.lobby { Ok(()) } else { Err(Error::RoomNotFound) }
}

/// # Errors
/// `FORBIDDEN` for a user who is in as many rooms as one can be in.
async fn require_place(app: &App, user: &UserId) -> Result<(), Error> {
    if app.store.count_memberships(user).await? < MOST_ROOMS { Ok(()) } else { Err(Error::TooManyRooms) }
}

/// Public, lasting, without a limit.
fn new_room(id: RoomId, creator: UserId, now: Timestamp) -> Room {
    Room {
        id,
        name: None,
        room_type: RoomType::Public,
        status: RoomStatus::Active,
        creator,
        created_at: now,
        auto_close: false,
        max_participants: None,
        participant_count: 0,
        last_seq: Seq::ZERO,
    }
}

fn membership(user: &UserId, name: Name, room: &RoomId, role: Role, now: Timestamp) -> Member {
    Member { user: user.clone(), room: room.clone(), role, joined_at: now, name, peer: None, last_read: Seq::ZERO }
}

/// Makes the room that a connection was opened for, with its user as the owner.
pub async fn found(app: &App, me: &Connection, id: &RoomId, now: Timestamp) -> Result<Entered, Error> {
    let room = Room { participant_count: 1, ..new_room(id.clone(), me.user_id.clone(), now) };
    require_place(app, &me.user_id).await?;
    let owner = membership(&me.user_id, me.display_name(), id, Role::Owner, now);
    if app.store.create_room(&room, &[owner]).await? {
        return Ok(Entered { room, is_new: true });
    }
    // Somebody was faster.
    admit(app, me, id, now).await
}

/// Makes a connection's user a member of a room.
///
/// # Errors
/// `ROOM_NOT_FOUND`, `ROOM_CLOSED`, `INVITE_REQUIRED`, `ROOM_FULL`.
pub async fn admit(app: &App, me: &Connection, id: &RoomId, now: Timestamp) -> Result<Entered, Error> {
    let (room, member) = try_join!(app.store.room(id), app.store.member(&me.user_id, id))?;
    let mut room = room.ok_or(Error::RoomNotFound)?;
    if room.status == RoomStatus::Closed {
        return Err(Error::RoomClosed);
    }
    if member.is_some() {
        return Ok(Entered { room, is_new: false });
    }
    if room.room_type == RoomType::Private {
        return Err(Error::InviteRequired);
    }
    require_place(app, &me.user_id).await?;
    let member = membership(&me.user_id, me.display_name(), id, Role::Member, now);
    let is_new = app.store.admit(&member).await? == Admission::Joined;
    room.participant_count += u64::from(is_new);
    Ok(Entered { room, is_new })
}

/// What follows when a connection of a member hears a room: so do the user's other devices, and the others are told.
pub async fn settle(app: &App, call: &mut Call, me: &Connection, entered: &Entered) -> Result<(), Error> {
    let id = &entered.room.id;
    subscribe_devices(app, &me.user_id, me.name.as_ref(), id, Some(&me.connection_id), call.at).await?;
    // A membership that was ended meanwhile takes its subscriptions with it, these too.
    if app.store.member(&me.user_id, id).await?.is_none() {
        unsubscribe_user(app, &me.user_id, id, call.at).await?;
        return Err(Error::NotAMember);
    }
    if entered.is_new {
        tell_joined(app, call, id, &me.user_id, me.display_name()).await;
    } else if !me.channels.contains(Channel::of_room(id).as_str()) {
        call.trace.delivered += app.delivery.announce_presence(id, me, Presence::Online, call.at).await;
    }
    Ok(())
}

async fn go_live(app: &App, call: &Call, me: &Connection, room: &RoomId) -> Result<(), Error> {
    enter(app, me, room).await?;
    subscribe_devices(app, &me.user_id, me.name.as_ref(), room, Some(&me.connection_id), call.at).await
}

async fn enter(app: &App, me: &Connection, room: &RoomId) -> Result<(), Error> {
    let there = app.store.enter(me, me.on(Channel::of_room(room), me.display_name())).await?;
    if there { Ok(()) } else { Err(Error::Reconnect) }
}

/// Lets a user's devices hear a room, but for those that were opened for another one. Each keeps its name unless one
/// is given.
async fn subscribe_devices(
    app: &App,
    user: &UserId,
    name: Option<&Name>,
    room: &RoomId,
    except: Option<&ConnectionId>,
    now: Timestamp,
) -> Result<(), Error> {
    let devices = app.store.all_subscribers(&Channel::of_user(user), now).await?;
    let others = devices.iter().filter(|live| !live.pinned && Some(&live.connection_id) != except);
    stream::iter(others.map(|live| live.on(Channel::of_room(room), name.unwrap_or(&live.name).clone())))
        .map(|row| async move { app.store.subscribe(&row.connection_id, slice::from_ref(&row)).await })
        .buffer_unordered(DEVICES_AT_ONCE)
        .try_collect::<Vec<_>>()
        .await
        .map(drop)
}

async fn subscribe_all(app: &App, users: &BTreeSet<UserId>, room: &RoomId, now: Timestamp) -> Result<(), Error> {
    stream::iter(users)
        .map(|user| async move { subscribe_devices(app, user, None, room, None, now).await })
        .buffer_unordered(DEVICES_AT_ONCE)
        .try_collect::<Vec<_>>()
        .await
        .map(drop)
}

async fn unsubscribe_user(app: &App, user: &UserId, room: &RoomId, now: Timestamp) -> Result<(), Error> {
    let channel = Channel::of_room(room);
    let devices = app.store.all_subscribers(&Channel::of_user(user), now).await?;
    stream::iter(&devices)
        .map(|live| app.store.unsubscribe(&live.connection_id, &channel))
        .buffer_unordered(DEVICES_AT_ONCE)
        .try_collect::<Vec<_>>()
        .await
        .map(drop)
}

/// Tells each member that a room is made with that it is in it now. Of the others it hears by `roomInfo`: to tell all
/// of all would take the square of their number.
async fn tell_invited(app: &App, call: &Call, me: &Connection, invited: &BTreeSet<UserId>, room: &RoomId) -> Delivered {
    stream::iter(invited)
        .map(|user| async move {
            let frame = Frame::Joined { room_id: room.clone(), user_id: user.clone(), user_name: user.as_name() };
            let publication = Publication::new(&frame, Except::Connection(&me.connection_id));
            app.delivery.publish(&[Channel::of_user(user)], publication, call.at).await
        })
        .buffer_unordered(DEVICES_AT_ONCE)
        .fold(Delivered::default(), |mut all, one| async move {
            all += one;
            all
        })
        .await
}

async fn tell_joined(app: &App, call: &mut Call, room: &RoomId, user: &UserId, name: Name) {
    let Some(caller) = call.connection.clone() else { return };
    let frame = Frame::Joined { room_id: room.clone(), user_id: user.clone(), user_name: name };
    let delivered = app
        .delivery
        .announce(&Channel::of_room(room), Publication::new(&frame, Except::Connection(&caller)), call.at)
        .await;
    call.trace.delivered += delivered;
}

/// What a room is, how far its log has come, who is in it and who is there; from behind the participant `after`.
async fn describe(app: &App, call: &Call, room: Room, after: Option<UserId>) -> Result<Frame, Error> {
    let (tail, (members, more)) = try_join!(app.store.tail(&room.id), app.store.members(&room.id, after.as_ref()))?;
    let users: Vec<_> = members.iter().map(|member| &member.user).collect();
    let live = live_in(app, &room.id, &users, call.at).await?;

    let mut frame = frame_of(room, tail, live.len() as u64);
    let (participants, more) = if frame.room_id.is_lobby() {
        frame.participant_count = frame.online_count;
        let behind = live.into_values().filter(|live| after.as_ref().is_none_or(|after| live.user_id > *after));
        let mut visitors: Vec<_> = behind.map(visitor).collect();
        let more = visitors.len() > PARTICIPANTS_PAGE;
        visitors.truncate(PARTICIPANTS_PAGE);
        (visitors, more)
    } else {
        let participant = |member: Member| Participant {
            online: live.contains_key(&member.user),
            user_id: member.user,
            user_name: member.name,
            role: member.role,
            joined_at: member.joined_at,
        };
        (members.into_iter().map(participant).collect(), more)
    };
    Ok(Frame::Room(Box::new(frame.with_participants(participants, more))))
}

/// The users who hear a room just now, each with one of their connections. In a direct conversation these are `both`
/// that it belongs to, on whichever device.
pub async fn live_in(
    app: &App,
    room: &RoomId,
    both: &[&UserId],
    now: Timestamp,
) -> Result<BTreeMap<UserId, Subscription>, Error> {
    let channels: Vec<_> = if room.is_direct() {
        both.iter().map(|user| Channel::of_user(user)).collect()
    } else {
        vec![Channel::of_room(room)]
    };
    let live = try_join_all(channels.iter().map(|channel| app.store.all_subscribers(channel, now))).await?;
    Ok(live.into_iter().flatten().map(|live| (live.user_id.clone(), live)).collect())
}

/// A room without its participants.
pub fn frame_of(room: Room, tail: Option<Tail>, online_count: u64) -> RoomFrame {
    RoomFrame {
        last_activity: tail.map_or(room.created_at, |tail| tail.created_at),
        last_seq: tail.map_or(room.last_seq, |tail| tail.seq),
        room_id: room.id,
        room_name: room.name,
        room_type: room.room_type,
        status: room.status,
        creator: room.creator,
        created_at: room.created_at,
        auto_close: room.auto_close,
        max_participants: room.max_participants,
        participant_count: room.participant_count,
        online_count,
        participants: None,
        next_cursor: None,
    }
}

fn visitor(live: Subscription) -> Participant {
    Participant {
        user_id: live.user_id,
        user_name: live.name,
        role: Role::Member,
        joined_at: live.connected_at,
        online: true,
    }
}
