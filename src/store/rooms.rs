//! Rooms, and the transactions that keep their count of participants true.

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem, Update};
use futures_util::stream::{Stream, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::members::{self, MemberRow, Standing, Status};
use super::tables::{MEMBERS, ROOMS, ROOMS_BY_ACTIVITY, ROOMS_BY_PLACE, TTL};
use super::{Backoff, Store, TRANSACTION_ITEMS, item_of, number, pages, text, was_done};
use crate::domain::{
    InviteCode, Location, Member, Metres, Name, Place, Role, Room, RoomId, RoomStatus, RoomType, Seq, Timestamp, UserId,
};
use crate::error::Error;

/// Most members that a room can be made with: it and all of them are written in one transaction.
pub const MAX_FOUNDERS: usize = TRANSACTION_ITEMS - 1;
/// The one partition of the rooms that the sweep looks after.
const SWEPT: &str = "open";
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
    #[serde(default)]
    participant_count: u64,
    #[serde(default)]
    last_seq: Seq,
    /// Set when the room is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl: Option<i64>,
}

impl From<&Room> for RoomRow {
    fn from(room: &Room) -> Self {
        let room = room.clone();
        let (cell, spot) =
            room.place.as_ref().and_then(|place| place.location.filed()).map(|filed| (filed.cell, filed.spot)).unzip();
        let (location, road_name, radius) = match room.place {
            Some(Place { location, road_name, radius }) => (Some(location), road_name, Some(radius)),
            None => (None, None, None),
        };
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
            participant_count: room.participant_count,
            last_seq: room.last_seq,
            ttl: room.ends_at,
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
            participant_count: row.participant_count,
            last_seq: row.last_seq,
            ends_at: row.ttl,
        }
    }
}

/// How a request to join ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// A member from now on.
    Joined,
    /// A member already: nothing was written.
    AlreadyIn,
}

/// What a row of a user in a room may take the place of.
#[derive(Clone, Copy)]
enum Replaces {
    Anything,
    Nothing,
    Member,
}

impl Store {
    pub async fn room(&self, id: &RoomId) -> Result<Option<Room>, Error> {
        Ok(self.row::<RoomRow>(&ROOMS, ROOMS.key(id.as_str())).await?.map(Room::from))
    }

    /// Makes a room with its first members, all at once. `false` when there is a room of that id already.
    pub async fn create_room(&self, room: &Room, founders: &[Member]) -> Result<bool, Error> {
        let mut row = RoomRow::from(room);
        row.participant_count = founders.len() as u64;
        let place = Put::builder()
            .table_name(self.name(&ROOMS))
            .set_item(Some(item_of(&row)?))
            .condition_expression("attribute_not_exists(#id)")
            .expression_attribute_names("#id", ROOMS.partition_key)
            .build()
            .map_err(Error::internal)?;
        let mut items = vec![TransactWriteItem::builder().put(place).build()];
        for founder in founders {
            items.push(TransactWriteItem::builder().put(self.member_row(&founder.into(), Replaces::Anything)?).build());
        }
        Ok(self.transact(items).await?.is_ok())
    }

    /// Makes the row of a log that nobody created as a room, such as the lobby's, if it is not there yet.
    pub async fn ensure_room(&self, room: &Room) -> Result<(), Error> {
        let made = self
            .client
            .put_item()
            .table_name(self.name(&ROOMS))
            .set_item(Some(item_of(&RoomRow::from(room))?))
            .condition_expression("attribute_not_exists(#id)")
            .expression_attribute_names("#id", ROOMS.partition_key)
            .send()
            .await;
        was_done(made).map(drop)
    }

    /// Adds a member and counts it, if the room is open and has a place; with an invite, if that has a use left, which
    /// is spent then.
    ///
    /// # Errors
    /// `ROOM_NOT_FOUND`, `ROOM_CLOSED`, `ROOM_FULL`, `BANNED`, `INVITE_REQUIRED`, or `ROOM_BUSY` when too many join at
    /// once.
    pub async fn admit(
        &self,
        member: &Member,
        invite: Option<&InviteCode>,
        now: Timestamp,
    ) -> Result<Admission, Error> {
        let count = Update::builder()
            .table_name(self.name(&ROOMS))
            .set_key(Some(ROOMS.key(member.room.as_str())))
            .update_expression("ADD #count :one")
            .condition_expression(
                "attribute_exists(#id) AND #status = :active AND (attribute_not_exists(#max) OR #count < #max)",
            )
            .expression_attribute_names("#id", ROOMS.partition_key)
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#count", "participantCount")
            .expression_attribute_names("#max", "maxParticipants")
            .expression_attribute_values(":active", text("active"))
            .expression_attribute_values(":one", number(1))
            .build()
            .map_err(Error::internal)?;
        let mut items = vec![
            TransactWriteItem::builder().put(self.member_row(&member.into(), Replaces::Nothing)?).build(),
            TransactWriteItem::builder().update(count).build(),
        ];
        if let Some(invite) = invite {
            let use_up = self.use_up_invite(&member.room, invite, now)?;
            items.push(TransactWriteItem::builder().update(use_up).build());
        }
        let Err(refused) = self.transact(items).await? else { return Ok(Admission::Joined) };
        match refused[..] {
            [true, ..] => match self.standing(&member.user, &member.room).await? {
                Standing::Banned => Err(Error::Banned),
                _ => Ok(Admission::AlreadyIn),
            },
            [_, _, true] => Err(Error::InviteRequired),
            _ => Err(match self.room(&member.room).await? {
                None => Error::RoomNotFound,
                Some(room) if room.status == RoomStatus::Closed => Error::RoomClosed,
                Some(_) => Error::RoomFull,
            }),
        }
    }

    /// Ends a membership and counts it. `false` when there was none.
    pub async fn dismiss(&self, user: &UserId, room: &RoomId) -> Result<bool, Error> {
        let membership = Delete::builder()
            .table_name(self.name(&MEMBERS))
            .set_key(Some(members::key(user, room)))
            .condition_expression("#status = :member")
            .expression_attribute_names("#status", members::STATUS)
            .expression_attribute_values(":member", text(Status::Member.as_str()))
            .build()
            .map_err(Error::internal)?;
        let items = vec![
            TransactWriteItem::builder().delete(membership).build(),
            TransactWriteItem::builder().update(self.one_less(room)?).build(),
        ];
        Ok(self.transact(items).await?.is_ok())
    }

    fn one_less(&self, room: &RoomId) -> Result<Update, Error> {
        Update::builder()
            .table_name(self.name(&ROOMS))
            .set_key(Some(ROOMS.key(room.as_str())))
            .update_expression("ADD #count :minus")
            .condition_expression("attribute_exists(#id)")
            .expression_attribute_names("#id", ROOMS.partition_key)
            .expression_attribute_names("#count", "participantCount")
            .expression_attribute_values(":minus", number(-1))
            .build()
            .map_err(Error::internal)
    }

    /// Ends a membership, if there is one, and keeps the user from joining again. Tells whether it was a member.
    ///
    /// # Errors
    /// `ROOM_BUSY` when the user joins and leaves so fast that it cannot be caught.
    pub async fn ban(&self, user: &UserId, room: &RoomId, now: Timestamp) -> Result<bool, Error> {
        let mut backoff = Backoff::new();
        loop {
            let was_member = match self.standing(user, room).await? {
                Standing::Banned => return Ok(false),
                Standing::Member(_) => true,
                Standing::Stranger => false,
            };
            let banned = MemberRow {
                user_id: user.clone(),
                room_id: room.clone(),
                role: Role::Member,
                status: Status::Banned,
                joined_at: now,
                name: user.as_name(),
                peer: None,
                last_read_seq: Seq::ZERO,
                ttl: None,
            };
            let replaces = if was_member { Replaces::Member } else { Replaces::Nothing };
            let put = self.member_row(&banned, replaces)?;
            let mut items = vec![TransactWriteItem::builder().put(put).build()];
            if was_member {
                items.push(TransactWriteItem::builder().update(self.one_less(room)?).build());
            }
            if self.transact(items).await?.is_ok() {
                return Ok(was_member);
            }
            if !backoff.pause().await {
                return Err(Error::RoomBusy);
            }
        }
    }

    /// The part of a transaction that closes a room behind its last message, until its history ends: if it is active.
    pub(super) fn closing(&self, room: &RoomId, last: Seq, now: Timestamp, ttl: i64) -> Result<Update, Error> {
        Update::builder()
            .table_name(self.name(&ROOMS))
            .set_key(Some(ROOMS.key(room.as_str())))
            .update_expression(
                "SET #status = :closed, #last = :seq, #activity = :now, #ttl = :ttl REMOVE #cell, #spot, #sweep, #active",
            )
            .condition_expression("#status = :active")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#last", "lastSeq")
            .expression_attribute_names("#activity", "lastActivity")
            .expression_attribute_names("#cell", ROOMS_BY_PLACE.partition_key)
            .expression_attribute_names("#spot", ROOMS_BY_PLACE.sort_key)
            .expression_attribute_names("#sweep", ROOMS_BY_ACTIVITY.partition_key)
            .expression_attribute_names("#active", ROOMS_BY_ACTIVITY.sort_key)
            .expression_attribute_values(":closed", text("closed"))
            .expression_attribute_values(":active", text("active"))
            .expression_attribute_names("#ttl", TTL)
            .expression_attribute_values(":ttl", number(ttl))
            .expression_attribute_values(":seq", number(last.as_i64()))
            .expression_attribute_values(":now", number(now.as_millis()))
            .build()
            .map_err(Error::internal)
    }

    /// Active rooms that close by themselves and of which no activity since `before` is noted, page by page, the ones
    /// that have been idle for longest first. The log's tail may know better.
    pub fn seemingly_idle(
        &self,
        before: Timestamp,
    ) -> impl Stream<Item = Result<Vec<RoomId>, Error>> + Send + Unpin + use<> {
        #[derive(Deserialize)]
        struct Swept {
            id: RoomId,
        }
        let query = self
            .client
            .query()
            .table_name(self.name(&ROOMS))
            .index_name(ROOMS_BY_ACTIVITY.name)
            .key_condition_expression("#sweep = :open AND #active < :before")
            .expression_attribute_names("#sweep", ROOMS_BY_ACTIVITY.partition_key)
            .expression_attribute_names("#active", ROOMS_BY_ACTIVITY.sort_key)
            .expression_attribute_values(":open", text(SWEPT))
            .expression_attribute_values(":before", text(before.to_iso()))
            .limit(SWEPT_PAGE);
        pages::<Swept>(query).map_ok(|rows| rows.into_iter().map(|row| row.id).collect())
    }

    /// Notes an activity that the log knows of, if the room is active still and the news is later than what is noted.
    pub async fn note_activity(&self, room: &RoomId, at: Timestamp) -> Result<(), Error> {
        let noted = self
            .client
            .update_item()
            .table_name(self.name(&ROOMS))
            .set_key(Some(ROOMS.key(room.as_str())))
            .update_expression("SET #activity = :at, #active = :text")
            .condition_expression("attribute_exists(#sweep) AND #activity < :at")
            .expression_attribute_names("#sweep", ROOMS_BY_ACTIVITY.partition_key)
            .expression_attribute_names("#activity", "lastActivity")
            .expression_attribute_names("#active", ROOMS_BY_ACTIVITY.sort_key)
            .expression_attribute_values(":at", number(at.as_millis()))
            .expression_attribute_values(":text", text(at.to_iso()))
            .send()
            .await;
        was_done(noted).map(drop)
    }

    /// Makes a direct conversation known to both, if it is not yet: its row, and a membership for each.
    pub async fn open_direct(&self, me: &UserId, peer: &UserId, name: Name, now: Timestamp) -> Result<(), Error> {
        let id = RoomId::direct(me, peer);
        if self.room(&id).await?.is_some() {
            return Ok(());
        }
        let member = |user: &UserId, other: &UserId, name| Member {
            peer: Some(other.clone()),
            ..Member::new(user.clone(), name, id.clone(), Role::Member, now)
        };
        let mut both = vec![member(me, peer, name)];
        if peer != me {
            both.push(member(peer, me, peer.as_name()));
        }
        let room = Room { room_type: RoomType::Direct, ..Room::new(id.clone(), me.clone(), now) };
        // When both write to each other at once, the other one's transaction has done all of it.
        self.create_room(&room, &both).await.map(drop)
    }

    fn member_row(&self, row: &MemberRow, replaces: Replaces) -> Result<Put, Error> {
        let put = Put::builder().table_name(self.name(&MEMBERS)).set_item(Some(item_of(row)?));
        let put = match replaces {
            Replaces::Anything => put,
            Replaces::Nothing => put
                .condition_expression("attribute_not_exists(#user)")
                .expression_attribute_names("#user", MEMBERS.partition_key),
            Replaces::Member => put
                .condition_expression("#status = :member")
                .expression_attribute_names("#status", members::STATUS)
                .expression_attribute_values(":member", text(Status::Member.as_str())),
        };
        put.build().map_err(Error::internal)
    }

    /// Notes how far a room's log has come, for the day when its entries have expired.
    pub(super) async fn lift_last_seq(&self, room: &RoomId, seq: Seq) -> Result<(), Error> {
        let lifted = self
            .client
            .update_item()
            .table_name(self.name(&ROOMS))
            .set_key(Some(ROOMS.key(room.as_str())))
            .update_expression("SET #last = :seq")
            .condition_expression("attribute_exists(#id) AND #last < :seq")
            .expression_attribute_names("#id", ROOMS.partition_key)
            .expression_attribute_names("#last", "lastSeq")
            .expression_attribute_values(":seq", number(seq.as_i64()))
            .send()
            .await;
        was_done(lifted).map(drop)
    }
}
