//! Who belongs to which room.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, Select};
use serde::{Deserialize, Serialize};

use super::tables::{Key, MEMBERS, MEMBERS_BY_ROOM};
use super::{Store, failed, number, row_of, text, was_done};
use crate::domain::{Member, Name, Role, RoomId, Seq, Timestamp, UserId};
use crate::error::Error;

/// Most participants in one answer.
pub const PARTICIPANTS_PAGE: usize = 100;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MemberRow {
    pub user_id: UserId,
    pub room_id: RoomId,
    pub role: Role,
    pub joined_at: Timestamp,
    pub name: Name,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<UserId>,
    #[serde(default)]
    pub last_read_seq: Seq,
}

impl From<&Member> for MemberRow {
    fn from(member: &Member) -> Self {
        let Member { user, room, role, joined_at, name, peer, last_read } = member.clone();
        Self { user_id: user, room_id: room, role, joined_at, name, peer, last_read_seq: last_read }
    }
}

impl From<MemberRow> for Member {
    fn from(row: MemberRow) -> Self {
        let MemberRow { user_id, room_id, role, joined_at, name, peer, last_read_seq } = row;
        Self { user: user_id, room: room_id, role, joined_at, name, peer, last_read: last_read_seq }
    }
}

pub(super) fn key(user: &UserId, room: &RoomId) -> Key {
    MEMBERS.key_of(user.as_str(), room.as_str())
}

impl Store {
    pub async fn member(&self, user: &UserId, room: &RoomId) -> Result<Option<Member>, Error> {
        Ok(self.row::<MemberRow>(&MEMBERS, key(user, room)).await?.map(Member::from))
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

    /// How many rooms a user is in.
    pub async fn count_memberships(&self, user: &UserId) -> Result<usize, Error> {
        let counted = self.memberships_query(user).select(Select::Count).send().await.map_err(failed)?;
        Ok(usize::try_from(counted.count).unwrap_or_default())
    }

    fn memberships_query(&self, user: &UserId) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(self.name(&MEMBERS))
            .key_condition_expression("#user = :user")
            .expression_attribute_names("#user", MEMBERS.partition_key)
            .expression_attribute_values(":user", text(user.as_str()))
            .consistent_read(true)
    }

    /// Notes how far a member has read, which only ever grows. `false` when it was as far already, or is no member.
    pub async fn mark_read(&self, user: &UserId, room: &RoomId, seq: Seq) -> Result<bool, Error> {
        let marked = self
            .client
            .update_item()
            .table_name(self.name(&MEMBERS))
            .set_key(Some(key(user, room)))
            .update_expression("SET #read = :seq")
            .condition_expression("attribute_exists(#user) AND #read < :seq")
            .expression_attribute_names("#user", MEMBERS.partition_key)
            .expression_attribute_names("#read", "lastReadSeq")
            .expression_attribute_values(":seq", number(seq.as_i64()))
            .send()
            .await;
        was_done(marked)
    }

    /// A page of a room's members in the order of their ids, from behind `after`, and whether there are more.
    pub async fn members(&self, room: &RoomId, after: Option<&UserId>) -> Result<(Vec<Member>, bool), Error> {
        let start = after.map(|user| {
            Key::from([
                (MEMBERS_BY_ROOM.partition_key.to_owned(), AttributeValue::S(room.to_string())),
                (MEMBERS_BY_ROOM.sort_key.to_owned(), AttributeValue::S(user.to_string())),
            ])
        });
        let page = self
            .client
            .query()
            .table_name(self.name(&MEMBERS))
            .index_name(MEMBERS_BY_ROOM.name)
            .key_condition_expression("#room = :room")
            .expression_attribute_names("#room", MEMBERS_BY_ROOM.partition_key)
            .expression_attribute_values(":room", text(room.as_str()))
            .set_exclusive_start_key(start)
            .limit(PARTICIPANTS_PAGE as i32)
            .send()
            .await
            .map_err(failed)?;
        let more = page.last_evaluated_key.is_some_and(|key| !key.is_empty());
        let members = page
            .items
            .unwrap_or_default()
            .into_iter()
            .map(|item| row_of::<MemberRow>(item).map(Member::from))
            .collect::<Result<_, _>>()?;
        Ok((members, more))
    }
}
