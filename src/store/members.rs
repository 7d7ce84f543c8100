//! Who belongs to which room.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Select};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::tables::{Key, MEMBERS, MEMBERS_BY_ROOM, TTL};
use super::{Store, failed, number, pages, row_of, text, was_done};
use crate::domain::{Member, Name, Role, RoomId, Seq, Timestamp, UserId};
use crate::error::Error;

/// Memberships that are ended at once.
const ENDED_AT_ONCE: usize = 16;
pub(super) const STATUS: &str = "status";
const NOT_BANNED: &str = "#status <> :banned";

/// Most participants in one answer.
pub const PARTICIPANTS_PAGE: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Member,
    /// May not join again.
    Banned,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Banned => "banned",
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MemberRow {
    pub user_id: UserId,
    pub room_id: RoomId,
    pub role: Role,
    pub status: Status,
    pub joined_at: Timestamp,
    pub name: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<UserId>,
    #[serde(default)]
    pub last_read_seq: Seq,
    /// Set when the room is closed: it ends with the room's history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<i64>,
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

pub(super) fn key(user: &UserId, room: &RoomId) -> Key {
    MEMBERS.key_of(user.as_str(), room.as_str())
}

/// How a user stands to a room.
pub enum Standing {
    Stranger,
    Member(Member),
    Banned,
}

impl Standing {
    pub fn member(self) -> Option<Member> {
        match self {
            Self::Member(member) => Some(member),
            Self::Stranger | Self::Banned => None,
        }
    }
}

impl Store {
    pub async fn standing(&self, user: &UserId, room: &RoomId) -> Result<Standing, Error> {
        Ok(match self.row::<MemberRow>(&MEMBERS, key(user, room)).await? {
            None => Standing::Stranger,
            Some(row) if row.status == Status::Banned => Standing::Banned,
            Some(row) => Standing::Member(row.into()),
        })
    }

    pub async fn member(&self, user: &UserId, room: &RoomId) -> Result<Option<Member>, Error> {
        Ok(self.standing(user, room).await?.member())
    }

    /// All rooms of a user, as it is now.
    pub async fn memberships(&self, user: &UserId) -> Result<Vec<Member>, Error> {
        let mut pages = self.memberships_query(user).into_paginator().items().send();
        let mut members = Vec::new();
        while let Some(item) = pages.next().await {
            members.push(row_of::<MemberRow>(item.map_err(failed)?)?.into());
        }
        Ok(members)
    }

    /// How many rooms a user is in that are not closed.
    pub async fn count_memberships(&self, user: &UserId) -> Result<usize, Error> {
        let open = self
            .memberships_query(user)
            .filter_expression(format!("{NOT_BANNED} AND attribute_not_exists(#ttl)"))
            .expression_attribute_names("#ttl", TTL);
        let mut pages = open.select(Select::Count).into_paginator().send();
        let mut count = 0;
        while let Some(page) = pages.next().await {
            count += usize::try_from(page.map_err(failed)?.count).unwrap_or_default();
        }
        Ok(count)
    }

    fn memberships_query(&self, user: &UserId) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(self.name(&MEMBERS))
            .key_condition_expression("#user = :user")
            .expression_attribute_names("#user", MEMBERS.partition_key)
            .expression_attribute_values(":user", text(user.as_str()))
            .filter_expression(NOT_BANNED)
            .expression_attribute_names("#status", STATUS)
            .expression_attribute_values(":banned", text(Status::Banned.as_str()))
            .consistent_read(true)
    }

    /// Lets all memberships in a closed room end at `ttl`. What is left undone here when it fails lasts longer, no
    /// more.
    pub async fn end_members(&self, room: &RoomId, ttl: i64) -> Result<(), Error> {
        let mut after = None;
        loop {
            let (members, more) = self.members(room, after.as_ref()).await?;
            stream::iter(&members)
                .map(|member| async move {
                    let ended = self
                        .client
                        .update_item()
                        .table_name(self.name(&MEMBERS))
                        .set_key(Some(key(&member.user, room)))
                        .update_expression("SET #ttl = :ttl")
                        .condition_expression("#status = :member")
                        .expression_attribute_names("#ttl", TTL)
                        .expression_attribute_names("#status", STATUS)
                        .expression_attribute_values(":ttl", number(ttl))
                        .expression_attribute_values(":member", text(Status::Member.as_str()))
                        .send()
                        .await;
                    was_done(ended)
                })
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
        let changed = self
            .client
            .update_item()
            .table_name(self.name(&MEMBERS))
            .set_key(Some(key(user, room)))
            .update_expression("SET #role = :role")
            .condition_expression("#status = :member")
            .expression_attribute_names("#role", "role")
            .expression_attribute_names("#status", STATUS)
            .expression_attribute_values(":role", text(role.as_str()))
            .expression_attribute_values(":member", text(Status::Member.as_str()))
            .send()
            .await;
        was_done(changed)
    }

    /// Lets a banned user join again. `false` when it is not banned.
    pub async fn unban(&self, user: &UserId, room: &RoomId) -> Result<bool, Error> {
        let deleted = self
            .client
            .delete_item()
            .table_name(self.name(&MEMBERS))
            .set_key(Some(key(user, room)))
            .condition_expression("#status = :banned")
            .expression_attribute_names("#status", STATUS)
            .expression_attribute_values(":banned", text(Status::Banned.as_str()))
            .send()
            .await;
        was_done(deleted)
    }

    /// Notes how far a member has read, which only ever grows. `false` when it was as far already, or is no member.
    pub async fn mark_read(&self, user: &UserId, room: &RoomId, seq: Seq) -> Result<bool, Error> {
        let marked = self
            .client
            .update_item()
            .table_name(self.name(&MEMBERS))
            .set_key(Some(key(user, room)))
            .update_expression("SET #read = :seq")
            .condition_expression("#status = :member AND #read < :seq")
            .expression_attribute_names("#status", STATUS)
            .expression_attribute_values(":member", text(Status::Member.as_str()))
            .expression_attribute_names("#read", "lastReadSeq")
            .expression_attribute_values(":seq", number(seq.as_i64()))
            .send()
            .await;
        was_done(marked)
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
        let mut items = self
            .members_query(room)
            .set_exclusive_start_key(start)
            .limit(PARTICIPANTS_PAGE as i32 + 1)
            .into_paginator()
            .items()
            .send();
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
        self.client
            .query()
            .table_name(self.name(&MEMBERS))
            .index_name(MEMBERS_BY_ROOM.name)
            .key_condition_expression("#room = :room")
            .expression_attribute_names("#room", MEMBERS_BY_ROOM.partition_key)
            .expression_attribute_values(":room", text(room.as_str()))
            .filter_expression(NOT_BANNED)
            .expression_attribute_names("#status", STATUS)
            .expression_attribute_values(":banned", text(Status::Banned.as_str()))
    }
}
