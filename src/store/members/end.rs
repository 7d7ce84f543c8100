//! Leaving a room, removal and bans.

use aws_sdk_dynamodb::types::TransactWriteItem;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::super::{Backoff, Key, Statement, Store, item_of, pages};
use super::count::counters;
use super::{MemberRow, Part, Status, key, of_membership};
use crate::domain::{Member, Role, Room, RoomId, Timestamp, UserId};
use crate::error::Error;
use crate::tables::{MEMBERS, MEMBERS_BY_ROOM};

/// Memberships that are given their end at once.
const ENDED_AT_ONCE: usize = 16;

impl Store {
    /// Ends a membership and counts it; from then on its subscriptions count for nothing. `false` when that membership
    /// had ended before.
    pub async fn dismiss(&self, member: &Member, room: &Room, now: Timestamp) -> Result<bool, Error> {
        let ttl = now.as_secs() + self.config.message_ttl_seconds();
        let statement = Statement::update("SET status = :left, ttl = :ttl").bind(":ttl", ttl);
        let statement = of_membership(statement, member).bind(":left", Status::Left.as_str());
        let left = self.update_part(&MEMBERS, key(&member.user, &member.room), &statement)?;
        Ok(self.transact_counted(room, -1, self.ending(member, left, now)?, now).await?.is_empty())
    }

    /// The parts that end a membership, with the one that changes its row.
    fn ending(
        &self,
        member: &Member,
        membership: TransactWriteItem,
        now: Timestamp,
    ) -> Result<Vec<(Part, TransactWriteItem)>, Error> {
        Ok(vec![(Part::Membership, membership), (Part::Gone, self.gone_part(member, now)?)])
    }

    /// Ends a membership, if there is one, and keeps the user from joining again. Returns whether there was one.
    ///
    /// # Errors
    /// `ROOM_BUSY` when the user joins and leaves faster than that.
    pub async fn ban(&self, user: &UserId, room: &Room, now: Timestamp) -> Result<bool, Error> {
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
            let (parts, was_member) = match row {
                Some(row) if counts && row.status == Status::Banned => return Ok(false),
                Some(row) if counts && row.status == Status::Member => {
                    let member = Member::from(row);
                    let ban = self.put_part(&MEMBERS, item_of(&ban_of(&member, room, now))?, &unchanged)?;
                    (self.ending(&member, ban, now)?, true)
                }
                row => {
                    let stranger = Member::new(user.clone(), user.as_name(), room.id.clone(), Role::Member, now);
                    let before = row.map_or(stranger, Member::from);
                    let ban = self.put_part(&MEMBERS, item_of(&ban_of(&before, room, now))?, &unchanged)?;
                    (vec![(Part::Membership, ban)], false)
                }
            };
            let refused = match was_member {
                true => self.transact_counted(room, -1, parts, now).await?,
                false => self.transact(parts).await?,
            };
            if refused.is_empty() {
                return Ok(was_member);
            }
            if !backoff.pause().await {
                return Err(Error::RoomBusy);
            }
        }
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
        if room.is_count_spread { self.end_rows(counters(room), ttl).await } else { Ok(()) }
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

    /// Lets a banned user join again. `false` when the user is not banned.
    pub async fn unban(&self, user: &UserId, room: &RoomId, now: Timestamp) -> Result<bool, Error> {
        let statement = Statement::update("SET status = :left, ttl = :ttl")
            .when("status = :banned")
            .bind(":ttl", now.as_secs() + self.config.message_ttl_seconds())
            .bind(":left", Status::Left.as_str())
            .bind(":banned", Status::Banned.as_str());
        self.update(&MEMBERS, key(user, room), &statement).await
    }
}

/// The row of a ban, in the place of an earlier row of the user.
fn ban_of(before: &Member, room: &Room, now: Timestamp) -> MemberRow {
    let at = now.max(room.created_at).max(before.joined_at.plus_millis(1));
    MemberRow { status: Status::Banned, role: Role::Member, joined_at: at, ..MemberRow::from(before) }
}
