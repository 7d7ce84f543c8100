//! Rooms.

use aws_sdk_dynamodb::types::TransactWriteItem;
use futures_util::stream::{Stream, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::{Item, Statement, Store, TRANSACTION_ITEMS, Written, item_of, pages, row_of};
use crate::domain::{
    Epoch, Location, Member, Metres, Mode, Name, Place, Rev, Room, RoomId, RoomStatus, RoomType, Seq, Timestamp, UserId,
};
use crate::error::Error;
use crate::tables::{ROOMS, ROOMS_BY_ACTIVITY};

/// Most members that a room can be made with: it and all of them are written in one transaction.
pub const MAX_FOUNDERS: usize = TRANSACTION_ITEMS - 1;
/// The one partition of the rooms that the sweep looks after: open ones that close when idle, and closed ones for which
/// something is left to do.
const SWEPT: &str = "open";
/// After this time the sweep takes over from a request that closed a room and did not finish (seconds). A function
/// lives 29 seconds.
const CLOSING_SECS: i64 = 60;
/// How long after the first pass over the rows of a closed room the second one follows (seconds).
const SECOND_PASS_SECS: i64 = 3600;
/// Rooms in a page of those: the sweep looks at the clock between pages.
const SWEPT_PAGE: i32 = 32;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RoomRow {
    id: RoomId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    room_name: Option<Name>,
    #[serde(default)]
    room_type: RoomType,
    #[serde(default)]
    status: RoomStatus,
    creator: UserId,
    created_at: Timestamp,
    /// The last activity that was noted here; the log's tail knows of later ones.
    last_activity: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<Location>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    road_name: Option<Name>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    radius: Option<Metres>,
    /// Where the room is filed by its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cell: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    spot: Option<String>,
    /// Set while the sweep has to look after the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sweep: Option<String>,
    /// `lastActivity` once more, in the form that sorts as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    active_at: Option<String>,
    #[serde(default)]
    auto_close: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_participants: Option<u64>,
    #[serde(default, skip_serializing_if = "Mode::is_empty")]
    mode: Mode,
    /// Less than the number of members where they are counted in rows of their own.
    #[serde(default)]
    participant_count: i64,
    /// As [`Room::is_count_spread`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    count_spread: bool,
    /// As [`Room::epoch`]; absent: the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<Epoch>,
    #[serde(default)]
    last_seq: Seq,
    #[serde(default)]
    last_rev: Rev,
    /// As [`Room::is_closing_told`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    closing_told: bool,
    /// As [`Room::has_chosen_id`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    has_chosen_id: bool,
    /// Set when the room is closed (epoch seconds): its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_at: Option<i64>,
    /// As `endsAt`, in rooms whose row goes with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl: Option<i64>,
}

impl From<&Room> for RoomRow {
    fn from(room: &Room) -> Self {
        let room = room.clone();
        let (cell, spot) = room
            .place
            .as_ref()
            .and_then(|place| place.location.geo_key())
            .map(|filed| filed.created_by(&room.creator))
            .map_or((None, None), |filed| (Some(filed.cell), Some(filed.spot)));
        let (location, radius) = room.place.as_ref().map(|place| (place.location, place.radius)).unzip();
        let road_name = room.place.and_then(|place| place.road_name);
        Self {
            location,
            road_name,
            radius,
            cell,
            spot,
            sweep: room.auto_close.then(|| SWEPT.to_owned()),
            active_at: room.auto_close.then(|| room.last_activity.to_iso()),
            id: room.id,
            room_name: room.name,
            room_type: room.room_type,
            status: room.status,
            creator: room.creator,
            created_at: room.created_at,
            last_activity: room.last_activity,
            auto_close: room.auto_close,
            max_participants: room.max_participants,
            mode: room.mode,
            participant_count: i64::try_from(room.participant_count).unwrap_or(i64::MAX),
            count_spread: room.is_count_spread,
            epoch: Some(room.epoch).filter(|epoch| *epoch != Epoch::default()),
            last_seq: room.last_seq,
            last_rev: room.last_rev,
            closing_told: room.is_closing_told,
            has_chosen_id: room.has_chosen_id,
            ends_at: room.ends_at,
            ttl: room.ends_at.filter(|_| !room.has_chosen_id),
        }
    }
}

impl From<RoomRow> for Room {
    fn from(row: RoomRow) -> Self {
        Self {
            id: row.id,
            name: row.room_name,
            room_type: row.room_type,
            status: row.status,
            creator: row.creator,
            created_at: row.created_at,
            last_activity: row.last_activity,
            place: row.location.zip(row.radius).map(|(location, radius)| Place {
                location,
                road_name: row.road_name,
                radius,
            }),
            auto_close: row.auto_close,
            max_participants: row.max_participants,
            mode: row.mode,
            participant_count: u64::try_from(row.participant_count).unwrap_or_default(),
            is_count_spread: row.count_spread,
            epoch: row.epoch.unwrap_or_default(),
            last_seq: row.last_seq,
            last_rev: row.last_rev,
            is_closing_told: row.closing_told,
            has_chosen_id: row.has_chosen_id,
            ends_at: row.ends_at.or(row.ttl),
        }
    }
}

/// A write over the row of this very room, while it is open.
pub(super) fn of_open_room(statement: Statement, room: &Room) -> Statement {
    statement
        .when("status = :active AND createdAt = :createdAt")
        .bind(":active", "active")
        .bind(":createdAt", room.created_at.as_millis())
}

/// The parts of the transaction that creates a room.
#[derive(Clone, Copy, Debug)]
enum Part {
    Room,
    Founder,
}

impl Store {
    /// A room, unless it has expired.
    pub async fn room(&self, id: &RoomId, now: Timestamp) -> Result<Option<Room>, Error> {
        let room = self.any_room(id).await?;
        Ok(room.filter(|room| room.ends_at.is_none_or(|ends_at| !now.has_passed(ends_at))))
    }

    /// As [`Store::room`], also one that has expired.
    pub(super) async fn any_room(&self, id: &RoomId) -> Result<Option<Room>, Error> {
        match self.row::<RoomRow>(&ROOMS, ROOMS.key(id.as_str())).await? {
            Some(row) => self.counted(row).await.map(Some),
            None => Ok(None),
        }
    }

    /// The room of a row, with all of its participants counted.
    pub(super) async fn counted(&self, row: RoomRow) -> Result<Room, Error> {
        let in_row = row.participant_count;
        let mut room = Room::from(row);
        if room.is_count_spread {
            let count = in_row + self.counted_apart(&room).await?;
            room.participant_count = u64::try_from(count).unwrap_or_default();
        }
        Ok(room)
    }

    /// Changes the row of an open room, which was `known` when it was read, into that of `changed`.
    ///
    /// # Errors
    /// `ROOM_NOT_FOUND`, `ROOM_CLOSED`
    pub async fn update_room(&self, known: &Room, changed: &Room) -> Result<(), Error> {
        let (before, mut after) = (item_of(&RoomRow::from(known))?, item_of(&RoomRow::from(changed))?);
        let removed: Vec<_> = before.keys().filter(|name| !after.contains_key(*name)).cloned().collect();
        after.retain(|name, value| before.get(name) != Some(value));
        let set: Vec<_> = after.keys().map(|name| format!("{name} = :{name}")).collect();
        let clauses = [("SET", set), ("REMOVE", removed)].into_iter().filter(|(_, names)| !names.is_empty());
        let clauses: Vec<_> = clauses.map(|(clause, names)| format!("{clause} {}", names.join(", "))).collect();
        if clauses.is_empty() {
            return Ok(());
        }
        let statement = of_open_room(Statement::update(&clauses.join(" ")), known);
        let bind = |statement: Statement, (name, value)| statement.bind_value(&format!(":{name}"), value);
        let statement = after.into_iter().fold(statement, bind);
        if self.update(&ROOMS, ROOMS.key(known.id.as_str()), &statement).await? {
            return Ok(());
        }
        Err(self.why_not_open(&known.id, known.last_activity).await?)
    }

    /// Creates a room with its first members under an id that a client chose. A room that had the id before has
    /// expired: the new one goes on behind its log, and is younger. `None` when a room of that id exists.
    pub async fn create_chosen_room(&self, mut room: Room, owner: Option<&Member>) -> Result<Option<Room>, Error> {
        room.has_chosen_id = true;
        if let Some(before) = self.any_room(&room.id).await? {
            (room.last_seq, room.last_rev) = (before.last_seq, before.last_rev);
            room.created_at = room.created_at.max(before.created_at.plus_millis(1));
            room.epoch = Epoch::of(room.created_at);
        }
        let owner = owner.map(|owner| Member { joined_at: room.created_at, ..owner.clone() });
        Ok(self.create_room(&room, owner.as_slice()).await?.then_some(room))
    }

    /// Creates a room with its first members, all at once. `false` when a room of that id exists.
    pub async fn create_room(&self, room: &Room, founders: &[Member]) -> Result<bool, Error> {
        let mut row = RoomRow::from(room);
        row.participant_count = i64::try_from(founders.len()).unwrap_or(i64::MAX);
        let is_new = Statement::default()
            .when("attribute_not_exists(id) OR ttl <= :now OR endsAt <= :now")
            .bind(":now", room.last_activity.as_secs());
        let mut parts = vec![(Part::Room, self.put_part(&ROOMS, item_of(&row)?, &is_new)?)];
        for founder in founders {
            parts.push((Part::Founder, self.founder(founder)?));
        }
        Ok(self.transact(parts).await?.is_empty())
    }

    /// Creates the row of a log that nobody created as a room, such as the lobby's, if it does not exist.
    pub async fn ensure_room(&self, room: &Room) -> Result<(), Error> {
        let is_new = Statement::default().when("attribute_not_exists(id)");
        self.put(&ROOMS, item_of(&RoomRow::from(room))?, &is_new).await.map(drop)
    }

    /// The part of a transaction that closes a room behind its last message, until its history ends: if it is active.
    /// The sweep finds the room in its index until all that follows is done.
    pub(super) fn closing(
        &self,
        room: &Room,
        last: Seq,
        now: Timestamp,
        ends_at: i64,
    ) -> Result<TransactWriteItem, Error> {
        const CLOSE: &str = "SET status = :closed, lastSeq = :seq, lastActivity = :now, endsAt = :end, \
            sweep = :swept, activeAt = :due";
        let ttl = if room.has_chosen_id { "" } else { ", ttl = :end" };
        let statement = Statement::update(&format!("{CLOSE}{ttl} REMOVE cell, spot"))
            .when("status = :active AND createdAt = :createdAt")
            .bind(":closed", "closed")
            .bind(":active", "active")
            .bind(":createdAt", room.created_at.as_millis())
            .bind(":swept", SWEPT)
            .bind(":due", &*self.seems_idle_after(CLOSING_SECS, now))
            .bind(":end", ends_at)
            .bind(":seq", last.as_i64())
            .bind(":now", now.as_millis());
        self.update_part(&ROOMS, ROOMS.key(room.id.as_str()), &statement)
    }

    /// Notes that all that follows the closing of a room has been done once. Its rows get their end once more an hour
    /// later, since the index in which they are found may have lagged behind.
    pub async fn note_closed(&self, room: &RoomId, now: Timestamp) -> Result<(), Error> {
        let statement = Statement::update("SET closingTold = :told, activeAt = :due")
            .when("attribute_exists(sweep) AND status = :closed")
            .bind(":told", true)
            .bind(":closed", "closed")
            .bind(":due", &*self.seems_idle_after(SECOND_PASS_SECS, now));
        self.update(&ROOMS, ROOMS.key(room.as_str()), &statement).await.map(drop)
    }

    /// Notes that nothing is left to do for a closed room.
    pub async fn note_ended(&self, room: &RoomId) -> Result<(), Error> {
        let statement = Statement::update("REMOVE sweep, activeAt").when("status = :closed").bind(":closed", "closed");
        self.update(&ROOMS, ROOMS.key(room.as_str()), &statement).await.map(drop)
    }

    /// The activity of a room for which the sweep is to come so many seconds from now.
    fn seems_idle_after(&self, seconds: i64, now: Timestamp) -> String {
        now.plus_secs(seconds).minus_secs(self.config.room_idle_seconds).to_iso()
    }

    /// Active rooms that close by themselves and whose last known activity is before `before`, page by page, the
    /// longest idle first. The log's tail may know of later activity. Also closed rooms that are due.
    pub fn seemingly_idle(
        &self,
        before: Timestamp,
    ) -> impl Stream<Item = Result<Vec<RoomId>, Error>> + Send + Unpin + use<> {
        #[derive(Deserialize)]
        struct Swept {
            id: RoomId,
        }
        let statement = Statement::query("sweep = :open AND activeAt < :before")
            .bind(":open", SWEPT)
            .bind(":before", &*before.to_iso());
        let query = self.query(&ROOMS, &statement).index_name(ROOMS_BY_ACTIVITY.name).limit(SWEPT_PAGE);
        pages::<Swept>(query).map_ok(|rows| rows.into_iter().map(|row| row.id).collect())
    }

    /// Notes an activity that the log knows of, if the room is still active and the activity is later than the noted
    /// one.
    pub async fn note_activity(&self, room: &RoomId, at: Timestamp) -> Result<(), Error> {
        let statement = Statement::update("SET lastActivity = :at, activeAt = :text")
            .when("attribute_exists(sweep) AND status = :active AND lastActivity < :at")
            .bind(":active", "active")
            .bind(":at", at.as_millis())
            .bind(":text", &*at.to_iso());
        self.update(&ROOMS, ROOMS.key(room.as_str()), &statement).await.map(drop)
    }

    /// Notes where a room's log ends, for the time after its entries have expired.
    pub(super) async fn lift_last_seq(&self, room: &RoomId, seq: Seq) -> Result<(), Error> {
        let statement = Statement::update("SET lastSeq = :seq")
            .when("attribute_exists(id) AND lastSeq < :seq")
            .bind(":seq", seq.as_i64());
        self.update(&ROOMS, ROOMS.key(room.as_str()), &statement).await.map(drop)
    }
}

/// Attributes of a room that no entry of its log tells of when they change.
const SETTINGS: [&str; 7] = ["autoClose", "creator", "location", "maxParticipants", "radius", "roadName", "roomType"];

/// Whether a room was created or changed, by its row before and after it was written. Its log tells of the rest.
pub(super) fn written(old: Option<Item>, new: Option<Item>, at: Timestamp) -> Result<Option<Written>, Error> {
    let Some(new) = new else { return Ok(None) };
    let is_same = |name: &str| old.as_ref().is_some_and(|old| old.get(name) == new.get(name));
    if SETTINGS.into_iter().chain(["createdAt"]).all(is_same) {
        return Ok(None);
    }
    // A room that is made again under an old id is younger than the one before.
    let is_new = !is_same("createdAt");
    let room = Box::new(Room::from(row_of::<RoomRow>(new)?));
    Ok(Some(if is_new { Written::RoomCreated(room) } else { Written::RoomChanged { room, at } }))
}
