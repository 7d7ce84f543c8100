//! Reading history, and catching up after a disconnect.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::try_join;

use super::{membership, reply};
use crate::access::{self, Sender};
use crate::context::Context;
use crate::domain::{Epoch, Member, Name, Page, Rev, RoomId, Seq};
use crate::error::Error;
use crate::store::{Connection, EntryPage, Tail};
use crate::wire::frames::{Item, Messages, Missed, Refusal, Resumed, ResumedRoom};
use crate::wire::requests::{GetMessages, Resume};
use crate::wire::types::SeenUpTo;
use crate::wire::{ENVELOPE_BYTES, LARGEST_FRAME_BYTES, fitting, size_of};

/// Rooms that are read at once.
const ROOMS_AT_ONCE: usize = 16;
/// Rooms that are read at first: they show what others may cost.
const FIRST_ROOMS: usize = 4;
/// Read units after which further rooms are left for the client to ask for: as many as 50 rooms without news take.
const READ_UNITS: f64 = 100.0;
/// Messages of a page that are read first: with small ones, the page then takes no more read units than by one request.
const FIRST_OF_PAGE: usize = 8;
/// Messages of a room that are read first.
const FIRST_MISSED: usize = 3;
/// Most messages that are read for one room; a frame usually holds fewer.
const MAX_MISSED: usize = 100;
/// Most bytes of changed messages in an answer to `resume`.
const CHANGES_BYTES: usize = 16 * 1024;

/// A page of a conversation, oldest first. It is cut at the far end of reading where it would outgrow a frame.
pub async fn page(ctx: &Context, sender: Sender, request: GetMessages) -> Result<Messages, Error> {
    let page = request.page();
    let (rev, read) = read_page(ctx, &sender.room, page, request.limit.0).await?;
    access::confirm_member(ctx, &sender.user, &sender.room).await?;
    let epoch = match read.entries.last() {
        Some(entry) => entry.epoch.clone(),
        None => epoch_of(ctx, &sender.room).await?,
    };

    let mut has_more = read.more;
    let seqs: Vec<_> = read.entries.iter().map(|entry| entry.seq).collect();
    let mut items = reply::items_of(ctx, &sender.user, &sender.room, read.entries).await?;
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
        rev,
        has_more,
        next_before: next.filter(|_| !forward),
        next_after: next.filter(|_| forward),
        items,
    })
}

/// The position of the changes is read before the messages: what changes in between is received twice.
async fn read_page(ctx: &Context, room: &RoomId, page: Page, limit: usize) -> Result<(Rev, EntryPage), Error> {
    let length = (FIRST_OF_PAGE, limit);
    if page == Page::Latest {
        return ctx.store.latest(room, length, ctx.now).await;
    }
    let rev = ctx.store.last_rev(room).await?;
    Ok((rev, ctx.store.entries(room, page, length, ctx.now).await?))
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
    let open = positions.into_iter().filter(|(id, _)| !refused.contains_key(id)).collect();
    let (mut missed, unread) = read_missed(ctx, &me, open).await?;
    for lost in access::lost_rooms(ctx, &me.user_id, missed.iter().map(|missed| &missed.room)).await? {
        missed.retain(|missed| missed.room != lost);
        refused.insert(lost, Error::NotAMember);
    }
    limit_changes(&mut missed);
    let more = unread.iter().map(|(id, _)| id.clone()).collect();
    let missed = missed.into_iter().chain(unread.into_iter().map(MissedRoom::unread)).collect();
    let mut rooms = share_frame(missed);
    rooms.extend(refused.iter().map(|(id, error)| (id.clone(), ResumedRoom::Refused { error: Refusal::from(error) })));
    Ok(Resumed { rooms, more })
}

/// Reads rooms as long as [`READ_UNITS`] last, and returns also those that were not read: at first a few, then as many
/// as the rest allows if they cost as much.
async fn read_missed(
    ctx: &Context,
    me: &Connection,
    rooms: Vec<(RoomId, SeenUpTo)>,
) -> Result<(Vec<MissedRoom>, Vec<(RoomId, SeenUpTo)>), Error> {
    let (mut missed, mut rest) = (Vec::with_capacity(rooms.len()), rooms.into_iter());
    let (mut left, mut count) = (READ_UNITS, FIRST_ROOMS);
    while count > 0 && rest.len() > 0 {
        let read: Vec<_> = stream::iter(rest.by_ref().take(count))
            .map(|(id, after)| MissedRoom::read(ctx, me, id, after))
            .buffer_unordered(ROOMS_AT_ONCE)
            .try_collect()
            .await?;
        let units: f64 = read.iter().map(|room| room.read_units).sum();
        left -= units;
        count = ((left / (units / read.len() as f64)) as usize).min(ROOMS_AT_ONCE);
        missed.extend(read);
    }
    Ok((missed, rest.collect()))
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
    let heard = heard.iter().map(|member| &member.room);
    let entered = heard.filter(|id| !lost.contains(id) && !me.hears(id));
    ctx.delivered(ctx.delivery.announce_online(entered, me, ctx.request()).await);
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
        _ if id.is_direct() => access::direct_peer(ctx, &me.user_id, id).await.map(|_| (me.display_name(), None)),
        Some(member) => Ok(of_member(member.clone())),
        None => access::membership(ctx, &me.user_id, id).await.map(of_member),
    }
}

/// A room's log after a position.
struct LogAfter {
    page: EntryPage,
    tail: Option<Tail>,
    /// The next position to be written.
    next: Seq,
    epoch: Epoch,
    /// Whether the position is one of another log: then the page begins with what there is.
    is_foreign: bool,
    read_units: f64,
}

impl LogAfter {
    async fn read(ctx: &Context, room: &RoomId, seen: SeenUpTo) -> Result<Self, Error> {
        let after = seen.seq;
        let read = |after| ctx.store.entries(room, Page::After(after), (FIRST_MISSED, MAX_MISSED), ctx.now);
        let (mut page, (tail, mut read_units)) = try_join!(read(after), ctx.store.tail_and_units(room))?;
        read_units += page.read_units;
        // What was written between the two reads exists, and has not expired.
        if page.entries.is_empty() && tail.as_ref().is_some_and(|tail| tail.seq > after) {
            page = read(after).await?;
            read_units += page.read_units;
        }
        let has_all = page.entries.is_empty() && tail.as_ref().is_some_and(|tail| after >= tail.seq);
        let next = next_of(ctx, room, tail.as_ref(), has_all).await?;
        let epoch = match tail.as_ref().filter(|tail| !tail.is_expired(ctx.now)) {
            Some(tail) => tail.epoch(),
            None => epoch_of(ctx, room).await?,
        };
        // A position that this log has not reached is one of another log: the client begins again with what there is.
        let is_above = after > tail.as_ref().map_or(next.previous(), |tail| tail.seq);
        let is_foreign = is_above || seen.epoch.is_some_and(|seen| seen != epoch);
        if is_foreign {
            page = read(Seq::ZERO).await?;
            read_units += page.read_units;
        }
        Ok(Self { page, tail, next, epoch, is_foreign, read_units })
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
    /// What has changed of the messages up to the position; `None` where that is too much to tell.
    changes: Option<Vec<Item>>,
    /// The position of the last change.
    rev: Rev,
    /// The oldest position left, where some of what was missed has expired.
    oldest: Option<Seq>,
    /// Whether the room is closed.
    closed: bool,
    read_units: f64,
}

impl MissedRoom {
    /// A room that was not read: the client asks for it again.
    fn unread((room, seen): (RoomId, SeenUpTo)) -> Self {
        Self {
            room,
            after: seen.seq,
            items: Vec::new(),
            more: true,
            last_seq: seen.seq,
            epoch: seen.epoch.unwrap_or_default(),
            changes: Some(Vec::new()),
            rev: seen.rev.unwrap_or_default(),
            oldest: None,
            closed: false,
            read_units: 0.0,
        }
    }

    async fn read(ctx: &Context, me: &Connection, room: RoomId, seen: SeenUpTo) -> Result<Self, Error> {
        let after = seen.seq;
        // First the position of the changes, then the messages: what changes in between is received twice.
        let (changed, rev) = ctx.store.changed_since(&room, seen.rev, after, ctx.now).await?;
        let log = LogAfter::read(ctx, &room, seen).await?;
        let read_units = log.read_units + changed.as_ref().map_or(1.0, |changed| 1.0 + changed.len() as f64);
        let EntryPage { entries, more, .. } = log.page;
        let first = entries.first().map_or(log.next, |entry| entry.seq);
        let last_seq = log.tail.as_ref().map_or(log.next.previous(), Tail::last_seq);
        // What was written after the entries were read is not in them: then a client that goes on from `lastSeq` would
        // miss it.
        let last_seq = entries.last().filter(|_| !more).map_or(last_seq, |entry| entry.seq);
        let seqs: Vec<_> = entries.iter().map(|entry| entry.seq).collect();
        // Of another log the client knows no message.
        let changed = if log.is_foreign { Some(Vec::new()) } else { changed };
        let shown = |entries| reply::items_of(ctx, &me.user_id, &room, entries);
        let (items, changed_items) = try_join!(shown(entries), shown(changed.clone().unwrap_or_default()))?;
        Ok(Self {
            oldest: (log.is_foreign || after.next() < first).then_some(first),
            last_seq,
            epoch: log.epoch,
            closed: log.tail.is_some_and(|tail| tail.closes_room(ctx.now)),
            items: seqs.into_iter().zip(items).collect(),
            changes: changed.map(|_| changed_items),
            rev,
            room,
            after: if log.is_foreign { Seq::ZERO } else { after },
            more,
            read_units,
        })
    }

    /// How many bytes its changes take in a frame.
    fn changes_size(&self) -> usize {
        self.changes.iter().flatten().map(size_of).sum()
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
            changes_reset: self.changes.is_none(),
            changes: self.changes.unwrap_or_default(),
            rev: self.rev,
            epoch: self.epoch,
            reset: self.oldest.is_some(),
            oldest_seq: self.oldest,
            closed: self.closed,
        };
        (self.room, ResumedRoom::Missed(missed))
    }
}

/// The next position to be written: one more than the last, but for a log whose end has expired. `has_all`: the client
/// has seen the end.
async fn next_of(ctx: &Context, room: &RoomId, tail: Option<&Tail>, has_all: bool) -> Result<Seq, Error> {
    match tail {
        Some(tail) if has_all || tail.closes_room(ctx.now) => Ok(tail.last_seq().next()),
        tail => match ctx.store.next_seq(room, tail, ctx.now).await {
            // Nobody has ever written to the lobby.
            Err(Error::RoomNotFound) => Ok(Seq::ZERO.next()),
            next => next,
        },
    }
}

/// Leaves the changes out of those rooms for which a frame has no space: their clients read again what they show.
fn limit_changes(missed: &mut [MissedRoom]) {
    let mut left = CHANGES_BYTES;
    for missed in missed {
        let size = missed.changes_size();
        if size <= left { left -= size } else { missed.changes = None }
    }
}

/// As much as fits a frame, in turns: the first item of each room, then the second of each, and so on.
fn share_frame(missed: Vec<MissedRoom>) -> BTreeMap<RoomId, ResumedRoom> {
    // What a room takes without its items: its id, and the numbers.
    const ROOM_BYTES: usize = 192;
    let around: usize = missed.iter().map(|missed| size_of(&missed.room) + missed.changes_size() + ROOM_BYTES).sum();
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
