//! Connections, and the channels that each is subscribed to.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::ReturnValue;
use futures_util::future;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use super::{Channel, Statement, Store, Subscription, failed, put_request, row_of};
use crate::domain::{ConnectionId, Format, Member, Name, RoomId, Style, Timestamp, UserId};
use crate::error::Error;
use crate::tables::{CONNECTIONS, SUBSCRIPTIONS};

/// API Gateway ends a connection after two hours; its rows outlive it by a little.
const LIFETIME_SECS: i64 = 2 * 60 * 60 + 10 * 60;
/// Subscriptions that are written at once.
const COPIES_AT_ONCE: usize = 16;

/// A connection: who it is, and what must be cleaned when it goes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    pub connection_id: ConnectionId,
    pub user_id: UserId,
    /// The display name, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// Whether the name came from a token: nobody changes it then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub name_verified: bool,
    /// As [`Subscription::may_rename`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_rename: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_icon: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_color: Option<String>,
    /// The room that was joined last: where a message goes that names no target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_id: Option<RoomId>,
    #[serde(default, skip_serializing_if = "Format::is_default")]
    pub format: Format,
    /// Opened for one room: hears no other by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// When its session ends (epoch seconds): with the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_until: Option<i64>,
    pub connected_at: Timestamp,
    /// What it is subscribed to.
    #[serde(default, with = "serde_dynamo::string_set", skip_serializing_if = "BTreeSet::is_empty")]
    pub channels: BTreeSet<String>,
    pub ttl: i64,
}

impl Connection {
    /// What the role attribute says of an admin.
    pub const ADMIN: &str = "admin";

    /// When the rows of a connection expire (epoch seconds).
    pub fn expiry(connected_at: Timestamp) -> i64 {
        connected_at.as_secs() + LIFETIME_SECS
    }

    /// The connection's row on the channel of a room, where it is called `name`.
    pub fn in_room(&self, room: &RoomId, member: Option<&Member>, name: Name) -> Subscription {
        self.on(Channel::of_room(room), name).of_member(member)
    }

    /// The connection's row on a channel that has no members, where it is called `name`.
    fn on(&self, channel: Channel, name: Name) -> Subscription {
        Subscription {
            pinned: self.pinned && channel == Channel::of_user(&self.user_id),
            channel,
            connection_id: self.connection_id.clone(),
            user_id: self.user_id.clone(),
            name,
            role: self.role.clone(),
            user_icon: self.user_icon.clone(),
            user_color: self.user_color.clone(),
            connected_at: self.connected_at,
            format: self.format,
            auth_until: self.auth_until,
            membership: None,
            muted_until: None,
            may_rename: self.may_rename,
            ttl: self.ttl,
        }
    }

    /// Whether it is subscribed to a room.
    pub fn hears(&self, room: &RoomId) -> bool {
        self.channels.contains(&Channel::of_room(room).name())
    }

    /// The rooms that it hears, but for the lobby.
    pub fn rooms(&self) -> Vec<RoomId> {
        self.channels
            .iter()
            .filter_map(|channel| Channel::try_from(channel.clone()).ok()?.room())
            .filter(|room| !room.is_lobby())
            .collect()
    }

    /// Whether its session has ended.
    pub fn has_session_ended(&self, now: Timestamp) -> bool {
        self.auth_until.is_some_and(|end| now.has_passed(end))
    }

    /// Whether the token has the role `admin`.
    pub fn is_admin(&self) -> bool {
        self.role.as_deref() == Some(Self::ADMIN)
    }

    /// How the user looks.
    pub fn style(&self) -> Style {
        Style { icon: self.user_icon.clone(), color: self.user_color.clone() }
    }

    /// The name to show: the one given, or the user id.
    pub fn display_name(&self) -> Name {
        self.name.clone().unwrap_or_else(|| self.user_id.as_name())
    }
}

/// Sets the end of a session in `attribute`, and the role.
fn session_update(attribute: &str, end: i64, role: Option<&str>) -> Statement {
    match role {
        Some(role) => Statement::update(&format!("SET {attribute} = :end, role = :role")).bind(":role", role),
        None => Statement::update(&format!("SET {attribute} = :end REMOVE role")),
    }
    .bind(":end", end)
}

impl Store {
    /// A connection, unless it has expired.
    pub async fn connection(&self, id: &ConnectionId, now: Timestamp) -> Result<Option<Connection>, Error> {
        let row: Option<Connection> = self.row(&CONNECTIONS, CONNECTIONS.key(id.as_str())).await?;
        Ok(row.filter(|row| !now.has_passed(row.ttl)))
    }

    /// Stores a new connection, subscribed to its user's channel and to `rooms`.
    pub async fn add_connection(&self, connection: &Connection, rooms: &[Subscription]) -> Result<(), Error> {
        let mine = connection.on(Channel::of_user(&connection.user_id), connection.display_name());
        let rows: Vec<_> = rooms.iter().chain([&mine]).collect();
        let mut row = connection.clone();
        row.channels = rows.iter().map(|row| row.channel.name()).collect();
        let mut writes = vec![(&CONNECTIONS, put_request(&row)?)];
        for row in rows {
            writes.push((&SUBSCRIPTIONS, put_request(row)?));
        }
        self.write_all(writes).await
    }

    /// Subscribes a connection to further channels. `false` when it is gone: then nothing is written.
    pub async fn subscribe(&self, id: &ConnectionId, rows: &[Subscription]) -> Result<bool, Error> {
        self.subscribe_with(id, rows, "", |statement| statement).await
    }

    /// As [`Store::subscribe`], and notes which room the connection is in now, its name and its style.
    pub async fn enter(&self, connection: &Connection, row: Subscription) -> Result<bool, Error> {
        let values = [
            ("roomId", connection.room_id.as_ref().map(RoomId::as_str)),
            ("name", connection.name.as_ref().map(Name::as_str)),
            ("userIcon", connection.user_icon.as_deref()),
            ("userColor", connection.user_color.as_deref()),
        ];
        let known: Vec<_> = values.iter().filter_map(|(name, value)| Some((name, (*value)?))).collect();
        let list: Vec<_> = known.iter().map(|(name, _)| format!("{name} = :{name}")).collect();
        let update = if list.is_empty() { String::new() } else { format!("SET {} ", list.join(", ")) };
        let bind = |statement: Statement| {
            known.iter().fold(statement, |statement, (name, value)| statement.bind(&format!(":{name}"), *value))
        };
        self.subscribe_with(&connection.connection_id, &[row], &update, bind).await
    }

    async fn subscribe_with(
        &self,
        id: &ConnectionId,
        rows: &[Subscription],
        update: &str,
        bind: impl Fn(Statement) -> Statement,
    ) -> Result<bool, Error> {
        let names: Vec<_> = rows.iter().map(|row| row.channel.name()).collect();
        let statement = Statement::update(&format!("{update}ADD channels :channels"))
            .when("attribute_exists(connectionId)")
            .bind(":channels", names);
        if !self.update(&CONNECTIONS, CONNECTIONS.key(id.as_str()), &bind(statement)).await? {
            return Ok(false);
        }
        self.put_subscriptions(rows).await?;
        Ok(true)
    }

    /// Extends the session of a connection until `end` (epoch seconds), with the role of the token that extends it. It
    /// never shortens a session: two requests may come at once. Returns the connection as it is then; `None` when it is
    /// gone.
    ///
    /// The connection's own row comes first, and decides where a copy says that the session has ended. A subscription
    /// that a crash, or a room that is joined at the same time, leaves as it was is found so, and the cleanup mends it.
    pub async fn extend_session(
        &self,
        id: &ConnectionId,
        end: i64,
        role: Option<&str>,
    ) -> Result<Option<Connection>, Error> {
        let statement = session_update("authUntil", end, role)
            .when("attribute_exists(connectionId)")
            .when("attribute_not_exists(authUntil) OR authUntil <= :end");
        self.update(&CONNECTIONS, CONNECTIONS.key(id.as_str()), &statement).await?;
        let Some(row) = self.row::<Connection>(&CONNECTIONS, CONNECTIONS.key(id.as_str())).await? else {
            return Ok(None);
        };
        self.copy_session(&row).await?;
        Ok(Some(row))
    }

    /// Writes the end of a connection's session, and its role, on each of its subscriptions.
    pub async fn copy_session(&self, connection: &Connection) -> Result<(), Error> {
        let Some(end) = connection.auth_until else { return Ok(()) };
        let statement = session_update("u", end, connection.role.as_deref()).when("attribute_exists(connectionId)");
        stream::iter(&connection.channels)
            .map(|channel| {
                let key = SUBSCRIPTIONS.key_of(channel, connection.connection_id.as_str());
                self.update(&SUBSCRIPTIONS, key, &statement)
            })
            .buffer_unordered(COPIES_AT_ONCE)
            .try_for_each(|_| future::ready(Ok(())))
            .await
    }

    /// Takes a connection off a channel.
    pub async fn unsubscribe(&self, connection: &ConnectionId, channel: &Channel) -> Result<(), Error> {
        let name = channel.name();
        self.delete_subscriptions(connection, [name.as_str()]).await?;
        let statement = Statement::update("DELETE channels :channels")
            .when("attribute_exists(connectionId)")
            .bind(":channels", vec![name]);
        self.update(&CONNECTIONS, CONNECTIONS.key(connection.as_str()), &statement).await.map(drop)
    }

    /// Removes a connection everywhere, and returns what it was: to one caller only, however many remove it at once.
    /// `seen_on` is the channel on which it was found stale; its own row may be gone already.
    ///
    /// One subscription goes last, after the connection's own row, and always the same one: whatever fails between two
    /// steps, a post to that one is answered 410 again, and the rest is done then. The connection's row is read once
    /// more as it is deleted, for subscriptions that were written in between.
    pub async fn remove_connection(
        &self,
        id: &ConnectionId,
        seen_on: Option<&Channel>,
    ) -> Result<Option<Connection>, Error> {
        let known: Option<Connection> = self.row(&CONNECTIONS, CONNECTIONS.key(id.as_str())).await?;
        let mut channels = known.as_ref().map(|row| row.channels.clone()).unwrap_or_default();
        let last: BTreeSet<String> = channels.first().cloned().into_iter().collect();
        channels.extend(seen_on.map(Channel::name));
        self.delete_subscriptions(id, channels.difference(&last).map(String::as_str)).await?;

        let gone = self
            .client
            .delete_item()
            .table_name(self.name(&CONNECTIONS))
            .set_key(Some(CONNECTIONS.key(id.as_str())))
            .return_values(ReturnValue::AllOld)
            .send()
            .await
            .map_err(failed)?;
        let gone: Option<Connection> = gone.attributes.filter(|row| !row.is_empty()).map(row_of).transpose()?;
        let at_the_end = gone.as_ref().map(|row| &row.channels - &channels).unwrap_or_default();
        self.delete_subscriptions(id, at_the_end.union(&last).map(String::as_str)).await?;
        Ok(gone)
    }
}
