//! A user's rooms: what is unread in them, and how far they were read.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::try_join;

use super::room::{self, Live};
use crate::access::{self, Sender};
use crate::context::Context;
use crate::delivery::OutboundFrame;
use crate::domain::{Entry, Member, RoomId, Seq, Timestamp, UserId};
use crate::error::Error;
use crate::store::{Connection, ReadBudget, Tail};
use crate::wire::frames::{Ack, DirectRequest, Invited, Item, ListedRoom, Message, Read, Rooms};
use crate::wire::requests::{ListRooms, MarkRead};
use crate::wire::types::Cursor;
use crate::wire::{ENVELOPE_BYTES, LARGEST_FRAME_BYTES, fitting, size_of};

/// Rooms that are looked at at once.
const ROOMS_AT_ONCE: usize = 32;
/// Rooms of a page that are described at once.
const DESCRIBED_AT_ONCE: usize = 4;
/// Connections of a room that are read to tell how many are online.
const MAX_LIVE: usize = 100;
/// Read units within which a page counts what is unread.
const COUNT_UNITS: f64 = 50.0;
/// Direct conversations that are sorted at once.
const DIRECT_WINDOW: usize = 50;
/// Most rooms in one answer.
const PAGE: usize = 20;
/// Most invitations and most requests in one answer, and most bytes of each.
const MAX_WAITING: i32 = 20;
const WAITING_BYTES: usize = 6 * 1024;
/// Up to here what is unread is counted.
pub(super) const MAX_UNREAD: usize = 99;

/// Notes that a user has read a room up to a message, on all devices, and tells the others. It never goes back.
pub async fn mark_read(ctx: &Context, mut sender: Sender, request: MarkRead) -> Result<Ack, Error> {
    let MarkRead { room_id, seq, read_version } = request;
    if room_id.is_lobby() {
        return Err(Error::Forbidden("nobody keeps track of who has read what in the lobby"));
    }
    // What has not been written has not been read.
    let seq = ctx.store.tail(&room_id).await?.map_or(Seq::ZERO, |tail| seq.min(tail.last_seq()));
    if ctx.store.mark_read(&sender.user, &room_id, seq, read_version.map(|version| version.0)).await? {
        sender.ask_consent(ctx).await?;
        let (room_id, user_id) = (room_id.clone(), sender.user);
        let frame = Read { room_id, user_id, seq, at: ctx.now.into(), read_version: None, copies: None };
        ctx.publish(&sender.channels, &OutboundFrame::new(&frame.into(), ctx.others())).await;
    }
    Ok(Ack::of(ctx.route, room_id))
}

/// A page of the caller's groups and direct conversations, newest activity first. Direct conversations are taken in
/// windows: anybody can begin one, and so many would make the list slow.
pub async fn list(ctx: &Context, me: Connection, request: ListRooms) -> Result<Rooms, Error> {
    let from = request.cursor.as_ref().map(Place::parse).transpose()?.unwrap_or_default();
    let window = window(ctx, &me.user_id, &from);
    let waiting = Waiting::of(ctx, &me.user_id, &from);
    let ((rooms, next_window), waiting, hidden) = try_join!(window, waiting, ctx.store.hiding_from(&me.user_id))?;
    let Waiting { invitations, requests } = waiting.without(&rooms);
    let skipped = from.position.map_or(0, |behind| rooms.partition_point(|listed| listed.position() <= behind));
    let positions: Vec<_> = rooms.iter().map(Listed::position).skip(skipped).collect();
    let budget = &ReadBudget::new(COUNT_UNITS);

    let mut items: Vec<_> = stream::iter(rooms.into_iter().skip(skipped).take(PAGE))
        .map(|listed| listed.describe(ctx, budget, &hidden))
        .buffered(DESCRIBED_AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?
        .into_iter()
        .flatten()
        .collect();
    let listed = items.iter().map(|item: &ListedRoom| &item.room.room_id);
    let lost = access::lost_rooms(ctx, &me.user_id, listed).await?;
    items.retain(|item| !lost.contains(&item.room.room_id));
    let looked_at = positions.len().min(PAGE);
    let taken = ENVELOPE_BYTES + size_of(&invitations) + size_of(&requests);
    let fitting = fitting(items.iter(), taken).max(1);
    let last = if fitting < items.len() {
        items.truncate(fitting);
        positions.iter().find(|position| items.last().is_some_and(|last| position.room == last.room.room_id))
    } else {
        looked_at.checked_sub(1).and_then(|last| positions.get(last)).filter(|_| looked_at < positions.len())
    };
    let here = last.map(|position| Place { window: from.window, position: Some(position.clone()) });
    let next = here.or_else(|| next_window.map(|room| Place { window: Some(room), position: None }));
    Ok(Rooms { next_cursor: next.map(|place| place.to_string()), items, invitations, requests })
}

/// What waits for the user's answer, on the first page.
#[derive(Default)]
struct Waiting {
    invitations: Vec<Invited>,
    requests: Vec<DirectRequest>,
}

impl Waiting {
    async fn of(ctx: &Context, user: &UserId, from: &Place) -> Result<Self, Error> {
        if from.window.is_some() || from.position.is_some() {
            return Ok(Self::default());
        }
        let (invitations, requests) = try_join!(
            ctx.store.invitations(user, MAX_WAITING, ctx.now),
            ctx.store.requests(user, MAX_WAITING, ctx.now)
        )?;
        let mut waiting = Self {
            invitations: ctx.store.valid_invitations(invitations).await?.into_iter().map(Invited::from).collect(),
            requests: requests.into_iter().map(DirectRequest::from).collect(),
        };
        const TAKEN: usize = LARGEST_FRAME_BYTES - WAITING_BYTES;
        waiting.invitations.truncate(fitting(waiting.invitations.iter(), TAKEN));
        waiting.requests.truncate(fitting(waiting.requests.iter(), TAKEN));
        Ok(waiting)
    }

    /// Without invitations into rooms that the user is in.
    fn without(mut self, rooms: &[Listed]) -> Self {
        self.invitations.retain(|invited| rooms.iter().all(|listed| listed.member.room != invited.room_id));
        self
    }
}

/// The conversations of a window, newest activity first, and where the next one begins: the first has all groups.
async fn window(ctx: &Context, user: &UserId, from: &Place) -> Result<(Vec<Listed>, Option<RoomId>), Error> {
    let groups = async {
        match from.window {
            None => ctx.store.memberships(user, ctx.now).await,
            Some(_) => Ok(Vec::new()),
        }
    };
    let direct = ctx.store.direct_conversations(user, from.window.as_ref(), DIRECT_WINDOW);
    let (groups, (direct, more)) = try_join!(groups, direct)?;
    let next = direct.last().map(|member| member.room.clone()).filter(|_| more);
    let mut rooms: Vec<_> = stream::iter(groups.into_iter().chain(direct))
        .map(|member| async move {
            let (tail, newest) = ctx.store.end(&member.room, ctx.now).await?;
            Ok::<_, Error>(Listed { member, tail, newest })
        })
        .buffer_unordered(ROOMS_AT_ONCE)
        .try_collect()
        .await?;
    rooms.retain(Listed::is_shown);
    rooms.sort_by_key(Listed::position);
    Ok((rooms, next))
}

/// Where a page of the list begins.
#[derive(Default)]
struct Place {
    /// The last direct conversation of the window before.
    window: Option<RoomId>,
    position: Option<Position>,
}

impl Place {
    fn parse(cursor: &Cursor) -> Result<Self, Error> {
        let direct = |id: &str| RoomId::try_from(id.to_owned()).ok().filter(RoomId::is_direct);
        let (first, rest) = cursor.0.split_once(' ').unwrap_or((&cursor.0, ""));
        match direct(first) {
            Some(room) if rest.is_empty() => Ok(Self { window: Some(room), position: None }),
            Some(room) => Ok(Self { window: Some(room), position: Some(Position::parse(rest)?) }),
            None => Ok(Self { window: None, position: Some(Position::parse(&cursor.0)?) }),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.window, &self.position) {
            (Some(window), Some(position)) => write!(f, "{window} {position}"),
            (Some(window), None) => window.fmt(f),
            (None, Some(position)) => position.fmt(f),
            (None, None) => Ok(()),
        }
    }
}

/// A room of the caller's, and the end of its log.
struct Listed {
    member: Member,
    tail: Option<Tail>,
    /// The entry there, if it can be shown.
    newest: Option<Entry>,
}

/// Where a room stands in the list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    activity: Reverse<Timestamp>,
    room: RoomId,
}

impl Position {
    fn parse(cursor: &str) -> Result<Self, Error> {
        let parts = cursor.split_once(' ').and_then(|(activity, room)| {
            let activity = Reverse(Timestamp::from_millis(activity.parse().ok()?));
            Some(Self { activity, room: RoomId::try_from(room.to_owned()).ok()? })
        });
        parts.ok_or_else(|| Error::invalid("cursor", Cursor::EXPECTED))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.activity.0.as_millis(), self.room)
    }
}

impl Listed {
    /// A direct conversation is there from its first message on, and when it is hidden from the next one on.
    fn is_shown(&self) -> bool {
        let end = self.tail.as_ref().map_or(Seq::ZERO, |tail| tail.seq);
        !self.member.room.is_direct() || end > self.member.hidden_at
    }

    fn position(&self) -> Position {
        let activity = Reverse(self.tail.as_ref().map_or(self.member.joined_at, |tail| tail.created_at));
        Position { activity, room: self.member.room.clone() }
    }

    /// `None` for a room that has gone meanwhile.
    async fn describe(
        self,
        ctx: &Context,
        budget: &ReadBudget,
        hidden: &BTreeSet<UserId>,
    ) -> Result<Option<ListedRoom>, Error> {
        let Self { member, tail, newest } = self;
        let unread = async {
            let log = (&member.room, &member.user);
            match &tail {
                Some(tail) if tail.seq > member.last_read => {
                    ctx.store.count_of_others(log, member.last_read, MAX_UNREAD, budget, ctx.now).await
                }
                _ => Ok((0, true)),
            }
        };
        let newest = async {
            // What is behind the entry that closed the room.
            let is_known = newest.is_some() || tail.is_none();
            if is_known { Ok(newest) } else { ctx.store.newest(&member.room, ctx.now).await }
        };
        let live = live_for(ctx, &member, hidden);
        let room = ctx.store.room(&member.room, ctx.now);
        let rev = ctx.store.last_rev(&member.room);
        let (room, newest, live, (unread, is_exact), rev) = try_join!(room, newest, live, unread, rev)?;
        let Some(mut room) = room else { return Ok(None) };
        // A direct conversation is called as the other one.
        room.name = room.name.or(member.peer.as_ref().map(|peer| peer.as_name()));
        Ok(Some(ListedRoom {
            room: room::frame_of(room, tail.as_ref(), &live),
            last_read_seq: member.last_read,
            unread: unread.min(MAX_UNREAD),
            unread_more: unread > MAX_UNREAD || !is_exact,
            last_message: newest.map(|entry| Item::Message(Message::seen_by(&member.user, entry))),
            rev,
        }))
    }
}

/// Who hears a conversation just now, as its member is told.
async fn live_for(ctx: &Context, member: &Member, hidden: &BTreeSet<UserId>) -> Result<Live, Error> {
    match &member.peer {
        // The caller is online.
        Some(peer) => room::direct_live(ctx, &member.user, peer).await,
        None => Ok(room::live_in(ctx, &member.room, &[], MAX_LIVE).await?.without(hidden)),
    }
}
