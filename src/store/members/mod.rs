//! Who belongs to which room, and who is banned. Transactions keep each room's count of participants true.
//!
//! A user's partition has what the user did, and what others did within limits: the rooms that they are or were in, and
//! the direct conversations, which sort together and are left out where rooms are read.

mod bans;
mod count;
mod end;
mod join;
mod lists;
mod written;

use aws_sdk_dynamodb::types::TransactWriteItem;
use serde::{Deserialize, Serialize};

use super::{Key, Statement, Store, item_of};
use crate::domain::{Member, Name, Notify, NotifyLevel, Role, Room, RoomId, Seq, Timestamp, UserId};
use crate::error::Error;
use crate::tables::MEMBERS;

pub use bans::Standing;
#[cfg(test)]
pub(super) use count::COUNTERS;
pub use join::Pass;
pub use lists::PARTICIPANTS_PAGE;
pub(super) use written::written;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Member,
    /// Was a member. The row keeps the read mark, and keeps `joinedAt` from ever going back.
    Left,
    /// May not join again: a row of a version that kept bans in the user's partition.
    Banned,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Left => "left",
            Self::Banned => "banned",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MemberRow {
    user_id: UserId,
    room_id: RoomId,
    role: Role,
    status: Status,
    joined_at: Timestamp,
    name: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    peer: Option<UserId>,
    #[serde(default)]
    last_read_seq: Seq,
    /// As [`Member::read_version`].
    #[serde(default, skip_serializing_if = "is_zero")]
    read_version: u64,
    /// As [`Member::notify`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notify: Option<NotifyLevel>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notify_from: Option<Timestamp>,
    /// As [`Member::is_unannounced`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unannounced: bool,
    /// As [`Member::is_added`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    added: bool,
    /// As [`Member::hidden_at`].
    #[serde(default, skip_serializing_if = "is_start")]
    hidden_at: Seq,
    /// As [`Member::muted_until`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    muted_until: Option<i64>,
    /// Set when the membership or the room ends (epoch seconds).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl: Option<i64>,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_start(seq: &Seq) -> bool {
    *seq == Seq::ZERO
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(version: &u64) -> bool {
    *version == 0
}

impl MemberRow {
    pub(super) fn is_member(&self) -> bool {
        self.status == Status::Member
    }

    fn has_expired(&self, now: Timestamp) -> bool {
        self.ttl.is_some_and(|ttl| now.has_passed(ttl))
    }
}

impl From<&Member> for MemberRow {
    fn from(member: &Member) -> Self {
        let member = member.clone();
        let Member { user, room, role, joined_at, name, peer, last_read, is_unannounced, .. } = member;
        let Member { is_added, hidden_at, .. } = member;
        let Member { muted_until, read_version, notify, .. } = member;
        Self {
            read_version,
            notify: Some(notify.level).filter(|level| *level != NotifyLevel::default()),
            notify_from: notify.muted_until,
            added: is_added,
            hidden_at,
            user_id: user,
            room_id: room,
            role,
            status: Status::Member,
            joined_at,
            name,
            peer,
            last_read_seq: last_read,
            unannounced: is_unannounced,
            muted_until,
            ttl: None,
        }
    }
}

impl From<MemberRow> for Member {
    fn from(row: MemberRow) -> Self {
        let MemberRow { user_id, room_id, role, joined_at, name, peer, last_read_seq, unannounced, .. } = row;
        let MemberRow { added, hidden_at, muted_until, ttl, read_version, notify, notify_from, .. } = row;
        Self {
            read_version,
            notify: Notify { level: notify.unwrap_or_default(), muted_until: notify_from },
            user: user_id,
            room: room_id,
            role,
            joined_at,
            name,
            peer,
            last_read: last_read_seq,
            is_over: ttl.is_some(),
            is_unannounced: unannounced,
            is_added: added,
            hidden_at,
            muted_until,
        }
    }
}

/// The key of a user's row of a room.
pub(super) fn key(user: &UserId, room: &RoomId) -> Key {
    MEMBERS.key_of(user.as_str(), room.as_str())
}

/// How a user stands to a room.
pub enum Membership {
    /// Never was a member, as far as is known.
    Stranger,
    /// Was a member: left, or was removed.
    Former,
    Member(Member),
    Banned {
        /// When the user was banned.
        at: Timestamp,
    },
}

impl Membership {
    fn of(row: Option<MemberRow>) -> Self {
        match row {
            Some(row) if row.status == Status::Banned => Self::Banned { at: row.joined_at },
            Some(row) if row.status == Status::Member => Self::Member(row.into()),
            Some(_) => Self::Former,
            None => Self::Stranger,
        }
    }

    /// As it counts in a room: what is left of an earlier room of the same id counts for nothing.
    pub fn within(self, room: &Room) -> Self {
        match self {
            Self::Member(member) if member.joined_at < room.since() => Self::Stranger,
            Self::Banned { at } if at < room.since() => Self::Stranger,
            known => known,
        }
    }

    /// The member, if the user is one.
    pub fn member(self) -> Option<Member> {
        match self {
            Self::Member(member) => Some(member),
            Self::Stranger | Self::Former | Self::Banned { .. } => None,
        }
    }
}

/// How a request to join ended.
#[derive(Clone, Debug)]
pub enum Admission {
    /// A member from now on.
    Joined(Member),
    /// A member already: nothing was written.
    AlreadyIn(Member),
}

/// The parts of the transactions that change a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Membership,
    Participants,
    Invite,
    Gone,
    Ban,
}

impl Store {
    /// A user's membership in a room, read consistently, without a ban: whoever is a member is not banned. An expired
    /// row counts for nothing.
    pub async fn membership(&self, user: &UserId, room: &RoomId, now: Timestamp) -> Result<Membership, Error> {
        let row = self.row::<MemberRow>(&MEMBERS, key(user, room)).await?;
        Ok(Membership::of(row.filter(|row| !row.has_expired(now))))
    }

    /// A user's membership in a room.
    pub async fn member(&self, user: &UserId, room: &RoomId, now: Timestamp) -> Result<Option<Member>, Error> {
        Ok(self.membership(user, room, now).await?.member())
    }

    /// The part of a transaction that writes a membership over whatever there is.
    pub(super) fn founder(&self, member: &Member) -> Result<TransactWriteItem, Error> {
        self.put_member(member, &Statement::default())
    }

    /// As [`Store::founder`], if the statement's condition holds.
    pub(super) fn put_member(&self, member: &Member, statement: &Statement) -> Result<TransactWriteItem, Error> {
        self.put_part(&MEMBERS, item_of(&MemberRow::from(member))?, statement)
    }

    /// Gives a member another role. `false` when there is no such member.
    pub async fn set_role(&self, user: &UserId, room: &RoomId, role: Role) -> Result<bool, Error> {
        let statement = of_member(Statement::update("SET role = :role")).bind(":role", role.as_str());
        self.update(&MEMBERS, key(user, room), &statement).await
    }

    /// Mutes a member until `end` (epoch seconds), or no longer. `false` when there is no such member.
    pub async fn mute_member(&self, user: &UserId, room: &RoomId, end: Option<i64>) -> Result<bool, Error> {
        let statement = match end {
            Some(end) => Statement::update("SET mutedUntil = :end").bind(":end", end),
            None => Statement::update("REMOVE mutedUntil"),
        };
        self.update(&MEMBERS, key(user, room), &of_member(statement)).await
    }

    /// Notes that the others have been told of a join.
    pub async fn note_announced(&self, member: &Member) -> Result<(), Error> {
        let statement = of_membership(Statement::update("REMOVE unannounced"), member);
        self.update(&MEMBERS, key(&member.user, &member.room), &statement).await.map(drop)
    }

    /// Gives a member another display name.
    pub async fn rename_member(&self, member: &Member, name: &Name) -> Result<(), Error> {
        let statement = of_membership(Statement::update("SET name = :name"), member).bind(":name", name.as_str());
        self.update(&MEMBERS, key(&member.user, &member.room), &statement).await.map(drop)
    }

    /// Notes how far a member has read, which only grows. `false` when it was further already, is no member, or has set
    /// the mark back since the client learned of `version`.
    pub async fn mark_read(&self, user: &UserId, room: &RoomId, seq: Seq, version: Option<u64>) -> Result<bool, Error> {
        let mut statement = of_member(Statement::update("SET lastReadSeq = :seq"))
            .when("lastReadSeq <= :seq")
            .bind(":seq", seq.as_i64());
        statement = match version.and_then(|version| i64::try_from(version).ok()) {
            Some(0) => statement.when("attribute_not_exists(readVersion)"),
            Some(version) => statement.when("readVersion = :version").bind(":version", version),
            None => statement,
        };
        self.update(&MEMBERS, key(user, room), &statement).await
    }

    /// Sets the read mark of a member back to before a message: where it is before that already, it stays, since what
    /// has not been read stays unread. `false` when there is no such member.
    pub async fn mark_unread(&self, member: &Member, seq: Seq) -> Result<bool, Error> {
        let statement = of_membership(Statement::update("SET lastReadSeq = :seq ADD readVersion :one"), member)
            .bind(":seq", seq.previous().min(member.last_read).as_i64())
            .bind(":one", 1_i64);
        self.update(&MEMBERS, key(&member.user, &member.room), &statement).await
    }

    /// Notes what a member wants to be told of. `false` when there is no such member.
    pub async fn set_notify(&self, user: &UserId, room: &RoomId, notify: &Notify) -> Result<bool, Error> {
        let statement = match notify.muted_until {
            Some(end) => Statement::update("SET notify = :level, notifyFrom = :end").bind(":end", end.as_millis()),
            None => Statement::update("SET notify = :level REMOVE notifyFrom"),
        };
        self.update(&MEMBERS, key(user, room), &of_member(statement).bind(":level", notify.level.as_str())).await
    }
}

/// A write over the row of a member.
pub(super) fn of_member(statement: Statement) -> Statement {
    statement.when("status = :member").bind(":member", Status::Member.as_str())
}

/// A write over the row of this very membership, not of a later one of the same user.
fn of_membership(statement: Statement, member: &Member) -> Statement {
    is_membership(statement, member.joined_at)
}

/// The condition that a row is of the membership that began then.
fn is_membership(statement: Statement, since: Timestamp) -> Statement {
    let statement = statement.when("status = :member AND joinedAt = :joinedAt");
    statement.bind(":member", Status::Member.as_str()).bind(":joinedAt", since.as_millis())
}
