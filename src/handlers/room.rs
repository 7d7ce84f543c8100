//! Rooms: creating, joining, leaving and describing them.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt};
use tokio::try_join;

use super::additions::{self, Inviter};
use super::{direct, membership, review};
use crate::access::{self, Caller, Visitor};
use crate::context::Context;
use crate::delivery::{Delivered, OutboundFrame};
use crate::domain::{self, Member, Role, RoomId, Timestamp, UserId};
use crate::error::Error;
use crate::metrics::Metric;
use crate::store::{Channel, MAX_FOUNDERS, PARTICIPANTS_PAGE, Subscription, Tail};
use crate::wire::frames::{Ack, Joined, LeaveReason, Participant, Room};
use crate::wire::requests::{AboutRoom, CreateRoom, JoinRoom, RoomInfo};

/// Connections of a room that are read to tell who is online.
const MOST_LIVE: usize = 1_000;
/// Members of a new room that are told at once.
const MEMBERS_AT_ONCE: usize = 16;

/// Creates a room with its first members.
pub async fn create(ctx: &Context, caller: Caller, request: CreateRoom) -> Result<Room, Error> {
    let max_participants = request.max_participants.map(|capacity| capacity.0);
    let named: BTreeSet<_> = request.members.0.into_iter().filter(|user| *user != caller.user).collect();
    if named.len() >= MAX_FOUNDERS {
        return Err(Error::invalid("members", "can name at most 98 users; the others can join"));
    }
    let (added, invited) = additions::divide(ctx, &caller, named.into_iter().collect()).await?;
    let participant_count = added.len() as u64 + 1;
    if max_participants.is_some_and(|most| most < participant_count) {
        return Err(Error::invalid("maxParticipants", "must leave room for you and the members"));
    }
    membership::require_capacity(ctx, &caller.user).await?;
    let room = domain::Room {
        name: request.room_name,
        room_type: request.room_type.0,
        max_participants,
        participant_count,
        ..domain::Room::new(RoomId::fresh(), caller.user.clone(), ctx.now)
    };
    let members = create_with_members(ctx, &caller, &room, &added).await?;
    ctx.delivered(announce_members(ctx, &added, &room.id).await);
    let inviter = Inviter { user: caller.user, membership: Some(ctx.now) };
    additions::invite_all(ctx, &inviter, &room, invited).await?;
    describe(ctx, room, None, None, &members).await
}

/// Creates a room with its first members, and lets their devices hear it. Returns the members.
pub async fn create_with_members(
    ctx: &Context,
    caller: &Caller,
    room: &domain::Room,
    added: &[UserId],
) -> Result<Vec<Member>, Error> {
    let member = |user: &UserId, name, role| Member::new(user.clone(), name, room.id.clone(), role, ctx.now);
    let founders: Vec<_> = [member(&caller.user, caller.display_name(), Role::Owner)]
        .into_iter()
        .chain(added.iter().map(|user| Member { is_added: true, ..member(user, user.as_name(), Role::Member) }))
        .collect();
    ctx.store.create_room(room, &founders).await?;
    ctx.count(Metric::RoomsOpened, 1);

    ctx.note_room(&room.id);
    let owner = founders.first();
    membership::enter(ctx, caller, &room.id, owner).await?;
    membership::subscribe_others(ctx, caller, &room.id, owner).await?;
    membership::subscribe_all(ctx, &founders[1..]).await?;
    Ok(founders)
}

/// Makes the caller a member of a room, and lets their devices hear it.
pub async fn join(ctx: &Context, mut caller: Caller, request: JoinRoom) -> Result<Room, Error> {
    let JoinRoom { room_id: id, invite, introduction } = request;
    ctx.note_room(&id);
    caller.introduce(&introduction);
    if id.is_lobby() {
        access::require_lobby(ctx)?;
        membership::enter(ctx, &caller, &id, None).await?;
        if caller.connection.is_none() {
            membership::subscribe_others(ctx, &caller, &id, None).await?;
        }
    } else if id.is_direct() {
        let peer = access::direct_peer(ctx, &caller.user, &id).await?;
        return describe_direct(ctx, &id, &caller.user, &peer).await;
    } else {
        review::caller_name(ctx, &mut caller, &id).await?;
        let entered = membership::admit(ctx, &caller, &id, invite.as_ref()).await?;
        membership::enter(ctx, &caller, &id, Some(&entered.member)).await?;
        membership::settle(ctx, &caller, &entered).await?;
        let viewer = entered.member.user.clone();
        return describe(ctx, entered.room, Some(&viewer), None, &[entered.member]).await;
    }
    describe(ctx, existing(ctx, &id).await?, Some(&caller.user), None, &[]).await
}

/// Ends the caller's own membership; takes a direct conversation off the caller's list.
pub async fn leave(ctx: &Context, caller: Caller, request: AboutRoom) -> Result<Ack, Error> {
    let id = request.room_id;
    ctx.note_room(&id);
    if id.is_lobby() {
        access::require_lobby(ctx)?;
        match &caller.connection {
            Some(connection) => ctx.store.unsubscribe(&connection.connection_id, &Channel::of_room(&id)).await?,
            None => membership::unsubscribe_user(ctx, &caller.user, &id).await?,
        }
    } else if id.is_direct() {
        access::direct_peer(ctx, &caller.user, &id).await?;
        direct::hide(ctx, &caller.user, &id).await?;
    } else {
        let (room, known) = try_join!(ctx.store.room(&id, ctx.now), ctx.store.membership(&caller.user, &id, ctx.now))?;
        let room = room.ok_or(Error::RoomNotFound)?;
        membership::end(ctx, known.within(&room), &caller.user, &room, LeaveReason::Left).await?;
    }
    Ok(Ack::of(ctx.route, id))
}

/// What a room is, and a page of its participants.
pub async fn info(ctx: &Context, visitor: Visitor, request: RoomInfo) -> Result<Room, Error> {
    match visitor.peer {
        Some(peer) => describe_direct(ctx, &request.room_id, &visitor.user, &peer).await,
        None => {
            let room = existing(ctx, &request.room_id).await?;
            describe(ctx, room, Some(&visitor.user), request.cursor, &[]).await
        }
    }
}

/// A direct conversation as `user` sees it.
async fn describe_direct(ctx: &Context, id: &RoomId, user: &UserId, peer: &UserId) -> Result<Room, Error> {
    let room = describe(ctx, existing(ctx, id).await?, None, None, &[]).await?;
    Ok(if shows_presence(ctx, user, peer).await? { room } else { room.without_presence() })
}

/// Whether the users of a direct conversation see who of them is online: once both have agreed to it.
pub async fn shows_presence(ctx: &Context, user: &UserId, peer: &UserId) -> Result<bool, Error> {
    let consent = ctx.store.consent(user, peer).await?;
    Ok(!consent.is_blocked && consent.by_me && consent.by_peer)
}

/// The room that everybody is in. It has no creator and no members, only those who are live.
pub fn lobby(now: Timestamp) -> domain::Room {
    domain::Room::new(RoomId::lobby(), UserId::system(), now)
}

/// # Errors
/// `ROOM_NOT_FOUND`; never for the lobby, which exists from the start.
pub async fn existing(ctx: &Context, id: &RoomId) -> Result<domain::Room, Error> {
    match ctx.store.room(id, ctx.now).await? {
        None if id.is_lobby() => Ok(lobby(ctx.now)),
        room => room.ok_or(Error::RoomNotFound),
    }
}

/// Tells each first member of a room that they are in it. They learn of each other by `roomInfo`: telling all of all
/// would cost the square of their number.
async fn announce_members(ctx: &Context, added: &[UserId], room: &RoomId) -> Delivered {
    let announced = stream::iter(added)
        .map(|user| async move {
            let frame =
                Joined { room_id: room.clone(), user_id: user.clone(), user_name: user.as_name(), copies: None };
            let frame = OutboundFrame::new(&frame.into(), ctx.others());
            ctx.delivery.publish(&[Channel::of_user(user)], &frame, ctx.request()).await
        })
        .buffer_unordered(MEMBERS_AT_ONCE);
    Delivered::total(announced).await
}

/// What a room is, where its log ends, who is in it and who is online; participants from behind `after`. The index of
/// members may lag behind what this request wrote: `known` members are as given, and are added where they are missing.
/// A `viewer` does not learn whether users who have blocked them are online.
pub async fn describe(
    ctx: &Context,
    room: domain::Room,
    viewer: Option<&UserId>,
    after: Option<UserId>,
    known: &[Member],
) -> Result<Room, Error> {
    let (tail, (members, mut more)) = try_join!(ctx.store.tail(&room.id), ctx.store.members(&room.id, after.as_ref()))?;
    let end = if more { members.last().map(|last| last.user.clone()) } else { None };
    let mut members: BTreeMap<_, _> = members.into_iter().map(|member| (member.user.clone(), member)).collect();
    let is_on_page = |user: &UserId| end.as_ref().is_none_or(|end| user <= end);
    members
        .extend(known.iter().filter(|known| is_on_page(&known.user)).map(|known| (known.user.clone(), known.clone())));
    more |= members.len() > PARTICIPANTS_PAGE;
    let members: Vec<_> = members.into_values().take(PARTICIPANTS_PAGE).collect();
    let users: Vec<_> = members.iter().map(|member| &member.user).collect();
    let (live, hidden) = try_join!(live_in(ctx, &room.id, &users, MOST_LIVE), hidden_from(ctx, viewer))?;
    let live = live.without(&hidden);

    let mut frame = frame_of(room, tail.as_ref(), &live);
    let live = live.users;
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
            joined_at: member.joined_at.into(),
        };
        (members.into_iter().map(participant).collect(), more)
    };
    Ok(frame.with_participants(participants, more))
}

/// Of whom a viewer does not learn whether they are online.
async fn hidden_from(ctx: &Context, viewer: Option<&UserId>) -> Result<BTreeSet<UserId>, Error> {
    match viewer {
        Some(viewer) => ctx.store.hiding_from(viewer).await,
        None => Ok(BTreeSet::new()),
    }
}

/// The users who hear a room just now.
pub struct Live {
    users: BTreeMap<UserId, Subscription>,
    /// Further ones that are known to.
    others: u64,
    /// Whether there may be more: only the first connections are read.
    more: bool,
}

impl Live {
    /// As it is told to a user who does not learn whether the `hidden` ones are online.
    pub fn without(mut self, hidden: &BTreeSet<UserId>) -> Self {
        self.users.retain(|user, _| !hidden.contains(user));
        self
    }
}

/// Who hears a room just now, as far as the first `most` or so connections tell. A direct conversation is heard by
/// `both` users on any device.
pub async fn live_in(ctx: &Context, room: &RoomId, both: &[&UserId], most: usize) -> Result<Live, Error> {
    let channels: Vec<_> = if room.is_direct() {
        both.iter().map(|user| Channel::of_user(user)).collect()
    } else {
        vec![Channel::of_room(room)]
    };
    let live = try_join_all(channels.iter().map(|channel| ctx.store.first_subscribers(channel, most, ctx.now))).await?;
    let more = live.iter().any(|live| live.len() >= most);
    let users = live.into_iter().flatten().map(|live| (live.user_id.clone(), live)).collect();
    Ok(Live { users, others: 0, more })
}

/// Who of a direct conversation is live: the user who asks, and the other one, unless that is not to be known.
pub async fn direct_live(ctx: &Context, user: &UserId, peer: &UserId) -> Result<Live, Error> {
    let (room, peers) = (RoomId::direct(user, peer), [peer]);
    let (is_seen, live) = try_join!(ctx.store.sees(user, peer), live_in(ctx, &room, &peers, 1))?;
    let users = if is_seen { live.users } else { BTreeMap::new() };
    Ok(Live { others: u64::from(is_seen && user != peer), users, more: false })
}

/// A room without its participants.
pub fn frame_of(room: domain::Room, tail: Option<&Tail>, live: &Live) -> Room {
    let last_seq = Some(tail.map_or(room.last_seq, Tail::last_seq));
    let online_count = Some(live.users.len() as u64 + live.others);
    let frame = Room { last_seq, online_count, online_more: live.more, ..summary_of(room) };
    Room { last_activity: tail.map_or(frame.last_activity, |tail| tail.created_at), ..frame }
}

/// What a room's own row tells of it.
pub fn summary_of(room: domain::Room) -> Room {
    let place = room.place.as_ref();
    Room {
        location: place.map(|place| place.location),
        road_name: place.and_then(|place| place.road_name.clone()),
        radius: place.map(|place| place.radius),
        last_activity: room.last_activity,
        room_id: room.id,
        room_name: room.name,
        room_type: room.room_type,
        status: room.status,
        creator: room.creator,
        created_at: room.created_at.into(),
        auto_close: room.auto_close,
        max_participants: room.max_participants,
        mode: Some(room.mode).filter(|mode| !mode.is_empty()),
        participant_count: room.participant_count,
        epoch: room.epoch,
        last_seq: None,
        online_count: None,
        online_more: false,
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
        joined_at: live.connected_at.into(),
        online: true,
    }
}
