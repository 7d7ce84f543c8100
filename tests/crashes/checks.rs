//! The promises, checked at the end of a case.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use switchboard::actions::{DISCONNECT, EXPORT, FAN_OUT};

use crate::case::{Adversary, Case, Names, Who};

/// Ends Ben's connections.
const DISCONNECT_USER: &str = "POST /admin/users/{userId}/disconnect";

type Row = HashMap<String, AttributeValue>;

/// The rows of a room when nothing happens any more.
#[derive(Default)]
struct Rows {
    log: BTreeMap<u64, Row>,
    members: BTreeMap<String, Row>,
    /// The users who were members before.
    former: BTreeSet<String>,
    room: Row,
    /// Rows that never expire although they should.
    endless: Vec<String>,
}

impl Rows {
    async fn of(case: &Case<'_>) -> Self {
        let room = query(case, "ChatRooms", None, ("id", &case.room)).await.pop().unwrap_or_default();
        let mut rows = Self { room, ..Self::default() };
        for row in query(case, "Messages", None, ("roomId", &case.room)).await {
            rows.must_end("Messages", &row);
            if let Ok(seq) = text(&row, "messageId").parse() {
                rows.log.insert(seq, row);
            }
        }
        for row in query(case, "Members", Some("byRoom"), ("roomId", &case.room)).await {
            // The index has not all attributes.
            let Some(row) = member(case, text(&row, "userId")).await else { continue };
            let status = text(&row, "status");
            if rows.is_closed() || status == "left" {
                rows.must_end("Members", &row);
            }
            if status == "member" {
                rows.members.insert(text(&row, "userId").to_owned(), row);
            } else if status == "left" {
                rows.former.insert(text(&row, "userId").to_owned());
            }
        }
        rows
    }

    /// As [`Rows::of`], with the rows of everything else that belongs to the room.
    async fn at_the_end_of(case: &Case<'_>) -> Self {
        let mut rows = Self::of(case).await;
        for row in query(case, "Subscriptions", None, ("channel", &format!("room#{}", case.room))).await {
            rows.must_end("Subscriptions", &row);
        }
        for row in query(case, "Invites", None, ("roomId", &case.room)).await {
            rows.must_end("Invites", &row);
        }
        for row in case.world.rows("Files").await {
            rows.must_end("Files", &row);
        }
        for row in case.world.rows("Connections").await {
            rows.must_end("Connections", &row);
        }
        if rows.is_closed() && !rows.room.contains_key("ttl") && !rows.room.contains_key("endsAt") {
            rows.endless.push(format!("ChatRooms {:?}", rows.room));
        }
        rows
    }

    fn must_end(&mut self, table: &str, row: &Row) {
        if !row.contains_key("ttl") {
            self.endless.push(format!("{table} {row:?}"));
        }
    }

    fn is_closed(&self) -> bool {
        text(&self.room, "status") == "closed"
    }
}

/// The rows of a table or an index with this partition key.
async fn query(case: &Case<'_>, table: &str, index: Option<&str>, (key, value): (&str, &str)) -> Vec<Row> {
    let query = case.tables.query().table_name(table).set_index_name(index.map(str::to_owned));
    let query = query.key_condition_expression("#key = :value").expression_attribute_names("#key", key);
    let query = query.expression_attribute_values(":value", AttributeValue::S(value.to_owned()));
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
pub async fn of(case: &mut Case<'_>) -> Vec<String> {
    let mut violations = std::mem::take(&mut case.seen.violations);
    if case.scenario.route == EXPORT && !case.is_done("exports/an-export").await {
        violations.push("the export is never done".to_owned());
    }
    if case.scenario.erases() && !case.is_done("erasure").await {
        violations.push("the erasure is never done".to_owned());
    }
    let before = Rows::of(case).await;
    let last = case.ends().await;
    let rows = Rows::at_the_end_of(case).await;
    if case.seen.answered == Some(Adversary::Ban) && before.members.contains_key(&case.id_of(case.subject())) {
        violations.push("the subject was banned and is a member".to_owned());
    }
    violations.extend(removed_hear_nothing(case, &before));
    violations.extend(removed_append_nothing(case, &rows));
    violations.extend(acknowledged_are_kept(case, &rows));
    violations.extend(erased_leave_nothing(case, &rows));
    violations.extend(members_are_counted(&rows));
    violations.extend(rows.endless.iter().map(|row| format!("a row has no end: {row}")));
    violations.extend(members_are_told(case, &rows));
    violations.extend(resumed_are_complete(case, &rows));
    violations.extend(disconnected_are_out(case).await);
    violations.extend(members_catch_up(case, &rows, last).await);
    violations.extend(entries_are_on_the_bus(case, &rows).await);
    violations
}

/// Backends are told of each entry, and of the entries of a room in their order.
async fn entries_are_on_the_bus(case: &Case<'_>, rows: &Rows) -> Option<String> {
    if !case.scenario.requires_bus() {
        return None;
    }
    const ENTRIES: [&str; 3] = ["message.created", "room.changed", "room.closed"];
    let events = case.world.events().await;
    let of_room = events.iter().filter(|event| event["key"]["roomId"] == case.room);
    let entries = of_room.filter(|event| ENTRIES.iter().any(|kind| event["type"] == *kind));
    let mut told: Vec<_> = entries.filter_map(|event| event["key"]["seq"].as_u64()).collect();
    // Repeats do no harm.
    let mut seen = BTreeSet::new();
    told.retain(|seq| seen.insert(*seq));
    (!told.iter().eq(rows.log.keys())).then(|| format!("the bus has {told:?}, the log {:?}", rows.log.keys()))
}

/// What a removal promises, right after the fault: later the removed may have joined again.
pub async fn of_the_removed(case: &mut Case<'_>) -> Vec<String> {
    if !case.seen.is_removed() {
        return Vec::new();
    }
    let subject = case.subject();
    case.client(subject).catches_up().await;
    let rows = Rows::of(case).await;
    let heard = removed_hear_nothing(case, &rows);
    heard.into_iter().chain(removed_append_nothing(case, &rows)).collect()
}

/// Nobody hears or reads what was appended after their removal was answered.
fn removed_hear_nothing(case: &mut Case<'_>, rows: &Rows) -> Vec<String> {
    let (number, is_removed) = (case.number, case.seen.is_removed());
    let answers = case.seen.answers.iter().map(Value::to_string).collect::<Vec<_>>();
    let client = case.client(case.subject());
    if rows.members.contains_key(&client.user) {
        return Vec::new();
    }
    let after = is_removed.then(|| format!("after-{number}"));
    let texts = after.into_iter().chain([format!("in the end-{number}")]);
    let heard = texts.filter_map(|text| {
        let in_answer = || answers.iter().find(|answer| answer.contains(&text)).cloned();
        client.frame_with(&text).or_else(in_answer)
    });
    heard.map(|frame| format!("{} is out of the room and heard {frame}", client.user)).collect()
}

/// Whose tokens were revoked hears nothing from then on, and is not heard; who was disconnected has no connection.
async fn disconnected_are_out(case: &mut Case<'_>) -> Vec<String> {
    let is_revoked = case.seen.answered == Some(Adversary::Revoke);
    if !is_revoked && !case.scenario.erases() && case.scenario.route != DISCONNECT_USER {
        return Vec::new();
    }
    let number = case.number;
    let client = case.client(case.subject());
    let texts = ["after", "in the end"].map(|text| format!("{text}-{number}"));
    let heard = texts.iter().filter(|_| is_revoked).filter_map(|text| client.frame_with(text));
    let mut violations: Vec<_> = heard.map(|frame| format!("{} was revoked and heard {frame}", client.user)).collect();
    if client.is_open() {
        let answer = client.ask(&json!({ "action": "ping" })).await;
        if let Some(answer) = answer.filter(|answer| answer["code"] != "RECONNECT") {
            violations.push(format!("{} was disconnected and is answered {answer}", client.user));
        }
    }
    violations
}

/// Who was erased has left nothing but places in the log.
fn erased_leave_nothing(case: &Case<'_>, rows: &Rows) -> Vec<String> {
    let user = &case.names.ben;
    if !case.scenario.erases() {
        return Vec::new();
    }
    let is_left =
        |row: &&Row| text(row, "userId") == user && (row.contains_key("text") || text(row, "userName") != user);
    let entries = rows.log.values().filter(is_left).map(|row| format!("{user} was erased and left {row:?}"));
    let member = rows.members.contains_key(user) || rows.former.contains(user);
    entries.chain(member.then(|| format!("{user} was erased and has a row of the room"))).collect()
}

/// Nobody sends or uploads after their removal was answered, unless they have joined again.
fn removed_append_nothing(case: &Case<'_>, rows: &Rows) -> Vec<String> {
    let user = case.id_of(case.subject());
    let Some(&removed_at) = case.seen.later.first().filter(|_| case.seen.is_removed()) else { return Vec::new() };
    if rows.members.contains_key(&user) {
        return Vec::new();
    }
    let later = rows.log.range(removed_at..).filter(|(_, row)| text(row, "userId") == user);
    later.map(|(seq, row)| format!("{user} was removed before {removed_at} and appended {seq}: {row:?}")).collect()
}

/// An acknowledged message is in the log once, at the position of its acknowledgement.
fn acknowledged_are_kept(case: &Case<'_>, rows: &Rows) -> Vec<String> {
    let mut places: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (seq, row) in &rows.log {
        let id = text(row, "clientMessageId");
        let file = row.get("file").and_then(|file| file.as_m().ok()).map_or("", |file| text(file, "fileId"));
        for id in [id, file].into_iter().filter(|id| !id.is_empty()) {
            places.entry(id).or_default().push(*seq);
        }
    }
    let doubled = places.iter().filter(|(_, places)| places.len() > 1);
    let mut violations: Vec<_> = doubled.map(|(id, places)| format!("{id} is in the log at {places:?}")).collect();
    let mut acknowledged = Vec::new();
    case.seen.answers.iter().for_each(|answer| find_acknowledged(answer, &mut acknowledged));
    for (id, seq) in acknowledged {
        let places = places.get(id).map(Vec::as_slice).unwrap_or_default();
        if !places.contains(&seq) {
            violations.push(format!("{id} was acknowledged at {seq} and is at {places:?}"));
        }
    }
    if !rows.log.keys().copied().eq(1..=rows.log.len() as u64) {
        violations.push(format!("the log has gaps: {:?}", rows.log.keys()));
    }
    violations
}

/// Every `clientMessageId` with its `seq`, anywhere in an answer.
fn find_acknowledged<'a>(answer: &'a Value, found: &mut Vec<(&'a str, u64)>) {
    if let (Some(id), Some(seq)) = (answer["clientMessageId"].as_str(), answer["seq"].as_u64()) {
        found.push((id, seq));
    }
    let children: Vec<_> = match answer {
        Value::Array(items) => items.iter().collect(),
        Value::Object(fields) => fields.values().collect(),
        _ => Vec::new(),
    };
    children.into_iter().for_each(|child| find_acknowledged(child, found));
}

fn members_are_counted(rows: &Rows) -> Option<String> {
    let count = rows.room.get("participantCount").and_then(|count| count.as_n().ok()).map_or("", String::as_str);
    let members: Vec<_> = rows.members.keys().collect();
    (count != members.len().to_string()).then(|| format!("participantCount is {count}, the members are {members:?}"))
}

/// Those who stay hear who has come or gone, what was changed, and that the room is closed. Who was removed hears it.
fn members_are_told(case: &Case<'_>, rows: &Rows) -> Vec<String> {
    let Names { ben, dora, .. } = &case.names;
    let is_in = |user: &str| rows.members.contains_key(user);
    let mut expected = Vec::new();
    if rows.is_closed() {
        expected.push(("room-closed", None));
    } else {
        let left = (!is_in(ben)).then_some(("left", Some(ben.as_str())));
        let changed = match case.scenario.route {
            "setRole" if is_in(ben) => Some(("room", None)),
            "markRead" if is_in(ben) => Some(("read", Some(ben.as_str()))),
            FAN_OUT => Some(("typing", None)),
            _ => None,
        };
        let joined = is_in(dora).then_some(("joined", Some(dora.as_str())));
        expected.extend(left.into_iter().chain(changed).chain(joined));
    }
    let missed = expected.into_iter().filter(|(kind, user)| !case.carl.has_heard(kind, &case.room, *user));
    let mut missed: Vec<_> =
        missed.map(|(kind, user)| format!("Carl never heard {kind} {}", user.unwrap_or_default())).collect();
    let subject = if case.subject() == Who::Dora { &case.dora } else { &case.ben };
    let is_removal = case.seen.is_removed() || matches!(case.scenario.route, "removeMember" | "banMember");
    let knows = ["left", "room-closed"].iter().any(|kind| subject.has_heard(kind, &case.room, None));
    if is_removal && rows.former.contains(&subject.user) && subject.is_open() && !knows {
        missed.push(format!("{} never heard of the removal", subject.user));
    }
    missed
}

/// A client goes on from `lastSeq`: everything up to it was in the answer.
fn resumed_are_complete(case: &Case<'_>, rows: &Rows) -> Vec<String> {
    let rooms = case.seen.answers.iter().map(|answer| &answer["rooms"][&case.room]);
    let complete = rooms.filter(|room| room["complete"] == true);
    let missing = complete.filter_map(|room| {
        let last = room["lastSeq"].as_u64().unwrap_or(0);
        let got = seqs(&room["items"]);
        let missing: Vec<_> = rows.log.keys().filter(|seq| **seq <= last && !got.contains(seq)).collect();
        (!missing.is_empty()).then(|| format!("an answer is complete up to {last}, without {missing:?}"))
    });
    missing.collect()
}

fn seqs(items: &Value) -> BTreeSet<u64> {
    items.as_array().into_iter().flatten().filter_map(|item| item["seq"].as_u64()).collect()
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
    let (room, subject) = (case.room.clone(), case.subject());
    let listens = ![DISCONNECT, DISCONNECT_USER].contains(&case.scenario.route)
        && !case.scenario.erases()
        && case.seen.answered != Some(Adversary::Revoke);
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
        let got = seqs(&resumed.unwrap_or_default()["rooms"][&room]["items"]);
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
