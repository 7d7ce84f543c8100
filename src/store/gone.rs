//! Memberships that ended not long ago: their subscriptions count for nothing.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};

use super::{Channel, Connection, Item, Key, Statement, Store, Subscription, row_of};
use crate::domain::{Member, RoomId, Timestamp, UserId};
use crate::error::Error;
use crate::tables::SUBSCRIPTIONS;

/// The memberships of a room that ended not long ago: one row of the room's partition, `!gone`, with an attribute for
/// each user. It is written in the transaction that ends the membership, and sorts before every connection, so whoever
/// reads the connections of a room has read it before. A row of a subscription may appear or remain after that, when
/// the process that should delete it died, or when one was slow to write it; it counts for nothing.
#[derive(Debug, Default)]
pub(super) struct Gone(HashMap<String, Ended>);

/// The newest membership of a user that ended.
#[derive(Clone, Copy, Debug)]
struct Ended {
    membership: Timestamp,
    at: Timestamp,
}

impl Gone {
    const SORT_KEY: &str = "!gone";
    const PREFIX: &str = "u#";

    /// The key of the row of a room's channel.
    pub fn key(channel: &Channel) -> Key {
        SUBSCRIPTIONS.key_of(&channel.name(), Self::SORT_KEY)
    }

    fn attribute(user: &UserId) -> String {
        format!("{}{user}", Self::PREFIX)
    }

    /// Reads the row; none means that nobody has left lately.
    pub fn of(item: Option<Item>) -> Self {
        let ended = |(name, value): (String, AttributeValue)| {
            let (membership, at) = value.as_s().ok()?.split_once(' ')?;
            let moment = |text: &str| text.parse().ok().map(Timestamp::from_millis);
            Some((
                name.strip_prefix(Self::PREFIX)?.to_owned(),
                Ended { membership: moment(membership)?, at: moment(at)? },
            ))
        };
        Self(item.into_iter().flatten().filter_map(ended).collect())
    }

    /// Whether a row belongs to a membership that has ended. Rows of earlier versions do not say to which they belong:
    /// they are as old as their connections.
    pub fn excludes(&self, live: &Subscription) -> bool {
        self.0.get(live.user_id.as_str()).is_some_and(|ended| match live.membership {
            Some(membership) => membership <= ended.membership,
            None => live.connected_at <= ended.at,
        })
    }

    /// The subscriptions of a page that count.
    pub fn filter(&mut self, page: Vec<Item>) -> Result<Vec<Subscription>, Error> {
        let mut rows = Vec::with_capacity(page.len());
        for item in page {
            if item.get("connectionId").and_then(|id| id.as_s().ok()).is_some_and(|id| id == Self::SORT_KEY) {
                *self = Self::of(Some(item));
                continue;
            }
            let row = row_of(item)?;
            if !self.excludes(&row) {
                rows.push(row);
            }
        }
        Ok(rows)
    }
}

impl Store {
    /// The part of a transaction that lets the subscriptions of a membership count for nothing from then on, whatever
    /// becomes of their rows.
    pub(super) fn gone_part(&self, member: &Member, now: Timestamp) -> Result<TransactWriteItem, Error> {
        let statement = Statement::update("SET #user = :ended, ttl = :ttl")
            .attribute("#user", Gone::attribute(&member.user))
            .bind(":ended", &*format!("{} {}", member.joined_at.as_millis(), now.as_millis()))
            .bind(":ttl", Connection::expiry(now));
        self.update_part(&SUBSCRIPTIONS, Gone::key(&Channel::of_room(&member.room)), &statement)
    }

    /// The members who left or were removed from a room not long ago, and when each of their memberships ended: their
    /// subscriptions are excluded, and may still have to be deleted.
    pub async fn gone_from(&self, room: &RoomId) -> Result<Vec<(UserId, Timestamp)>, Error> {
        let gone = Gone::of(self.item(&SUBSCRIPTIONS, Gone::key(&Channel::of_room(room))).await?);
        Ok(gone.0.into_iter().map(|(user, ended)| (UserId::stored(user), ended.at)).collect())
    }

    /// Drops what [`Store::gone_from`] returned, once no subscription of that membership is left and none can appear.
    pub async fn drop_gone(&self, room: &RoomId, user: &UserId, at: Timestamp) -> Result<(), Error> {
        let statement = Statement::update("REMOVE #user")
            .when("contains(#user, :at)")
            .attribute("#user", Gone::attribute(user))
            .bind(":at", &*format!(" {}", at.as_millis()));
        self.update(&SUBSCRIPTIONS, Gone::key(&Channel::of_room(room)), &statement).await.map(drop)
    }
}
