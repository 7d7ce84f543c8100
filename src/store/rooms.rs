//! Rooms, and the transactions that keep their count of participants true.

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem, Update};
use serde::{Deserialize, Serialize};

use super::members::{self, MemberRow};
use super::tables::{MEMBERS, ROOMS};
use super::{Store, TRANSACTION_ITEMS, item_of, number, text, was_done};
use crate::domain::{Member, Name, Role, Room, RoomId, RoomStatus, RoomType, Seq, Timestamp, UserId};
use crate::error::Error;

/// Most members that a room can be made with: it and all of them are written in one transaction.
pub const MAX_FOUNDERS: usize = TRANSACTION_ITEMS - 1;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoomRow {
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
    #[serde(default)]
    auto_close: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_participants: Option<u64>,
    #[serde(default)]
    participant_count: u64,
    #[serde(default)]
    last_seq: Seq,
}

impl From<&Room> for RoomRow {
    fn from(room: &Room) -> Self {
        let room = room.clone();
        Self {
            id: room.id,
            room_name: room.name,
            room_type: room.room_type,
            status: room.status,
            creator: room.creator,
            created_at: room.created_at,
            last_activity: room.created_at,
            auto_close: room.auto_close,
            max_participants: room.max_participants,
            participant_count: room.participant_count,
            last_seq: room.last_seq,
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
            auto_close: row.auto_close,
            max_participants: row.max_participants,
            participant_count: row.participant_count,
            last_seq: row.last_seq,
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
            items.push(TransactWriteItem::builder().put(self.membership(founder, false)?).build());
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

    /// Adds a member and counts it, if the room is open and has a place.
    ///
    /// # Errors
    /// `ROOM_NOT_FOUND`, `ROOM_CLOSED`, `ROOM_FULL`, or `ROOM_BUSY` when too many join at once.
    pub async fn admit(&self, member: &Member) -> Result<Admission, Error> {
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
        let items = vec![
            TransactWriteItem::builder().put(self.membership(member, true)?).build(),
            TransactWriteItem::builder().update(count).build(),
        ];
        match self.transact(items).await? {
            Ok(()) => Ok(Admission::Joined),
            Err(refused) if refused.first() == Some(&true) => Ok(Admission::AlreadyIn),
            Err(_) => Err(match self.room(&member.room).await? {
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
            .condition_expression("attribute_exists(#user)")
            .expression_attribute_names("#user", MEMBERS.partition_key)
            .build()
            .map_err(Error::internal)?;
        let count = Update::builder()
            .table_name(self.name(&ROOMS))
            .set_key(Some(ROOMS.key(room.as_str())))
            .update_expression("ADD #count :minus")
            .condition_expression("attribute_exists(#id)")
            .expression_attribute_names("#id", ROOMS.partition_key)
            .expression_attribute_names("#count", "participantCount")
            .expression_attribute_values(":minus", number(-1))
            .build()
            .map_err(Error::internal)?;
        let items = vec![
            TransactWriteItem::builder().delete(membership).build(),
            TransactWriteItem::builder().update(count).build(),
        ];
        Ok(self.transact(items).await?.is_ok())
    }

    /// Makes a direct conversation known to both, if it is not yet: its row, and a membership for each.
    pub async fn open_direct(&self, me: &UserId, peer: &UserId, name: Name, now: Timestamp) -> Result<(), Error> {
        let id = RoomId::direct(me, peer);
        if self.room(&id).await?.is_some() {
            return Ok(());
        }
        let member = |user: &UserId, other: &UserId, name| Member {
            user: user.clone(),
            room: id.clone(),
            role: Role::Member,
            joined_at: now,
            name,
            peer: Some(other.clone()),
            last_read: Seq::ZERO,
        };
        let mut both = vec![member(me, peer, name)];
        if peer != me {
            both.push(member(peer, me, peer.as_name()));
        }
        let room = Room {
            id: id.clone(),
            name: None,
            room_type: RoomType::Direct,
            status: RoomStatus::Active,
            creator: me.clone(),
            created_at: now,
            auto_close: false,
            max_participants: None,
            participant_count: 0,
            last_seq: Seq::ZERO,
        };
        // When both write to each other at once, the other one's transaction has done all of it.
        self.create_room(&room, &both).await.map(drop)
    }

    fn membership(&self, member: &Member, only_new: bool) -> Result<Put, Error> {
        let mut put = Put::builder().table_name(self.name(&MEMBERS)).set_item(Some(item_of(&MemberRow::from(member))?));
        if only_new {
            put = put
                .condition_expression("attribute_not_exists(#user)")
                .expression_attribute_names("#user", MEMBERS.partition_key);
        }
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
