//! Joining a room.

use aws_sdk_dynamodb::types::TransactWriteItem;

use super::super::{Backoff, Statement, Store};
use super::bans::BanRow;
use super::{Admission, MemberRow, Part, Status, key};
use crate::domain::{InviteCode, Member, RoomStatus, Timestamp};
use crate::error::Error;
use crate::tables::MEMBERS;

impl Store {
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
                (Part::Ban, self.is_not_banned(&member, since, now)?),
            ];
            if let Some(invite) = invite {
                parts.push((Part::Invite, self.use_invite(&member.room, invite, now)?));
            }
            let refused = self.transact_within(Backoff::of_memberships(), parts).await?;
            if refused.is_empty() {
                return Ok(Admission::Joined(member));
            } else if refused.contains(&Part::Ban) {
                return Err(Error::Banned);
            } else if refused.contains(&Part::Membership) {
                let row = self.row::<MemberRow>(&MEMBERS, key(&member.user, &member.room)).await?;
                let Some(row) = row else { continue };
                let counts = !row.has_expired(now) && row.joined_at >= since;
                match row.status {
                    // Written by an earlier version, just now.
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

    /// The part of a transaction that requires that the user is not banned.
    fn is_not_banned(&self, member: &Member, since: Timestamp, now: Timestamp) -> Result<TransactWriteItem, Error> {
        self.check_part(&MEMBERS, BanRow::key(&member.user, &member.room), &BanRow::is_absent(since, now))
    }

    /// The part of a transaction that makes a user a member: if they are none, or left before. The read mark of an
    /// earlier membership stays.
    fn becomes_member(&self, member: &Member, since: Timestamp, now: Timestamp) -> Result<TransactWriteItem, Error> {
        const JOIN: &str = "SET role = :role, status = :member, joinedAt = :joinedAt, name = :name, \
            unannounced = :true, lastReadSeq = if_not_exists(lastReadSeq, :none)";
        const IS_NEW: &str = "attribute_not_exists(userId) OR \
            ((status = :left OR ttl <= :now OR joinedAt < :since) AND joinedAt < :joinedAt)";
        let added = if member.is_added { ", added = :true REMOVE ttl, peer" } else { " REMOVE ttl, peer, added" };
        let statement = Statement::update(&format!("{JOIN}{added}"))
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
}
