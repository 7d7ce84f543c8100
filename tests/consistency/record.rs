//! What a client did, and what it was told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

/// One order for all that happens, in whatever client.
#[derive(Default)]
pub struct Clock(AtomicU64);

impl Clock {
    pub fn tick(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// What a message says, as every reader must see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub user: String,
    pub content: String,
}

impl Said {
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
    /// When it was first sent.
    pub started: u64,
    /// The position that the sender was told.
    pub acked: Option<u64>,
}

/// A time in which a client was not in a room: from the answer to its leaving to the start of its joining again.
#[derive(Clone, Debug)]
pub struct Absence {
    pub room: String,
    pub from: u64,
    pub until: Option<u64>,
}

#[derive(Clone, Debug)]
pub struct Heard {
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
    /// By delivery alone.
    pub heard: Vec<Heard>,
    pub absences: Vec<Absence>,
    /// By room: all that was heard, answered and resumed.
    pub views: BTreeMap<String, BTreeMap<u64, Said>>,
    /// By room: the history as it was read at the end.
    pub histories: BTreeMap<String, BTreeMap<u64, Said>>,
    /// Whatever should never have come.
    pub oddities: Vec<String>,
}
