//! Direct conversations, and how their two users stand to each other.

use aws_sdk_dynamodb::types::TransactWriteItem;

use super::members;
use super::{Statement, Store};
use crate::domain::{Member, Name, Role, Room, RoomId, RoomType, Seq, Timestamp, UserId};
use crate::error::Error;
use crate::tables::{BLOCKS, MEMBERS};

/// How two users stand to each other.
#[derive(Clone, Copy, Debug)]
pub struct Consent {
    /// Whether one of them has blocked the other.
    pub is_blocked: bool,
    /// Whether the user has agreed to the conversation: began or answered it.
    pub by_me: bool,
    /// Whether the other one has.
    pub by_peer: bool,
}

impl Consent {
    /// Where nobody is asked, and nobody is blocked.
    pub const GIVEN: Self = Self { is_blocked: false, by_me: true, by_peer: true };
}

/// The parts of the transaction that accepts a request.
#[derive(Clone, Copy, Debug)]
enum Part {
    Membership,
    Participants,
    Request,
}

impl Store {
    /// How two users stand to each other, read consistently by one request.
    pub async fn consent(&self, me: &UserId, peer: &UserId) -> Result<Consent, Error> {
        let block = |user: &UserId, other: &UserId| (&BLOCKS, BLOCKS.key_of(user.as_str(), other.as_str()));
        let mut keys = vec![block(me, peer), block(peer, me)];
        let is_asked = !self.config.adds_directly;
        if is_asked {
            let room = RoomId::direct(me, peer);
            keys.extend([me, peer].map(|user| (&MEMBERS, members::key(user, &room))));
        }
        let rows = self.items(&keys).await?;
        let is_there = |at: usize| rows.get(at).is_some_and(Option::is_some);
        Ok(Consent {
            is_blocked: is_there(0) || is_there(1),
            by_me: !is_asked || is_there(2),
            by_peer: !is_asked || is_there(3),
        })
    }

    /// Whether a user who has agreed to a direct conversation may know whether the other one is online.
    pub async fn sees(&self, me: &UserId, peer: &UserId) -> Result<bool, Error> {
        let mut keys = vec![(&BLOCKS, BLOCKS.key_of(peer.as_str(), me.as_str()))];
        if !self.config.adds_directly {
            keys.push((&MEMBERS, members::key(peer, &RoomId::direct(me, peer))));
        }
        let rows = self.items(&keys).await?;
        Ok(rows[0].is_none() && rows.get(1).is_none_or(Option::is_some))
    }

    /// Makes a direct conversation known to its users, or to the one who begins it, if the other one is asked first.
    /// `false` when it is known already.
    pub async fn open_direct(
        &self,
        me: &UserId,
        peer: &UserId,
        name: Name,
        is_request: bool,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let id = RoomId::direct(me, peer);
        if self.any_room(&id).await?.is_some() {
            return Ok(false);
        }
        let mut both = vec![direct_member(me, peer, name, now)];
        if peer != me && !is_request {
            both.push(direct_member(peer, me, peer.as_name(), now));
        }
        let room = Room { room_type: RoomType::Direct, ..Room::new(id, me.clone(), now) };
        // When both write to each other at once, one of the two transactions does all of it.
        self.create_room(&room, &both).await
    }

    /// Accepts a request: the conversation is known to both users from now on.
    pub async fn accept_direct(&self, me: &UserId, peer: &UserId, name: Name, now: Timestamp) -> Result<(), Error> {
        let member = direct_member(me, peer, name, now);
        let is_new = Statement::default().when("attribute_not_exists(userId)");
        let parts: Vec<(Part, TransactWriteItem)> = vec![
            (Part::Membership, self.put_member(&member, &is_new)?),
            (Part::Participants, self.count_in_room(&member.room, 1)?),
            (Part::Request, self.end_request(me, &member.room)?),
        ];
        self.transact(parts).await.map(drop)
    }

    /// Hides a direct conversation from its user's list until there is an entry behind `end`. `false` when the user has
    /// not agreed to it.
    pub async fn hide_direct(&self, user: &UserId, room: &RoomId, end: Seq) -> Result<bool, Error> {
        let statement = members::of_member(Statement::update("SET hiddenAt = :end")).bind(":end", end.as_i64());
        self.update(&MEMBERS, members::key(user, room), &statement).await
    }
}

fn direct_member(user: &UserId, other: &UserId, name: Name, now: Timestamp) -> Member {
    let room = RoomId::direct(user, other);
    Member { peer: Some(other.clone()), ..Member::new(user.clone(), name, room, Role::Member, now) }
}
