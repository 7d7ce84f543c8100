//! A user's rooms: what is unread in them, and how far they were read.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::try_join;

use super::room;
use crate::access::Sender;
use crate::context::Context;
use crate::delivery::OutboundFrame;
use crate::domain::{Member, RoomId, Seq, Timestamp};
use crate::error::Error;
use crate::store::{Connection, Tail};
use crate::wire::frames::{Ack, Item, ListedRoom, Message, Read, Rooms};
use crate::wire::requests::{ListRooms, MarkRead};
use crate::wire::types::Cursor;
use crate::wire::{ENVELOPE_BYTES, fitting};

/// Rooms that are looked at at once.
const ROOMS_AT_ONCE: usize = 32;
/// Most rooms in one answer.
const PAGE: usize = 20;
/// Up to here what is unread is counted.
const MAX_UNREAD: usize = 99;

/// Notes that a user has read a room up to a message, on all devices, and tells the others. It never goes back.
pub async fn mark_read(ctx: &Context, sender: Sender, request: MarkRead) -> Result<Ack, Error> {
    let MarkRead { room_id, seq } = request;
    if room_id.is_lobby() {
        return Err(Error::Forbidden("nobody keeps track of who has read what in the lobby"));
    }
    // What has not been written has not been read.
    let seq = ctx.store.tail(&room_id).await?.map_or(Seq::ZERO, |tail| seq.min(tail.last_seq()));
    if ctx.store.mark_read(&sender.user, &room_id, seq).await? {
        let (room_id, user_id) = (room_id.clone(), sender.user);
        let frame = Read { room_id, user_id, seq, at: ctx.now.into(), copies: None };
        ctx.publish(&sender.channels, &OutboundFrame::new(&frame.into(), ctx.others())).await;
    }
    Ok(Ack::of(ctx.route, room_id))
}

/// A page of the caller's groups and direct conversations, newest activity first.
pub async fn list(ctx: &Context, me: Connection, request: ListRooms) -> Result<Rooms, Error> {
    let behind = request.cursor.as_ref().map(Position::parse).transpose()?;
    let memberships = ctx.store.memberships(&me.user_id, ctx.now).await?;
    let mut rooms: Vec<_> = stream::iter(memberships)
        .map(|member| async move { ctx.store.tail(&member.room).await.map(|tail| Listed { member, tail }) })
        .buffer_unordered(ROOMS_AT_ONCE)
        .try_collect()
        .await?;
    // A direct conversation is there from its first message on.
    rooms.retain(|listed| listed.tail.is_some() || !listed.member.room.is_direct());
    rooms.sort_by_key(Listed::position);
    let from = behind.map_or(0, |behind| rooms.partition_point(|listed| listed.position() <= behind));
    let positions: Vec<_> = rooms.iter().map(Listed::position).skip(from).collect();

    let mut items: Vec<_> = stream::iter(rooms.into_iter().skip(from).take(PAGE))
        .map(|listed| listed.describe(ctx))
        .buffered(ROOMS_AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?
        .into_iter()
        .flatten()
        .collect();
    if ctx.timing().is_late() {
        // Who was removed in the meantime does not read the last messages.
        let current = ctx.store.memberships(&me.user_id, ctx.now).await?;
        let current: BTreeSet<_> = current.into_iter().map(|member| member.room).collect();
        items.retain(|item: &ListedRoom| current.contains(&item.room.room_id));
    }
    let looked_at = positions.len().min(PAGE);
    let fitting = fitting(items.iter(), ENVELOPE_BYTES).max(1);
    let last = if fitting < items.len() {
        items.truncate(fitting);
        positions.iter().find(|position| items.last().is_some_and(|last| position.room == last.room.room_id))
    } else {
        looked_at.checked_sub(1).and_then(|last| positions.get(last)).filter(|_| looked_at < positions.len())
    };
    Ok(Rooms { next_cursor: last.map(ToString::to_string), items })
}

/// A room of the caller's, and the end of its log.
struct Listed {
    member: Member,
    tail: Option<Tail>,
}

/// Where a room stands in the list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Position {
    activity: Reverse<Timestamp>,
    room: RoomId,
}

impl Position {
    fn parse(cursor: &Cursor) -> Result<Self, Error> {
        let parts = cursor.0.split_once(' ').and_then(|(activity, room)| {
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
    fn position(&self) -> Position {
        let activity = Reverse(self.tail.as_ref().map_or(self.member.joined_at, |tail| tail.created_at));
        Position { activity, room: self.member.room.clone() }
    }

    /// `None` for a room that has gone meanwhile.
    async fn describe(self, ctx: &Context) -> Result<Option<ListedRoom>, Error> {
        let Self { member, tail } = self;
        let both: Vec<_> = [Some(&member.user), member.peer.as_ref()].into_iter().flatten().collect();
        let unread = async {
            match &tail {
                Some(tail) if tail.seq > member.last_read => {
                    ctx.store.count_of_others(&member.room, &member.user, member.last_read, MAX_UNREAD, ctx.now).await
                }
                _ => Ok(0),
            }
        };
        let (room, newest, live, unread, rev) = try_join!(
            ctx.store.room(&member.room, ctx.now),
            ctx.store.newest(&member.room, ctx.now),
            room::live_in(ctx, &member.room, &both),
            unread,
            ctx.store.last_rev(&member.room),
        )?;
        let Some(mut room) = room else { return Ok(None) };
        // A direct conversation is called as the other one.
        room.name = room.name.or(member.peer.as_ref().map(|peer| peer.as_name()));
        Ok(Some(ListedRoom {
            room: room::frame_of(room, tail.as_ref(), live.len() as u64),
            last_read_seq: member.last_read,
            unread: unread.min(MAX_UNREAD),
            unread_more: unread > MAX_UNREAD,
            last_message: newest.map(|entry| Item::Message(Message::seen_by(&member.user, entry))),
            rev,
        }))
    }
}
