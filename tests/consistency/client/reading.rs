//! Read marks, and what is unread.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Client;
use crate::record::{Mark, Marking, UnreadRoom, Unreads};

impl Client {
    /// Sets the read mark in a room or in a direct conversation, or sets it back.
    pub async fn marks(&mut self, room: &str) {
        let direct = self.direct.keys().nth(self.rng.usize(..3)).cloned();
        let room = direct.unwrap_or_else(|| room.to_owned());
        let Some(seq) = self.some_message(&room, |_| true) else { return };
        let known = self.read_versions.get(&room).copied().unwrap_or_default();
        let mut frame = json!({ "roomId": room, "seq": seq });
        let (how, up_to, wanted) = match self.rng.u32(..4) {
            0 => (Marking::Unread, seq - 1, "read"),
            1 if known > 0 && !self.place.is_mixed => (Marking::ReadBefore, seq, "ack"),
            _ => (Marking::Read, seq, "ack"),
        };
        frame["action"] = json!(if how == Marking::Unread { "markUnread" } else { "markRead" });
        if how == Marking::ReadBefore {
            frame["readVersion"] = json!(known - 1);
        }
        let asked = self.asks(&room, frame, wanted).await;
        if let Some(version) = asked.success().and_then(|answer| answer["readVersion"].as_u64()) {
            self.read_versions.insert(room.clone(), version);
        }
        let (span, outcome) = (asked.span, asked.outcome);
        self.record.marks.push(Mark { room, up_to, how, span, outcome });
    }

    /// Asks what is unread in all conversations, page by page.
    pub async fn asks_unreads(&mut self, is_settled: bool) {
        let (mut span, mut rooms, mut cursor) = (None, BTreeMap::new(), Value::Null);
        loop {
            let mut frame = json!({ "action": "unreads" });
            if cursor.is_string() {
                frame["cursor"] = cursor;
            }
            let asked = self.asks("", frame, "unreads").await;
            let Some(answer) = asked.success() else { break };
            let began = span.unwrap_or(asked.span);
            span = Some(crate::record::Span { began: began.began, ..asked.span });
            let pages = answer["rooms"].as_array().unwrap().iter();
            rooms.extend(pages.map(|room| (room["roomId"].as_str().unwrap().to_owned(), unread_room(room))));
            cursor = answer["nextCursor"].clone();
            if !cursor.is_string() {
                self.record.unreads.push(Unreads { span: span.unwrap_or_default(), rooms, is_settled });
                return;
            }
        }
        assert!(!is_settled, "{} was not told what is unread", self.record.user);
    }

    /// In the end: asks what is unread, and for its files.
    pub async fn counts(mut self) -> Self {
        self.asks_unreads(true).await;
        self.downloads().await;
        self
    }
}

fn unread_room(room: &Value) -> UnreadRoom {
    let number = |name: &str| room[name].as_u64().unwrap();
    UnreadRoom {
        last_seq: number("lastSeq"),
        last_read: number("lastReadSeq"),
        unread: number("unread"),
        has_more: room["unreadMore"] == true,
        mentions: number("mentions"),
        is_room_mentioned: room["roomMention"] == true,
    }
}
