//! Who belongs to which room, and who is banned. Transactions keep each room's count of participants true.

mod count;
mod end;
mod join;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Select, TransactWriteItem};
use futures_util::stream::StreamExt;
use serde::{Deserialize, Serialize};

use super::{Key, Statement, Store, failed, item_of, pages, row_of};
use crate::domain::{Member, Name, Role, Room, RoomId, Seq, Timestamp, UserId};
use crate::error::Error;
use crate::tables::{MEMBERS, MEMBERS_BY_ROOM};

#[cfg(test)]
pub(super) use count::COUNTERS;

/// Most participants in one answer.
pub const PARTICIPANTS_PAGE: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Member,
    /// Was a member. The row keeps the read mark, and keeps `joinedAt` from ever going back.
    Left,
    /// May not join again.
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
struct MemberRow {
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
    /// As [`Member::is_unannounced`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unannounced: bool,
    /// Set when the membership or the room ends (epoch seconds).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl: Option<i64>,
}

impl MemberRow {
    fn has_expired(&self, now: Timestamp) -> bool {
        self.ttl.is_some_and(|ttl| now.has_passed(ttl))
    }
}

impl From<&Member> for MemberRow {
    fn from(member: &Member) -> Self {
        let Member { user, room, role, joined_at, name, peer, last_read, is_unannounced, .. } = member.clone();
        Self {
            user_id: user,
            room_id: room,
            role,
            status: Status::Member,
            joined_at,
            name,
            peer,
            last_read_seq: last_read,
            unannounced: is_unannounced,
            ttl: None,
        }
    }
}

impl From<MemberRow> for Member {
    fn from(row: MemberRow) -> Self {
        let MemberRow { user_id, room_id, role, joined_at, name, peer, last_read_seq, unannounced, ttl, .. } = row;
        Self {
            user: user_id,
            room: room_id,
            role,
            joined_at,
            name,
            peer,
            last_read: last_read_seq,
            is_over: ttl.is_some(),
            is_unannounced: unannounced,
        }
    }
}

fn key(user: &UserId, room: &RoomId) -> Key {
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
}

impl Store {
    /// How a user stands to a room, read consistently. An expired row counts for nothing.
    pub async fn membership(&self, user: &UserId, room: &RoomId, now: Timestamp) -> Result<Membership, Error> {
        let row = self.row::<MemberRow>(&MEMBERS, key(user, room)).await?;
        Ok(match row.filter(|row| !row.has_expired(now)) {
            Some(row) if row.status == Status::Banned => Membership::Banned { at: row.joined_at },
            Some(row) if row.status == Status::Member => Membership::Member(row.into()),
            Some(_) => Membership::Former,
            None => Membership::Stranger,
        })
    }

    /// A user's membership in a room.
    pub async fn member(&self, user: &UserId, room: &RoomId, now: Timestamp) -> Result<Option<Member>, Error> {
        Ok(self.membership(user, room, now).await?.member())
    }

    /// All rooms of a user, read consistently.
    pub async fn memberships(&self, user: &UserId, now: Timestamp) -> Result<Vec<Member>, Error> {
        let pages = self.memberships_query(user, |all| all.filter(UNEXPIRED).bind(":now", now.as_secs()));
        let mut pages = pages.into_paginator().items().send();
        let mut members = Vec::new();
        while let Some(item) = pages.next().await {
            members.push(row_of::<MemberRow>(item.map_err(failed)?)?.into());
        }
        Ok(members)
    }

    /// How many rooms a user is in that are not closed.
    pub async fn count_memberships(&self, user: &UserId) -> Result<usize, Error> {
        let open = self.memberships_query(user, |all| all.filter("attribute_not_exists(ttl)"));
        let mut pages = open.select(Select::Count).into_paginator().send();
        let mut count = 0;
        while let Some(page) = pages.next().await {
            count += usize::try_from(page.map_err(failed)?.count).unwrap_or_default();
        }
        Ok(count)
    }

    fn memberships_query(&self, user: &UserId, filter: impl Fn(Statement) -> Statement) -> QueryFluentBuilder {
        let statement = members_only("userId = :user").bind(":user", user.as_str());
        self.query(&MEMBERS, &filter(statement)).consistent_read(true)
    }

    /// The part of a transaction that writes a membership over whatever there is.
    pub(super) fn founder(&self, member: &Member) -> Result<TransactWriteItem, Error> {
        self.put_part(&MEMBERS, item_of(&MemberRow::from(member))?, &Statement::default())
    }

    /// Gives a member another role. `false` when there is no such member.
    pub async fn set_role(&self, user: &UserId, room: &RoomId, role: Role) -> Result<bool, Error> {
        let statement = of_member(Statement::update("SET role = :role")).bind(":role", role.as_str());
        self.update(&MEMBERS, key(user, room), &statement).await
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

    /// Notes how far a member has read, which only grows. `false` when it was further already, or is no member.
    pub async fn mark_read(&self, user: &UserId, room: &RoomId, seq: Seq) -> Result<bool, Error> {
        let statement = Statement::update("SET lastReadSeq = :seq")
            .when("status = :member AND lastReadSeq <= :seq")
            .bind(":member", Status::Member.as_str())
            .bind(":seq", seq.as_i64());
        self.update(&MEMBERS, key(user, room), &statement).await
    }

    /// The users of the first members of a room, at most [`PARTICIPANTS_PAGE`], by one request: fewer where some of the
    /// rows that it reads are bans. Only where all of them are, the next ones are read.
    pub async fn first_member_ids(&self, room: &RoomId) -> Result<Vec<UserId>, Error> {
        let mut pages = pages::<MemberRow>(self.members_query(room).limit(PARTICIPANTS_PAGE as i32));
        let mut rows = Vec::new();
        while rows.is_empty()
            && let Some(page) = pages.next().await
        {
            rows = page?;
        }
        Ok(rows.into_iter().map(|row| row.user_id).collect())
    }

    /// A page of a room's members in the order of their ids, from behind `after`, and whether there are more.
    pub async fn members(&self, room: &RoomId, after: Option<&UserId>) -> Result<(Vec<Member>, bool), Error> {
        let start = after.map(|user| {
            Key::from([
                (MEMBERS_BY_ROOM.partition_key.to_owned(), AttributeValue::S(room.to_string())),
                (MEMBERS_BY_ROOM.sort_key.to_owned(), AttributeValue::S(user.to_string())),
            ])
        });
        let query = self.members_query(room).set_exclusive_start_key(start).limit(PARTICIPANTS_PAGE as i32 + 1);
        let mut items = query.into_paginator().items().send();
        let mut members: Vec<Member> = Vec::new();
        while members.len() <= PARTICIPANTS_PAGE
            && let Some(item) = items.next().await
        {
            members.push(row_of::<MemberRow>(item.map_err(failed)?)?.into());
        }
        let more = members.len() > PARTICIPANTS_PAGE;
        members.truncate(PARTICIPANTS_PAGE);
        Ok((members, more))
    }

    fn members_query(&self, room: &RoomId) -> QueryFluentBuilder {
        let statement = members_only("roomId = :room").bind(":room", room.as_str());
        self.query(&MEMBERS, &statement).index_name(MEMBERS_BY_ROOM.name)
    }
}

/// What has not ended: TTL deletes rows late.
const UNEXPIRED: &str = "(attribute_not_exists(ttl) OR ttl > :now)";

/// A query that leaves out who has left or is banned.
fn members_only(key_condition: &str) -> Statement {
    Statement::query(key_condition).filter("status = :member").bind(":member", Status::Member.as_str())
}

/// A write over the row of a member.
fn of_member(statement: Statement) -> Statement {
    statement.when("status = :member").bind(":member", Status::Member.as_str())
}

/// A write over the row of this very membership, not of a later one of the same user.
fn of_membership(statement: Statement, member: &Member) -> Statement {
    let statement = statement.when("status = :member AND joinedAt = :joinedAt");
    statement.bind(":member", Status::Member.as_str()).bind(":joinedAt", member.joined_at.as_millis())
}
