//! The mode of a room, its name, and mutes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Client;
use crate::record::{Mode, ModeChange, What};

impl Client {
    /// Sets the mode of a room, more often back than not, renames it, or mutes somebody: tried by everybody.
    pub async fn moderates_mode(&mut self, room: &str) {
        let change = match self.rng.u32(..16) {
            0 | 1 => Mode { is_read_only: Some(true), ..Mode::default() },
            2..5 => Mode { is_read_only: Some(false), is_without_reactions: Some(false), ..Mode::default() },
            5 => Mode { is_without_reactions: Some(true), ..Mode::default() },
            6 | 7 => Mode { slow_seconds: Some(1 + self.rng.u64(..3)), ..Mode::default() },
            8 => Mode { slow_seconds: Some(0), is_read_only: Some(false), ..Mode::default() },
            9 | 10 => Mode { max_per_second: Some(1 + self.rng.u64(..2)), ..Mode::default() },
            11 => Mode { max_per_second: Some(100), ..Mode::default() },
            12 => {
                let name = format!("The room of {}", self.next_id());
                self.asks(room, json!({ "action": "renameRoom", "roomId": room, "roomName": name }), "message").await;
                return;
            }
            // The release of before does not know who is muted.
            _ if self.place.is_mixed => return,
            _ => return self.mutes_somebody(room).await,
        };
        self.sets_mode(room, change).await;
    }

    pub async fn sets_mode(&mut self, room: &str, change: Mode) {
        let mut frame = json!({ "action": "setRoomMode", "roomId": room });
        let who = |is_for_admins: bool| json!(if is_for_admins { "admins" } else { "members" });
        let fields = [
            ("write", change.is_read_only.map(who)),
            ("react", change.is_without_reactions.map(who)),
            ("slowSeconds", change.slow_seconds.map(Value::from)),
            ("maxPerSecond", change.max_per_second.map(Value::from)),
        ];
        for (name, value) in fields.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            frame[name] = value;
        }
        let asked = self.asks(room, frame, "message").await;
        let answer = asked.success().filter(|answer| answer["type"] == "message");
        if let Some(answer) = answer.cloned() {
            self.shows(&answer);
        }
        let seq = answer.filter(|answer| answer["duplicate"] != true).and_then(|answer| answer["seq"].as_u64());
        let (room, span, outcome) = (room.to_owned(), asked.span, asked.outcome.clone());
        self.record.modes.push(ModeChange { room, change, span, outcome, seq });
    }

    /// In the end: the rooms, as their owner sees them.
    pub async fn asks_rooms(&mut self) -> BTreeMap<String, Value> {
        let mut rooms = BTreeMap::new();
        for room in &std::sync::Arc::clone(&self.place).rooms {
            let asked = self.asks_until_answered(json!({ "action": "roomInfo", "roomId": room })).await;
            rooms.insert(room.clone(), asked.answer.unwrap());
        }
        rooms
    }

    async fn mutes_somebody(&mut self, room: &str) {
        let subject = format!("user-{}", self.rng.usize(1..self.place.users.min(8)));
        let what = if self.rng.bool() { What::Mute } else { What::Unmute };
        if subject != self.record.user {
            self.mutes(room, &subject, what).await;
        }
    }

    pub async fn mutes(&mut self, room: &str, subject: &str, what: What) {
        let action = if what == What::Mute { "muteMember" } else { "unmuteMember" };
        let frame = json!({ "action": action, "roomId": room, "userId": subject });
        let asked = self.asks(room, frame, "ack").await;
        self.notes(what, room, subject, &asked);
    }
}
