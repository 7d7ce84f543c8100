//! Contents: where they must not be. Nobody hears a room they are not in, or after their session; and what was deleted
//! is nowhere any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Evidence;
use super::people::{Interval, absences};
use crate::record::{Kind, Moment, marks_in};

/// A membership that was read is relied on for so long, and some time passes at the client.
const RELIED_ON_MS: u64 = 750;

type Place = (String, u64);

/// Where each content belongs, and when it was first sent.
struct Contents {
    places: HashMap<String, Place>,
    began: HashMap<String, Moment>,
    /// When the deletion of a message was answered for the first time.
    deleted: BTreeMap<Place, Moment>,
}

impl Contents {
    fn of(evidence: &Evidence<'_>) -> Self {
        let mut contents = Self { places: HashMap::new(), began: HashMap::new(), deleted: BTreeMap::new() };
        for sent in evidence.sent() {
            let mark = mark_of(&sent.content);
            contents.began.insert(mark.clone(), sent.span.began);
            if let (Some(room), Some(seq)) = (&sent.room, sent.acked) {
                contents.places.insert(mark, (room.clone(), seq));
            }
        }
        for (room, log) in &evidence.tables.logs {
            let stored = log.iter().filter(|(_, entry)| !entry.shown.content.is_empty());
            let places = stored.map(|(seq, entry)| (mark_of(&entry.shown.content), (room.clone(), *seq)));
            contents.places.extend(places);
        }
        for (_, change) in evidence.changes() {
            let places = change.seqs.iter().map(|seq| (change.room.clone(), *seq));
            match &change.kind {
                Kind::Edit(content) => {
                    contents.began.insert(mark_of(content), change.span.began);
                    contents.places.extend(places.map(|place| (mark_of(content), place)));
                }
                Kind::Delete if change.outcome.is_done() => {
                    let ended = change.span.ended;
                    places.for_each(|place| {
                        let known = contents.deleted.entry(place).or_insert(ended);
                        *known = ended.min(*known);
                    });
                }
                _ => {}
            }
        }
        contents
    }

    /// When the message of a content was deleted.
    fn deleted(&self, mark: &str) -> Option<Moment> {
        self.places.get(mark).and_then(|place| self.deleted.get(place)).copied()
    }

    /// When a content was first sent.
    fn began(&self, mark: &str) -> Moment {
        self.began.get(mark).copied().unwrap_or_default()
    }
}

fn mark_of(content: &str) -> String {
    marks_in(content).pop_first().unwrap_or_default()
}

pub fn of(evidence: &Evidence<'_>) -> Vec<String> {
    let contents = Contents::of(evidence);
    let mut violations = absent_hear_nothing(evidence, &contents);
    violations.extend(sessions_end(evidence, &contents));
    violations.extend(answers_without_deleted(evidence, &contents));
    violations.extend(rows_without_deleted(evidence, &contents));
    // A content is in no line of the log, deleted or not.
    let lines = evidence.log.iter().filter(|line| !marks_in(line).is_empty());
    violations.extend(lines.map(|line| format!("10: the log has a content: {line}")));
    violations
}

/// Whether a conversation is a room with members.
fn is_of_members(room: &str) -> bool {
    !room.is_empty() && !room.starts_with("dm-") && room != "lobby"
}

/// Nothing is heard or read of a room that was sent after the end of a membership was answered.
fn absent_hear_nothing(evidence: &Evidence<'_>, contents: &Contents) -> Vec<String> {
    let mut violations = Vec::new();
    for record in &evidence.records {
        let user = &record.user;
        let mut absences_in: BTreeMap<&str, Vec<Interval>> = BTreeMap::new();
        let mut absent_in = |room| absences_in.entry(room).or_insert_with(|| absences(evidence, room, user)).clone();
        for delivery in record.deliveries.iter().filter(|one| is_of_members(&one.room)) {
            let sent = contents.began(&delivery.content);
            if absent_in(&delivery.room).iter().any(|absence| absence.has(sent) && absence.has(delivery.at)) {
                let (content, room) = (&delivery.content, &delivery.room);
                violations.push(format!("5: {user} heard {content} of {room} without being a member"));
            }
        }
        for answer in record.answers.iter().filter(|answer| is_of_members(&answer.room)) {
            for absence in absent_in(&answer.room) {
                let late = answer.contents.iter().filter(|mark| {
                    let sent = contents.began(mark);
                    absence.has(sent) && absence.has(answer.span.ended) && sent.ms > absence.0.ms + RELIED_ON_MS
                });
                violations.extend(
                    late.map(|mark| format!("5: {user} read {mark} of {} without being a member", answer.room)),
                );
            }
        }
    }
    violations
}

/// A connection whose session has ended hears nothing that was sent after that, and none of its requests is granted.
fn sessions_end(evidence: &Evidence<'_>, contents: &Contents) -> Vec<String> {
    let ended = evidence.sessions_ended;
    let mut violations = Vec::new();
    for record in &evidence.records {
        let has_ended = |number: usize| {
            let connection = number.checked_sub(1).and_then(|at| record.connections.get(at));
            connection.is_some_and(|connection| connection.is_short && connection.at < ended)
        };
        let user = &record.user;
        for delivery in record.deliveries.iter().filter(|delivery| has_ended(delivery.connection)) {
            if contents.began(&delivery.content) > ended {
                violations.push(format!("11: {user} heard {} after the end of the session", delivery.content));
            }
        }
        for request in &record.requests {
            if has_ended(request.connection) && request.span.began > ended && request.outcome.is_done() {
                violations.push(format!("11: {user} was granted {request:?} after the end of the session"));
            }
        }
    }
    violations
}

/// An answer to what was asked after a deletion was answered does not have the content.
fn answers_without_deleted(evidence: &Evidence<'_>, contents: &Contents) -> Vec<String> {
    let mut violations = Vec::new();
    for record in &evidence.records {
        for answer in &record.answers {
            let deleted = |mark: &&String| contents.deleted(mark).is_some_and(|at| at < answer.span.began);
            let marks: Vec<_> = answer.contents.iter().filter(deleted).collect();
            if !marks.is_empty() {
                violations.push(format!("10: {} was answered {marks:?}, which had been deleted", record.user));
            }
        }
    }
    violations
}

/// No row has the content of a deleted message.
fn rows_without_deleted(evidence: &Evidence<'_>, contents: &Contents) -> Vec<String> {
    let logs = &evidence.tables.logs;
    let is_deleted = |mark: &str| {
        let place = contents.places.get(mark);
        place.and_then(|(room, seq)| logs.get(room)?.get(seq)).is_some_and(|entry| entry.shown.is_deleted)
    };
    let entries = logs.values().flatten().map(|(_, entry)| ("Messages", &entry.text));
    let changes = evidence.tables.changes.values().flatten().map(|(_, row)| ("Messages", &row.text));
    let others = evidence.tables.others.iter().map(|(table, text)| (*table, text));
    let rows = entries.chain(changes).chain(others);
    rows.filter_map(|(table, text)| {
        let deleted: BTreeSet<_> = marks_in(text).into_iter().filter(|mark| is_deleted(mark)).collect();
        (!deleted.is_empty()).then(|| format!("10: {table} has {deleted:?}, which was deleted: {text}"))
    })
    .collect()
}

/// Late retries of deleted messages have told nobody their contents.
pub fn after_late_retries(evidence: &Evidence<'_>, since: Moment) -> Vec<String> {
    let contents = Contents::of(evidence);
    let mut violations = Vec::new();
    for record in &evidence.records {
        for frame in record.heard.iter().filter(|frame| frame.span.began > since) {
            let deleted = frame.contents.iter().filter(|mark| contents.deleted(mark).is_some());
            violations.extend(deleted.map(|mark| format!("10: {} heard {mark}, which had been deleted", record.user)));
        }
    }
    violations
}
