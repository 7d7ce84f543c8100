//! Compares the records of the clients with each other, with the tables and with the log of the function.

mod changes;
mod content;
mod events;
mod files;
mod mentions;
mod messages;
mod modes;
mod people;
mod rows;
mod unread;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::record::{Act, Change, Kind, ModeChange, Moment, Outcome, Record, Sent};

pub use content::after_late_retries;
pub use rows::{Tables, of_rows};

/// What is compared.
pub struct Evidence<'a> {
    pub records: Vec<&'a Record>,
    pub tables: &'a Tables,
    /// What is on the event bus.
    pub events: &'a [Value],
    /// The lines that the function has logged.
    pub log: &'a [String],
    /// When the sessions of the short connections ended.
    pub sessions_ended: Moment,
    pub is_mixed: bool,
    /// The frames of the rooms, asked for in the end.
    pub rooms: &'a BTreeMap<String, Value>,
}

impl<'a> Evidence<'a> {
    fn acts(&self) -> impl Iterator<Item = &'a Act> {
        self.records.clone().into_iter().flat_map(|record| &record.acts)
    }

    fn sent(&self) -> impl Iterator<Item = &'a Sent> {
        self.records.clone().into_iter().flat_map(|record| &record.sent)
    }

    fn modes(&self) -> impl Iterator<Item = &'a ModeChange> {
        self.records.clone().into_iter().flat_map(|record| &record.modes)
    }

    /// By room and position: what was sent, and by whom.
    fn sent_by_place(&self) -> BTreeMap<(&'a str, u64), (&'a str, &'a Sent)> {
        let mut by_id = BTreeMap::new();
        let mut by_place = BTreeMap::new();
        for record in &self.records {
            for sent in &record.sent {
                by_id.insert(sent.id.as_str(), (record.user.as_str(), sent));
                if let (Some(room), Some(seq)) = (&sent.room, sent.acked) {
                    by_place.insert((room.as_str(), seq), (record.user.as_str(), sent));
                }
            }
        }
        for (room, log) in &self.tables.logs {
            for (seq, entry) in log {
                if let Some(sent) = entry.client_id.as_deref().and_then(|id| by_id.get(id)) {
                    by_place.entry((room, *seq)).or_insert(*sent);
                }
            }
        }
        by_place
    }

    /// By room and position: when a deletion was first asked for, and first answered.
    fn deletions(&self) -> BTreeMap<(&'a str, u64), (Moment, Option<Moment>)> {
        let mut deletions = BTreeMap::new();
        for (_, change) in self.changes() {
            if change.kind != Kind::Delete || matches!(change.outcome, Outcome::Refused(_)) {
                continue;
            }
            let done = change.outcome.is_done().then_some(change.span.ended);
            for seq in &change.seqs {
                let known = deletions.entry((change.room.as_str(), *seq)).or_insert((change.span.began, done));
                known.0 = known.0.min(change.span.began);
                known.1 = known.1.into_iter().chain(done).min();
            }
        }
        deletions
    }

    /// All changes, and by whom.
    fn changes(&self) -> impl Iterator<Item = (&'a str, &'a Change)> {
        let records = self.records.clone().into_iter();
        records.flat_map(|record| record.changes.iter().map(|change| (record.user.as_str(), change)))
    }
}

/// All promises that are broken.
pub fn of(evidence: &Evidence<'_>) -> Vec<String> {
    let anomalies = evidence.records.iter().flat_map(|record| {
        let user = &record.user;
        record.anomalies.iter().map(move |anomaly| format!("{anomaly} ({user})"))
    });
    let mut violations: Vec<_> = anomalies.collect();
    violations.extend(messages::of(evidence));
    violations.extend(changes::of(evidence));
    violations.extend(people::of(evidence));
    violations.extend(content::of(evidence));
    violations.extend(modes::of(evidence));
    violations.extend(mentions::of(evidence));
    violations.extend(unread::of(evidence));
    violations.extend(files::of(evidence));
    violations.extend(events::of(evidence));
    violations
}
