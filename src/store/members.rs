//! Who belongs to which room, and who is banned. Transactions keep each room's count of participants true.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Select, TransactWriteItem};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::{Backoff, Key, Statement, Store, failed, item_of, pages, row_of};
use crate::domain::{InviteCode, Member, Name, Role, RoomId, RoomStatus, Seq, Timestamp, UserId};
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
    /// May not join again.
    Banned,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
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
    /// Set when the room is closed: it ends with the room's history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl: Option<i64>,
}

impl From<&Member> for MemberRow {
    fn from(member: &Member) -> Self {
        let Member { user, room, role, joined_at, name, peer, last_read, is_over: _ } = member.clone();
        let status = Status::Member;
        Self { user_id: user, room_id: room, role, status, joined_at, name, peer, last_read_seq: last_read, ttl: None }
    }
}

impl From<MemberRow> for Member {
    fn from(row: MemberRow) -> Self {
        let MemberRow { user_id, room_id, role, status: _, joined_at, name, peer, last_read_seq, ttl } = row;
        Self {
            user: user_id,
            room: room_id,
            role,
            joined_at,
            name,
            peer,
            last_read: last_read_seq,
            is_over: ttl.is_some(),
        }
    }
}

fn key(user: &UserId, room: &RoomId) -> Key {
    MEMBERS.key_of(user.as_str(), room.as_str())
}

/// How a user stands to a room.
pub enum Membership {
    Stranger,
    Member(Member),
    Banned,
}

impl Membership {
    /// The member, if the user is one.
    pub fn member(self) -> Option<Member> {
        match self {
            Self::Member(member) => Some(member),
            Self::Stranger | Self::Banned => None,
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

/// The parts of the transactions that change a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Membership,
    Participants,
    Invite,
}

impl Store {
    /// How a user stands to a room.
    pub async fn membership(&self, user: &UserId, room: &RoomId) -> Result<Membership, Error> {
        Ok(match self.row::<MemberRow>(&MEMBERS, key(user, room)).await? {
            None => Membership::Stranger,
            Some(row) if row.status == Status::Banned => Membership::Banned,
            Some(row) => Membership::Member(row.into()),
        })
    }

    /// A user's membership in a room.
    pub async fn member(&self, user: &UserId, room: &RoomId) -> Result<Option<Member>, Error> {
        Ok(self.membership(user, room).await?.member())
    }

    /// All rooms of a user, read consistently.
    pub async fn memberships(&self, user: &UserId) -> Result<Vec<Member>, Error> {
        let mut pages = self.memberships_query(user, None).into_paginator().items().send();
        let mut members = Vec::new();
        while let Some(item) = pages.next().await {
            members.push(row_of::<MemberRow>(item.map_err(failed)?)?.into());
        }
        Ok(members)
    }

    /// How many rooms a user is in that are not closed.
    pub async fn count_memberships(&self, user: &UserId) -> Result<usize, Error> {
        let open = self.memberships_query(user, Some("attribute_not_exists(ttl)"));
        let mut pages = open.select(Select::Count).into_paginator().send();
        let mut count = 0;
        while let Some(page) = pages.next().await {
            count += usize::try_from(page.map_err(failed)?.count).unwrap_or_default();
        }
        Ok(count)
    }

    fn memberships_query(&self, user: &UserId, filter: Option<&str>) -> QueryFluentBuilder {
        let statement = not_banned("userId = :user").bind(":user", user.as_str());
        let statement = match filter {
            Some(filter) => statement.filter(filter),
            None => statement,
        };
        self.query(&MEMBERS, &statement).consistent_read(true)
    }

    /// The part of a transaction that writes a membership over whatever there is.
    pub(super) fn founder(&self, member: &Member) -> Result<TransactWriteItem, Error> {
        self.put_part(&MEMBERS, item_of(&MemberRow::from(member))?, &Statement::default())
    }

    /// Adds a member and counts it, if the room is open and has capacity; with an invite, if that has a use left, which
    /// is used then.
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
        let is_new = Statement::default().when("attribute_not_exists(userId)");
        let mut parts = vec![
            (Part::Membership, self.put_part(&MEMBERS, item_of(&MemberRow::from(member))?, &is_new)?),
            (Part::Participants, self.one_more(&member.room)?),
        ];
        if let Some(invite) = invite {
            parts.push((Part::Invite, self.use_invite(&member.room, invite, now)?));
        }
        let refused = self.transact_within(Backoff::of_memberships(), parts).await?;
        if refused.is_empty() {
            Ok(Admission::Joined)
        } else if refused.contains(&Part::Membership) {
            match self.membership(&member.user, &member.room).await? {
                Membership::Banned => Err(Error::Banned),
                _ => Ok(Admission::AlreadyIn),
            }
        } else if refused.contains(&Part::Invite) {
            Err(Error::InviteRequired)
        } else {
            Err(match self.room(&member.room).await? {
                None => Error::RoomNotFound,
                Some(room) if room.status == RoomStatus::Closed => Error::RoomClosed,
                Some(_) => Error::RoomFull,
            })
        }
    }

    /// Ends a membership and counts it. `false` when there was none.
    pub async fn dismiss(&self, user: &UserId, room: &RoomId) -> Result<bool, Error> {
        let membership = self.delete_part(&MEMBERS, key(user, room), &of_member(Statement::default()))?;
        let parts = vec![(Part::Membership, membership), (Part::Participants, self.one_less(room)?)];
        Ok(self.transact_within(Backoff::of_memberships(), parts).await?.is_empty())
    }

    /// Ends a membership, if there is one, and keeps the user from joining again. Returns whether there was one.
    ///
    /// # Errors
    /// `ROOM_BUSY` when the user joins and leaves faster than that.
    pub async fn ban(&self, user: &UserId, room: &RoomId, now: Timestamp) -> Result<bool, Error> {
        let ban = Member::new(user.clone(), user.as_name(), room.clone(), Role::Member, now);
        let ban = item_of(&MemberRow { status: Status::Banned, ..MemberRow::from(&ban) })?;
        let mut backoff = Backoff::new();
        loop {
            let was_member = match self.membership(user, room).await? {
                Membership::Banned => return Ok(false),
                Membership::Member(_) => true,
                Membership::Stranger => false,
            };
            let parts = if was_member {
                let over_member = self.put_part(&MEMBERS, ban.clone(), &of_member(Statement::default()))?;
                vec![(Part::Membership, over_member), (Part::Participants, self.one_less(room)?)]
            } else {
                let is_new = Statement::default().when("attribute_not_exists(userId)");
                vec![(Part::Membership, self.put_part(&MEMBERS, ban.clone(), &is_new)?)]
            };
            if self.transact(parts).await?.is_empty() {
                return Ok(was_member);
            }
            if !backoff.pause().await {
                return Err(Error::RoomBusy);
            }
        }
    }

    /// Lets all memberships in a closed room end at `ttl` (epoch seconds). What a failure leaves undone lasts longer,
    /// no more.
    pub async fn end_members(&self, room: &RoomId, ttl: i64) -> Result<(), Error> {
        let statement = &of_member(Statement::update("SET ttl = :ttl")).bind(":ttl", ttl);
        let mut after = None;
        loop {
            let (members, more) = self.members(room, after.as_ref()).await?;
            stream::iter(&members)
                .map(|member| async move { self.update(&MEMBERS, key(&member.user, room), statement).await })
                .buffer_unordered(ENDED_AT_ONCE)
                .try_collect::<Vec<_>>()
                .await?;
            after = members.into_iter().next_back().map(|last| last.user).filter(|_| more);
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Gives a member another role. `false` when there is no such member.
    pub async fn set_role(&self, user: &UserId, room: &RoomId, role: Role) -> Result<bool, Error> {
        let statement = of_member(Statement::update("SET role = :role")).bind(":role", role.as_str());
        self.update(&MEMBERS, key(user, room), &statement).await
    }

    /// Lets a banned user join again. `false` when the user is not banned.
    pub async fn unban(&self, user: &UserId, room: &RoomId) -> Result<bool, Error> {
        let statement = Statement::default().when("status = :banned").bind(":banned", Status::Banned.as_str());
        self.delete(&MEMBERS, key(user, room), &statement).await
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
        let statement = not_banned("roomId = :room").bind(":room", room.as_str());
        self.query(&MEMBERS, &statement).index_name(MEMBERS_BY_ROOM.name)
    }
}

/// A query that leaves bans out.
fn not_banned(key_condition: &str) -> Statement {
    Statement::query(key_condition).filter("status <> :banned").bind(":banned", Status::Banned.as_str())
}

/// A write over the row of a member, not of a ban.
fn of_member(statement: Statement) -> Statement {
    statement.when("status = :member").bind(":member", Status::Member.as_str())
}
