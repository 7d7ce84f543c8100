//! The rows of the tables, as far as the checks need them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use switchboard::local::{Stack, clients};

use crate::harness::time_of;
use crate::record::Mode;
use crate::view::Shown;

type Row = HashMap<String, AttributeValue>;

/// An entry of a log.
#[derive(Clone, Debug)]
pub struct Entry {
    pub shown: Shown,
    pub client_id: Option<String>,
    /// Whether a user has written it.
    pub is_message: bool,
    /// Epoch milliseconds.
    pub created_at: i64,
    pub mentions: BTreeSet<String>,
    pub mentions_room: bool,
    pub file: Option<String>,
    /// The mode of the room from here on, if it is changed here.
    pub mode: Option<Mode>,
    /// The name of the room from here on, if it is changed here.
    pub room_name: Option<String>,
    /// Whether this release has written it, and not that of before. Known of what stands and has an id of a client.
    pub is_salted: bool,
    /// The row, to be searched.
    pub text: String,
}

/// A row of a log of changes.
#[derive(Clone, Debug)]
pub struct ChangeRow {
    pub what: String,
    pub by: String,
    pub seqs: Vec<u64>,
    pub text: String,
}

#[derive(Default)]
pub struct Tables {
    pub logs: BTreeMap<String, BTreeMap<u64, Entry>>,
    pub changes: BTreeMap<String, BTreeMap<u64, ChangeRow>>,
    /// The reactions of a user, by room, message and user.
    pub reactions: BTreeMap<(String, u64, String), BTreeSet<String>>,
    /// The members of each room.
    pub members: BTreeSet<(String, String)>,
    pub bans: BTreeSet<(String, String)>,
    /// The status of each file, and where it is in the log of its room.
    pub files: BTreeMap<String, (String, u64)>,
    /// The other rows, by their tables.
    pub others: Vec<(&'static str, String)>,
}

fn text(row: &Row, name: &str) -> Option<String> {
    row.get(name).and_then(|value| value.as_s().ok()).cloned()
}

fn number(row: &Row, name: &str) -> u64 {
    row.get(name).and_then(|value| value.as_n().ok()).map_or(0, |number| number.parse().unwrap())
}

fn entry_of(row: &Row) -> Entry {
    let counts = row.iter().filter_map(|(name, _)| Some((name.strip_prefix("r#")?.to_owned(), number(row, name))));
    let shown = Shown {
        user: text(row, "userId").unwrap_or_default(),
        content: text(row, "text").unwrap_or_default(),
        is_deleted: row.contains_key("deleted"),
        rev: number(row, "rev"),
        version: number(row, "version"),
        reactions: counts.collect(),
        is_pinned: row.contains_key("pinned"),
        is_system: row.contains_key("system"),
    };
    let map = |row: &Row, name: &str| row.get(name).and_then(|value| value.as_m().ok()).cloned();
    let system = map(row, "system").unwrap_or_default();
    Entry {
        shown,
        client_id: text(row, "clientMessageId"),
        is_message: text(row, "kind").as_deref() == Some("message"),
        created_at: time_of(&json!(text(row, "createdAt"))).as_millis(),
        mentions: texts(row, "mentions"),
        mentions_room: row.get("mentionRoom").is_some_and(|is_so| is_so.as_bool() == Ok(&true)),
        file: map(row, "file").and_then(|file| text(&file, "fileId")),
        mode: map(&system, "mode").map(|mode| mode_of(&mode)),
        room_name: text(&system, "roomName"),
        is_salted: row.contains_key("salt"),
        text: format!("{row:?}"),
    }
}

fn mode_of(mode: &Row) -> Mode {
    let is_for_admins = |name: &str| text(mode, name).map(|who| who == "admins");
    let set = |name: &str| mode.contains_key(name).then(|| number(mode, name));
    Mode {
        is_read_only: is_for_admins("write"),
        is_without_reactions: is_for_admins("react"),
        slow_seconds: set("slowSeconds"),
        max_per_second: set("maxPerSecond"),
    }
}

/// The texts in a list or a set.
fn texts(row: &Row, name: &str) -> BTreeSet<String> {
    match row.get(name) {
        Some(AttributeValue::L(values)) => values.iter().filter_map(|value| value.as_s().ok().cloned()).collect(),
        Some(AttributeValue::Ss(values)) => values.iter().cloned().collect(),
        _ => BTreeSet::new(),
    }
}

impl Tables {
    pub async fn read(stack: &Stack) -> Self {
        let mut tables = Self::default();
        for row in rows(stack, "Messages").await {
            tables.add_message_row(&row);
        }
        for row in rows(stack, "Members").await {
            tables.add_member_row(&row);
        }
        for row in rows(stack, "Files").await {
            let status = (text(&row, "status").unwrap(), number(&row, "seq"));
            tables.files.insert(text(&row, "fileId").unwrap(), status);
        }
        for table in ["ChatRooms", "Members", "Connections", "Subscriptions", "Pending", "Audit", "Files"] {
            tables.others.extend(rows(stack, table).await.iter().map(|row| (table, format!("{row:?}"))));
        }
        tables
    }

    fn add_message_row(&mut self, row: &Row) {
        let (room, id) = (text(row, "roomId").unwrap(), text(row, "messageId").unwrap());
        if let Ok(seq) = id.parse::<u64>() {
            self.logs.entry(room).or_default().insert(seq, entry_of(row));
        } else if id.starts_with("chg#") {
            let seqs = row["seqs"].as_l().unwrap().iter().map(|seq| seq.as_n().unwrap().parse().unwrap()).collect();
            let (what, by) = (text(row, "what").unwrap(), text(row, "by").unwrap());
            let change = ChangeRow { what, by, seqs, text: format!("{row:?}") };
            self.changes.entry(room).or_default().insert(number(row, "rev"), change);
        } else if let Some((seq, user)) = id.strip_prefix("rx#").and_then(|id| id.split_once('#')) {
            let emojis = row.get("emojis").and_then(|emojis| emojis.as_ss().ok()).into_iter().flatten();
            self.reactions.insert((room, seq.parse().unwrap(), user.to_owned()), emojis.cloned().collect());
        } else {
            self.others.push(("Messages", format!("{row:?}")));
        }
    }

    fn add_member_row(&mut self, row: &Row) {
        let (user, room) = (text(row, "userId").unwrap(), text(row, "roomId").unwrap());
        // Bans have a partition for each room.
        if let Some(banned_from) = user.strip_prefix("ban\t") {
            self.bans.insert((banned_from.to_owned(), room.trim_start_matches("user\t").to_owned()));
        } else if text(row, "status").as_deref() == Some("member") {
            self.members.insert((room, user));
        }
    }

    pub fn is_member(&self, room: &str, user: &str) -> bool {
        self.members.contains(&(room.to_owned(), user.to_owned()))
    }

    pub fn is_banned(&self, room: &str, user: &str) -> bool {
        self.bans.contains(&(room.to_owned(), user.to_owned()))
    }
}

/// Compares the rows with the open connections, and how many members each room says it has with the members.
pub async fn of_rows(stack: &Stack, counts: &[(String, u64)]) -> Vec<String> {
    let open: BTreeSet<_> = stack.open_connections().into_iter().collect();
    let mut violations = Vec::new();
    for table in ["Connections", "Subscriptions"] {
        for row in rows(stack, table).await {
            // The row of ended memberships belongs to no connection.
            let connection = row["connectionId"].as_s().unwrap();
            if !open.contains(connection) && connection != "!gone" {
                violations.push(format!("7: {table} still has {row:?}"));
            }
        }
    }
    // A wrong count of members would admit too many or too few.
    let tables = Tables::read(stack).await;
    for (room, count) in counts {
        let actual = tables.members.iter().filter(|(of, _)| of == room).count() as u64;
        if *count != actual {
            violations.push(format!("7: {room} counts {count} members and has {actual}"));
        }
    }
    violations
}

async fn rows(stack: &Stack, table: &str) -> Vec<Row> {
    let client = clients::dynamodb(&stack.urls().dynamodb, stack.access_key()).unwrap();
    let pages = client.scan().table_name(table).consistent_read(true).into_paginator().items().send();
    pages.collect::<Result<Vec<_>, _>>().await.unwrap()
}
