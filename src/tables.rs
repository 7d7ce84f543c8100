//! The table catalogue: every table, its keys and its indexes. Terraform and the local stack make them from it.

use std::collections::BTreeMap;

/// A table. All keys are strings.
#[derive(Debug)]
pub struct Table {
    pub default_name: &'static str,
    /// The environment variable that overrides the name.
    pub variable: &'static str,
    pub partition_key: &'static str,
    pub sort_key: Option<&'static str>,
    pub indexes: &'static [Index],
}

/// A global secondary index.
#[derive(Debug)]
pub struct Index {
    pub name: &'static str,
    pub partition_key: &'static str,
    pub sort_key: &'static str,
    /// The attributes that are projected besides the keys.
    pub includes: &'static [&'static str],
}

/// The TTL attribute of every table (epoch seconds).
pub const TTL: &str = "ttl";

/// Rooms, and the rows of direct conversations and the lobby. TTL: a closed room expires with its history.
pub const ROOMS: Table = Table {
    default_name: "ChatRooms",
    variable: "CHAT_ROOMS_TABLE",
    partition_key: "id",
    sort_key: None,
    indexes: &[ROOMS_BY_PLACE, ROOMS_BY_ACTIVITY],
};

/// Active rooms with a location, by their cell.
pub const ROOMS_BY_PLACE: Index =
    Index { name: "byPlace", partition_key: "cell", sort_key: "spot", includes: &["location", "radius", "roomType"] };

/// Active rooms that close when idle, by their last known activity (ISO 8601).
pub const ROOMS_BY_ACTIVITY: Index =
    Index { name: "byActivity", partition_key: "sweep", sort_key: "activeAt", includes: &[] };

/// Connections and their channels. TTL: just over API Gateway's connection limit of two hours.
pub const CONNECTIONS: Table = Table {
    default_name: "Connections",
    variable: "CONNECTIONS_TABLE",
    partition_key: "connectionId",
    sort_key: None,
    indexes: &[],
};

/// The live connections of each channel. TTL: as connections, for those whose `$disconnect` was lost.
pub const SUBSCRIPTIONS: Table = Table {
    default_name: "Subscriptions",
    variable: "SUBSCRIPTIONS_TABLE",
    partition_key: "channel",
    sort_key: Some("connectionId"),
    indexes: &[],
};

/// Members of rooms, connected or not; and the bans of each room, in a partition of their own. TTL: as the room, once
/// it is closed.
pub const MEMBERS: Table = Table {
    default_name: "Members",
    variable: "MEMBERS_TABLE",
    partition_key: "userId",
    sort_key: Some("roomId"),
    indexes: &[MEMBERS_BY_ROOM],
};

/// The members of a room, for lists of participants.
pub const MEMBERS_BY_ROOM: Index = Index {
    name: "byRoom",
    partition_key: "roomId",
    sort_key: "userId",
    includes: &["role", "status", "joinedAt", "name"],
};

/// The log of each room, and idempotency rows. TTL: `MESSAGE_TTL_DAYS`.
pub const MESSAGES: Table = Table {
    default_name: "Messages",
    variable: "MESSAGES_TABLE",
    partition_key: "roomId",
    sort_key: Some("messageId"),
    indexes: &[],
};

/// Invites into private rooms. TTL: their expiry.
pub const INVITES: Table = Table {
    default_name: "Invites",
    variable: "INVITES_TABLE",
    partition_key: "roomId",
    sort_key: Some("invite"),
    indexes: &[],
};

/// Announced and uploaded files. TTL: a day for a pending upload, else as messages.
pub const FILES: Table =
    Table { default_name: "Files", variable: "FILES_TABLE", partition_key: "fileId", sort_key: None, indexes: &[] };

/// Users whom a user has blocked. They do not expire.
pub const BLOCKS: Table = Table {
    default_name: "Blocks",
    variable: "BLOCKS_TABLE",
    partition_key: "userId",
    sort_key: Some("blockedId"),
    indexes: &[],
};

/// What waits for a user's consent: invitations into rooms, and direct conversations of strangers. TTL: 30 days.
pub const PENDING: Table = Table {
    default_name: "Pending",
    variable: "PENDING_TABLE",
    partition_key: "userId",
    sort_key: Some("roomId"),
    indexes: &[],
};

/// Messages that mention a user. TTL: as the messages.
pub const MENTIONS: Table = Table {
    default_name: "Mentions",
    variable: "MENTIONS_TABLE",
    partition_key: "userId",
    sort_key: Some("mention"),
    indexes: &[],
};

/// Messages that users reported, with a copy of each. TTL: 90 days.
pub const REPORTS: Table = Table {
    default_name: "Reports",
    variable: "REPORTS_TABLE",
    partition_key: "roomId",
    sort_key: Some("report"),
    indexes: &[],
};

/// What moderators did, by day. TTL: a year.
pub const AUDIT: Table =
    Table { default_name: "Audit", variable: "AUDIT_TABLE", partition_key: "day", sort_key: Some("at"), indexes: &[] };

/// Rate limits: the theoretical arrival time of each user and class. TTL: a minute after it.
pub const LIMITS: Table =
    Table { default_name: "Limits", variable: "LIMITS_TABLE", partition_key: "id", sort_key: None, indexes: &[] };

/// Whose tokens were revoked. Rows do not expire.
pub const REVOKED: Table =
    Table { default_name: "Revoked", variable: "REVOKED_TABLE", partition_key: "userId", sort_key: None, indexes: &[] };

/// Tickets for handshakes, each for one. TTL: half a minute.
pub const TICKETS: Table =
    Table { default_name: "Tickets", variable: "TICKETS_TABLE", partition_key: "ticket", sort_key: None, indexes: &[] };

/// Requests of backends, by idempotency key. TTL: a day.
pub const REQUESTS: Table =
    Table { default_name: "Requests", variable: "REQUESTS_TABLE", partition_key: "id", sort_key: None, indexes: &[] };

/// Every table.
pub const ALL: &[&Table] = &[
    &ROOMS,
    &CONNECTIONS,
    &SUBSCRIPTIONS,
    &MEMBERS,
    &MESSAGES,
    &INVITES,
    &FILES,
    &BLOCKS,
    &PENDING,
    &MENTIONS,
    &REPORTS,
    &AUDIT,
    &LIMITS,
    &REVOKED,
    &TICKETS,
    &REQUESTS,
];

/// What the records of a stream have of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamView {
    /// The row as it is now.
    New,
    /// Also as it was before.
    NewAndOld,
}

impl StreamView {
    /// The name in DynamoDB.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "NEW_IMAGE",
            Self::NewAndOld => "NEW_AND_OLD_IMAGES",
        }
    }
}

/// The tables whose streams are read where there is an event bus. Not with the old rows of messages: those may have
/// what was deleted.
pub const STREAMED: &[(&Table, StreamView)] = &[
    (&MESSAGES, StreamView::New),
    (&MEMBERS, StreamView::NewAndOld),
    (&ROOMS, StreamView::NewAndOld),
    (&REPORTS, StreamView::New),
];

/// The names of the tables in this deployment.
#[derive(Clone, Debug)]
pub struct TableNames(BTreeMap<&'static str, String>);

impl TableNames {
    /// The name of a table.
    pub fn of(&self, table: &Table) -> &str {
        self.0.get(table.variable).map_or(table.default_name, String::as_str)
    }

    /// The names that `variable` gives, or the defaults; and a sentence for each name that DynamoDB does not accept.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> (Self, Vec<String>) {
        let names: BTreeMap<_, _> = ALL
            .iter()
            .map(|table| {
                let name = variable(table.variable).filter(|name| !name.is_empty());
                (table.variable, name.unwrap_or_else(|| table.default_name.to_owned()))
            })
            .collect();
        let letters = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        let is_valid = |name: &str| letters(name) && (3..=255).contains(&name.len());
        let problem = |(variable, name): (&&str, &String)| {
            format!(
                "{variable} must be the name of a DynamoDB table (3 to 255 letters, digits, '_', '-' or '.'), \
                 not \"{}\"",
                name.escape_debug()
            )
        };
        let problems = names.iter().filter(|(_, name)| !is_valid(name)).map(problem).collect();
        (Self(names), problems)
    }
}
