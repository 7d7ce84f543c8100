//! What is unread: as the log and the read mark have it.

use std::collections::BTreeMap;

use super::Evidence;
use super::people::{Interval, absences, lasts, presences};
use crate::record::{Mark, Marking, Moment, Outcome, Record, Sent, UnreadRoom, Unreads};

/// Up to here is counted.
const MOST: u64 = 99;

pub fn of(evidence: &Evidence<'_>) -> Vec<String> {
    let facts =
        Facts { evidence, sent: evidence.sent_by_place(), deletions: evidence.deletions(), uploads: uploads(evidence) };
    let mut violations = Vec::new();
    for record in &evidence.records {
        for unreads in &record.unreads {
            for (room, told) in &unreads.rooms {
                let found = facts.counts_are_right((&record.user, room), unreads, told);
                let found = found.into_iter().chain(marks_are_kept(record, room, unreads, told));
                let (user, span) = (&record.user, unreads.span);
                violations.extend(found.map(|what| format!("16: {user} in {room}, {span:?}: {what} ({told:?})")));
            }
            violations.extend(rooms_are_listed(evidence, &record.user, unreads));
        }
    }
    violations
}

/// When each file was uploaded.
fn uploads<'a>(evidence: &Evidence<'a>) -> BTreeMap<&'a str, Moment> {
    let uploads = evidence.records.clone().into_iter().flat_map(|record| &record.uploads);
    uploads.filter_map(|upload| Some((upload.file.as_str(), upload.uploaded?))).collect()
}

struct Facts<'a> {
    evidence: &'a Evidence<'a>,
    sent: BTreeMap<(&'a str, u64), (&'a str, &'a Sent)>,
    deletions: BTreeMap<(&'a str, u64), (Moment, Option<Moment>)>,
    uploads: BTreeMap<&'a str, Moment>,
}

/// How many messages there are at least and at most.
#[derive(Default)]
struct Bounds {
    least: u64,
    most: u64,
}

impl Bounds {
    fn add(&mut self, is_certain: bool, is_possible: bool) {
        self.least += u64::from(is_certain);
        self.most += u64::from(is_possible);
    }

    fn have(&self, told: u64) -> bool {
        self.least.min(MOST) <= told && told <= self.most.min(MOST)
    }
}

impl Facts<'_> {
    /// The counts are those of some moment between the question and the answer.
    fn counts_are_right(&self, (user, room): (&str, &str), unreads: &Unreads, told: &UnreadRoom) -> Vec<String> {
        let (mut unread, mut mentions) = (Bounds::default(), Bounds::default());
        let (mut is_room_mentioned, mut last_room_mention) = (false, None);
        let log = self.evidence.tables.logs.get(room).into_iter().flatten();
        for (seq, entry) in log.filter(|(seq, entry)| **seq > told.last_read && entry.is_message) {
            let (is_certain, is_possible) = self.stands((room, *seq), unreads, told);
            let named = self.sent.get(&(room, *seq)).map(|(_, sent)| *sent);
            let may_mention_room = entry.mentions_room || named.is_some_and(|sent| sent.mentions_room);
            if may_mention_room {
                last_room_mention = Some(is_certain && entry.mentions_room && entry.shown.user != user);
            }
            if entry.shown.user == user {
                continue;
            }
            is_room_mentioned |= may_mention_room && is_possible;
            unread.add(is_certain, is_possible);
            let is_named = named.is_some_and(|sent| sent.mentions.contains(user)) && entry.shown.is_deleted;
            let is_mentioned = entry.mentions.contains(user);
            mentions.add(is_certain && is_mentioned, is_possible && (is_mentioned || is_named));
        }
        let mut violations = Vec::new();
        if !unread.have(told.unread) || told.has_more && unread.most <= MOST || !told.has_more && unread.least > MOST {
            violations.push(format!("{} to {} are unread", unread.least, unread.most));
        }
        if !mentions.have(told.mentions) {
            violations.push(format!("{} to {} of them mention the user", mentions.least, mentions.most));
        }
        // The release of before does not know which message did. The last one counts, if it stands.
        let is_missing = last_room_mention == Some(true) && unreads.is_settled && !self.evidence.is_mixed;
        if told.is_room_mentioned && !is_room_mentioned || !told.is_room_mentioned && is_missing {
            violations.push(format!("a mention of the room: {is_room_mentioned}, the last one: {last_room_mention:?}"));
        }
        violations
    }

    /// Whether a message certainly was there and not deleted, and whether it may have been.
    fn stands(&self, place: (&str, u64), unreads: &Unreads, told: &UnreadRoom) -> (bool, bool) {
        let entry = &self.evidence.tables.logs[place.0][&place.1];
        if unreads.is_settled {
            return (!entry.shown.is_deleted, !entry.shown.is_deleted);
        }
        let sent = self.sent.get(&place).map(|(_, sent)| sent.span.began);
        let began = sent.or_else(|| self.uploads.get(entry.file.as_deref()?).copied());
        let (asked, answered) = match self.deletions.get(&place) {
            Some((asked, answered)) => (Some(*asked), *answered),
            None => (None, None),
        };
        let span = unreads.span;
        let is_certain = place.1 <= told.last_seq && asked.is_none_or(|asked| asked > span.ended);
        let is_possible =
            began.is_none_or(|began| began < span.ended) && answered.is_none_or(|answered| answered > span.began);
        (is_certain, is_possible || is_certain)
    }
}

/// The mark is one that was set, and does not go back by itself.
fn marks_are_kept(record: &Record, room: &str, unreads: &Unreads, told: &UnreadRoom) -> Vec<String> {
    let marks: Vec<_> = record.marks.iter().filter(|mark| mark.room == room).collect();
    let of = |how: Marking| marks.iter().filter(move |mark| mark.how == how);
    let holds = |mark: &Mark, contrary: Marking| {
        let contrary = of(contrary).map(|mark| (mark.span, &mark.outcome));
        let lasting = lasts(mark.span, contrary).filter(|_| mark.outcome.is_done());
        lasting.is_some_and(|(from, until)| Interval(from, until).covers(unreads.span))
    };
    let mut violations = Vec::new();
    let at_least = of(Marking::Read).filter(|mark| holds(mark, Marking::Unread)).map(|mark| mark.up_to).max();
    if at_least.is_some_and(|up_to| told.last_read < up_to) {
        violations.push(format!("read up to {at_least:?}"));
    }
    let at_most = of(Marking::Unread).filter(|mark| holds(mark, Marking::Read)).map(|mark| mark.up_to).min();
    if at_most.is_some_and(|up_to| told.last_read > up_to) {
        violations.push(format!("set back to {at_most:?}"));
    }
    // Setting a mark back reads nothing.
    let possible = of(Marking::Read).filter(|mark| !matches!(mark.outcome, Outcome::Refused(_)));
    let furthest = possible.map(|mark| mark.up_to).max().unwrap_or_default();
    if told.last_read > furthest {
        violations.push(format!("never read further than {furthest}"));
    }
    violations
}

/// All rooms of the user are listed, and no others.
fn rooms_are_listed(evidence: &Evidence<'_>, user: &str, unreads: &Unreads) -> Vec<String> {
    let covered = |intervals: Vec<Interval>| intervals.iter().any(|interval| interval.covers(unreads.span));
    let mut violations = Vec::new();
    for room in evidence.rooms.keys() {
        let is_listed = unreads.rooms.contains_key(room);
        if is_listed && covered(absences(evidence, room, user)) {
            violations.push(format!("16: {user} is not in {room}, and was told what is unread there: {unreads:?}"));
        }
        if !is_listed && covered(presences(evidence, room, user)) {
            violations.push(format!("16: {user} is in {room}, and was not told what is unread there: {unreads:?}"));
        }
    }
    violations
}
