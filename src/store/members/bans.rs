//! Bans. They are in a partition of their room, so that they cost nothing to who is banned.

use serde::{Deserialize, Serialize};

use super::super::{Key, Statement, Store, item_of, row_of};
use super::{MemberRow, Membership, Status, key};
use crate::domain::{Room, RoomId, Timestamp, UserId};
use crate::error::Error;
use crate::tables::MEMBERS;

/// The row of a ban. Its keys begin as no id does, with a control character in them: it is in the partition of no user,
/// nor, in the index, of a room.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BanRow {
    user_id: String,
    room_id: String,
    status: Status,
    /// When the user was banned.
    joined_at: Timestamp,
    /// Set when the room ends (epoch seconds).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl: Option<i64>,
}

impl BanRow {
    /// The partition of a room's bans.
    pub(super) fn partition(room: &RoomId) -> String {
        format!("ban\t{room}")
    }

    pub(super) fn key(user: &UserId, room: &RoomId) -> Key {
        MEMBERS.key_of(&Self::partition(room), &format!("user\t{user}"))
    }

    /// Whether it is the partition of a room's bans.
    pub(super) fn is_in(partition: &str) -> bool {
        partition.starts_with("ban\t")
    }

    /// Who is banned, and from which room.
    pub(super) fn subject(&self) -> (UserId, RoomId) {
        let id = |key: &str| key.split_once('\t').map_or(key, |(_, id)| id).to_owned();
        (UserId::stored(id(&self.room_id)), RoomId::stored(id(&self.user_id)))
    }

    /// When the user was banned.
    pub(super) fn at(&self) -> Timestamp {
        self.joined_at
    }

    /// The key of a row of the partition.
    pub(super) fn own_key(&self) -> Key {
        MEMBERS.key_of(&self.user_id, &self.room_id)
    }

    fn new(user: &UserId, room: &RoomId, at: Timestamp, ttl: Option<i64>) -> Self {
        let (user_id, room_id) = (Self::partition(room), format!("user\t{user}"));
        Self { user_id, room_id, status: Status::Banned, joined_at: at, ttl }
    }

    /// The condition that there is no ban that counts. `since` and `now` as in [`Store::admit`].
    pub(super) fn is_absent(since: Timestamp, now: Timestamp) -> Statement {
        Statement::default()
            .when("attribute_not_exists(userId) OR joinedAt < :since OR ttl <= :now")
            .bind(":since", since.as_millis())
            .bind(":now", now.as_secs())
    }
}

/// How a user stands to a room, bans included.
pub struct Standing {
    membership: Membership,
    banned_at: Option<Timestamp>,
}

impl Standing {
    /// As it counts in a room: what is left of an earlier room of the same id counts for nothing. A ban counts before
    /// a membership: the request that banned may have ended before it ended that.
    pub fn within(self, room: &Room) -> Membership {
        match self.banned_at.filter(|at| *at >= room.since()) {
            Some(at) => Membership::Banned { at },
            None => self.membership.within(room),
        }
    }
}

impl Store {
    /// How a user stands to a room, read consistently by one request.
    pub async fn standing(&self, user: &UserId, room: &RoomId, now: Timestamp) -> Result<Standing, Error> {
        let keys = [(&MEMBERS, key(user, room)), (&MEMBERS, BanRow::key(user, room))];
        let mut rows = self.items(&keys).await?;
        let ban: Option<BanRow> = rows.pop().flatten().map(row_of).transpose()?;
        let own: Option<MemberRow> = rows.pop().flatten().map(row_of).transpose()?;
        let ban = ban.filter(|ban| ban.ttl.is_none_or(|ttl| !now.has_passed(ttl)));
        let own = own.filter(|row| !row.has_expired(now));
        if let Some(row) = own.as_ref().filter(|row| row.status == Status::Banned) {
            self.move_ban(row, now).await?;
        }
        Ok(Standing { membership: Membership::of(own), banned_at: ban.map(|ban| ban.joined_at) })
    }

    /// Whether a user is banned from a room.
    pub async fn is_banned(&self, user: &UserId, room: &Room, now: Timestamp) -> Result<bool, Error> {
        let standing = self.standing(user, &room.id, now).await?;
        Ok(matches!(standing.within(room), Membership::Banned { .. }))
    }

    /// Moves a ban out of the user's partition, where earlier versions kept it.
    async fn move_ban(&self, row: &MemberRow, now: Timestamp) -> Result<(), Error> {
        let ban = BanRow::new(&row.user_id, &row.room_id, row.joined_at, row.ttl);
        let is_new = Statement::default().when("attribute_not_exists(userId)");
        self.put(&MEMBERS, item_of(&ban)?, &is_new).await?;
        let statement = Statement::update("SET status = :left, ttl = :ttl")
            .when("status = :banned AND joinedAt = :joinedAt")
            .bind(":left", Status::Left.as_str())
            .bind(":banned", Status::Banned.as_str())
            .bind(":joinedAt", row.joined_at.as_millis())
            .bind(":ttl", row.ttl.unwrap_or(now.as_secs() + self.config.message_ttl_seconds()));
        self.update(&MEMBERS, key(&row.user_id, &row.room_id), &statement).await.map(drop)
    }

    /// Keeps a user from joining a room, then ends the membership, if there is one. Returns whether there was one.
    ///
    /// # Errors
    /// `ROOM_BUSY` when too many join and leave the room at once.
    pub async fn ban(&self, user: &UserId, room: &Room, now: Timestamp) -> Result<bool, Error> {
        let ban = BanRow::new(user, &room.id, now.max(room.created_at), None);
        self.put(&MEMBERS, item_of(&ban)?, &BanRow::is_absent(room.since(), now)).await?;
        // From here on nobody joins as this user: what is read now is the last membership.
        match self.membership(user, &room.id, now).await?.within(room) {
            Membership::Member(member) => self.dismiss(&member, room, now).await,
            _ => Ok(false),
        }
    }

    /// Lets a banned user join again.
    pub async fn unban(&self, user: &UserId, room: &RoomId, now: Timestamp) -> Result<(), Error> {
        self.standing(user, room, now).await?;
        self.delete(&MEMBERS, BanRow::key(user, room), &Statement::default()).await.map(drop)
    }
}
