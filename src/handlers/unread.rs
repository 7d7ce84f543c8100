//! What a user has not read, in all conversations; and what they want to be told of.

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::inbox::MAX_UNREAD;
use crate::access::{self, Caller, Sender};
use crate::context::Context;
use crate::delivery::OutboundFrame;
use crate::domain::{Member, Notify, RoomId, Seq};
use crate::error::Error;
use crate::store::{Channel, ReadBudget, RoomEnds};
use crate::wire::frames::{self, Ack, DirectRequest, Read, UnreadRoom, Unreads};
use crate::wire::requests::{ListUnreads, MarkUnread, SetNotify};
use crate::wire::{ENVELOPE_BYTES, fitting, size_of};

/// Read units for one answer: as many as 200 rooms without news take, and no more than that.
const READ_UNITS: f64 = 230.0;
/// Rows of a page of conversations.
const CONVERSATIONS: usize = 250;
/// Rooms that are read at first: they show what others may cost.
const FIRST_ROOMS: usize = 8;
/// Rooms that are read at once.
const ROOMS_AT_ONCE: usize = 64;
/// Most requests of strangers in one answer.
const MAX_REQUESTS: i32 = 20;

/// A page of all open conversations of the caller, in the order of their ids, with what is unread in each: counted from
/// the logs.
pub async fn list(ctx: &Context, caller: Caller, request: ListUnreads) -> Result<Unreads, Error> {
    let first_page = request.cursor.is_none();
    let after = request.cursor.as_ref();
    let (members, more, units) = ctx.store.conversations(&caller.user, after, CONVERSATIONS, ctx.now).await?;
    let requests = if first_page { requests_of(ctx, &caller).await? } else { Vec::new() };
    let last_of_page = members.last().map(|member| member.room.clone()).filter(|_| more);
    let (mut rooms, next) = read_rooms(ctx, members, &ReadBudget::new(READ_UNITS - units)).await?;
    let lost = access::lost_rooms(ctx, &caller.user, rooms.iter().map(|room| &room.room_id)).await?;
    rooms.retain(|room| !lost.contains(&room.room_id));

    let kept = fitting(rooms.iter(), ENVELOPE_BYTES + size_of(&requests));
    let is_cut = kept < rooms.len();
    rooms.truncate(kept);
    let next_cursor = if is_cut { rooms.last().map(|room| room.room_id.clone()) } else { next.or(last_of_page) };
    Ok(Unreads {
        total: rooms.iter().map(|room| room.unread).sum(),
        total_mentions: rooms.iter().map(|room| room.mentions).sum(),
        rooms,
        requests,
        next_cursor,
    })
}

async fn requests_of(ctx: &Context, caller: &Caller) -> Result<Vec<DirectRequest>, Error> {
    let requests = ctx.store.requests(&caller.user, MAX_REQUESTS, ctx.now).await?;
    Ok(requests.into_iter().map(DirectRequest::from).collect())
}

/// Reads rooms as long as the budget lasts; and the last one that was read, if there are others: at first a few, then
/// as many as the rest allows if they cost as much.
async fn read_rooms(
    ctx: &Context,
    members: Vec<Member>,
    budget: &ReadBudget,
) -> Result<(Vec<UnreadRoom>, Option<RoomId>), Error> {
    let all = members.len();
    let (mut rooms, mut last, mut read) = (Vec::with_capacity(all), None, 0);
    let (mut rest, mut count, before) = (members.into_iter(), FIRST_ROOMS, budget.left());
    while count > 0 && rest.len() > 0 {
        let some: Vec<_> = rest.by_ref().take(count).collect();
        read += some.len();
        last = some.last().map(|member| member.room.clone());
        let some: Vec<_> = stream::iter(some)
            .map(|member| unread_room(ctx, member, budget))
            .buffered(ROOMS_AT_ONCE)
            .try_collect()
            .await?;
        rooms.extend(some.into_iter().flatten());
        let average = ((before - budget.left()) / read as f64).max(0.5);
        count = ((budget.left() / average).max(0.0) as usize).min(ROOMS_AT_ONCE);
    }
    Ok((rooms, last.filter(|_| rest.len() > 0)))
}

/// `None` for a conversation that is closed, or that is hidden until the next message.
async fn unread_room(ctx: &Context, member: Member, budget: &ReadBudget) -> Result<Option<UnreadRoom>, Error> {
    let RoomEnds { tail, newest, rev, units } = ctx.store.ends(&member.room, ctx.now).await?;
    budget.spend(units);
    let is_closed = member.is_over || tail.as_ref().is_some_and(|tail| tail.closes_room(ctx.now));
    let last_seq = tail.as_ref().map_or(Seq::ZERO, |tail| tail.last_seq());
    if is_closed || (member.room.is_direct() && last_seq <= member.hidden_at) {
        return Ok(None);
    }
    let log = (&member.room, &member.user);
    let (unread, is_exact) = if last_seq > member.last_read {
        ctx.store.count_of_others(log, member.last_read, MAX_UNREAD, budget, ctx.now).await?
    } else {
        (0, true)
    };
    let mentions = if unread > 0 || !is_exact {
        ctx.store.count_mentions(log, member.last_read, MAX_UNREAD, budget).await?
    } else {
        0
    };
    let room_mention = tail.as_ref().map_or(Seq::ZERO, |tail| tail.room_mention());
    let room_mention = room_mention > member.last_read && mentions_room(ctx, &member, room_mention).await?;
    let newest = newest.filter(|_| unread > 0);
    let muted_until = member.notify.muted_until.filter(|end| *end > ctx.now);
    Ok(Some(UnreadRoom {
        room_id: member.room,
        last_seq,
        rev,
        last_read_seq: member.last_read,
        read_version: member.read_version,
        unread: unread.min(MAX_UNREAD),
        unread_more: unread > MAX_UNREAD || !is_exact,
        mentions: mentions.min(MAX_UNREAD),
        room_mention,
        notify: member.notify.level,
        muted_until: muted_until.map(Into::into),
        last_at: newest.as_ref().map(|entry| entry.created_at.into()),
        last_by: newest.map(|entry| entry.event.into_body().user_id),
    }))
}

/// Whether a message that mentioned the whole room still stands, and is of somebody else.
async fn mentions_room(ctx: &Context, member: &Member, seq: Seq) -> Result<bool, Error> {
    let entry = ctx.store.entry(&member.room, seq, ctx.now).await?;
    Ok(entry.is_some_and(|entry| entry.changes.deleted.is_none() && entry.event.body().user_id != member.user))
}

/// Sets the caller's read mark back to before a message. The other members are not told.
pub async fn mark(ctx: &Context, sender: Sender, request: MarkUnread) -> Result<Read, Error> {
    let member = ctx.store.member(&sender.user, &sender.room, ctx.now).await?.ok_or(Error::NotAMember)?;
    if request.seq == Seq::ZERO || !ctx.store.mark_unread(&member, request.seq).await? {
        return Err(Error::MessageNotFound);
    }
    let member = ctx.store.member(&sender.user, &sender.room, ctx.now).await?.ok_or(Error::NotAMember)?;
    let frame = frames::Read::own(&member, ctx.now);
    let own = OutboundFrame::new(&frame.clone().into(), ctx.others());
    ctx.publish(&[Channel::of_user(&sender.user)], &own).await;
    Ok(frame)
}

/// Notes which messages of a conversation the caller wants to be told of, and tells their other devices.
pub async fn set_notify(ctx: &Context, sender: Sender, request: SetNotify) -> Result<Ack, Error> {
    let SetNotify { room_id, level, muted_until } = request;
    let notify = Notify { level, muted_until: muted_until.map(|until| until.0) };
    if !ctx.store.set_notify(&sender.user, &sender.room, &notify).await? {
        return Err(Error::NotAMember);
    }
    let frame = frames::NotifyChanged { room_id, level, muted_until: notify.muted_until.map(Into::into) };
    let own = OutboundFrame::new(&frame.into(), ctx.others());
    ctx.publish(&[Channel::of_user(&sender.user)], &own).await;
    Ok(Ack::of(ctx.route, sender.room))
}
