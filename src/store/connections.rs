//! Who is connected, and to what.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use serde::{Deserialize, Serialize};

use super::tables::{CONNECTIONS, SUBSCRIPTIONS};
use super::{Channel, Store, Subscription, failed, put, row_of, text, was_done};
use crate::domain::{ConnectionId, Format, Name, RoomId, Style, Timestamp, UserId};
use crate::error::Error;

/// API Gateway ends a connection after two hours; its rows outlive it by a little.
const LIFETIME_SECS: i64 = 2 * 60 * 60 + 10 * 60;

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
    pub connected_at: Timestamp,
    /// What it is subscribed to.
    #[serde(default, with = "serde_dynamo::string_set", skip_serializing_if = "BTreeSet::is_empty")]
    pub channels: BTreeSet<String>,
    pub ttl: i64,
}

impl Connection {
    /// What the role attribute says of an admin.
    pub const ADMIN: &str = "admin";

    pub fn expiry(connected_at: Timestamp) -> i64 {
        connected_at.as_secs() + LIFETIME_SECS
    }

    /// The connection's row on a channel, where it is called `name`.
    pub fn on(&self, channel: Channel, name: Name) -> Subscription {
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
            may_rename: self.may_rename,
            ttl: self.ttl,
        }
    }

    /// The rooms that it hears, but for the lobby.
    pub fn rooms(&self) -> Vec<RoomId> {
        self.channels
            .iter()
            .filter_map(|channel| Channel::named(channel).room())
            .filter(|room| !room.is_lobby())
            .collect()
    }

    pub fn is_admin(&self) -> bool {
        self.role.as_deref() == Some(Self::ADMIN)
    }

    pub fn style(&self) -> Style {
        Style { icon: self.user_icon.clone(), color: self.user_color.clone() }
    }

    /// The name to show: the one given, or the user id.
    pub fn display_name(&self) -> Name {
        self.name.clone().unwrap_or_else(|| self.user_id.as_name())
    }
}

impl Store {
    pub async fn connection(&self, id: &ConnectionId, now: Timestamp) -> Result<Option<Connection>, Error> {
        let row: Option<Connection> = self.row(&CONNECTIONS, CONNECTIONS.key(id.as_str())).await?;
        Ok(row.filter(|row| !now.has_passed(row.ttl)))
    }

    /// Remembers a new connection, live on `channels` from the start.
    pub async fn add_connection(&self, connection: &Connection, channels: &[Channel]) -> Result<(), Error> {
        let mut row = connection.clone();
        row.channels = channels.iter().map(|channel| channel.as_str().to_owned()).collect();
        let mut writes = vec![(&CONNECTIONS, put(&row)?)];
        for channel in channels {
            writes.push((&SUBSCRIPTIONS, put(&connection.on(channel.clone(), connection.display_name()))?));
        }
        self.write_all(writes).await
    }

    /// Makes a connection live on further channels. `false` when it has gone meanwhile: then nothing is written.
    pub async fn subscribe(&self, id: &ConnectionId, rows: &[Subscription]) -> Result<bool, Error> {
        self.subscribe_with(id, rows, Change::default()).await
    }

    /// As [`Store::subscribe`], and notes which room the connection is in now and how it looks.
    pub async fn enter(&self, connection: &Connection, row: Subscription) -> Result<bool, Error> {
        self.subscribe_with(&connection.connection_id, &[row], Change::default().look_of(connection)).await
    }

    async fn subscribe_with(&self, id: &ConnectionId, rows: &[Subscription], change: Change) -> Result<bool, Error> {
        let names = rows.iter().map(|row| row.channel.as_str().to_owned()).collect();
        if !self.change(id, change.add_to_set("channels", names)).await? {
            return Ok(false);
        }
        self.put_subscriptions(rows).await?;
        Ok(true)
    }

    /// Takes a connection off a channel.
    pub async fn unsubscribe(&self, connection: &ConnectionId, channel: &Channel) -> Result<(), Error> {
        self.delete_subscriptions(connection, [channel.as_str()]).await?;
        let change = Change::default().delete_from_set("channels", vec![channel.as_str().to_owned()]);
        self.change(connection, change).await.map(drop)
    }

    /// Changes the row of a connection that is still there; `false` when it is not.
    async fn change(&self, id: &ConnectionId, change: Change) -> Result<bool, Error> {
        let expression = change.expression();
        let Change { mut names, values, .. } = change;
        names.insert("#id".to_owned(), CONNECTIONS.partition_key.to_owned());
        let changed = self
            .client
            .update_item()
            .table_name(self.name(&CONNECTIONS))
            .set_key(Some(CONNECTIONS.key(id.as_str())))
            .condition_expression("attribute_exists(#id)")
            .update_expression(expression)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .send()
            .await;
        was_done(changed)
    }

    /// Forgets a connection everywhere, and tells what it was. `seen_on` is the channel that it was found dead on; its
    /// own row may be gone already.
    ///
    /// One subscription goes last, behind the connection's own row, and the same one whoever forgets it: whatever fails
    /// between two steps, a post to that one is answered 410 again, and the rest is done then. The connection's row is
    /// looked at once more as it goes, for subscriptions that were made meanwhile.
    pub async fn forget(&self, id: &ConnectionId, seen_on: Option<&Channel>) -> Result<Option<Connection>, Error> {
        let known: Option<Connection> = self.row(&CONNECTIONS, CONNECTIONS.key(id.as_str())).await?;
        let mut channels = known.as_ref().map(|row| row.channels.clone()).unwrap_or_default();
        let last: BTreeSet<String> = channels.first().cloned().into_iter().collect();
        channels.extend(seen_on.map(|channel| channel.as_str().to_owned()));
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
        let at_the_end = match gone.attributes.filter(|row| !row.is_empty()) {
            Some(row) => &row_of::<Connection>(row)?.channels - &channels,
            None => BTreeSet::new(),
        };
        self.delete_subscriptions(id, at_the_end.union(&last).map(String::as_str)).await?;
        Ok(known)
    }
}

/// An update expression in the making.
#[derive(Default)]
struct Change {
    clauses: BTreeMap<&'static str, Vec<String>>,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Change {
    fn look_of(self, connection: &Connection) -> Self {
        self.set("roomId", connection.room_id.as_ref().map(RoomId::as_str))
            .set("name", connection.name.as_ref().map(Name::as_str))
            .set("userIcon", connection.user_icon.as_deref())
            .set("userColor", connection.user_color.as_deref())
    }

    fn set(self, attribute: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.part("SET", " =", attribute, text(value)),
            None => self,
        }
    }

    fn add_to_set(self, attribute: &str, members: Vec<String>) -> Self {
        self.part("ADD", "", attribute, AttributeValue::Ss(members))
    }

    fn delete_from_set(self, attribute: &str, members: Vec<String>) -> Self {
        self.part("DELETE", "", attribute, AttributeValue::Ss(members))
    }

    fn part(mut self, clause: &'static str, sign: &str, attribute: &str, value: AttributeValue) -> Self {
        self.clauses.entry(clause).or_default().push(format!("#{attribute}{sign} :{attribute}"));
        self.names.insert(format!("#{attribute}"), attribute.to_owned());
        self.values.insert(format!(":{attribute}"), value);
        self
    }

    fn expression(&self) -> String {
        let clauses = self.clauses.iter().map(|(clause, parts)| format!("{clause} {}", parts.join(", ")));
        clauses.collect::<Vec<_>>().join(" ")
    }
}
