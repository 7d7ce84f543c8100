//! Whom a message mentions: those who are there and have not blocked its author.

use std::collections::BTreeSet;

use super::Evidence;
use super::people::{Interval, absences, has_blocked, presences};
use super::rows::Entry;
use crate::record::Sent;

pub fn of(evidence: &Evidence<'_>) -> Vec<String> {
    let mut violations = Vec::new();
    for ((room, seq), (user, sent)) in evidence.sent_by_place() {
        let Some(entry) = evidence.tables.logs.get(room).and_then(|log| log.get(&seq)) else { continue };
        let is_of_before = evidence.is_mixed && !entry.is_salted;
        if entry.shown.is_deleted && !entry.mentions.is_empty() {
            violations.push(format!("15: {seq} of {room} is deleted, and still mentions {:?}", entry.mentions));
        }
        if !entry.shown.is_deleted && !is_of_before {
            violations.extend(all_are_told_apart((room, seq), entry, sent));
            violations.extend(who_is_mentioned(evidence, (room, user), entry, sent));
        }
    }
    violations
}

/// Each user whom a message names is either mentioned or left out.
fn all_are_told_apart((room, seq): (&str, u64), entry: &Entry, sent: &Sent) -> Option<String> {
    let left_out = sent.not_mentioned.as_ref().filter(|_| !sent.is_duplicate)?;
    let all: BTreeSet<_> = entry.mentions.union(left_out).cloned().collect();
    let is_right = all == sent.mentions && entry.mentions.is_disjoint(left_out);
    (!is_right).then(|| format!("15: {seq} of {room} mentions {:?}: {sent:?}", entry.mentions))
}

fn who_is_mentioned(evidence: &Evidence<'_>, (room, user): (&str, &str), entry: &Entry, sent: &Sent) -> Vec<String> {
    let covered = |intervals: Vec<Interval>| intervals.iter().any(|interval| interval.covers(sent.span));
    let is_away = |other: &str| match &sent.peer {
        Some(peer) => other != peer && other != user,
        None => covered(absences(evidence, room, other)),
    };
    let is_there = |other: &str| match &sent.peer {
        Some(peer) => other == peer || other == user,
        None => covered(presences(evidence, room, other)),
    };
    let blocks = |other: &str, is_blocked| has_blocked(evidence, (other, user), is_blocked, sent.span);
    let mut violations = Vec::new();
    for other in entry.mentions.iter().filter(|other| is_away(other) || blocks(other, true)) {
        violations.push(format!("15: {other} is not in {room} or has blocked {user}, and is mentioned: {sent:?}"));
    }
    // Nobody knows what the attempt that was written was answered.
    let left_out = sent.not_mentioned.iter().filter(|_| !sent.is_duplicate).flatten();
    for other in left_out.filter(|other| is_there(other) && blocks(other, false)) {
        violations.push(format!("15: {other} is in {room}, and is not mentioned: {sent:?}"));
    }
    violations
}
