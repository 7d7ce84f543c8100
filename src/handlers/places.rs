//! Rooms on the map: making them, and finding those that are near.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use futures_util::future::try_join_all;

use super::seat;
use crate::app::App;
use crate::domain::{Metres, Room, RoomId, RoomStatus, RoomType, Style, UserId};
use crate::error::Error;
use crate::event::Call;
use crate::store::Filing;
use crate::wire::{Cursor, FoundRoom, Frame, Introduction, NearRoom, Participants, RoomFrame, SearchRooms};

/// The farthest that a room's own radius reaches.
const FARTHEST_ROOM: Metres = Metres::new(10_000.0);

/// Makes a room at a place. It closes by itself when nobody says anything for long.
pub async fn create(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let FoundRoom { name, room_type, place, max_participants, user_name } = call.request()?;
    let mut me = seat::caller(app, call).await?;

    me.introduce(Introduction { name: user_name, style: Style::default() });
    let room = Room {
        name,
        room_type,
        max_participants,
        place: Some(place),
        auto_close: true,
        participant_count: 1,
        ..Room::new(RoomId::fresh(), me.user.clone(), call.at)
    };
    super::room::found(app, call, &me, &room, &BTreeSet::new()).await?;
    super::room::describe(app, call, room, None).await
}

/// A page of the active rooms that are near, nearest first; private ones for their members only.
pub async fn search(app: &App, call: &mut Call) -> Result<Frame, Error> {
    let SearchRooms { around, room_type, radius, limit, cursor } = call.request()?;
    let me = seat::guest(app, call)?;
    let behind = cursor.map(|cursor| Near::parse(&cursor)).transpose()?;

    let filings = app.store.rooms_in(&around.around(radius.max(FARTHEST_ROOM))).await?;
    let mut near: Vec<_> = filings
        .into_iter()
        .filter(|filing| room_type.is_none_or(|wanted| filing.room_type == wanted))
        .filter_map(|filing| {
            let distance = around.distance_to(filing.location)?;
            (distance <= radius.max(filing.radius)).then_some((Near { distance, room: filing.id.clone() }, filing))
        })
        .collect();
    keep_visible(app, me.map(|me| me.user), &mut near).await?;
    let mut near: Vec<_> = near.into_iter().map(|(near, _)| near).collect();
    near.sort();
    let from = behind.map_or(0, |behind| near.partition_point(|near| *near <= behind));
    let page = &near[from..near.len().min(from + limit)];
    let next = page.last().filter(|_| from + page.len() < near.len());

    let rooms = app.store.rooms_of(page.iter().map(|near| &near.room)).await?;
    let mut rooms: BTreeMap<_, _> = rooms
        .into_iter()
        // What the index tells may be a moment old.
        .filter(|room| room.status == RoomStatus::Active)
        .map(|room| (room.id.clone(), room))
        .collect();
    let found = page.iter().filter_map(|near| Some((rooms.remove(&near.room)?, near.distance)));
    let rooms = try_join_all(found.map(|(room, distance)| near_room(app, room, distance))).await?;
    Ok(Frame::Near { rooms, next_cursor: next.map(ToString::to_string) })
}

/// A room as a search tells of it. Who is in a private one is told to its members alone, by the room itself.
async fn near_room(app: &App, room: Room, distance: Metres) -> Result<NearRoom, Error> {
    let participants = match room.room_type {
        RoomType::Public => Some(Participants::Ids(app.store.first_member_ids(&room.id).await?)),
        RoomType::Private | RoomType::Direct => None,
    };
    let room = RoomFrame { participants, ..super::room::summary_of(room) };
    Ok(NearRoom { room, distance })
}

/// Leaves out the private rooms that `user` is not a member of.
async fn keep_visible(app: &App, user: Option<UserId>, near: &mut Vec<(Near, Filing)>) -> Result<(), Error> {
    if near.iter().all(|(_, filing)| filing.room_type == RoomType::Public) {
        return Ok(());
    }
    let mine: BTreeSet<_> = match user {
        Some(user) => app.store.memberships(&user).await?.into_iter().map(|member| member.room).collect(),
        None => BTreeSet::new(),
    };
    near.retain(|(_, filing)| filing.room_type == RoomType::Public || mine.contains(&filing.id));
    Ok(())
}

/// Where a room stands in what a search finds.
#[derive(Clone, Debug, PartialEq)]
struct Near {
    distance: Metres,
    room: RoomId,
}

impl Eq for Near {}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> Ordering {
        self.distance.get().total_cmp(&other.distance.get()).then_with(|| self.room.cmp(&other.room))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Near {
    fn parse(cursor: &str) -> Result<Self, Error> {
        let parts = cursor.split_once(' ').and_then(|(distance, room)| {
            let distance = distance.parse().ok().filter(|distance: &f64| distance.is_finite()).map(Metres::new)?;
            Some(Self { distance, room: RoomId::try_from(room.to_owned()).ok()? })
        });
        parts.ok_or_else(Cursor::invalid)
    }
}

impl fmt::Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.distance.get(), self.room)
    }
}
