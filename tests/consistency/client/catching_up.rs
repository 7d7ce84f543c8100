//! Resuming after a lost connection, and reading everything in the end.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Asked, Client};
use crate::record::What;
use crate::view::Shown;

/// How often a `resume` is begun again.
const MAX_FAILURES: usize = 4;

impl Client {
    /// Resumes until nothing is missing; `false` if that fails.
    pub async fn resumes(&mut self) -> bool {
        let mut left: BTreeSet<_> = self.joined.iter().chain(self.direct.keys()).cloned().collect();
        let mut failures = 0;
        while !left.is_empty() && failures < MAX_FAILURES {
            let rooms: Value = left.iter().map(|room| (room.clone(), self.position_in(room))).collect();
            let asked = self.asks("", json!({ "action": "resume", "rooms": rooms }), "resumed").await;
            let Some(answer) = asked.success() else {
                failures += 1;
                continue;
            };
            for (room, resumed) in answer["rooms"].as_object().unwrap() {
                self.notes_resume(room, asked.span, resumed);
                if resumed["error"].is_object() {
                    self.joined.remove(room);
                    left.remove(room);
                } else if resumed["complete"] == true {
                    left.remove(room);
                    self.is_complete_in(room, &asked, resumed);
                    failures += usize::from(!self.catches_up_in(room, resumed).await);
                } else {
                    failures += usize::from(!self.catches_up_in(room, resumed).await);
                    self.view(room).seq = resumed["nextAfter"].as_u64().unwrap();
                }
            }
        }
        left.is_empty()
    }

    fn view(&mut self, room: &str) -> &mut crate::view::View {
        self.record.views.entry(room.to_owned()).or_default()
    }

    /// From where it resumes.
    fn position_in(&mut self, room: &str) -> Value {
        let follows_changes = self.record.follows_changes;
        let view = self.view(room);
        if follows_changes { json!({ "seq": view.seq, "rev": view.rev }) } else { json!(view.seq) }
    }

    /// Takes over what was answered; `false` if that was not enough, and more could not be read.
    async fn catches_up_in(&mut self, room: &str, resumed: &Value) -> bool {
        for list in ["items", "changes"] {
            for message in resumed[list].as_array().into_iter().flatten() {
                self.shows(message);
            }
        }
        if resumed["reset"] == true {
            self.record.anomalies.push(format!("3: a reset of {room}: {resumed}"));
        }
        let rev = match resumed["changesReset"] == true {
            true => self.reads_again(room).await,
            false => resumed["rev"].as_u64(),
        };
        // The release of before knows no changes.
        if let Some(rev) = rev.filter(|_| self.record.follows_changes) {
            self.view(room).is_current_at(rev);
        }
        rev.is_some() || resumed["changesReset"] != true
    }

    /// It trusts `lastSeq`: what it has not got by now it will not ask for.
    fn is_complete_in(&mut self, room: &str, asked: &Asked, resumed: &Value) {
        let last = resumed["lastSeq"].as_u64().unwrap();
        self.notes_last_seq(room, asked, &resumed["lastSeq"]);
        let items: BTreeSet<_> =
            resumed["items"].as_array().into_iter().flatten().filter_map(|item| item["seq"].as_u64()).collect();
        let missing = self.view(room).missing_up_to(last);
        let missing: Vec<_> = missing.into_iter().filter(|seq| !items.contains(seq)).collect();
        if !missing.is_empty() {
            self.record.anomalies.push(format!("4: an answer is complete in {room} up to {last}, without {missing:?}"));
        }
        self.view(room).seq = last;
    }

    /// Reads all messages again, and returns the position of the changes that they have.
    async fn reads_again(&mut self, room: &str) -> Option<u64> {
        let (mut after, mut rev) = (json!(0), None);
        while !after.is_null() {
            let frame = json!({ "action": "getMessages", "roomId": room, "after": after, "limit": 100 });
            let asked = self.asks(room, frame, "messages").await;
            let page = asked.success()?;
            rev = rev.or(page["rev"].as_u64());
            for item in page["items"].as_array().unwrap() {
                self.shows(item);
            }
            after = page["nextAfter"].clone();
        }
        rev
    }

    /// After the faults: joins its rooms again, and leaves the others.
    pub async fn rejoins(mut self) -> Self {
        self.is_calm = true;
        let (place, user) = (std::sync::Arc::clone(&self.place), self.record.user.clone());
        for room in &place.rooms {
            let (what, action) = match self.joined.contains(room) {
                true => (What::Join, "joinRoom"),
                false => (What::Leave, "leaveRoom"),
            };
            let asked = self.asks_until_answered(json!({ "action": action, "roomId": room })).await;
            if asked.success().is_none() {
                self.joined.remove(room);
            }
            self.notes(what, room, &user, &asked);
        }
        self
    }

    /// After the faults: resumes, and reads the whole history.
    pub async fn recovers(mut self) -> Self {
        // Receives the frames that are still on their way to the last socket.
        self.asks_until_answered(json!({ "action": "ping" })).await;
        let mut attempts = 0;
        while !self.resumes().await {
            attempts += 1;
            assert!(attempts < 5, "{} could not resume", self.record.user);
        }
        for room in self.joined.clone().iter().chain(self.direct.clone().keys()) {
            let mut after = json!(0);
            while !after.is_null() {
                let frame = json!({ "action": "getMessages", "roomId": room, "after": after, "limit": 100 });
                let page = self.asks_until_answered(frame).await.answer.unwrap();
                let history = self.record.histories.entry(room.clone()).or_default();
                for item in page["items"].as_array().into_iter().flatten() {
                    history.insert(item["seq"].as_u64().unwrap(), Shown::of(item));
                }
                after = page["nextAfter"].clone();
            }
        }
        self
    }
}
