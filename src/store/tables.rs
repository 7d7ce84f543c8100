//! The table catalogue: every table, its keys and its indexes. Terraform and the local stack make them from it.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

/// A table as a deployment makes it. All keys are strings.
#[derive(Debug)]
pub struct Table {
    pub default_name: &'static str,
    /// The environment variable that names it otherwise.
    pub variable: &'static str,
    pub partition_key: &'static str,
    pub sort_key: Option<&'static str>,
    /// The attribute (epoch seconds) after which DynamoDB deletes a row by itself.
    pub ttl: Option<&'static str>,
    pub indexes: &'static [Index],
}

/// A global secondary index.
#[derive(Debug)]
pub struct Index {
    pub name: &'static str,
    pub partition_key: &'static str,
    pub sort_key: &'static str,
    /// What a reader of the index finds besides the keys.
    pub includes: &'static [&'static str],
}

pub type Key = HashMap<String, AttributeValue>;

impl Table {
    /// A key of a table without a sort key.
    pub fn key(&self, partition: &str) -> Key {
        HashMap::from([(self.partition_key.to_owned(), AttributeValue::S(partition.to_owned()))])
    }

    /// A key of a table with a sort key.
    pub fn key_of(&self, partition: &str, sort: &str) -> Key {
        let mut key = self.key(partition);
        if let Some(name) = self.sort_key {
            key.insert(name.to_owned(), AttributeValue::S(sort.to_owned()));
        }
        key
    }
}

/// The attribute that carries the end of a row's life, wherever there is one.
pub const TTL: &str = "ttl";

/// Rooms, and what is noted of direct conversations and the lobby. TTL: a closed room goes with its history.
pub const ROOMS: Table = Table {
    default_name: "ChatRooms",
    variable: "CHAT_ROOMS_TABLE",
    partition_key: "id",
    sort_key: None,
    ttl: Some(TTL),
    indexes: &[ROOMS_BY_PLACE, ROOMS_BY_ACTIVITY],
};

/// Active rooms that have a place, by the cell that it is filed under.
pub const ROOMS_BY_PLACE: Index =
    Index { name: "byPlace", partition_key: "cell", sort_key: "spot", includes: &["location", "radius", "roomType"] };

/// Active rooms that close by themselves, by the last activity that was noted (ISO 8601).
pub const ROOMS_BY_ACTIVITY: Index =
    Index { name: "byActivity", partition_key: "sweep", sort_key: "activeAt", includes: &[] };

/// Who is connected, and to which channels. TTL: just over the two hours that API Gateway gives a connection.
pub const CONNECTIONS: Table = Table {
    default_name: "Connections",
    variable: "CONNECTIONS_TABLE",
    partition_key: "connectionId",
    sort_key: None,
    ttl: Some(TTL),
    indexes: &[],
};

/// Who is live on a channel. TTL: a connection that nobody saw leaving goes by itself.
pub const SUBSCRIPTIONS: Table = Table {
    default_name: "Subscriptions",
    variable: "SUBSCRIPTIONS_TABLE",
    partition_key: "channel",
    sort_key: Some("connectionId"),
    ttl: Some(TTL),
    indexes: &[],
};

/// Who belongs to which room, connected or not; and who is banned from it. TTL: as the room, when it is closed.
pub const MEMBERS: Table = Table {
    default_name: "Members",
    variable: "MEMBERS_TABLE",
    partition_key: "userId",
    sort_key: Some("roomId"),
    ttl: Some(TTL),
    indexes: &[MEMBERS_BY_ROOM],
};

/// A room's members, for its list of participants.
pub const MEMBERS_BY_ROOM: Index = Index {
    name: "byRoom",
    partition_key: "roomId",
    sort_key: "userId",
    includes: &["role", "status", "joinedAt", "name"],
};

/// The log: what was said, in order. TTL: `MESSAGE_TTL_DAYS`.
pub const MESSAGES: Table = Table {
    default_name: "Messages",
    variable: "MESSAGES_TABLE",
    partition_key: "roomId",
    sort_key: Some("messageId"),
    ttl: Some(TTL),
    indexes: &[],
};

/// What lets somebody into a private room. TTL: when it expires.
pub const INVITES: Table = Table {
    default_name: "Invites",
    variable: "INVITES_TABLE",
    partition_key: "roomId",
    sort_key: Some("invite"),
    ttl: Some(TTL),
    indexes: &[],
};

/// Files that were announced, and those that are there. TTL: a day for an upload that never comes, else as messages.
pub const FILES: Table = Table {
    default_name: "Files",
    variable: "FILES_TABLE",
    partition_key: "fileId",
    sort_key: None,
    ttl: Some(TTL),
    indexes: &[],
};

pub const ALL: &[&Table] = &[&ROOMS, &CONNECTIONS, &SUBSCRIPTIONS, &MEMBERS, &MESSAGES, &INVITES, &FILES];
