//! The log of messages: order, acknowledgements, and what every reader shows of it.

use std::collections::{BTreeMap, HashMap};

use super::Evidence;
use super::rows::Entry;
use crate::record::{Kind, Record};
use crate::view::Shown;

pub fn of(evidence: &Evidence<'_>) -> Vec<String> {
    let mut violations = logs_are_dense(evidence);
    violations.extend(acknowledged_are_kept(evidence));
    violations.extend(last_seqs_are_recent(evidence));
    violations.extend(states_are_the_same_for_all(evidence));
    for record in &evidence.records {
        violations.extend(readers_show_the_log(evidence, record));
    }
    violations
}

fn logs_are_dense(evidence: &Evidence<'_>) -> Vec<String> {
    let mut violations = Vec::new();
    let mut positions: HashMap<&str, Vec<(&str, u64)>> = HashMap::new();
    for (room, log) in &evidence.tables.logs {
        let is_again = room.starts_with("pop");
        if !is_again && !log.keys().copied().eq(1..=log.len() as u64) {
            violations.push(format!("3: the log of {room} is not dense: {:?}", log.keys()));
        }
        for (seq, entry) in log {
            if let Some(id) = &entry.client_id {
                positions.entry(id).or_default().push((room, *seq));
            }
        }
    }
    let doubled = positions.iter().filter(|(_, positions)| positions.len() > 1);
    violations.extend(doubled.map(|(id, positions)| format!("2: {id} is at {positions:?}")));
    violations
}

/// Every acknowledged message is at the position of its acknowledgement, with its content or one of its edits, unless
/// it was deleted; one that was refused is nowhere.
fn acknowledged_are_kept(evidence: &Evidence<'_>) -> Vec<String> {
    let mut by_id: HashMap<&str, (&str, u64, &Entry)> = HashMap::new();
    for (room, log) in &evidence.tables.logs {
        for (seq, entry) in log {
            if let Some(id) = &entry.client_id {
                by_id.insert(id, (room, *seq, entry));
            }
        }
    }
    let mut violations = Vec::new();
    for sent in evidence.sent() {
        let found = by_id.get(sent.id.as_str());
        let is_there = |room: &str, seq: u64| {
            let entry = evidence.tables.logs.get(room).and_then(|log| log.get(&seq));
            entry.is_some_and(|entry| entry.shown.is_deleted || entry.client_id.as_deref() == Some(&sent.id))
        };
        match (sent.acked, found) {
            (Some(acked), _) if !is_there(sent.room.as_deref().unwrap_or_default(), acked) => {
                violations.push(format!("1: {} was acknowledged at {acked}, and is {found:?}", sent.id));
            }
            (None, Some((room, seq, _))) if matches!(sent.outcome, crate::record::Outcome::Refused(_)) => {
                violations.push(format!("6: at {seq} of {room} is what was refused: {sent:?}"));
            }
            (_, Some((room, seq, entry))) if !is_content_of(evidence, room, *seq, &sent.content, &entry.shown) => {
                violations.push(format!("6: {} is stored as {:?}", sent.id, entry.shown));
            }
            _ => {}
        }
    }
    violations
}

fn is_content_of(evidence: &Evidence<'_>, room: &str, seq: u64, sent: &str, shown: &Shown) -> bool {
    let is_edit = |kind: &Kind| matches!(kind, Kind::Edit(content) if *content == shown.content);
    let is_of = |change: &crate::record::Change| change.room == room && change.seqs == [seq];
    if shown.version == 0 {
        return shown.content == sent;
    }
    evidence.changes().any(|(_, change)| is_of(change) && is_edit(&change.kind))
}

/// A `lastSeq` is not below what was acknowledged before it was asked for.
fn last_seqs_are_recent(evidence: &Evidence<'_>) -> Vec<String> {
    let mut acked: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for sent in evidence.sent() {
        if let (Some(room), Some(seq)) = (&sent.room, sent.acked) {
            acked.entry(room).or_default().push((sent.span.ended, seq));
        }
    }
    let mut violations = Vec::new();
    for record in &evidence.records {
        for last in &record.last_seqs {
            let of_room = acked.get(last.room.as_str()).into_iter().flatten();
            let newest = of_room.filter(|(at, _)| *at < last.began).map(|(_, seq)| *seq).max().unwrap_or(0);
            if last.seq < newest {
                let (user, room, seq) = (&record.user, &last.room, last.seq);
                violations.push(format!("4: {user} was told that {room} ends at {seq}, after {newest} was written"));
            }
        }
    }
    violations
}

/// All readers see a message with the same `rev` in the same state.
fn states_are_the_same_for_all(evidence: &Evidence<'_>) -> Vec<String> {
    if evidence.is_mixed {
        return Vec::new();
    }
    let mut states = BTreeMap::new();
    let mut violations = Vec::new();
    for record in &evidence.records {
        for (key, shown) in &record.states {
            let (known, by) = states.entry(key).or_insert((shown, &record.user));
            if *known != shown {
                violations.push(format!("3: {by} saw {known:?} at {key:?}, and {} saw {shown:?}", record.user));
            }
        }
    }
    violations
}

/// What a member shows in the end is the log, however it was received; and so is the history.
fn readers_show_the_log(evidence: &Evidence<'_>, record: &Record) -> Vec<String> {
    let (user, nothing) = (&record.user, BTreeMap::new());
    let log_of = |room: &str| evidence.tables.logs.get(room).unwrap_or(&nothing);
    let mut violations = Vec::new();
    for (room, history) in &record.histories {
        let log = log_of(room);
        let differs = |seq: &u64| log.get(seq).map(|entry| &entry.shown) != history.get(seq);
        for seq in log.keys().chain(history.keys()).filter(|seq| differs(seq)) {
            violations.push(format!(
                "3: {user} reads {:?} at {seq} of {room}, and stored is {:?}",
                history.get(seq),
                log.get(seq)
            ));
        }
        let view = record.views.get(room).cloned().unwrap_or_default().messages;
        violations.extend(log.iter().filter_map(|(seq, entry)| match view.get(seq) {
            None => Some(format!("4: {user} has not seen {seq} of {room}")),
            Some(shown) if record.follows_changes && *shown != entry.shown => {
                Some(format!("8: {user} shows {shown:?} at {seq} of {room}, and stored is {:?}", entry.shown))
            }
            Some(_) => None,
        }));
    }
    for (room, view) in &record.views {
        let others = view
            .messages
            .iter()
            .filter(|(seq, shown)| log_of(room).get(seq).is_none_or(|entry| entry.shown.user != shown.user));
        violations
            .extend(others.map(|(seq, shown)| format!("3: {user} saw {shown:?} at {seq} of {room}, where it is not")));
    }
    violations
}
