//! Who is live on a channel.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::{Gone, Statement, Store, delete_request, failed, put_request, row_of};
use crate::domain::{ConnectionId, Format, Invalid, Member, Name, RoomId, Timestamp, UserId};
use crate::error::Error;
use crate::tables::SUBSCRIPTIONS;

/// Subscriptions that are read at once: as many as posts can be under way, so that the first of them begin soon.
const PAGE: i32 = 128;

/// Where frames are published: every connection that is subscribed to it hears them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Channel {
    Room(RoomId),
    /// Reaches a user on every device.
    User(UserId),
}

impl Channel {
    /// The channel of a room.
    pub fn of_room(room: &RoomId) -> Self {
        Self::Room(room.clone())
    }

    /// The channel of a user.
    pub fn of_user(user: &UserId) -> Self {
        Self::User(user.clone())
    }

    /// Where a direct conversation is heard: by both, on all their devices; by one, when it is with oneself.
    pub fn of_both(user: &UserId, peer: &UserId) -> Vec<Self> {
        let mut channels = vec![Self::of_user(user), Self::of_user(peer)];
        channels.dedup();
        channels
    }

    /// The room whose channel it is.
    pub fn room(&self) -> Option<RoomId> {
        match self {
            Self::Room(room) => Some(room.clone()),
            Self::User(_) => None,
        }
    }

    /// Whether only members hear it.
    fn has_memberships(&self) -> bool {
        matches!(self, Self::Room(room) if !room.is_lobby())
    }

    /// The name in rows.
    pub fn name(&self) -> String {
        match self {
            Self::Room(room) => format!("room#{room}"),
            Self::User(user) => format!("user#{user}"),
        }
    }
}

impl From<Channel> for String {
    fn from(channel: Channel) -> Self {
        channel.name()
    }
}

/// The names of rows hold ids that were checked when they were written.
impl TryFrom<String> for Channel {
    type Error = Invalid;

    fn try_from(name: String) -> Result<Self, Invalid> {
        match name.split_once('#') {
            Some(("room", id)) => Ok(Self::Room(RoomId::stored(id.to_owned()))),
            Some(("user", id)) => Ok(Self::User(UserId::stored(id.to_owned()))),
            _ => Err(Invalid),
        }
    }
}

/// Those who are live on a channel, or some of them: from one connection id to another, both included.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyRange {
    pub channel: Channel,
    first: Option<ConnectionId>,
    last: Option<ConnectionId>,
}

impl KeyRange {
    /// From one to another, as a query has them.
    pub fn between(first: &Subscription, last: &Subscription) -> Self {
        Self { last: Some(last.connection_id.clone()), ..Self::from(&first.channel).beginning_at(first) }
    }

    /// What is left of it, from one on.
    pub fn beginning_at(&self, first: &Subscription) -> Self {
        Self { first: Some(first.connection_id.clone()), ..self.clone() }
    }
}

impl From<&Channel> for KeyRange {
    fn from(channel: &Channel) -> Self {
        Self { channel: channel.clone(), first: None, last: None }
    }
}

/// A connection on a channel. Small, since a fan-out reads them all.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    pub channel: Channel,
    pub connection_id: ConnectionId,
    pub user_id: UserId,
    /// How the user is called on this channel.
    pub name: Name,
    /// Set for those whose token says that they are an admin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_icon: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_color: Option<String>,
    /// When the connection was opened.
    pub connected_at: Timestamp,
    #[serde(default, rename = "f", skip_serializing_if = "Format::is_default")]
    pub format: Format,
    /// Of a member of the room: when that membership began. It tells which memberships have ended since.
    #[serde(default, rename = "m", skip_serializing_if = "Option::is_none")]
    pub membership: Option<Timestamp>,
    /// Of a member who is muted: until when (epoch seconds).
    #[serde(default, rename = "q", skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<i64>,
    /// When the connection's session ends (epoch seconds).
    #[serde(default, rename = "u", skip_serializing_if = "Option::is_none")]
    pub auth_until: Option<i64>,
    /// Whether the user may take another name although tokens are asked for: theirs has none. Where nobody asks for
    /// tokens everybody may, and no row says so: a fan-out reads them all.
    #[serde(default, rename = "r", skip_serializing_if = "std::ops::Not::not")]
    pub may_rename: bool,
    /// On a user's own channel: the connection was opened for one room and hears no others by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    pub ttl: i64,
}

impl Subscription {
    /// The same connection's row on the channel of a room, where it is called `name`. Everybody is in the lobby,
    /// without a membership.
    pub fn in_room(&self, room: &RoomId, member: Option<&Member>, name: Name) -> Self {
        Self { channel: Channel::of_room(room), name, pinned: false, ..self.clone() }.of_member(member)
    }

    /// With what the user's membership says.
    pub(super) fn of_member(self, member: Option<&Member>) -> Self {
        let muted_until = member.and_then(|member| member.muted_until);
        Self { membership: member.map(|member| member.joined_at), muted_until, ..self }
    }

    /// Whether the connection's session has ended.
    pub fn has_session_ended(&self, now: Timestamp) -> bool {
        self.auth_until.is_some_and(|end| now.has_passed(end))
    }
}

impl Store {
    /// A connection's own row on a channel, unless its membership in the room has ended.
    pub async fn subscription(
        &self,
        channel: &Channel,
        connection: &ConnectionId,
        now: Timestamp,
    ) -> Result<Option<Subscription>, Error> {
        let own = SUBSCRIPTIONS.key_of(&channel.name(), connection.as_str());
        let (own, gone) = if channel.has_memberships() {
            let mut both = self.items(&[(&SUBSCRIPTIONS, own), (&SUBSCRIPTIONS, Gone::key(channel))]).await?;
            (both.swap_remove(0), both.pop().flatten())
        } else {
            (self.item(&SUBSCRIPTIONS, own).await?, None)
        };
        let gone = Gone::of(gone);
        let row: Option<Subscription> = own.map(row_of).transpose()?;
        Ok(row.filter(|row| !now.has_passed(row.ttl) && !gone.excludes(row)))
    }

    /// Whether there is a row of a connection on a channel, also one that counts for nothing.
    pub async fn has_subscription(&self, channel: &Channel, connection: &ConnectionId) -> Result<bool, Error> {
        let key = SUBSCRIPTIONS.key_of(&channel.name(), connection.as_str());
        Ok(self.item(&SUBSCRIPTIONS, key).await?.is_some())
    }

    /// Everybody live on a range of a channel, page by page, as it is now, without those whose membership has ended.
    pub fn subscribers(
        &self,
        range: &KeyRange,
        now: Timestamp,
    ) -> impl Stream<Item = Result<Vec<Subscription>, Error>> + Send + Unpin + use<> {
        self.live_pages(range, PAGE, now)
    }

    fn live_pages(
        &self,
        range: &KeyRange,
        limit: i32,
        now: Timestamp,
    ) -> impl Stream<Item = Result<Vec<Subscription>, Error>> + Send + Unpin + use<> {
        let items = self.live_on(range, now).limit(limit).into_paginator().send();
        // The row of those who are gone sorts before every connection: only a later range has to read it by itself.
        let ahead = (range.first.is_some() && range.channel.has_memberships()).then(|| Gone::key(&range.channel));
        let state = (self.clone(), items, ahead, Gone::default());
        Box::pin(stream::unfold(state, |(store, mut items, ahead, mut gone)| async {
            if let Some(key) = ahead {
                match store.item(&SUBSCRIPTIONS, key).await {
                    Ok(item) => gone = Gone::of(item),
                    Err(error) => return Some((Err(error), (store, items, None, gone))),
                }
            }
            let page = items.next().await?.map_err(failed);
            let rows = page.and_then(|page| gone.filter(page.items.unwrap_or_default()));
            Some((rows, (store, items, None, gone)))
        }))
    }

    /// Everybody live on a channel, at once: for a user's own devices, and for what is told of a room.
    pub async fn all_subscribers(&self, channel: &Channel, now: Timestamp) -> Result<Vec<Subscription>, Error> {
        self.subscribers(&channel.into(), now).try_concat().await
    }

    /// As [`Store::all_subscribers`], but no more than about `most`: enough to tell that there are so many.
    pub async fn first_subscribers(
        &self,
        channel: &Channel,
        most: usize,
        now: Timestamp,
    ) -> Result<Vec<Subscription>, Error> {
        let limit = i32::try_from(most).unwrap_or(i32::MAX);
        let mut pages = self.live_pages(&channel.into(), limit, now);
        let mut live = Vec::new();
        while let Some(page) = pages.next().await {
            live.extend(page?);
            if live.len() >= most {
                break;
            }
        }
        Ok(live)
    }

    fn live_on(&self, range: &KeyRange, now: Timestamp) -> QueryFluentBuilder {
        let bounds = match (&range.first, &range.last) {
            (Some(_), Some(_)) => "channel = :channel AND connectionId BETWEEN :first AND :last",
            (Some(_), None) => "channel = :channel AND connectionId >= :first",
            _ => "channel = :channel",
        };
        let mut statement = Statement::query(bounds)
            .filter("ttl > :now")
            .bind(":channel", &*range.channel.name())
            .bind(":now", now.as_secs());
        if let Some(first) = &range.first {
            statement = statement.bind(":first", first.as_str());
            if let Some(last) = &range.last {
                statement = statement.bind(":last", last.as_str());
            }
        }
        self.query(&SUBSCRIPTIONS, &statement).consistent_read(true)
    }

    /// Puts a connection on channels. Their names must stand in the connection's own row first: what is written here
    /// is found again by them when the connection goes.
    pub(super) async fn put_subscriptions(&self, rows: &[Subscription]) -> Result<(), Error> {
        let writes = rows.iter().map(|row| Ok((&SUBSCRIPTIONS, put_request(row)?))).collect::<Result<_, Error>>()?;
        self.write_all(writes).await
    }

    /// Mutes a connection in a room until `end` (epoch seconds), or no longer.
    pub async fn mute_subscription(
        &self,
        room: &RoomId,
        connection: &ConnectionId,
        end: Option<i64>,
    ) -> Result<(), Error> {
        let statement = match end {
            Some(end) => Statement::update("SET q = :end").bind(":end", end),
            None => Statement::update("REMOVE q"),
        };
        let key = SUBSCRIPTIONS.key_of(&Channel::of_room(room).name(), connection.as_str());
        self.update(&SUBSCRIPTIONS, key, &statement.when("attribute_exists(connectionId)")).await.map(drop)
    }

    /// Takes connections off their channels. Their own rows still name these, which does no harm.
    pub async fn clear(&self, rows: &[Subscription]) -> Result<(), Error> {
        let writes = rows
            .iter()
            .map(|live| {
                let key = SUBSCRIPTIONS.key_of(&live.channel.name(), live.connection_id.as_str());
                Ok((&SUBSCRIPTIONS, delete_request(key)?))
            })
            .collect::<Result<_, Error>>()?;
        self.write_all(writes).await
    }

    pub(super) async fn delete_subscriptions(
        &self,
        connection: &ConnectionId,
        channels: impl IntoIterator<Item = &str>,
    ) -> Result<(), Error> {
        let writes = channels
            .into_iter()
            .map(|channel| Ok((&SUBSCRIPTIONS, delete_request(SUBSCRIPTIONS.key_of(channel, connection.as_str()))?)))
            .collect::<Result<_, Error>>()?;
        self.write_all(writes).await
    }
}
