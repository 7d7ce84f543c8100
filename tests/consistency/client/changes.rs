//! Edits, deletions, reactions and pins.

use serde_json::{Value, json};

use super::{Asked, Client};
use crate::record::{Change, Kind, LastSeq};

const EMOJIS: [&str; 3] = ["👍", "🎉", "☕"];

impl Client {
    /// Edits a message of its own, with an id or with the version that it shows.
    pub async fn edits(&mut self, room: &str) {
        let user = self.record.user.clone();
        let Some(seq) = self.some_message(room, |one| one.user == user && !one.is_deleted) else { return };
        let id = self.next_id();
        let content = format!("[{id}] edited");
        let mut frame = json!({ "action": "editMessage", "roomId": room, "seq": seq, "content": content });
        if self.rng.u32(..3) > 0 {
            frame["clientMessageId"] = json!(id);
        } else {
            frame["version"] = json!(self.record.views[room].messages[&seq].version);
        }
        let asked = self.asks(room, frame, "edited").await;
        self.changed(Kind::Edit(content), room, vec![seq], &asked);
    }

    /// Deletes up to three messages: its own, or anybody's if it may moderate.
    pub async fn deletes(&mut self, room: &str) {
        let user = self.record.user.clone();
        let may_moderate = self.number == 0 || self.rng.u32(..4) == 0;
        let is_wanted = |one: &crate::view::Shown| !one.is_deleted && (may_moderate || one.user == user);
        let seqs: std::collections::BTreeSet<_> =
            (0..self.rng.u32(1..4)).filter_map(|_| self.some_message(room, is_wanted)).collect();
        if seqs.is_empty() {
            return;
        }
        let seqs: Vec<_> = seqs.into_iter().collect();
        let frame = json!({ "action": "deleteMessage", "roomId": room, "seqs": seqs });
        let asked = self.asks(room, frame, "deleted").await;
        self.changed(Kind::Delete, room, seqs, &asked);
    }

    pub async fn reacts(&mut self, room: &str) {
        // One that is deleted, too: then it is refused.
        let Some(mut seq) = self.some_message(room, |_| true) else { return };
        let (mut emoji, on) = (EMOJIS[self.rng.usize(..EMOJIS.len())].to_owned(), self.rng.u32(..5) > 1);
        // One that it takes back is often one that it has made.
        let made = self.record.changes.iter().rev().filter(|change| change.room == room);
        let mut made = made.filter_map(|change| match &change.kind {
            Kind::React(emoji, true) => Some((change.seqs[0], emoji.clone())),
            _ => None,
        });
        if let Some(last) = made.next().filter(|_| !on) {
            (seq, emoji) = last;
        }
        let frame = json!({ "action": "react", "roomId": room, "seq": seq, "emoji": emoji, "on": on });
        let asked = self.asks(room, frame, "reactions").await;
        self.changed(Kind::React(emoji, on), room, vec![seq], &asked);
    }

    pub async fn pins(&mut self, room: &str) {
        let Some(seq) = self.some_message(room, |one| !one.is_deleted && !one.is_system) else { return };
        let on = self.rng.u32(..3) > 0;
        let (action, wanted) = if on { ("pinMessage", "pinned") } else { ("unpinMessage", "unpinned") };
        let asked = self.asks(room, json!({ "action": action, "roomId": room, "seq": seq }), wanted).await;
        self.changed(Kind::Pin(on), room, vec![seq], &asked);
    }

    fn changed(&mut self, kind: Kind, room: &str, seqs: Vec<u64>, asked: &Asked) {
        let answer = asked.success().cloned().unwrap_or_default();
        let rev = answer["rev"].as_u64().filter(|_| answer["unchanged"] != true);
        if answer["rev"].is_u64() {
            self.changes(&answer);
        }
        if let Some(current) = asked.answer.as_ref().map(|answer| &answer["current"]).filter(|one| one.is_object()) {
            self.shows(&current.clone());
        }
        let (span, outcome) = (asked.span, asked.outcome.clone());
        self.record.changes.push(Change { kind, room: room.to_owned(), seqs, span, outcome, rev });
    }

    /// Reads the last messages, the room, or its pins.
    pub async fn reads(&mut self, room: &str) {
        let (frame, wanted) = match self.rng.u32(..4) {
            0 => (json!({ "action": "roomInfo", "roomId": room }), "room"),
            1 => (json!({ "action": "listPins", "roomId": room }), "pins"),
            _ => (json!({ "action": "getMessages", "roomId": room, "limit": 20 }), "messages"),
        };
        let asked = self.asks(room, frame, wanted).await;
        let Some(answer) = asked.success() else { return };
        for item in answer["items"].as_array().into_iter().flatten() {
            self.shows(item);
        }
        self.notes_last_seq(room, &asked, &answer["lastSeq"].clone());
    }

    pub fn notes_last_seq(&mut self, room: &str, asked: &Asked, seq: &Value) {
        if let Some(seq) = seq.as_u64() {
            self.record.last_seqs.push(LastSeq { room: room.to_owned(), began: asked.span.began, seq });
        }
    }
}
