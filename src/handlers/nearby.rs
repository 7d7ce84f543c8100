//! Rooms on the map: creating them, and searching for those near a place.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use futures_util::future::try_join_all;

use super::{closing, room};
use crate::access::{Caller, Guest};
use crate::context::Context;
use crate::domain::{self, Location, Metres, Place, RoomId, RoomStatus, RoomType, UserId};
use crate::error::Error;
use crate::store::{NearbyRow, Tail};
use crate::wire::frames::{Nearby, NearbyRoom, Participants, Room};
use crate::wire::requests::{CreateRoomAt, SearchRooms};
use crate::wire::types::Cursor;

/// Most active rooms in a cell of about 16 km: what a search of up to 5 km reads is limited so.
const MAX_ROOMS_IN_CELL: usize = 200;
/// Most of them that one user created, so that nobody fills a city alone.
const MAX_OWN_ROOMS_IN_CELL: usize = 5;
/// Most rooms that are looked at to find those of one user.
const MAX_CANDIDATES: usize = 2 * MAX_OWN_ROOMS_IN_CELL;
/// Without a message for so long a room is closed to make place for another one of its creator.
const IDLE_SECONDS: i64 = 600;
/// The largest radius of a room.
const MAX_ROOM_RADIUS: Metres = Metres::new(10_000.0);

/// Creates a room at a place. It closes by itself when it is idle.
pub async fn create(ctx: &Context, mut caller: Caller, request: CreateRoomAt) -> Result<Room, Error> {
    let location = request.location()?;
    caller.rename(request.user_name.as_ref());
    make_place(ctx, &caller.user, location).await?;
    let room = domain::Room {
        name: request.room_name,
        room_type: request.room_type.0,
        max_participants: request.max_participants.map(|capacity| capacity.0),
        place: Some(Place { location, road_name: request.road_name, radius: request.radius.0 }),
        auto_close: true,
        participant_count: 1,
        ..domain::Room::new(RoomId::fresh(), caller.user.clone(), ctx.now)
    };
    let members = room::create_with_members(ctx, &caller, &room, &[]).await?;
    room::describe(ctx, room, None, None, &members).await
}

/// Makes place for another room of a user where the cell around it is full, or the user's share of it: the user's room
/// there that has been idle for the longest time is closed.
///
/// # Errors
/// `PLACE_FULL` for a user who has no idle room there.
async fn make_place(ctx: &Context, user: &UserId, location: Location) -> Result<(), Error> {
    let rows = ctx.store.rooms_in(location.limited_cell().as_slice()).await?;
    let mine: Vec<_> = rows.iter().filter(|row| row.may_be_of(user)).map(|row| &row.id).take(MAX_CANDIDATES).collect();
    if rows.len() < MAX_ROOMS_IN_CELL && mine.len() < MAX_OWN_ROOMS_IN_CELL {
        return Ok(());
    }
    // The index may be behind.
    let mut mine = ctx.store.rooms_of(mine.into_iter()).await?;
    mine.retain(|room| room.status == RoomStatus::Active && room.creator == *user);
    if rows.len() < MAX_ROOMS_IN_CELL && mine.len() < MAX_OWN_ROOMS_IN_CELL {
        return Ok(());
    }
    let with_tail = async |room: domain::Room| Ok::<_, Error>((ctx.store.tail(&room.id).await?, room));
    let rooms = try_join_all(mine.into_iter().map(with_tail)).await?;
    let last_activity =
        |(tail, room): &(Option<Tail>, domain::Room)| tail.as_ref().map_or(room.last_activity, |tail| tail.created_at);
    let oldest = rooms.into_iter().min_by_key(last_activity);
    let is_idle = |room: &_| last_activity(room) < ctx.now.minus_secs(IDLE_SECONDS);
    let (tail, room) = oldest.filter(is_idle).ok_or(Error::PlaceFull)?;
    if closing::close_idle(ctx, &room, tail).await? { Ok(()) } else { Err(Error::PlaceFull) }
}

/// # Errors
/// `PLACE_FULL` where the cell around a place has as many rooms as searches read.
pub async fn require_place(ctx: &Context, location: Location) -> Result<(), Error> {
    let rows = ctx.store.rooms_in(location.limited_cell().as_slice()).await?;
    if rows.len() < MAX_ROOMS_IN_CELL { Ok(()) } else { Err(Error::PlaceFull) }
}

/// A page of the active rooms near a place, nearest first; private ones for their members only.
pub async fn search(ctx: &Context, Guest(caller): Guest, request: SearchRooms) -> Result<Nearby, Error> {
    let around = request.location()?;
    let behind = request.cursor.as_ref().map(Position::parse).transpose()?;
    let mut found = candidates(ctx, around, &request).await?;
    keep_visible(ctx, caller.map(|caller| caller.user), &mut found).await?;
    let mut found: Vec<_> = found.into_iter().map(|(position, _)| position).collect();
    found.sort();
    let from = behind.map_or(0, |behind| found.partition_point(|position| *position <= behind));
    let page = &found[from..found.len().min(from + request.limit())];
    let next = page.last().filter(|_| from + page.len() < found.len());

    let rooms = ctx.store.rooms_of(page.iter().map(|position| &position.room)).await?;
    // The index may be behind.
    let active = rooms.into_iter().filter(|room| room.status == RoomStatus::Active);
    let mut rooms: BTreeMap<_, _> = active.map(|room| (room.id.clone(), room)).collect();
    let active = page.iter().filter_map(|position| Some((rooms.remove(&position.room)?, position.distance)));
    let rooms = try_join_all(active.map(|(room, distance)| nearby_room(ctx, room, distance))).await?;
    Ok(Nearby { rooms, next_cursor: next.map(ToString::to_string) })
}

/// The rooms that the index holds near a place, in no order.
async fn candidates(
    ctx: &Context,
    around: Location,
    request: &SearchRooms,
) -> Result<Vec<(Position, NearbyRow)>, Error> {
    let radius = request.radius.0;
    let rows = ctx.store.rooms_in(&around.around(radius.max(MAX_ROOM_RADIUS))).await?;
    let wanted = request.room_type.as_ref().map(|visibility| visibility.0);
    let of_type = rows.into_iter().filter(|row| wanted.is_none_or(|wanted| row.room_type == wanted));
    let near = of_type.filter_map(|row| {
        let distance = around.distance_to(row.location)?;
        (distance <= radius.max(row.radius)).then_some((Position { distance, room: row.id.clone() }, row))
    });
    Ok(near.collect())
}

/// A room in search results. Who is in a private one, only the room itself tells its members.
async fn nearby_room(ctx: &Context, room: domain::Room, distance: Metres) -> Result<NearbyRoom, Error> {
    let participants = match room.room_type {
        RoomType::Public => Some(Participants::Ids(ctx.store.first_member_ids(&room.id).await?)),
        RoomType::Private | RoomType::Direct => None,
    };
    Ok(NearbyRoom { room: Room { participants, ..room::summary_of(room) }, distance })
}

/// Leaves out the private rooms that `user` is not a member of.
async fn keep_visible(
    ctx: &Context,
    user: Option<UserId>,
    found: &mut Vec<(Position, NearbyRow)>,
) -> Result<(), Error> {
    if found.iter().all(|(_, row)| row.room_type == RoomType::Public) {
        return Ok(());
    }
    let mine: BTreeSet<_> = match user {
        Some(user) => ctx.store.memberships(&user, ctx.now).await?.into_iter().map(|member| member.room).collect(),
        None => BTreeSet::new(),
    };
    found.retain(|(_, row)| row.room_type == RoomType::Public || mine.contains(&row.id));
    Ok(())
}

/// The position of a room in search results.
#[derive(Clone, Debug, PartialEq)]
struct Position {
    distance: Metres,
    room: RoomId,
}

impl Eq for Position {}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> Ordering {
        self.distance.get().total_cmp(&other.distance.get()).then_with(|| self.room.cmp(&other.room))
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Position {
    fn parse(cursor: &Cursor) -> Result<Self, Error> {
        let parts = cursor.0.split_once(' ').and_then(|(distance, room)| {
            let distance = distance.parse().ok().filter(|distance: &f64| distance.is_finite()).map(Metres::new)?;
            Some(Self { distance, room: RoomId::try_from(room.to_owned()).ok()? })
        });
        parts.ok_or_else(|| Error::invalid("cursor", Cursor::EXPECTED))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.distance.get(), self.room)
    }
}
