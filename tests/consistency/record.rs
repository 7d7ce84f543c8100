//! The record of a client: what it sent and received.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

/// A logical clock: one order of all events, across clients.
#[derive(Default)]
pub struct Clock(AtomicU64);

impl Clock {
    pub fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// The parts of a message that are the same for all readers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    pub user: String,
    pub content: String,
}

impl Body {
    pub fn of(message: &Value) -> Self {
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        Self { user: text("userId"), content: text("content") }
    }
}

#[derive(Clone, Debug)]
pub struct Sent {
    pub room: String,
    pub id: String,
    pub content: String,
    /// The time of the first attempt.
    pub started: u64,
    /// The position in the acknowledgement.
    pub acked: Option<u64>,
}

/// A period in which a client was not a member: from the response to its leave to the start of its next join.
#[derive(Clone, Debug)]
pub struct Absence {
    pub room: String,
    pub from: u64,
    pub until: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct Delivery {
    pub at: u64,
    pub room: String,
    pub seq: u64,
    pub content: String,
}

#[derive(Default)]
pub struct Record {
    pub user: String,
    pub operations: usize,
    pub sent: Vec<Sent>,
    /// Messages that arrived by delivery, not as a response.
    pub deliveries: Vec<Delivery>,
    pub absences: Vec<Absence>,
    /// By room: all messages from deliveries, responses and resumes.
    pub views: BTreeMap<String, BTreeMap<u64, Body>>,
    /// By room: the history, read at the end.
    pub histories: BTreeMap<String, BTreeMap<u64, Body>>,
    /// Anything that should not have been received.
    pub anomalies: Vec<String>,
}
