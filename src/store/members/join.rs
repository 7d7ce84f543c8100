//! Joining a room.

use aws_sdk_dynamodb::types::TransactWriteItem;

use super::super::{Pending, Statement, Store, row_of};
use super::bans::BanRow;
use super::{Admission, MemberRow, Part, Status, is_membership, key};
use crate::domain::{InviteCode, Member, Room, RoomId, RoomStatus, Timestamp};
use crate::error::Error;
use crate::tables::MEMBERS;

/// What lets a user into a room.
#[derive(Clone, Copy)]
pub enum Pass<'a> {
    /// The room is public, or a moderator adds the user.
    Open,
    /// A code: it is used once.
    Invite(&'a InviteCode),
    /// An invitation of a member, whose membership has to last.
    Invitation(&'a Pending),
}

impl Store {
    /// Adds a member and counts it, if the room is open and has capacity, and the pass is valid, which is used then.
    /// `joined_at` is what tells this membership from earlier ones of the same user, so it is
    /// raised above theirs. What is left of an earlier room of the same id counts for nothing.
    ///
    /// # Errors
    /// `ROOM_NOT_FOUND`, `ROOM_CLOSED`, `ROOM_FULL`, `BANNED`, `INVITE_REQUIRED`, or `ROOM_BUSY` when too many join at
    /// once.
    pub async fn admit(
        &self,
        mut member: Member,
        room: &Room,
        pass: Pass<'_>,
        now: Timestamp,
    ) -> Result<Admission, Error> {
        let since = room.since();
        member.joined_at = member.joined_at.max(since);
        let mut forgets = false;
        loop {
            let parts = self.parts_of_admission(&member, (forgets, since), pass, now)?;
            let refused = self.transact_counted(room, 1, parts, now).await?;
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
                    _ => {
                        member.joined_at = member.joined_at.max(row.joined_at.plus_millis(1));
                        forgets = row.joined_at < since;
                    }
                }
            } else if refused.contains(&Part::Invite) {
                return Err(Error::InviteRequired);
            } else {
                // Where participants are counted in rows of their own, the membership has been written.
                self.dismiss(&member, room, now).await?;
                return Err(self.why_full(&member.room, now).await?);
            }
        }
    }

    fn parts_of_admission(
        &self,
        member: &Member,
        (forgets, since): (bool, Timestamp),
        pass: Pass<'_>,
        now: Timestamp,
    ) -> Result<Vec<(Part, TransactWriteItem)>, Error> {
        let membership = (Part::Membership, self.becomes_member(member, forgets, since, now)?);
        let ban = (Part::Ban, self.is_not_banned(member, since, now)?);
        let pass = self.use_pass(&member.room, pass, now)?.into_iter().map(|part| (Part::Invite, part));
        Ok([membership, ban].into_iter().chain(pass).collect())
    }

    /// Why a room takes no further member.
    async fn why_full(&self, room: &RoomId, now: Timestamp) -> Result<Error, Error> {
        Ok(match self.room(room, now).await? {
            None => Error::RoomNotFound,
            Some(room) if room.status == RoomStatus::Closed => Error::RoomClosed,
            Some(_) => Error::RoomFull,
        })
    }

    /// Those of a user's invitations that are valid, for rooms that have not been left by who invited. The others end.
    pub async fn valid_invitations(&self, invitations: Vec<Pending>) -> Result<Vec<Pending>, Error> {
        let keys: Vec<_> = invitations.iter().map(|pending| (&MEMBERS, key(&pending.by, &pending.room))).collect();
        let mut valid = Vec::with_capacity(invitations.len());
        for (pending, inviter) in invitations.into_iter().zip(self.items(&keys).await?) {
            let inviter: Option<MemberRow> = inviter.map(row_of).transpose()?;
            let is_same = |row: &MemberRow| row.status == Status::Member && Some(row.joined_at) == pending.membership;
            if pending.membership.is_none() || inviter.as_ref().is_some_and(is_same) {
                valid.push(pending);
            } else {
                self.end_pending(&pending.user, &pending.room).await?;
            }
        }
        Ok(valid)
    }

    /// The parts of a transaction that use a pass, if it is valid.
    fn use_pass(&self, room: &RoomId, pass: Pass<'_>, now: Timestamp) -> Result<Vec<TransactWriteItem>, Error> {
        let pending = match pass {
            Pass::Open => return Ok(Vec::new()),
            Pass::Invite(invite) => return Ok(vec![self.use_invite(room, invite, now)?]),
            Pass::Invitation(pending) => pending,
        };
        let mut parts = vec![self.use_pending(pending)?];
        if let Some(since) = pending.membership {
            let statement = is_membership(Statement::default(), since);
            parts.push(self.check_part(&MEMBERS, key(&pending.by, room), &statement)?);
        }
        Ok(parts)
    }

    /// The part of a transaction that requires that the user is not banned.
    fn is_not_banned(&self, member: &Member, since: Timestamp, now: Timestamp) -> Result<TransactWriteItem, Error> {
        self.check_part(&MEMBERS, BanRow::key(&member.user, &member.room), &BanRow::is_absent(since, now))
    }

    /// The part of a transaction that makes a user a member: if they are none, or left before. The read mark of an
    /// earlier membership stays, and so does a mute, unless it is of an earlier room, which `forgets` says.
    fn becomes_member(
        &self,
        member: &Member,
        forgets: bool,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<TransactWriteItem, Error> {
        const JOIN: &str = "SET role = :role, status = :member, joinedAt = :joinedAt, name = :name, \
            unannounced = :true, lastReadSeq = if_not_exists(lastReadSeq, :none)";
        const IS_NEW: &str = "attribute_not_exists(userId) OR \
            ((status = :left OR ttl <= :now OR joinedAt < :since) AND joinedAt < :joinedAt)";
        const IS_OF_THIS_ROOM: &str = "attribute_not_exists(mutedUntil) OR joinedAt >= :since";
        let added = if member.is_added { ", added = :true REMOVE ttl, peer" } else { " REMOVE ttl, peer, added" };
        let statement = Statement::update(&format!("{JOIN}{added}{}", if forgets { ", mutedUntil" } else { "" }))
            .when(IS_NEW)
            .when(if forgets { "joinedAt < :since" } else { IS_OF_THIS_ROOM })
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
