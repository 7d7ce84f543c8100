//! Compares the records of the clients with the log.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use switchboard::local::{Stack, clients};

use super::ROOMS;
use super::record::{Body, Record};

type Row = HashMap<String, AttributeValue>;

/// The entry of a log at a position.
#[derive(Clone, Debug)]
pub struct Entry {
    body: Body,
    client_id: Option<String>,
}

/// All logs in the table.
pub async fn logs(stack: &Stack) -> BTreeMap<String, BTreeMap<u64, Entry>> {
    let mut logs: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for row in rows(stack, "Messages").await {
        let text = |name: &str| row.get(name).and_then(|value| value.as_s().ok()).cloned();
        let Ok(seq) = text("messageId").unwrap().parse::<u64>() else { continue };
        let body = Body { user: text("userId").unwrap(), content: text("text").unwrap() };
        let entry = Entry { body, client_id: text("clientMessageId") };
        logs.entry(text("roomId").unwrap()).or_default().insert(seq, entry);
    }
    logs
}

pub fn check_records(records: &[&Record], logs: &BTreeMap<String, BTreeMap<u64, Entry>>) -> Vec<String> {
    let nothing = BTreeMap::new();
    let log_of = |room: &str| logs.get(room).unwrap_or(&nothing);
    let mut violations = Vec::new();

    let mut positions: HashMap<(&str, &str), Vec<(u64, &str)>> = HashMap::new();
    for (room, log) in logs {
        for (seq, entry) in log {
            if let Some(id) = &entry.client_id {
                positions.entry((room, id)).or_default().push((*seq, &entry.body.content));
            }
        }
        let dense = log.keys().copied().eq(1..=log.len() as u64);
        if !dense {
            violations.push(format!("3: the log of {room} is not dense: {:?}", log.keys()));
        }
    }
    for ((room, id), positions) in &positions {
        if positions.len() > 1 {
            violations.push(format!("2: {id} is in {room} at {positions:?}"));
        }
    }
    // The time of the first attempt of each message, by its content, which is unique.
    let mut started = HashMap::new();
    for record in records {
        for sent in &record.sent {
            started.insert(sent.content.as_str(), sent.started);
            let found = positions.get(&(sent.room.as_str(), sent.id.as_str())).and_then(|positions| positions.first());
            match (sent.acked, found) {
                (Some(acked), Some((seq, content))) if acked == *seq && *content == sent.content => {}
                (Some(acked), found) => {
                    violations.push(format!("1: {} was acknowledged at {acked}, and is {found:?}", sent.id))
                }
                (None, Some((_, content))) if *content != sent.content => {
                    violations.push(format!("6: {} is stored as {content}", sent.id));
                }
                (None, _) => {}
            }
        }
    }
    for record in records {
        let user = &record.user;
        violations.extend(record.anomalies.iter().map(|anomaly| format!("3: {user} saw {anomaly}")));
        for (room, history) in &record.histories {
            let log: BTreeMap<_, _> = log_of(room).iter().map(|(seq, entry)| (*seq, entry.body.clone())).collect();
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
            for (seq, body) in view {
                if log_of(room).get(seq).map(|entry| &entry.body) != Some(body) {
                    violations.push(format!("3: {user} saw {body:?} at {seq} of {room}, where it is not"));
                }
            }
        }
        for delivery in &record.deliveries {
            let sent = started.get(delivery.content.as_str()).copied().unwrap_or(0);
            let absent = record.absences.iter().any(|absence| {
                let until = absence.until.unwrap_or(u64::MAX);
                absence.room == delivery.room && absence.from <= sent && sent < until && delivery.at < until
            });
            if absent {
                violations
                    .push(format!("5: {user} received {} of {} without being a member", delivery.seq, delivery.room));
            }
        }
    }
    violations
}

/// Compares the rows with the open connections, and the counters of members with the members.
pub async fn check_rows(stack: &Stack) -> Vec<String> {
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
    let mut members: HashMap<String, u64> = HashMap::new();
    for row in rows(stack, "Members").await.iter().filter(|row| row["status"].as_s().unwrap() == "member") {
        *members.entry(row["roomId"].as_s().unwrap().clone()).or_default() += 1;
    }
    for row in rows(stack, "ChatRooms").await {
        let room = row["id"].as_s().unwrap();
        let count: u64 = row["participantCount"].as_n().unwrap().parse().unwrap();
        let actual = members.get(room).copied().unwrap_or(0);
        if ROOMS.contains(&room.as_str()) && count != actual {
            violations.push(format!("{room} counts {count} members and has {actual}"));
        }
    }
    violations
}

async fn rows(stack: &Stack, table: &str) -> Vec<Row> {
    let client = clients::dynamodb(&stack.urls().dynamodb, stack.access_key()).unwrap();
    let pages = client.scan().table_name(table).consistent_read(true).into_paginator().items().send();
    pages.collect::<Result<Vec<_>, _>>().await.unwrap()
}
