//! Lists: the rooms of a user, their direct conversations, the members of a room.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, Select};
use futures_util::stream::{StreamExt, TryStreamExt};
use tokio::try_join;

use super::super::{Key, Statement, Store, failed, pages, row_of, units_of};
use super::{MemberRow, Membership, Status, key};
use crate::domain::{Member, RoomId, Timestamp, UserId};
use crate::error::Error;
use crate::tables::{MEMBERS, MEMBERS_BY_ROOM};

/// Most participants in one answer.
pub const PARTICIPANTS_PAGE: usize = 100;
/// The rooms of a user: what sorts before and behind the direct conversations, which anybody can begin. So those of
/// strangers cost nothing at a connect.
const ROOMS: [(&str, &str); 2] =
    [("userId = :user AND roomId < :edge", "dm-"), ("userId = :user AND roomId >= :edge", "dm.")];

impl Store {
    /// All rooms of a user but for direct conversations, read consistently.
    pub async fn memberships(&self, user: &UserId, now: Timestamp) -> Result<Vec<Member>, Error> {
        let read = |range| async move {
            let query = self.rooms_query(user, range, |all| all.filter(UNEXPIRED).bind(":now", now.as_secs()));
            pages::<MemberRow>(query).try_concat().await
        };
        let (before, behind) = try_join!(read(ROOMS[0]), read(ROOMS[1]))?;
        Ok(before.into_iter().chain(behind).map(Member::from).collect())
    }

    /// How many rooms a user joined or made that are not closed. Direct conversations do not count, nor do rooms to
    /// which others added the user.
    pub async fn count_own_rooms(&self, user: &UserId) -> Result<usize, Error> {
        self.count_rooms(user, |all| all.filter("attribute_not_exists(ttl) AND attribute_not_exists(added)")).await
    }

    /// How many rooms others added a user to who did not leave them since.
    pub async fn count_added_rooms(&self, user: &UserId, now: Timestamp) -> Result<usize, Error> {
        let filter = |all: Statement| all.filter(UNEXPIRED).filter("attribute_exists(added)");
        self.count_rooms(user, |all| filter(all).bind(":now", now.as_secs())).await
    }

    async fn count_rooms(&self, user: &UserId, filter: impl Fn(Statement) -> Statement) -> Result<usize, Error> {
        let count = |range| {
            let mut pages = self.rooms_query(user, range, &filter).select(Select::Count).into_paginator().send();
            async move {
                let mut count = 0;
                while let Some(page) = pages.next().await {
                    count += usize::try_from(page.map_err(failed)?.count).unwrap_or_default();
                }
                Ok::<_, Error>(count)
            }
        };
        let (before, behind) = try_join!(count(ROOMS[0]), count(ROOMS[1]))?;
        Ok(before + behind)
    }

    fn rooms_query(
        &self,
        user: &UserId,
        (range, edge): (&str, &str),
        filter: impl Fn(Statement) -> Statement,
    ) -> QueryFluentBuilder {
        let statement = members_only(range).bind(":user", user.as_str()).bind(":edge", edge);
        self.query(&MEMBERS, &filter(statement)).consistent_read(true)
    }

    /// Up to `limit` rows of a user's groups and direct conversations in the order of their ids, from behind `after`:
    /// those of which the user is a member, whether there may be more, and how many read units that took.
    pub async fn conversations(
        &self,
        user: &UserId,
        after: Option<&RoomId>,
        limit: usize,
        now: Timestamp,
    ) -> Result<(Vec<Member>, bool, f64), Error> {
        let statement = members_only("userId = :user").filter(UNEXPIRED).bind(":now", now.as_secs());
        self.rooms_page(user, &statement.bind(":user", user.as_str()), after, limit).await
    }

    /// Up to `limit` direct conversations of a user in the order of their ids, from behind `after`, and whether there
    /// may be more.
    pub async fn direct_conversations(
        &self,
        user: &UserId,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<(Vec<Member>, bool), Error> {
        let statement = members_only("userId = :user AND roomId BETWEEN :first AND :last")
            .bind(":user", user.as_str())
            .bind(":first", "dm-")
            .bind(":last", "dm.");
        let (members, more, _) = self.rooms_page(user, &statement, after, limit).await?;
        Ok((members, more))
    }

    /// Up to `limit` rows of a user, from behind that of `after`: whether there may be more, and how many read units
    /// that took.
    async fn rooms_page(
        &self,
        user: &UserId,
        statement: &Statement,
        after: Option<&RoomId>,
        limit: usize,
    ) -> Result<(Vec<Member>, bool, f64), Error> {
        let start = after.map(|room| MEMBERS.key_of(user.as_str(), room.as_str()));
        let query = self.query(&MEMBERS, statement).consistent_read(true).set_exclusive_start_key(start);
        let query = query.limit(i32::try_from(limit).unwrap_or(i32::MAX));
        let page = query.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await.map_err(failed)?;
        let (units, more) = (units_of(&page), page.last_evaluated_key.is_some());
        let rows = page.items.unwrap_or_default().into_iter();
        let members = rows.map(|item| row_of::<MemberRow>(item).map(Member::from)).collect::<Result<_, _>>()?;
        Ok((members, more, units))
    }

    /// Those of at most 100 users who are members of a room, by one request.
    pub async fn members_among(&self, users: Vec<UserId>, room: &RoomId, now: Timestamp) -> Result<Vec<UserId>, Error> {
        let members = self.memberships_among(users, room, now).await?;
        Ok(members.into_iter().map(|member| member.user).collect())
    }

    /// As [`Store::members_among`], with all that is known of each.
    pub async fn memberships_among(
        &self,
        users: Vec<UserId>,
        room: &RoomId,
        now: Timestamp,
    ) -> Result<Vec<Member>, Error> {
        let keys: Vec<_> = users.iter().map(|user| (&MEMBERS, key(user, room))).collect();
        let mut members = Vec::with_capacity(users.len());
        for row in self.items(&keys).await? {
            let row: Option<MemberRow> = row.map(row_of).transpose()?;
            members.extend(Membership::of(row.filter(|row| !row.has_expired(now))).member());
        }
        Ok(members)
    }

    /// The users of the first members of a room, at most [`PARTICIPANTS_PAGE`], by one request: fewer where some of the
    /// rows that it reads are of users who have left. Only where all of them are, the next ones are read.
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

/// A query that leaves out who has left.
fn members_only(key_condition: &str) -> Statement {
    Statement::query(key_condition).filter("status = :member").bind(":member", Status::Member.as_str())
}
