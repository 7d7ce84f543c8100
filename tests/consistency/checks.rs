//! Compares the records of the clients with the log.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use switchboard::local::{Stack, clients};

use super::ROOMS;
use super::record::{Record, Said};

type Row = HashMap<String, AttributeValue>;

/// The entry of a log at a position.
#[derive(Clone, Debug)]
pub struct Entry {
    said: Said,
    client_id: Option<String>,
}

/// All logs in the table.
pub async fn logs(stack: &Stack) -> BTreeMap<String, BTreeMap<u64, Entry>> {
    let mut logs: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for row in rows(stack, "Messages").await {
        let text = |name: &str| row.get(name).and_then(|value| value.as_s().ok()).cloned();
        let Ok(seq) = text("messageId").unwrap().parse::<u64>() else { continue };
        let said = Said { user: text("userId").unwrap(), content: text("text").unwrap() };
        let entry = Entry { said, client_id: text("clientMessageId") };
        logs.entry(text("roomId").unwrap()).or_default().insert(seq, entry);
    }
    logs
}

pub fn of_records(records: &[&Record], logs: &BTreeMap<String, BTreeMap<u64, Entry>>) -> Vec<String> {
    let nothing = BTreeMap::new();
    let log_of = |room: &str| logs.get(room).unwrap_or(&nothing);
    let mut violations = Vec::new();

    let mut places: HashMap<(&str, &str), Vec<(u64, &str)>> = HashMap::new();
    for (room, log) in logs {
        for (seq, entry) in log {
            if let Some(id) = &entry.client_id {
                places.entry((room, id)).or_default().push((*seq, &entry.said.content));
            }
        }
        let dense = log.keys().copied().eq(1..=log.len() as u64);
        if !dense {
            violations.push(format!("3: the log of {room} is not dense: {:?}", log.keys()));
        }
    }
    for ((room, id), places) in &places {
        if places.len() > 1 {
            violations.push(format!("2: {id} is in {room} at {places:?}"));
        }
    }
    // When it was sent, by what it says, which is one of its kind.
    let mut started = HashMap::new();
    for record in records {
        for sent in &record.sent {
            started.insert(sent.content.as_str(), sent.started);
            let found = places.get(&(sent.room.as_str(), sent.id.as_str())).and_then(|places| places.first());
            match (sent.acked, found) {
                (Some(acked), Some((seq, content))) if acked == *seq && *content == sent.content => {}
                (Some(acked), found) => {
                    violations.push(format!("1: {} was acknowledged at {acked}, and is {found:?}", sent.id))
                }
                (None, Some((_, content))) if *content != sent.content => {
                    violations.push(format!("6: {} is there as {content}", sent.id));
                }
                (None, _) => {}
            }
        }
    }
    for record in records {
        let user = &record.user;
        violations.extend(record.oddities.iter().map(|oddity| format!("3: {user} saw {oddity}")));
        for (room, history) in &record.histories {
            let log: BTreeMap<_, _> = log_of(room).iter().map(|(seq, entry)| (*seq, entry.said.clone())).collect();
            if *history != log {
                violations.push(format!("3: {user} reads {} of {} in {room}", history.len(), log.len()));
            }
            let view = record.views.get(room).cloned().unwrap_or_default();
            if view != log {
                let missing: BTreeSet<_> = log.keys().filter(|seq| !view.contains_key(seq)).collect();
                violations.push(format!("4: {user} has not seen {missing:?} of {room}"));
            }
        }
        for (room, view) in &record.views {
            for (seq, said) in view {
                if log_of(room).get(seq).map(|entry| &entry.said) != Some(said) {
                    violations.push(format!("3: {user} saw {said:?} at {seq} of {room}, where it is not"));
                }
            }
        }
        for heard in &record.heard {
            let sent = started.get(heard.content.as_str()).copied().unwrap_or(0);
            let absent = record.absences.iter().any(|absence| {
                let until = absence.until.unwrap_or(u64::MAX);
                absence.room == heard.room && absence.from <= sent && sent < until && heard.at < until
            });
            if absent {
                violations.push(format!("5: {user} heard {} of {} while not in it", heard.seq, heard.room));
            }
        }
    }
    violations
}

/// Rows that are left of closed connections.
pub async fn of_rows(stack: &Stack) -> Vec<String> {
    let open: BTreeSet<_> = stack.open_connections().into_iter().collect();
    let mut violations = Vec::new();
    for table in ["Connections", "Subscriptions"] {
        for row in rows(stack, table).await {
            // The row of the memberships that have ended is no connection's.
            let connection = row["connectionId"].as_s().unwrap();
            if !open.contains(connection) && connection != "!gone" {
                violations.push(format!("7: {table} still has {row:?}"));
            }
        }
    }
    // A count of members that has drifted would let too many in, or too few.
    let mut members: HashMap<String, u64> = HashMap::new();
    for row in rows(stack, "Members").await.iter().filter(|row| row["status"].as_s().unwrap() == "member") {
        *members.entry(row["roomId"].as_s().unwrap().clone()).or_default() += 1;
    }
    for row in rows(stack, "ChatRooms").await {
        let room = row["id"].as_s().unwrap();
        let count: u64 = row["participantCount"].as_n().unwrap().parse().unwrap();
        let real = members.get(room).copied().unwrap_or(0);
        if ROOMS.contains(&room.as_str()) && count != real {
            violations.push(format!("{room} counts {count} members and has {real}"));
        }
    }
    violations
}

async fn rows(stack: &Stack, table: &str) -> Vec<Row> {
    let client = clients::dynamodb(&stack.urls().dynamodb, stack.access_key()).unwrap();
    let pages = client.scan().table_name(table).consistent_read(true).into_paginator().items().send();
    pages.collect::<Result<Vec<_>, _>>().await.unwrap()
}
