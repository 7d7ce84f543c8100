//! Compares the records of the clients with each other, with the tables and with the log of the function.

mod changes;
mod content;
mod messages;
mod people;
mod rows;

use crate::record::{Act, Change, Moment, Record, Sent};

pub use content::after_late_retries;
pub use rows::{Tables, of_rows};

/// What is compared.
pub struct Evidence<'a> {
    pub records: Vec<&'a Record>,
    pub tables: &'a Tables,
    /// The lines that the function has logged.
    pub log: &'a [String],
    /// When the sessions of the short connections ended.
    pub sessions_ended: Moment,
    pub is_mixed: bool,
}

impl<'a> Evidence<'a> {
    fn acts(&self) -> impl Iterator<Item = &'a Act> {
        self.records.clone().into_iter().flat_map(|record| &record.acts)
    }

    fn sent(&self) -> impl Iterator<Item = &'a Sent> {
        self.records.clone().into_iter().flat_map(|record| &record.sent)
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
    violations
}
