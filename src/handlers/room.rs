//! Rooms: making, joining, leaving, describing and closing them.

use std::collections::{BTreeMap, BTreeSet};
use std::slice;

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt};
use tokio::try_join;

use super::membership;
use super::moderation::{self, Rank};
use super::seat::{self, Caller};
use crate::app::App;
use crate::delivery::{Delivered, Except, Occasion, Publication};
use crate::domain::{CloseReason, Member, Role, Room, RoomId, RoomStatus, Tail, Timestamp, UserId};
use crate::error::{Error, chain};
use crate::event::Call;
use crate::metrics::Metric;
use crate::store::{Channel, MAX_FOUNDERS, PARTICIPANTS_PAGE, Subscription};
use crate::wire::{CreateRoom, Frame, InRoom, JoinRoom, LeaveReason, Participant, RoomFrame, RoomInfo};

/// Members of a new room that are told at once.
const MEMBERS_AT_ONCE: usize = 16;

pub async fn create(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let CreateRoom { name, room_type, members, max_participants } = call.request()?;
    let me = seat::caller(app, call).await?;

    let invited: BTreeSet<_> = members.into_iter().filter(|user| *user != me.user).collect();
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
    membership::require_place(app, &me.user).await?;
    let room = Room {
        name,
        room_type,
        max_participants,
        participant_count: invited.len() as u64 + 1,
        ..Room::new(RoomId::fresh(), me.user.clone(), call.at)
    };
    found(app, call, &me, &room, &invited).await?;
    call.trace.delivered += tell_invited(app, call, &invited, &room.id).await;
    describe(app, call, room, None).await
}

/// Makes a room with its first members, and lets their devices hear it.
pub async fn found(
    app: &App,
    call: &mut Call,
    me: &Caller,
    room: &Room,
    invited: &BTreeSet<UserId>,
) -> Result<(), Error> {
    let member = |user: &UserId, name, role| Member::new(user.clone(), name, room.id.clone(), role, call.at);
    let founders: Vec<_> = [member(&me.user, me.display_name(), Role::Owner)]
        .into_iter()
        .chain(invited.iter().map(|user| member(user, user.as_name(), Role::Member)))
        .collect();
    app.store.create_room(room, &founders).await?;
    call.trace.count(Metric::RoomsOpened, 1);

    call.trace.room = Some(room.id.clone());
    membership::enter(app, me, &room.id).await?;
    membership::subscribe_others(app, me, &room.id, call.at).await?;
    membership::subscribe_all(app, invited, &room.id, call.at).await
}

pub async fn join(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let JoinRoom { room: id, by, invite } = call.request()?;
    let mut me = seat::caller(app, call).await?;
    call.trace.room = Some(id.clone());

    me.introduce(by);
    if id.is_lobby() {
        require_lobby(app)?;
        membership::enter(app, &me, &id).await?;
        if me.connection.is_none() {
            membership::subscribe_others(app, &me, &id, call.at).await?;
        }
    } else if id.is_direct() {
        seat::direct_peer(app, &me.user, &id).await?;
    } else {
        let entered = membership::admit(app, &me, &id, invite.as_ref(), call.at).await?;
        membership::enter(app, &me, &id).await?;
        membership::settle(app, call, &me, &entered).await?;
        return describe(app, call, entered.room, None).await;
    }
    let room = existing(app, &id, call.at).await?;
    describe(app, call, room, None).await
}

pub async fn leave(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let InRoom { room: id } = call.request()?;
    let me = seat::caller(app, call).await?;
    call.trace.room = Some(id.clone());

    if id.is_lobby() {
        require_lobby(app)?;
        match &me.connection {
            Some(connection) => app.store.unsubscribe(&connection.connection_id, &Channel::of_room(&id)).await?,
            None => membership::unsubscribe_user(app, &me.user, &id, call.at).await?,
        }
    } else if id.is_direct() {
        seat::direct_peer(app, &me.user, &id).await?;
        return Err(Error::Forbidden("a direct conversation has no way out; it is you and the other one"));
    } else if app.store.room(&id).await?.is_none() {
        return Err(Error::RoomNotFound);
    } else {
        let was_member = app.store.dismiss(&me.user, &id).await?;
        membership::depart(app, call, &me.user, &id, LeaveReason::Left, was_member).await?;
    }
    Ok(Frame::ack(call.route, Some(id)))
}

/// For members: it tells who is in the room.
pub async fn info(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let RoomInfo { room: id, cursor } = call.request()?;
    let me = seat::caller(app, call).await?;
    call.trace.room = Some(id.clone());

    if id.is_lobby() {
        require_lobby(app)?;
    } else if id.is_direct() {
        seat::direct_peer(app, &me.user, &id).await?;
    } else {
        seat::membership(app, &me.user, &id).await?;
    }
    let room = existing(app, &id, call.at).await?;
    describe(app, call, room, cursor).await
}

/// Ends what can be said in a room, for ever, and tells those who are live in it.
pub async fn close(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let InRoom { room: id } = call.request()?;
    let me = seat::caller(app, call).await?;
    call.trace.room = Some(id.clone());

    let room = moderation::ruled_by(app, &me, &id, Rank::Admin).await?;
    let was_closed = room.status == RoomStatus::Closed;
    if !was_closed {
        app.store.close_room(&id, &me.user, call.at, call.deadline).await?;
        call.trace.count(Metric::RoomsClosed, 1);
    }
    // Also when it was closed before: whoever did that may not have come to the end. Those who were told then are not
    // live in it any more.
    let except = Except::caller(call.connection.as_ref());
    let delivered = wind_up(app, &id, CloseReason::Closed, Some(me.user), except, call.occasion()).await;
    call.trace.delivered += delivered;
    match call.connection {
        _ if was_closed => Err(Error::RoomClosed),
        Some(_) => Ok(Frame::ack(call.route, Some(id))),
        // Over HTTP a room is answered with the room, here as well.
        None => {
            let room = existing(app, &id, call.at).await?;
            describe(app, call, room, None).await
        }
    }
}

/// What follows when a room is closed: those who are live hear of it, and nothing after that.
pub async fn wind_up(
    app: &App,
    room: &RoomId,
    reason: CloseReason,
    closer: Option<UserId>,
    except: Except,
    occasion: Occasion<'_>,
) -> Delivered {
    let (frame, channel) =
        (Frame::RoomClosed { room_id: room.clone(), reason: reason.as_str(), user_id: closer }, Channel::of_room(room));
    let publication = Publication::new(&frame, except).last();
    let delivered = app.delivery.publish(slice::from_ref(&channel), &publication, occasion).await;
    let_go(app, room).await;
    delivered
}

/// Lets a closed room's members be members for as long as there is a history to read.
async fn let_go(app: &App, id: &RoomId) {
    let ended = async {
        match app.store.room(id).await?.and_then(|room| room.ends_at) {
            Some(ends_at) => app.store.end_members(id, ends_at).await,
            None => Ok(()),
        }
    };
    if let Err(error) = ended.await {
        // The room is closed all the same.
        tracing::warn!(room_id = %id, error = chain(&error), "a closed room was not let go");
    }
}

/// The room that everybody is in. It has no creator and no members, only those who are there.
pub fn lobby(now: Timestamp) -> Room {
    Room::new(RoomId::lobby(), UserId::system(), now)
}

/// # Errors
/// `ROOM_NOT_FOUND` where the lobby is switched off.
pub fn require_lobby(app: &App) -> Result<(), Error> {
    if app.config.lobby { Ok(()) } else { Err(Error::RoomNotFound) }
}

/// # Errors
/// `ROOM_NOT_FOUND`; never for the lobby, which is there from the start.
async fn existing(app: &App, id: &RoomId, now: Timestamp) -> Result<Room, Error> {
    match app.store.room(id).await? {
        None if id.is_lobby() => Ok(lobby(now)),
        room => room.ok_or(Error::RoomNotFound),
    }
}

/// Tells each member that a room is made with that it is in it now. Of the others it hears by `roomInfo`: to tell all
/// of all would take the square of their number.
async fn tell_invited(app: &App, call: &Call, invited: &BTreeSet<UserId>, room: &RoomId) -> Delivered {
    stream::iter(invited)
        .map(|user| async move {
            let frame =
                Frame::Joined { room_id: room.clone(), user_id: user.clone(), user_name: user.as_name(), copies: None };
            let publication = Publication::new(&frame, Except::caller(call.connection.as_ref()));
            app.delivery.publish(&[Channel::of_user(user)], &publication, call.occasion()).await
        })
        .buffer_unordered(MEMBERS_AT_ONCE)
        .fold(Delivered::default(), |mut all, one| async move {
            all += one;
            all
        })
        .await
}

/// What a room is, how far its log has come, who is in it and who is there; from behind the participant `after`.
pub async fn describe(app: &App, call: &Call, room: Room, after: Option<UserId>) -> Result<Frame, Error> {
    let (tail, (members, more)) = try_join!(app.store.tail(&room.id), app.store.members(&room.id, after.as_ref()))?;
    let users: Vec<_> = members.iter().map(|member| &member.user).collect();
    let live = live_in(app, &room.id, &users, call.at).await?;

    let mut frame = frame_of(room, tail, live.len() as u64);
    let (participants, more) = if frame.room_id.is_lobby() {
        frame.participant_count = live.len() as u64;
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
    let last_seq = tail.map_or(room.last_seq, |tail| tail.last_seq());
    let frame = RoomFrame { last_seq: Some(last_seq), online_count: Some(online_count), ..summary_of(room) };
    RoomFrame { last_activity: tail.map_or(frame.last_activity, |tail| tail.created_at), ..frame }
}

/// What a room's own row tells of it.
pub fn summary_of(room: Room) -> RoomFrame {
    let place = room.place.as_ref();
    RoomFrame {
        location: place.map(|place| place.location),
        road_name: place.and_then(|place| place.road_name.clone()),
        radius: place.map(|place| place.radius),
        last_activity: room.last_activity,
        room_id: room.id,
        room_name: room.name,
        room_type: room.room_type,
        status: room.status,
        creator: room.creator,
        created_at: room.created_at,
        auto_close: room.auto_close,
        max_participants: room.max_participants,
        participant_count: room.participant_count,
        last_seq: None,
        online_count: None,
        participants: None,
        next_cursor: None,
        copies: None,
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
