//! The promises, checked at the end of a case.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::case::{Adversary, Case, Mode, Who};
use crate::scenarios;

type Row = HashMap<String, AttributeValue>;

/// The rows of a room when nothing happens any more.
struct Rows {
    log: BTreeMap<u64, Row>,
    members: BTreeMap<String, Row>,
    room: Row,
}

impl Rows {
    async fn of(case: &Case<'_>) -> Self {
        let mut rows = Self { log: BTreeMap::new(), members: BTreeMap::new(), room: Row::new() };
        for row in query(case, "Messages", None, "roomId").await {
            if let Ok(seq) = text(&row, "messageId").parse() {
                rows.log.insert(seq, row);
            }
        }
        for row in query(case, "Members", Some("byRoom"), "roomId").await {
            let user = text(&row, "userId");
            let is_member = text(&row, "status") == "member";
            // The index has not all attributes.
            if is_member && let Some(row) = member(case, user).await {
                rows.members.insert(user.to_owned(), row);
            }
        }
        rows.room = query(case, "ChatRooms", None, "id").await.pop().unwrap_or_default();
        rows
    }

    fn is_closed(&self) -> bool {
        text(&self.room, "status") == "closed"
    }
}

/// The rows of the case's room in a table or an index.
async fn query(case: &Case<'_>, table: &str, index: Option<&str>, key: &str) -> Vec<Row> {
    let query = case.tables.query().table_name(table).set_index_name(index.map(str::to_owned));
    let query = query.key_condition_expression("#key = :room").expression_attribute_names("#key", key);
    let query = query.expression_attribute_values(":room", AttributeValue::S(case.room.clone()));
    query.into_paginator().items().send().collect::<Result<_, _>>().await.unwrap()
}

async fn member(case: &Case<'_>, user: &str) -> Option<Row> {
    let get = case.tables.get_item().table_name("Members").key("userId", AttributeValue::S(user.to_owned()));
    get.key("roomId", AttributeValue::S(case.room.clone())).send().await.unwrap().item
}

fn text<'a>(row: &'a Row, name: &str) -> &'a str {
    row.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}

/// All promises that a case has broken.
pub async fn of(case: &mut Case<'_>, mode: Mode) -> Vec<String> {
    let mut violations = std::mem::take(&mut case.seen.violations);
    let before = Rows::of(case).await;
    let last = case.ends().await;
    let rows = Rows::of(case).await;
    violations.extend(removed_hear_nothing(case, &before, mode));
    violations.extend(removed_append_nothing(case, &rows));
    violations.extend(acknowledged_are_kept(case, &rows));
    violations.extend(members_are_counted(&rows));
    violations.extend(closed_rooms_end(&rows));
    violations.extend(members_are_told(case, &rows));
    violations.extend(members_catch_up(case, &rows, last).await);
    violations
}

/// Nobody hears or reads what was appended after their removal was answered.
fn removed_hear_nothing(case: &mut Case<'_>, rows: &Rows, mode: Mode) -> Vec<String> {
    let subject = scenarios::subject(case.route);
    let (route, number, answered) = (case.route, case.number, case.seen.answered);
    let answers = case.seen.answers.iter().map(Value::to_string).collect::<Vec<_>>();
    let client = case.client(subject);
    let is_member = rows.members.contains_key(&client.user);
    let mut violations = Vec::new();
    if is_member && answered == Some(Adversary::Ban) && mode == Mode::Held(Adversary::Ban) && route != "unbanMember" {
        violations.push(format!("{} was banned and is a member", client.user));
    }
    let is_removal = matches!(answered, Some(Adversary::Remove | Adversary::Ban));
    if is_member {
        return violations;
    }
    let after = is_removal.then(|| format!("after-{number}"));
    for text in after.into_iter().chain([format!("in the end-{number}")]) {
        let in_answer = || answers.iter().find(|answer| answer.contains(&text)).cloned();
        if let Some(frame) = client.frame_with(&text).or_else(in_answer) {
            violations.push(format!("{} is out of the room and heard {frame}", client.user));
        }
    }
    violations
}

/// Nobody sends or uploads after their removal was answered, unless they have joined again.
fn removed_append_nothing(case: &mut Case<'_>, rows: &Rows) -> Vec<String> {
    let Some(&removed_at) = case.seen.later.first() else { return Vec::new() };
    let is_removal = matches!(case.seen.answered, Some(Adversary::Remove | Adversary::Ban));
    let user = case.client(scenarios::subject(case.route)).user.clone();
    if !is_removal || rows.members.contains_key(&user) {
        return Vec::new();
    }
    let later = rows.log.range(removed_at..).filter(|(_, row)| text(row, "userId") == user);
    later.map(|(seq, row)| format!("{user} was removed before {removed_at} and appended {seq}: {row:?}")).collect()
}

/// An acknowledged message is in the log once, at the position of its acknowledgement.
fn acknowledged_are_kept(case: &Case<'_>, rows: &Rows) -> Vec<String> {
    let id = case.message_id();
    let with_id = rows.log.iter().filter(|(_, row)| text(row, "clientMessageId") == id);
    let places: Vec<_> = with_id.map(|(seq, _)| *seq).collect();
    let mut violations = Vec::new();
    if places.len() > 1 {
        violations.push(format!("the message is in the log at {places:?}"));
    }
    for answer in case.seen.answers.iter().filter(|answer| answer["type"] == "message") {
        let seq = answer["seq"].as_u64().unwrap_or(0);
        if answer["clientMessageId"] == json!(id) && !places.contains(&seq) {
            violations.push(format!("the message was acknowledged at {seq} and is at {places:?}"));
        }
    }
    let files: Vec<_> = rows.log.iter().filter_map(|(seq, row)| Some((row.get("file")?, seq))).collect();
    let mut ids = BTreeSet::new();
    for (file, seq) in files {
        let id = file.as_m().ok().and_then(|file| file.get("fileId")).and_then(|id| id.as_s().ok());
        if id.is_some_and(|id| !ids.insert(id)) {
            violations.push(format!("the file {id:?} is in the log twice, also at {seq}"));
        }
    }
    if !rows.log.keys().copied().eq(1..=rows.log.len() as u64) {
        violations.push(format!("the log has gaps: {:?}", rows.log.keys()));
    }
    violations
}

fn members_are_counted(rows: &Rows) -> Option<String> {
    let count = rows.room.get("participantCount").and_then(|count| count.as_n().ok()).map_or("", String::as_str);
    let members: Vec<_> = rows.members.keys().collect();
    (count != members.len().to_string()).then(|| format!("participantCount is {count}, the members are {members:?}"))
}

fn closed_rooms_end(rows: &Rows) -> Vec<String> {
    if !rows.is_closed() {
        return Vec::new();
    }
    let endless = rows.members.iter().filter(|(_, row)| !row.contains_key("ttl"));
    endless.map(|(user, _)| format!("the room is closed, and the member row of {user} has no ttl")).collect()
}

/// Those who stay hear who has come or gone, and that the room is closed.
fn members_are_told(case: &Case<'_>, rows: &Rows) -> Vec<String> {
    let mut expected = Vec::new();
    if rows.is_closed() {
        expected.push(("room-closed", None));
    }
    if !rows.members.contains_key(&case.names.ben) && !rows.is_closed() {
        expected.push(("left", Some(case.names.ben.as_str())));
    }
    if rows.members.contains_key(&case.names.dora) {
        expected.push(("joined", Some(case.names.dora.as_str())));
    }
    if case.route == switchboard::actions::FAN_OUT {
        expected.push(("typing", None));
    }
    let missed = expected.into_iter().filter(|(kind, user)| !case.carl.has_heard(kind, &case.room, *user));
    missed.map(|(kind, user)| format!("Carl never heard {kind} {}", user.unwrap_or_default())).collect()
}

/// What a member has heard and what `resume` returns is the whole log.
async fn members_catch_up(case: &mut Case<'_>, rows: &Rows, last: Option<u64>) -> Vec<String> {
    let mut violations = Vec::new();
    if rows.is_closed() {
        return violations;
    }
    if last.is_none() {
        violations.push("Carl cannot send although the room is open".to_owned());
    }
    let (room, subject) = (case.room.clone(), scenarios::subject(case.route));
    let listens = case.route != switchboard::actions::DISCONNECT;
    let is_in = rows.members.contains_key(&case.client(subject).user) && listens;
    let mut members = vec![&mut case.carl, &mut case.host_device];
    if is_in {
        members.push(match subject {
            Who::Dora => &mut case.dora,
            _ => &mut case.ben,
        });
    }
    for member in members {
        let resumed = member.insist(&json!({ "action": "resume", "rooms": { room.as_str(): 0 } })).await;
        let items = resumed.unwrap_or_default()["rooms"][&room]["items"].clone();
        let got: BTreeSet<_> = items.as_array().into_iter().flatten().filter_map(|item| item["seq"].as_u64()).collect();
        let missing: Vec<_> = rows.log.keys().filter(|seq| !got.contains(seq)).collect();
        if !missing.is_empty() {
            violations.push(format!("{} resumed without {missing:?}", member.user));
        }
        // After the resume it is live again.
        if let Some(last) = last
            && member.user != case.names.carl
            && !member.heard.iter().any(|frame| frame["roomId"] == room && frame["seq"] == last)
            && !got.contains(&last)
        {
            violations.push(format!("{} neither heard nor resumed {last}", member.user));
        }
    }
    violations
}
