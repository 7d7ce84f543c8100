//! Events for backends: what is on the bus is what is in the tables.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Evidence;

/// The events of entries.
const ENTRIES: [&str; 3] = ["message.created", "room.changed", "room.closed"];
/// The kinds of changes, and their events.
const CHANGES: [(&str, &str); 5] = [
    ("edit", "message.edited"),
    ("delete", "message.deleted"),
    ("react", "message.reacted"),
    ("pin", "message.pinned"),
    ("unpin", "message.unpinned"),
];

/// The events, each once, in the order in which they were put first.
fn without_repeats(events: &[Value]) -> Vec<&Value> {
    let mut seen = BTreeSet::new();
    events.iter().filter(|event| seen.insert(event["id"].as_str())).collect()
}

fn kind(event: &Value) -> &str {
    event["type"].as_str().unwrap_or_default()
}

/// By room, the positions and types of those of these events that have one, in the order of the bus.
fn by_room<'a>(events: &[&'a Value], log: &str) -> BTreeMap<&'a str, Vec<(u64, &'a str)>> {
    let mut rooms: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for event in events {
        let is_of_log = log == "rev" || ENTRIES.contains(&kind(event));
        if let Some(position) = event["key"][log].as_u64().filter(|_| is_of_log) {
            let room = event["key"]["roomId"].as_str().unwrap_or_default();
            rooms.entry(room).or_default().push((position, kind(event)));
        }
    }
    rooms
}

pub fn of(evidence: &Evidence<'_>) -> Vec<String> {
    let events = without_repeats(evidence.events);
    let mut violations = Vec::new();
    let told = by_room(&events, "seq");
    for (room, log) in &evidence.tables.logs {
        let told: Vec<_> = told.get(room.as_str()).into_iter().flatten().map(|(seq, _)| *seq).collect();
        violations.extend(differ(evidence, (room, "seq"), &told, &log.keys().copied().collect::<Vec<_>>()));
    }
    let told = by_room(&events, "rev");
    for (room, changes) in &evidence.tables.changes {
        let told = told.get(room.as_str()).cloned().unwrap_or_default();
        let named = |what: &str| CHANGES.iter().find(|(of, _)| *of == what).map_or("", |(_, event)| event);
        let expected: Vec<_> = changes.iter().map(|(rev, change)| (*rev, named(&change.what))).collect();
        violations.extend(differ(evidence, (room, "rev"), &told, &expected));
    }
    violations.extend(members(evidence, &events));
    violations
}

/// In a room that is made again, rows of the earlier one were deleted, of which the bus has told.
fn differ<T: PartialEq + std::fmt::Debug>(
    evidence: &Evidence<'_>,
    (room, log): (&str, &str),
    told: &[T],
    expected: &[T],
) -> Option<String> {
    let is_whole = evidence.rooms.contains_key(room) || room.starts_with("dm-");
    let is_same = if is_whole { told == expected } else { expected.iter().all(|position| told.contains(position)) };
    let missing: Vec<_> = expected.iter().filter(|position| !told.contains(position)).collect();
    let problem = || format!("18: by {log} the bus has {} of {room}, not {}", told.len(), expected.len());
    (!is_same).then(|| format!("{}, without {missing:?}, in another order or more", problem()))
}

/// A user has joined a room once more than they have left it if they are a member, else as often.
fn members(evidence: &Evidence<'_>, events: &[&Value]) -> Vec<String> {
    let mut stays: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    let mut banned = BTreeSet::new();
    for event in events {
        let data = &event["data"];
        let of = (data["roomId"].as_str().unwrap_or_default(), data["userId"].as_str().unwrap_or_default());
        match kind(event) {
            "member.joined" => *stays.entry(of).or_default() += 1,
            "member.left" => *stays.entry(of).or_default() -= 1,
            "member.banned" => {
                banned.insert(of);
            }
            _ => {}
        }
    }
    let is_whole = |room: &str| evidence.rooms.contains_key(room);
    let of_members = evidence.tables.members.iter().map(|(room, user)| (room.as_str(), user.as_str()));
    let all: BTreeSet<_> = stays.keys().copied().chain(of_members).filter(|(room, _)| is_whole(room)).collect();
    let mut violations = Vec::new();
    for (room, user) in all {
        let (stays, is_member) =
            (stays.get(&(room, user)).copied().unwrap_or(0), evidence.tables.is_member(room, user));
        if stays != i64::from(is_member) {
            violations.push(format!("18: by the bus {user} is in {room} {stays} times; a member: {is_member}"));
        }
    }
    for (room, user) in &evidence.tables.bans {
        if !banned.contains(&(room.as_str(), user.as_str())) {
            violations.push(format!("18: the bus does not tell that {user} is banned from {room}"));
        }
    }
    violations
}
