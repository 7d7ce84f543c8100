//! The log of changes, and the states that follow from it.

use std::collections::{BTreeMap, BTreeSet};

use super::Evidence;
use super::people::lasts;
use super::rows::{ChangeRow, Entry};
use crate::record::{Change, Kind, Outcome};

pub fn of(evidence: &Evidence<'_>) -> Vec<String> {
    let mut violations = Vec::new();
    for (room, changes) in &evidence.tables.changes {
        if !changes.keys().copied().eq(1..=changes.len() as u64) {
            violations.push(format!("8: the changes of {room} are not dense: {:?}", changes.keys()));
        }
        violations.extend(rows_are_explained(evidence, room, changes));
        violations.extend(entries_follow(evidence, room, changes));
    }
    violations.extend(answers_are_kept(evidence));
    violations.extend(reactions_are_counted(evidence));
    violations.extend(reactions_follow(evidence));
    violations.extend(deletions_win(evidence));
    violations
}

fn is_row_of(row: &ChangeRow, user: &str, change: &Change) -> bool {
    row.by == user && row.what == change.kind.name() && row.seqs.iter().all(|seq| change.seqs.contains(seq))
}

/// Each row is the work of one request, and no request has two.
fn rows_are_explained(evidence: &Evidence<'_>, room: &str, changes: &BTreeMap<u64, ChangeRow>) -> Vec<String> {
    let mut violations = Vec::new();
    for (rev, row) in changes {
        let is_of = |(user, change): &(&str, &Change)| change.room == room && is_row_of(row, user, change);
        let possible =
            evidence.changes().filter(|change| is_of(change) && !matches!(change.1.outcome, Outcome::Refused(_)));
        if possible.count() == 0 {
            violations.push(format!("8: nobody asked for the change {rev} of {room}: {row:?}"));
        }
        // An edit with an id, or of a version, is made once.
        if row.what == "edit" {
            let edits = changes.values().filter(|other| other.what == "edit" && other.seqs == row.seqs).count();
            let asked = evidence.changes().filter(is_of).count();
            if edits > asked {
                violations.push(format!("2: {asked} edits of {:?} in {room} were made {edits} times", row.seqs));
            }
        }
    }
    violations
}

/// The row of a message has the position of its last change, and the state that its changes come to.
fn entries_follow(evidence: &Evidence<'_>, room: &str, changes: &BTreeMap<u64, ChangeRow>) -> Vec<String> {
    let mut violations = Vec::new();
    for (seq, entry) in evidence.tables.logs.get(room).into_iter().flatten() {
        let own: Vec<_> = changes.iter().filter(|(_, row)| row.seqs.contains(seq)).collect();
        let last = own.last().map_or(0, |(rev, _)| **rev);
        let is_last = |what: &[&str]| own.iter().rev().find(|(_, row)| what.contains(&row.what.as_str()));
        let edits = own.iter().filter(|(_, row)| row.what == "edit").count() as u64;
        let shown = &entry.shown;
        let is_deleted = is_last(&["delete"]).is_some();
        let mut expected = shown.clone();
        (expected.rev, expected.is_deleted) = (last, is_deleted);
        expected.version = if is_deleted { 0 } else { edits };
        expected.is_pinned = !is_deleted && is_last(&["pin", "unpin"]).is_some_and(|(_, row)| row.what == "pin");
        if *shown != expected {
            violations.push(format!("8: {seq} of {room} is {shown:?}, and by its changes {expected:?}"));
        }
        if let Some((rev, _)) = is_last(&["edit"]).filter(|_| !is_deleted) {
            violations.extend(is_edited_as_asked(evidence, (room, *seq), **rev, entry));
        }
    }
    violations
}

/// The content is that of the last edit, if that was answered, else of one that was not.
fn is_edited_as_asked(evidence: &Evidence<'_>, (room, seq): (&str, u64), rev: u64, entry: &Entry) -> Option<String> {
    let edits = || evidence.changes().map(|(_, change)| change).filter(|one| one.room == room && one.seqs == [seq]);
    let answered = edits().find(|one| one.rev == Some(rev) && matches!(one.kind, Kind::Edit(_)));
    let is_content = |one: &Change| matches!(&one.kind, Kind::Edit(content) if *content == entry.shown.content);
    let is_as_asked = match answered {
        Some(answered) => is_content(answered),
        None => edits().any(|one| one.rev.is_none() && is_content(one)),
    };
    (!is_as_asked).then(|| format!("8: {seq} of {room} is {:?} after its edit {rev}", entry.shown))
}

/// What was answered with a position is at that position, and nothing else is.
fn answers_are_kept(evidence: &Evidence<'_>) -> Vec<String> {
    let mut violations = Vec::new();
    let mut taken = BTreeSet::new();
    for (user, change) in evidence.changes() {
        let Some(rev) = change.rev.filter(|_| change.outcome.is_done()) else { continue };
        let row = evidence.tables.changes.get(&change.room).and_then(|changes| changes.get(&rev));
        if !row.is_some_and(|row| is_row_of(row, user, change)) {
            violations.push(format!("8: {user} was answered {rev} for {change:?}, where there is {row:?}"));
        }
        if !taken.insert((&change.room, rev)) {
            violations.push(format!("8: two requests were answered {rev} in {}", change.room));
        }
    }
    violations
}

/// The counts of a message are as many as have reacted so.
fn reactions_are_counted(evidence: &Evidence<'_>) -> Vec<String> {
    let mut counted: BTreeMap<(&str, u64), BTreeMap<String, u64>> = BTreeMap::new();
    for ((room, seq, _), emojis) in &evidence.tables.reactions {
        for emoji in emojis {
            *counted.entry((room, *seq)).or_default().entry(emoji.clone()).or_default() += 1;
        }
    }
    let mut violations = Vec::new();
    for (room, log) in &evidence.tables.logs {
        for (seq, entry) in log.iter().filter(|(_, entry)| !entry.shown.is_deleted) {
            let counted = counted.get(&(room.as_str(), *seq)).cloned().unwrap_or_default();
            if entry.shown.reactions != counted {
                let counts = &entry.shown.reactions;
                violations.push(format!("9: {seq} of {room} has the counts {counts:?}, and the reactions {counted:?}"));
            }
        }
    }
    violations
}

/// The set of a user is what the user's requests come to.
fn reactions_follow(evidence: &Evidence<'_>) -> Vec<String> {
    let is_deleted = |room: &str, seq: u64| {
        evidence.tables.logs.get(room).and_then(|log| log.get(&seq)).is_none_or(|entry| entry.shown.is_deleted)
    };
    let mut violations = Vec::new();
    for (user, change) in evidence.changes() {
        let Kind::React(emoji, on) = &change.kind else { continue };
        let seq = change.seqs[0];
        if !change.outcome.is_done() || is_deleted(&change.room, seq) {
            continue;
        }
        let is_contrary = |(by, other): &(&str, &Change)| {
            let opposite = Kind::React(emoji.clone(), !on);
            *by == user && other.room == change.room && other.seqs == change.seqs && other.kind == opposite
        };
        let contrary = evidence.changes().filter(is_contrary).map(|(_, other)| (other.span, &other.outcome));
        if let Some((_, None)) = lasts(change.span, contrary) {
            let key = (change.room.clone(), seq, user.to_owned());
            let is_on = evidence.tables.reactions.get(&key).is_some_and(|emojis| emojis.contains(emoji));
            if is_on != *on {
                violations.push(format!("9: {user} asked for {change:?}, and that is {is_on}"));
            }
        }
    }
    violations
}

/// What was answered as deleted is deleted, and cannot be changed any more.
fn deletions_win(evidence: &Evidence<'_>) -> Vec<String> {
    let mut violations = Vec::new();
    for (user, deletion) in evidence.changes() {
        if deletion.kind != Kind::Delete || !deletion.outcome.is_done() {
            continue;
        }
        for seq in &deletion.seqs {
            let entry = evidence.tables.logs.get(&deletion.room).and_then(|log| log.get(seq));
            if !entry.is_some_and(|entry| entry.shown.is_deleted) {
                violations.push(format!("10: {user} deleted {seq} of {}, and it is {entry:?}", deletion.room));
            }
            let later = evidence.changes().filter(|(_, later)| {
                let is_of = later.room == deletion.room && later.seqs.contains(seq) && later.kind != Kind::Delete;
                is_of && later.outcome.is_done() && later.span.began > deletion.span.ended
            });
            violations.extend(later.map(|(by, later)| format!("10: {by} changed what was deleted: {later:?}")));
        }
    }
    violations
}
