//! What a client shows of a room: each message as it is now, as far as the client knows, and from where to catch up.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A message as a reader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub user: String,
    pub content: String,
    pub is_deleted: bool,
    pub rev: u64,
    pub version: u64,
    pub reactions: BTreeMap<String, u64>,
    pub is_pinned: bool,
    /// No message of a user.
    pub is_system: bool,
}

fn number(frame: &Value, name: &str) -> u64 {
    frame[name].as_u64().unwrap_or_default()
}

fn text(frame: &Value, name: &str) -> String {
    frame[name].as_str().unwrap_or_default().to_owned()
}

fn counts(reactions: &Value) -> BTreeMap<String, u64> {
    let counts = reactions.as_object().into_iter().flatten();
    counts.map(|(emoji, count)| (emoji.clone(), count.as_u64().unwrap())).collect()
}

impl Shown {
    /// Of a `message`.
    pub fn of(message: &Value) -> Self {
        Self {
            user: text(message, "userId"),
            content: text(message, "content"),
            is_deleted: message["deleted"].is_object(),
            rev: number(message, "rev"),
            version: number(message, "version"),
            reactions: counts(&message["reactions"]),
            is_pinned: message["pinned"] == true,
            is_system: message["system"].is_object(),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct View {
    pub messages: BTreeMap<u64, Shown>,
    /// Everything up to here was received.
    pub seq: u64,
    /// All changes up to here are applied.
    pub rev: u64,
    /// Changes above `rev` that were applied.
    revs: BTreeSet<u64>,
    /// The last change of the content, the reactions and the pin of each message: changes arrive in any order.
    applied: BTreeMap<u64, [u64; 3]>,
}

impl View {
    /// A message as it was when it was read. `false` if it was received in another state with the same `rev`.
    pub fn shows(&mut self, message: &Value) {
        let (seq, shown) = (number(message, "seq"), Shown::of(message));
        let known = self.messages.entry(seq).or_default();
        replace(known, self.applied.entry(seq).or_default(), shown);
        while self.messages.contains_key(&(self.seq + 1)) {
            self.seq += 1;
        }
    }

    /// A change that was heard or answered. It counts as known only if all of its messages are.
    pub fn changes(&mut self, frame: &Value) {
        let rev = number(frame, "rev");
        let seqs: Vec<_> = match frame["seqs"].as_array() {
            Some(seqs) => seqs.iter().filter_map(Value::as_u64).collect(),
            None => vec![number(frame, "seq")],
        };
        let are_known = seqs.iter().all(|seq| self.messages.contains_key(seq));
        for seq in seqs {
            let applied = &mut self.applied.entry(seq).or_default()[kind_of(frame)];
            if let Some(message) = self.messages.get_mut(&seq).filter(|message| !message.is_deleted && *applied < rev) {
                change(message, frame);
                *applied = rev;
                message.rev = message.rev.max(rev);
            }
        }
        // An answer to a repeat tells the last change of the message, whatever it was.
        if are_known && rev > self.rev && frame["unchanged"] != true {
            self.revs.insert(rev);
            self.advance();
        }
    }

    /// All changes up to `rev` are in the messages.
    pub fn is_current_at(&mut self, rev: u64) {
        self.rev = self.rev.max(rev);
        self.advance();
    }

    fn advance(&mut self) {
        while self.revs.contains(&(self.rev + 1)) {
            self.rev += 1;
        }
        self.revs = self.revs.split_off(&self.rev);
    }

    /// The positions up to `last` that are missing.
    pub fn missing_up_to(&self, last: u64) -> Vec<u64> {
        (1..=last).filter(|seq| !self.messages.contains_key(seq)).collect()
    }
}

/// Takes over from a whole message what is not older than the changes that were applied.
fn replace(known: &mut Shown, applied: &mut [u64; 3], shown: Shown) {
    if known.user.is_empty() || shown.is_deleted {
        *applied = [shown.rev; 3];
        *known = shown;
        return;
    }
    if known.is_deleted {
        return;
    }
    let rev = shown.rev;
    known.rev = known.rev.max(rev);
    if rev >= applied[0] {
        (known.content, known.version) = (shown.content, shown.version);
    }
    if rev >= applied[1] {
        known.reactions = shown.reactions;
    }
    if rev >= applied[2] {
        known.is_pinned = shown.is_pinned;
    }
    applied.iter_mut().for_each(|applied| *applied = rev.max(*applied));
}

/// What of a message a change is about.
fn kind_of(frame: &Value) -> usize {
    match frame["type"].as_str() {
        Some("reactions") => 1,
        Some("pinned" | "unpinned") => 2,
        _ => 0,
    }
}

fn change(message: &mut Shown, frame: &Value) {
    match frame["type"].as_str() {
        Some("edited") => {
            message.content = text(frame, "content");
            message.version = number(frame, "version");
        }
        Some("deleted") => {
            *message = Shown { user: message.user.clone(), is_deleted: true, ..Shown::default() };
        }
        Some("reactions") => message.reactions = counts(&frame["counts"]),
        Some("pinned") => message.is_pinned = true,
        Some("unpinned") => message.is_pinned = false,
        _ => {}
    }
}
