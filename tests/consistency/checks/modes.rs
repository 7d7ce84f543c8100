//! The mode of a room: who writes behind an entry that sets it has obeyed it, and nobody else is refused.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Evidence;
use super::people::{Interval, admin, lasts, muted, no_admin, not_muted};
use super::rows::Entry;
use crate::record::{Mode, ModeChange, Sent, Span};

pub fn of(evidence: &Evidence<'_>) -> Vec<String> {
    let mut violations = Vec::new();
    let by_place = evidence.sent_by_place();
    for (room, log) in evidence.tables.logs.iter().filter(|(_, log)| log.values().any(|entry| entry.mode.is_some())) {
        violations.extend(changes_are_kept(evidence, room, log));
        violations.extend(writers_obey(evidence, room, log, &by_place));
    }
    for record in &evidence.records {
        for sent in &record.sent {
            let Some(room) = &sent.room else { continue };
            violations.extend(refusals_have_reasons(evidence, (room, &record.user), sent));
            // The release of before does not know who is muted.
            violations.extend(mutes_hold(evidence, (room, &record.user), sent).filter(|_| !evidence.is_mixed));
        }
    }
    violations.extend(reactions_obey(evidence));
    violations
}

/// What was answered is in the log, each mode is the one before it with what was asked for, and the room has the last.
fn changes_are_kept(evidence: &Evidence<'_>, room: &str, log: &BTreeMap<u64, Entry>) -> Vec<String> {
    let mut violations = Vec::new();
    for change in evidence.modes().filter(|change| change.room == room) {
        let Some(seq) = change.seq else { continue };
        let before = log.range(..seq).rev().find_map(|(_, entry)| entry.mode.clone()).unwrap_or_default();
        let found = log.get(&seq).and_then(|entry| entry.mode.clone());
        if found != Some(before.with(&change.change)) {
            violations.push(format!("14: {change:?} of {room} came to {found:?} after {before:?}"));
        }
    }
    let Some(frame) = evidence.rooms.get(room) else { return violations };
    let mode = log.values().rev().find_map(|entry| entry.mode.clone()).unwrap_or_default();
    if mode_in(&frame["mode"]) != mode {
        violations.push(format!("14: {room} has the mode {}, and the last one is {mode:?}", frame["mode"]));
    }
    let name = log.values().rev().find_map(|entry| entry.room_name.as_deref());
    if name.is_some_and(|name| frame["roomName"] != name) {
        violations.push(format!("14: {room} has the name {}, and the last one is {name:?}", frame["roomName"]));
    }
    violations
}

fn mode_in(mode: &Value) -> Mode {
    let is_for_admins = |name: &str| mode[name].as_str().map(|who| who == "admins");
    Mode {
        is_read_only: is_for_admins("write"),
        is_without_reactions: is_for_admins("react"),
        slow_seconds: mode["slowSeconds"].as_u64(),
        max_per_second: mode["maxPerSecond"].as_u64(),
    }
}

type Places<'a> = BTreeMap<(&'a str, u64), (&'a str, &'a Sent)>;

/// No message stands behind a mode that forbids it.
fn writers_obey(evidence: &Evidence<'_>, room: &str, log: &BTreeMap<u64, Entry>, sent: &Places<'_>) -> Vec<String> {
    let mut violations = Vec::new();
    let mut mode = Mode::default();
    // In this mode: how many messages there were in a second; in slow mode: when each member wrote last.
    let (mut in_second, mut wrote) = (BTreeMap::new(), BTreeMap::new());
    for (seq, entry) in log {
        if let Some(set) = &entry.mode {
            mode = set.clone();
            in_second.clear();
            if mode.slow_seconds.unwrap_or_default() == 0 {
                wrote.clear();
            }
            continue;
        }
        let is_exempt = evidence.is_mixed && !entry.is_salted;
        let Some((user, sent)) = sent.get(&(room, *seq)).filter(|_| entry.is_message && !is_exempt) else { continue };
        let place = format!("{seq} of {room}, by {user} at {}", entry.created_at);
        let count: &mut u64 = in_second.entry(entry.created_at.div_euclid(1000)).or_default();
        *count += 1;
        if mode.max_per_second.is_some_and(|most| *count > most) {
            violations.push(format!("14: {place} is the message {count} of its second, in {mode:?}"));
        }
        if !was_plain_throughout(evidence, (room, user), sent) {
            continue;
        }
        if mode.is_read_only == Some(true) {
            violations.push(format!("14: {place} is of no admin, in {mode:?}: {sent:?}"));
        }
        if let Some(slow) = mode.slow_seconds.filter(|slow| *slow > 0) {
            let before = wrote.insert(*user, entry.created_at);
            let waited = before.map(|before| entry.created_at - before);
            if waited.is_some_and(|waited| waited < i64::try_from(slow * 1000).unwrap()) {
                violations.push(format!("14: {place} is {waited:?} ms after the one before, in {mode:?}"));
            }
        }
    }
    violations
}

/// Whether the author was certainly no admin for as long as the message may have been on its way.
fn was_plain_throughout(evidence: &Evidence<'_>, (room, user): (&str, &str), sent: &Sent) -> bool {
    no_admin(evidence, room, user).iter().any(|interval| match sent.acked {
        Some(_) => interval.covers(sent.span),
        None => interval.has(sent.span.began) && interval.1.is_none(),
    })
}

/// When the mode of a room certainly was so, by who has set it and who has set the contrary.
fn certain(
    evidence: &Evidence<'_>,
    room: &str,
    sets: impl Fn(&Mode) -> bool,
    contrary: impl Fn(&Mode) -> bool,
    is_at_first: bool,
) -> Vec<Interval> {
    let of_room = || evidence.modes().filter(|one| one.room == room);
    let spans = of_room().filter(|one| one.outcome.is_done() && sets(&one.change)).map(|one| one.span);
    let spans = spans.chain(is_at_first.then(Span::default));
    let others = || {
        let others = of_room().filter(|one: &&ModeChange| contrary(&one.change));
        others.map(|one| (one.span, &one.outcome))
    };
    spans.filter_map(|span| lasts(span, others())).map(|(from, until)| Interval(from, until)).collect()
}

/// Who was refused by a mode was no admin, and the mode may have been so.
fn refusals_have_reasons(evidence: &Evidence<'_>, (room, user): (&str, &str), sent: &Sent) -> Option<String> {
    let crate::record::Outcome::Refused(code) = &sent.outcome else { return None };
    let off = match code.as_str() {
        "READ_ONLY" => {
            let is = |so: bool| move |mode: &Mode| mode.is_read_only == Some(so);
            certain(evidence, room, is(false), is(true), true)
        }
        "SLOW_MODE" => {
            let is_slow = |mode: &Mode| mode.slow_seconds.is_some_and(|slow| slow > 0);
            certain(evidence, room, |mode| mode.slow_seconds == Some(0), is_slow, true)
        }
        "ROOM_RATE" => {
            let is_low = |mode: &Mode| mode.max_per_second.is_some_and(|most| most < 100);
            certain(evidence, room, |mode| mode.max_per_second == Some(100), is_low, true)
        }
        _ => return None,
    };
    let covered = |intervals: &[Interval]| intervals.iter().any(|interval| interval.covers(sent.span));
    let is_exempt = code != "ROOM_RATE" && covered(&admin(evidence, room, user));
    (covered(&off) || is_exempt).then(|| format!("14: {user} was refused in {room} without reason: {sent:?}"))
}

/// The muted send nothing but what they had sent before, and nobody else is refused as muted.
fn mutes_hold<'a>(
    evidence: &Evidence<'_>,
    (room, user): (&'a str, &'a str),
    sent: &'a Sent,
) -> impl Iterator<Item = String> + use<'a> {
    let covered = |intervals: Vec<Interval>| intervals.iter().any(|interval| interval.covers(sent.span));
    let is_sent = sent.outcome.is_done() && !sent.is_duplicate && covered(muted(evidence, room, user));
    let is_refused = sent.outcome.is_refused("MUTED") && covered(not_muted(evidence, room, user));
    let sent_muted = is_sent.then(|| format!("14: {user} is muted in {room}, and this was granted: {sent:?}"));
    let refused = is_refused.then(|| format!("14: {user} is not muted in {room}, and this was refused: {sent:?}"));
    sent_muted.into_iter().chain(refused)
}

/// Nobody but admins reacts where only they do.
fn reactions_obey(evidence: &Evidence<'_>) -> Vec<String> {
    let is = |so: bool| move |mode: &Mode| mode.is_without_reactions == Some(so);
    let mut violations = Vec::new();
    for (user, change) in evidence.changes() {
        let crate::record::Kind::React(_, on) = change.kind else { continue };
        let room = change.room.as_str();
        let covered = |intervals: Vec<Interval>| intervals.iter().any(|interval| interval.covers(change.span));
        let is_made = on && change.outcome.is_done() && change.rev.is_some() && !evidence.is_mixed;
        if is_made
            && covered(certain(evidence, room, is(true), is(false), false))
            && covered(no_admin(evidence, room, user))
        {
            let modes: Vec<_> = evidence.modes().filter(|mode| mode.room == room).collect();
            violations.push(format!("14: {user} is no admin, and was granted {change:?} in the modes {modes:?}"));
        }
        if change.outcome.is_refused("READ_ONLY")
            && (covered(certain(evidence, room, is(false), is(true), true)) || covered(admin(evidence, room, user)))
        {
            violations.push(format!("14: {user} was refused in {room} without reason: {change:?}"));
        }
    }
    violations
}
