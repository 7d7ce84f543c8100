//! Leaving a room, removal, and the end of a room.

use aws_sdk_dynamodb::types::TransactWriteItem;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::super::{Key, Statement, Store, pages};
use super::bans::BanRow;
use super::count::counters;
use super::{MemberRow, Part, Status, key, of_membership};
use crate::domain::{Member, Room, RoomId, Seq, Timestamp};
use crate::error::Error;
use crate::tables::{MEMBERS, MEMBERS_BY_ROOM};

/// Memberships that are given their end at once.
const ENDED_AT_ONCE: usize = 16;

impl Store {
    /// Ends a membership and counts it; from then on its subscriptions count for nothing. `false` when that membership
    /// had ended before.
    pub async fn dismiss(&self, member: &Member, room: &Room, now: Timestamp) -> Result<bool, Error> {
        if leaves_no_row(member) {
            // What they wrote is found by it.
            self.note_writing(&member.user, &member.room, now).await?;
        }
        let parts =
            vec![(Part::Membership, self.membership_ends(member, now)?), (Part::Gone, self.gone_part(member, now)?)];
        Ok(self.transact_counted(room, -1, parts, now).await?.is_empty())
    }

    /// The part of a transaction that ends a membership. Its row stays for the read mark, unless somebody added the
    /// user, who never read anything and is not muted: then it would be a row that others wrote.
    fn membership_ends(&self, member: &Member, now: Timestamp) -> Result<TransactWriteItem, Error> {
        let key = key(&member.user, &member.room);
        if leaves_no_row(member) {
            return self.delete_part(&MEMBERS, key, &of_membership(Statement::default(), member));
        }
        let ttl = now.as_secs() + self.config.message_ttl_seconds();
        let statement = Statement::update("SET status = :left, ttl = :ttl").bind(":ttl", ttl);
        let statement = of_membership(statement, member).bind(":left", Status::Left.as_str());
        self.update_part(&MEMBERS, key, &statement)
    }

    /// Lets all rows of users in a closed room end at `ttl` (epoch seconds), bans too. The index may lag behind: a
    /// second pass finds what this one missed, and what both miss counts for nothing once the room has expired.
    pub async fn end_members(&self, room: &Room, ttl: i64) -> Result<(), Error> {
        let all = Statement::query("roomId = :room").bind(":room", room.id.as_str());
        let query = self.query(&MEMBERS, &all).index_name(MEMBERS_BY_ROOM.name);
        let mut pages = pages::<MemberRow>(query);
        while let Some(page) = pages.next().await {
            self.end_rows(page?.iter().map(|row| key(&row.user_id, &room.id)), ttl).await?;
        }
        self.end_bans(&room.id, ttl).await?;
        if room.is_count_spread { self.end_rows(counters(room), ttl).await } else { Ok(()) }
    }

    /// As [`Store::end_members`], for the bans.
    async fn end_bans(&self, room: &RoomId, ttl: i64) -> Result<(), Error> {
        let all = Statement::query("userId = :room").bind(":room", &*BanRow::partition(room));
        let mut pages = pages::<BanRow>(self.query(&MEMBERS, &all).consistent_read(true));
        while let Some(page) = pages.next().await {
            self.end_rows(page?.iter().map(BanRow::own_key), ttl).await?;
        }
        Ok(())
    }

    async fn end_rows(&self, keys: impl Iterator<Item = Key>, ttl: i64) -> Result<(), Error> {
        let has_no_end = "attribute_exists(userId) AND attribute_not_exists(ttl)";
        let statement = &Statement::update("SET ttl = :ttl").when(has_no_end).bind(":ttl", ttl);
        stream::iter(keys)
            .map(|key| async move { self.update(&MEMBERS, key, statement).await.map(drop) })
            .buffer_unordered(ENDED_AT_ONCE)
            .try_collect()
            .await
    }
}

/// Whether nothing of a membership is kept when it ends.
fn leaves_no_row(member: &Member) -> bool {
    member.is_added && member.last_read == Seq::ZERO && member.muted_until.is_none()
}
