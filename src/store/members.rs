//! Who belongs to which room, and who is banned. Transactions keep each room's count of participants true.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Select, TransactWriteItem};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::{Backoff, Key, Statement, Store, failed, item_of, pages, row_of};
use crate::domain::{InviteCode, Member, Name, Role, Room, RoomId, RoomStatus, Seq, Timestamp, UserId};
use crate::error::Error;
use crate::tables::{MEMBERS, MEMBERS_BY_ROOM};

/// Memberships that are given their end at once.
const ENDED_AT_ONCE: usize = 16;

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

    /// Adds a member and counts it, if the room is open and has capacity; with an invite, if that has a use left,
    /// which is used then. `joined_at` is what tells this membership from earlier ones of the same user, so it is
    /// raised above theirs. What is left from before `since`, of an earlier room of the same id, counts for nothing.
    ///
    /// # Errors
    /// `ROOM_NOT_FOUND`, `ROOM_CLOSED`, `ROOM_FULL`, `BANNED`, `INVITE_REQUIRED`, or `ROOM_BUSY` when too many join at
    /// once.
    pub async fn admit(
        &self,
        mut member: Member,
        since: Timestamp,
        invite: Option<&InviteCode>,
        now: Timestamp,
    ) -> Result<Admission, Error> {
        member.joined_at = member.joined_at.max(since);
        loop {
            let mut parts = vec![
                (Part::Membership, self.becomes_member(&member, since, now)?),
                (Part::Participants, self.one_more(&member.room)?),
            ];
            if let Some(invite) = invite {
                parts.push((Part::Invite, self.use_invite(&member.room, invite, now)?));
            }
            let refused = self.transact_within(Backoff::of_memberships(), parts).await?;
            if refused.is_empty() {
                return Ok(Admission::Joined(member));
            } else if refused.contains(&Part::Membership) {
                let row = self.row::<MemberRow>(&MEMBERS, key(&member.user, &member.room)).await?;
                let Some(row) = row else { continue };
                let counts = !row.has_expired(now) && row.joined_at >= since;
                match row.status {
                    Status::Banned if counts => return Err(Error::Banned),
                    Status::Member if counts => return Ok(Admission::AlreadyIn(row.into())),
                    _ => member.joined_at = member.joined_at.max(row.joined_at.plus_millis(1)),
                }
            } else if refused.contains(&Part::Invite) {
                return Err(Error::InviteRequired);
            } else {
                return Err(match self.room(&member.room, now).await? {
                    None => Error::RoomNotFound,
                    Some(room) if room.status == RoomStatus::Closed => Error::RoomClosed,
                    Some(_) => Error::RoomFull,
                });
            }
        }
    }

    /// The part of a transaction that makes a user a member: if they are none, are not banned, and left before. The
    /// read mark of an earlier membership stays.
    fn becomes_member(&self, member: &Member, since: Timestamp, now: Timestamp) -> Result<TransactWriteItem, Error> {
        const JOIN: &str = "SET role = :role, status = :member, joinedAt = :joinedAt, name = :name, \
            unannounced = :true, lastReadSeq = if_not_exists(lastReadSeq, :none) REMOVE ttl, peer";
        const IS_NEW: &str = "attribute_not_exists(userId) OR \
            ((status = :left OR ttl <= :now OR joinedAt < :since) AND joinedAt < :joinedAt)";
        let statement = Statement::update(JOIN)
            .when(IS_NEW)
            .bind(":role", member.role.as_str())
            .bind(":member", Status::Member.as_str())
            .bind(":left", Status::Left.as_str())
            .bind(":joinedAt", member.joined_at.as_millis())
            .bind(":name", member.name.as_str())
            .bind(":none", 0_i64)
            .bind(":true", true)
            .bind(":since", since.as_millis())
            .bind(":now", now.as_secs());
        self.update_part(&MEMBERS, key(&member.user, &member.room), &statement)
    }

    /// Ends a membership and counts it; from then on its subscriptions count for nothing. `false` when that membership
    /// had ended before.
    pub async fn dismiss(&self, member: &Member, now: Timestamp) -> Result<bool, Error> {
        let ttl = now.as_secs() + self.config.message_ttl_seconds();
        let statement = Statement::update("SET status = :left, ttl = :ttl").bind(":ttl", ttl);
        let statement = of_membership(statement, member).bind(":left", Status::Left.as_str());
        let left = self.update_part(&MEMBERS, key(&member.user, &member.room), &statement)?;
        Ok(self.transact_within(Backoff::of_memberships(), self.ending(member, left, now)?).await?.is_empty())
    }

    /// The parts that end a membership, with the one that changes its row.
    fn ending(
        &self,
        member: &Member,
        membership: TransactWriteItem,
        now: Timestamp,
    ) -> Result<Vec<(Part, TransactWriteItem)>, Error> {
        Ok(vec![
            (Part::Membership, membership),
            (Part::Participants, self.one_less(&member.room)?),
            (Part::Gone, self.gone_part(member, now)?),
        ])
    }

    /// Ends a membership, if there is one, and keeps the user from joining again. Returns the membership that ended.
    ///
    /// # Errors
    /// `ROOM_BUSY` when the user joins and leaves faster than that.
    pub async fn ban(&self, user: &UserId, room: &Room, now: Timestamp) -> Result<Option<Member>, Error> {
        let mut backoff = Backoff::new();
        loop {
            let row = self.row::<MemberRow>(&MEMBERS, key(user, &room.id)).await?;
            let counts = row.as_ref().is_some_and(|row| !row.has_expired(now) && row.joined_at >= room.since());
            let unchanged = match &row {
                None => Statement::default().when("attribute_not_exists(userId)"),
                Some(row) => Statement::default()
                    .when("status = :status AND joinedAt = :joinedAt")
                    .bind(":status", row.status.as_str())
                    .bind(":joinedAt", row.joined_at.as_millis()),
            };
            let (parts, ended) = match row {
                Some(row) if counts && row.status == Status::Banned => return Ok(None),
                Some(row) if counts && row.status == Status::Member => {
                    let member = Member::from(row);
                    let ban = self.put_part(&MEMBERS, item_of(&ban_of(&member, room, now))?, &unchanged)?;
                    (self.ending(&member, ban, now)?, Some(member))
                }
                row => {
                    let stranger = Member::new(user.clone(), user.as_name(), room.id.clone(), Role::Member, now);
                    let before = row.map_or(stranger, Member::from);
                    let ban = self.put_part(&MEMBERS, item_of(&ban_of(&before, room, now))?, &unchanged)?;
                    (vec![(Part::Membership, ban)], None)
                }
            };
            if self.transact(parts).await?.is_empty() {
                return Ok(ended);
            }
            if !backoff.pause().await {
                return Err(Error::RoomBusy);
            }
        }
    }

    /// Lets all rows of users in a closed room end at `ttl` (epoch seconds), bans too. The index may lag behind: a
    /// second pass finds what this one missed, and what both miss counts for nothing once the room has expired.
    pub async fn end_members(&self, room: &RoomId, ttl: i64) -> Result<(), Error> {
        let has_no_end = "attribute_exists(userId) AND attribute_not_exists(ttl)";
        let statement = &Statement::update("SET ttl = :ttl").when(has_no_end).bind(":ttl", ttl);
        let all = Statement::query("roomId = :room").bind(":room", room.as_str());
        let query = self.query(&MEMBERS, &all).index_name(MEMBERS_BY_ROOM.name);
        let mut pages = pages::<MemberRow>(query);
        while let Some(page) = pages.next().await {
            stream::iter(&page?)
                .map(|row| async move { self.update(&MEMBERS, key(&row.user_id, room), statement).await })
                .buffer_unordered(ENDED_AT_ONCE)
                .try_collect::<Vec<_>>()
                .await?;
        }
        Ok(())
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

    /// Lets a banned user join again. `false` when the user is not banned.
    pub async fn unban(&self, user: &UserId, room: &RoomId, now: Timestamp) -> Result<bool, Error> {
        let statement = Statement::update("SET status = :left, ttl = :ttl")
            .when("status = :banned")
            .bind(":ttl", now.as_secs() + self.config.message_ttl_seconds())
            .bind(":left", Status::Left.as_str())
            .bind(":banned", Status::Banned.as_str());
        self.update(&MEMBERS, key(user, room), &statement).await
    }

    /// Notes how far a member has read, which only grows. `false` when it was as far already, or is no member.
    pub async fn mark_read(&self, user: &UserId, room: &RoomId, seq: Seq) -> Result<bool, Error> {
        let statement = Statement::update("SET lastReadSeq = :seq")
            .when("status = :member AND lastReadSeq < :seq")
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

/// The row of a ban, in the place of an earlier row of the user.
fn ban_of(before: &Member, room: &Room, now: Timestamp) -> MemberRow {
    let at = now.max(room.created_at).max(before.joined_at.plus_millis(1));
    MemberRow { status: Status::Banned, role: Role::Member, joined_at: at, ..MemberRow::from(before) }
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
