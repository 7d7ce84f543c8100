//! A user's rooms: what is unread in them, and how far they were read.

use std::cmp::Reverse;
use std::fmt;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::try_join;

use super::{room, seat};
use crate::app::App;
use crate::delivery::{Except, Publication};
use crate::domain::{Member, RoomId, Seq, Tail, Timestamp};
use crate::error::Error;
use crate::event::Call;
use crate::wire::{Cursor, ENVELOPE_BYTES, Frame, ListRooms, ListedRoom, MarkRead, Message, Recipient, fitting};

/// Rooms that are looked at at once.
const ROOMS_AT_ONCE: usize = 32;
/// Most rooms in one answer.
const PAGE: usize = 20;
/// Up to here what is unread is counted.
const MOST_UNREAD: usize = 99;

/// Notes that a user has read a room up to a message, on all devices, and tells the others. It never goes back.
pub async fn mark_read(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let MarkRead { room: id, seq } = call.request()?;
    if id.is_lobby() {
        return Err(Error::Forbidden("nobody keeps track of who has read what in the lobby"));
    }
    let seat = seat::find(app, call, &Recipient::Room(id.clone())).await?;
    // What has not been written has not been read.
    let seq = app.store.tail(&id).await?.map_or(Seq::ZERO, |tail| seq.min(tail.last_seq()));
    if app.store.mark_read(&seat.user, &id, seq).await? {
        let frame = Frame::Read { room_id: id.clone(), user_id: seat.user, seq, copies: None };
        let publication = Publication::new(&frame, Except::caller(Some(call.connection()?)));
        call.trace.delivered += app.delivery.publish(&seat.channels, &publication, call.occasion()).await;
    }
    Ok(Frame::ack(call.route, Some(id)))
}

/// A page of the caller's groups and direct conversations, newest activity first.
pub async fn list(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let ListRooms { cursor } = call.request()?;
    let me = seat::known(app, call).await?;
    let behind = cursor.map(|cursor| Place::parse(&cursor)).transpose()?;

    let memberships = app.store.memberships(&me.user_id).await?;
    let mut rooms: Vec<_> = stream::iter(memberships)
        .map(|member| async move { app.store.tail(&member.room).await.map(|tail| Listed { member, tail }) })
        .buffer_unordered(ROOMS_AT_ONCE)
        .try_collect()
        .await?;
    // A direct conversation is there from its first message on.
    rooms.retain(|listed| listed.tail.is_some() || !listed.member.room.is_direct());
    rooms.sort_by_key(Listed::place);
    let from = behind.map_or(0, |behind| rooms.partition_point(|listed| listed.place() <= behind));
    let places: Vec<_> = rooms.iter().map(Listed::place).skip(from).collect();

    let mut items: Vec<_> = stream::iter(rooms.into_iter().skip(from).take(PAGE))
        .map(|listed| listed.describe(app, call.at))
        .buffered(ROOMS_AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?
        .into_iter()
        .flatten()
        .collect();
    let looked_at = places.len().min(PAGE);
    let fitting = fitting(items.iter(), ENVELOPE_BYTES).max(1);
    let last = if fitting < items.len() {
        items.truncate(fitting);
        places.iter().find(|place| items.last().is_some_and(|last| place.room == last.room.room_id))
    } else {
        looked_at.checked_sub(1).and_then(|last| places.get(last)).filter(|_| looked_at < places.len())
    };
    Ok(Frame::Rooms { next_cursor: last.map(ToString::to_string), items })
}

/// A room of the caller's, and the end of its log.
struct Listed {
    member: Member,
    tail: Option<Tail>,
}

/// Where a room stands in the list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    activity: Reverse<Timestamp>,
    room: RoomId,
}

impl Place {
    fn parse(cursor: &str) -> Result<Self, Error> {
        let parts = cursor.split_once(' ').and_then(|(activity, room)| {
            let activity = Reverse(Timestamp::from_millis(activity.parse().ok()?));
            Some(Self { activity, room: RoomId::try_from(room.to_owned()).ok()? })
        });
        parts.ok_or_else(Cursor::invalid)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.activity.0.as_millis(), self.room)
    }
}

impl Listed {
    fn place(&self) -> Place {
        let activity = Reverse(self.tail.map_or(self.member.joined_at, |tail| tail.created_at));
        Place { activity, room: self.member.room.clone() }
    }

    /// `None` for a room that has gone meanwhile.
    async fn describe(self, app: &App, now: Timestamp) -> Result<Option<ListedRoom>, Error> {
        let Self { member, tail } = self;
        let both: Vec<_> = [Some(&member.user), member.peer.as_ref()].into_iter().flatten().collect();
        let unread = async {
            match tail {
                Some(tail) if tail.seq > member.last_read => {
                    app.store.count_of_others(&member.room, &member.user, member.last_read, MOST_UNREAD, now).await
                }
                _ => Ok(0),
            }
        };
        let (room, newest, live, unread) = try_join!(
            app.store.room(&member.room),
            app.store.newest(&member.room, now),
            room::live_in(app, &member.room, &both, now),
            unread,
        )?;
        let Some(mut room) = room else { return Ok(None) };
        // A direct conversation is called as the other one.
        room.name = room.name.or(member.peer.as_ref().map(|peer| peer.as_name()));
        Ok(Some(ListedRoom {
            room: room::frame_of(room, tail, live.len() as u64),
            last_read_seq: member.last_read,
            unread: unread.min(MOST_UNREAD),
            unread_more: unread > MOST_UNREAD,
            last_message: newest.map(|entry| Frame::Message(Message::seen_by(&member.user, entry))),
        }))
    }
}
