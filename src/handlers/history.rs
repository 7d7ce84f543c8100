//! Reading history, and catching up after a disconnect.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::try_join;

use super::membership;
use crate::access::{self, Sender};
use crate::context::Context;
use crate::domain::{Entry, Epoch, Member, Name, Page, RoomId, Seq};
use crate::error::Error;
use crate::store::{Connection, Tail};
use crate::wire::frames::{Item, Message, Messages, Missed, Refusal, Resumed, ResumedRoom};
use crate::wire::requests::{GetMessages, Resume};
use crate::wire::types::SeenUpTo;
use crate::wire::{ENVELOPE_BYTES, LARGEST_FRAME_BYTES, fitting, size_of};

/// Rooms that are read at once.
const ROOMS_AT_ONCE: usize = 16;
/// Most messages that are read for one room; a frame usually holds fewer.
const MAX_MISSED: usize = 100;

/// A page of a conversation, oldest first. It is cut at the far end of reading where it would outgrow a frame.
pub async fn page(ctx: &Context, sender: Sender, request: GetMessages) -> Result<Messages, Error> {
    let page = request.page();
    let (entries, mut has_more) = ctx.store.entries(&sender.room, page, request.limit.0, ctx.now).await?;
    access::confirm_member(ctx, &sender.user, &sender.room).await?;
    let epoch = match entries.last() {
        Some(entry) => entry.epoch.clone(),
        None => epoch_of(ctx, &sender.room).await?,
    };

    let seqs: Vec<_> = entries.iter().map(|entry| entry.seq).collect();
    let mut items: Vec<_> =
        entries.into_iter().map(|entry| Item::Message(Message::seen_by(&sender.user, entry))).collect();
    let forward = matches!(page, Page::After(_));
    let kept =
        if forward { fitting(items.iter(), ENVELOPE_BYTES) } else { fitting(items.iter().rev(), ENVELOPE_BYTES) };
    let cut = items.len() - kept;
    has_more |= cut > 0;
    let edge = if forward {
        items.truncate(kept);
        kept.checked_sub(1)
    } else {
        items.drain(..cut);
        Some(cut)
    };
    let next = edge.and_then(|at| seqs.get(at).copied()).filter(|_| has_more);
    Ok(Messages {
        room_id: sender.room,
        epoch,
        has_more,
        next_before: next.filter(|_| !forward),
        next_after: next.filter(|_| forward),
        items,
    })
}

/// The epoch of a room whose entries do not tell it.
async fn epoch_of(ctx: &Context, room: &RoomId) -> Result<Epoch, Error> {
    Ok(ctx.store.room(room, ctx.now).await?.map(|room| room.epoch).unwrap_or_default())
}

/// Lets the connection hear rooms again, and answers what it missed after the positions it has seen. It is subscribed
/// first, then the log is read: so a message is in the answer, or delivered, or both.
pub async fn resume(ctx: &Context, me: Connection, request: Resume) -> Result<Resumed, Error> {
    let positions = request.rooms.0;
    let mut refused = hear_again(ctx, &me, positions.keys()).await?;
    let me = &me;
    let mut missed: Vec<MissedRoom> = stream::iter(positions)
        .filter(|(id, _)| future::ready(!refused.contains_key(id)))
        .map(|(id, after)| MissedRoom::read(ctx, me, id, after))
        .buffer_unordered(ROOMS_AT_ONCE)
        .try_collect()
        .await?;
    for lost in lost_meanwhile(ctx, me, &missed).await? {
        missed.retain(|missed| missed.room != lost);
        refused.insert(lost, Error::NotAMember);
    }
    let mut rooms = share_frame(missed);
    rooms.extend(refused.iter().map(|(id, error)| (id.clone(), ResumedRoom::Refused { error: Refusal::from(error) })));
    Ok(Resumed { rooms })
}

/// The rooms that the user may no longer read: read again if what is known of the memberships may be out of date.
async fn lost_meanwhile(ctx: &Context, me: &Connection, missed: &[MissedRoom]) -> Result<Vec<RoomId>, Error> {
    if !ctx.timing().is_late() {
        return Ok(Vec::new());
    }
    let members = ctx.store.memberships(&me.user_id, ctx.now).await?;
    let current: BTreeSet<_> = members.into_iter().map(|member| member.room).collect();
    let rooms = missed.iter().map(|missed| &missed.room).filter(|id| !id.is_lobby());
    Ok(rooms.filter(|id| !current.contains(id)).cloned().collect())
}

/// Subscribes a connection to those of `rooms` that it may hear, and returns why it may not hear the others.
async fn hear_again(
    ctx: &Context,
    me: &Connection,
    rooms: impl Iterator<Item = &RoomId>,
) -> Result<BTreeMap<RoomId, Error>, Error> {
    let mut refused = BTreeMap::new();
    let (mut rows, mut heard) = (Vec::new(), Vec::new());
    let memberships = ctx.store.memberships(&me.user_id, ctx.now).await?;
    let members: BTreeMap<_, _> = memberships.into_iter().map(|member| (member.room.clone(), member)).collect();
    for id in rooms {
        match name_in(ctx, me, &members, id).await {
            // Direct conversations are heard as the user.
            Ok(_) if id.is_direct() => {}
            Ok((name, member)) => {
                rows.push(me.in_room(id, member.as_ref(), me.name.clone().unwrap_or(name)));
                heard.extend(member);
            }
            Err(error) if error.status() >= 500 => return Err(error),
            Err(error) => {
                refused.insert(id.clone(), error);
            }
        }
    }
    if rows.is_empty() {
        return Ok(refused);
    }
    let subscribe =
        async { if ctx.store.subscribe(&me.connection_id, &rows).await? { Ok(()) } else { Err(Error::Reconnect) } };
    let lost = membership::subscribe_checked(ctx, &me.user_id, &heard, subscribe).await?;
    for id in heard.iter().map(|member| &member.room).filter(|id| !lost.contains(id)) {
        if !me.hears(id) {
            ctx.delivered(ctx.delivery.announce_online(id, me, ctx.request()).await);
        }
    }
    refused.extend(lost.into_iter().map(|id| (id, Error::NotAMember)));
    Ok(refused)
}

/// The display name of a connection's user in a room that it may hear, and the membership there.
async fn name_in(
    ctx: &Context,
    me: &Connection,
    members: &BTreeMap<RoomId, Member>,
    id: &RoomId,
) -> Result<(Name, Option<Member>), Error> {
    let of_member = |member: Member| (member.name.clone(), Some(member));
    match members.get(id) {
        _ if id.is_lobby() => access::require_lobby(ctx).map(|()| (me.display_name(), None)),
        Some(member) => Ok(of_member(member.clone())),
        None if id.is_direct() => Err(Error::NotAMember),
        None => access::membership(ctx, &me.user_id, id).await.map(of_member),
    }
}

/// What was missed in a room after a position.
struct MissedRoom {
    room: RoomId,
    after: Seq,
    items: Vec<(Seq, Item)>,
    /// Whether there is more than that.
    more: bool,
    last_seq: Seq,
    epoch: Epoch,
    /// The oldest position left, where some of what was missed has expired.
    oldest: Option<Seq>,
    /// Whether the room is closed.
    closed: bool,
}

impl MissedRoom {
    async fn read(ctx: &Context, me: &Connection, room: RoomId, seen: SeenUpTo) -> Result<Self, Error> {
        let after = seen.seq;
        let read = |after| ctx.store.entries(&room, Page::After(after), MAX_MISSED, ctx.now);
        let ((mut entries, mut more), tail) = try_join!(read(after), ctx.store.tail(&room))?;
        // What was written between the two reads exists, and has not expired.
        if entries.is_empty() && tail.as_ref().is_some_and(|tail| tail.seq > after) {
            (entries, more) = read(after).await?;
        }
        // The next one to be written: one more than the last, but for a log whose end has expired.
        let next = match &tail {
            Some(tail) if tail.closes_room(ctx.now) || (entries.is_empty() && after >= tail.seq) => {
                tail.last_seq().next()
            }
            tail => match ctx.store.next_seq(&room, tail.as_ref(), ctx.now).await {
                // Nobody has ever written to the lobby.
                Err(Error::RoomNotFound) => Seq::ZERO.next(),
                next => next?,
            },
        };
        // A position that this log has not reached is one of another log: the client begins again with what there is.
        let epoch = match tail.as_ref().filter(|tail| !tail.is_expired(ctx.now)) {
            Some(tail) => tail.epoch.clone(),
            None => epoch_of(ctx, &room).await?,
        };
        let is_above = after > tail.as_ref().map_or(next.previous(), |tail| tail.seq);
        let is_foreign = is_above || seen.epoch.is_some_and(|seen| seen != epoch);
        if is_foreign {
            (entries, more) = read(Seq::ZERO).await?;
        }
        let first = entries.first().map_or(next, |entry| entry.seq);
        let last_seq = tail.as_ref().map_or(next.previous(), Tail::last_seq);
        // What was written after the entries were read is not in them: then a client that goes on from `lastSeq` would
        // miss it.
        let last_seq = entries.last().filter(|_| !more).map_or(last_seq, |entry| entry.seq);
        let item = |entry: Entry| (entry.seq, Item::Message(Message::seen_by(&me.user_id, entry)));
        Ok(Self {
            oldest: (is_foreign || after.next() < first).then_some(first),
            last_seq,
            epoch,
            closed: tail.is_some_and(|tail| tail.closes_room(ctx.now)),
            items: entries.into_iter().map(item).collect(),
            room,
            after: if is_foreign { Seq::ZERO } else { after },
            more,
        })
    }

    /// The answer with the first `taken` of the items.
    fn into_answer(mut self, taken: usize) -> (RoomId, ResumedRoom) {
        let complete = taken == self.items.len() && !self.more;
        self.items.truncate(taken);
        let next_after = self.items.last().map_or(self.after, |(seq, _)| *seq);
        let missed = Missed {
            items: self.items.into_iter().map(|(_, item)| item).collect(),
            complete,
            next_after: (!complete).then_some(next_after),
            last_seq: self.last_seq,
            epoch: self.epoch,
            reset: self.oldest.is_some(),
            oldest_seq: self.oldest,
            closed: self.closed,
        };
        (self.room, ResumedRoom::Missed(missed))
    }
}

/// As much as fits a frame, in turns: the first item of each room, then the second of each, and so on.
fn share_frame(missed: Vec<MissedRoom>) -> BTreeMap<RoomId, ResumedRoom> {
    // What a room takes without its items: its id, and the numbers.
    const ROOM_BYTES: usize = 192;
    let around: usize = missed.iter().map(|missed| size_of(&missed.room) + ROOM_BYTES).sum();
    let mut left = LARGEST_FRAME_BYTES.saturating_sub(ENVELOPE_BYTES + around);
    let mut taken = vec![0; missed.len()];
    let mut open: Vec<usize> = (0..missed.len()).collect();
    let mut is_first = true;
    while !open.is_empty() {
        open.retain(|&at| {
            let Some((_, item)) = missed[at].items.get(taken[at]) else { return false };
            let size = size_of(item);
            // The first one goes in whatever its size: the client must get on.
            let fits = size <= left || is_first;
            if fits {
                is_first = false;
                taken[at] += 1;
                left = left.saturating_sub(size);
            }
            fits
        });
    }
    missed.into_iter().zip(taken).map(|(missed, taken)| missed.into_answer(taken)).collect()
}
