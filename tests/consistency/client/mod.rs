//! A client that chats at random, loses its connection and reconnects.

mod asking;
mod catching_up;
mod changes;
mod modes;
mod people;
mod reading;
mod uploads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::Socket;
use crate::place::{MODED_ROOM, Place};
use crate::record::{Record, Sent, What};

pub use asking::Asked;

pub struct Client {
    pub record: Record,
    /// Whether no faults are injected any more.
    pub is_calm: bool,
    number: usize,
    /// In the ids of what it sends.
    device: &'static str,
    rng: fastrand::Rng,
    place: Arc<Place>,
    socket: Option<Socket>,
    /// Rooms that the client joined, as far as it knows.
    pub joined: BTreeSet<String>,
    requests: usize,
    /// The other user of each direct conversation that it knows of.
    direct: BTreeMap<String, String>,
    /// By room: how often the read mark was set back, as far as it knows.
    read_versions: BTreeMap<String, u64>,
}

impl Client {
    pub fn new(number: usize, seed: u64, place: &Arc<Place>) -> Self {
        let follows_changes = number % 3 != 2;
        let record = Record { user: format!("user-{number}"), follows_changes, ..Record::default() };
        let rng = fastrand::Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
        let (place, joined) = (Arc::clone(place), BTreeSet::new());
        let (direct, read_versions) = (BTreeMap::new(), BTreeMap::new());
        Self {
            record,
            is_calm: false,
            number,
            device: "",
            rng,
            place,
            socket: None,
            joined,
            requests: 0,
            direct,
            read_versions,
        }
    }

    /// Another client of the same user, in the same rooms.
    pub fn other_device(&self) -> Self {
        Self {
            device: "b",
            is_calm: self.is_calm,
            joined: self.joined.clone(),
            ..Self::new(self.number, 0, &self.place)
        }
    }

    pub async fn chats(mut self, operations: usize) -> Self {
        for _ in 0..operations {
            self.record.operations += 1;
            let place = Arc::clone(&self.place);
            let room = &place.rooms[self.rng.usize(..place.rooms.len())];
            if self.number == 0 && self.rng.u32(..4) == 0 {
                self.moderates_mode(MODED_ROOM).await;
            } else if self.number == 0 && self.rng.bool() {
                self.moderates(room).await;
            } else if self.joined.contains(room) {
                self.acts_in(room).await;
            } else if *room == place.private_room {
                self.is_outside(room).await;
            } else {
                self.joins(room).await;
            }
        }
        self
    }

    /// Tries to join the private room, which needs an invitation, or declines that.
    async fn is_outside(&mut self, room: &str) {
        match self.rng.u32(..6) {
            0 => self.declines(room).await,
            1..3 => self.joins(room).await,
            _ => match self.joined.first().cloned() {
                Some(joined) => self.acts_in(&joined).await,
                None => self.joins(room).await,
            },
        }
    }

    async fn acts_in(&mut self, room: &str) {
        match self.rng.u32(..50) {
            0..11 => self.sends(room).await,
            11..15 => self.edits(room).await,
            15..17 => self.deletes(room).await,
            17..23 => self.reacts(room).await,
            23..25 => self.pins(room).await,
            // The owner stays.
            25 if self.number > 0 => self.leaves(room).await,
            26 => self.types(room).await,
            27..30 => self.reads(room).await,
            30..32 => self.socket = None,
            32..35 => drop(self.resumes().await),
            35..37 => self.writes_directly().await,
            37..39 if !self.place.is_mixed => self.blocks().await,
            39..43 => self.marks(room).await,
            43..46 => self.asks_unreads(false).await,
            46..48 => self.uploads(room).await,
            48 if room == MODED_ROOM => self.moderates_mode(room).await,
            _ => self.moderates(room).await,
        }
    }

    async fn types(&mut self, room: &str) {
        let _ = self.sends_frame(json!({ "action": "typingIndicator", "roomId": room })).await;
    }

    pub async fn sends(&mut self, room: &str) {
        let target = json!({ "roomId": room });
        self.sends_to(target, Some(room.to_owned()), None).await;
    }

    async fn writes_directly(&mut self) {
        let peer = self.neighbour();
        self.sends_to(json!({ "recipientId": peer }), None, Some(peer.clone())).await;
    }

    /// One of the two users with whom it writes directly.
    fn neighbour(&mut self) -> String {
        let users = self.place.users;
        let step = if self.rng.bool() { 1 } else { users - 1 };
        format!("user-{}", (self.number + step) % users)
    }

    async fn sends_to(&mut self, target: Value, room: Option<String>, peer: Option<String>) {
        let id = self.next_id();
        let content = format!("[{id}] {}", "x".repeat(self.rng.usize(..200)));
        let mut frame = target;
        frame["action"] = json!("sendMessage");
        frame["content"] = json!(content);
        frame["clientMessageId"] = json!(id);
        if let Some(seq) = room.as_ref().and_then(|room| self.some_message(room, |_| true))
            && self.rng.u32(..4) == 0
        {
            frame["replyTo"] = json!(seq);
        }
        let (mentions, mentions_room) = self.some_mentions();
        if !mentions.is_empty() {
            frame["mentions"] = json!(mentions);
        }
        if mentions_room {
            frame["mentionRoom"] = json!(true);
        }
        let about = room.clone().unwrap_or_default();
        let asked = self.asks(&about, frame, "message").await;
        let (span, outcome) = (asked.span, asked.outcome.clone());
        let mentions = mentions.into_iter().collect();
        let mut sent = Sent { room, peer, id, content, span, outcome, mentions, mentions_room, ..Sent::default() };
        if let Some(answer) = asked.success() {
            self.is_acknowledged(&mut sent, answer);
        }
        self.record.sent.push(sent);
    }

    fn is_acknowledged(&mut self, sent: &mut Sent, answer: &Value) {
        sent.acked = answer["seq"].as_u64();
        sent.is_duplicate = answer["duplicate"] == true;
        let left_out = answer["notMentioned"].as_array().into_iter().flatten();
        sent.not_mentioned = Some(left_out.map(|user| user.as_str().unwrap().to_owned()).collect());
        let room = answer["roomId"].as_str().unwrap().to_owned();
        if let Some(peer) = &sent.peer {
            self.direct.insert(room.clone(), peer.clone());
        }
        sent.room = Some(room);
        self.shows(answer);
    }

    /// Whom a message is to mention: those who may have blocked it, others who may be in the room, and a stranger; and
    /// whether it is to mention the whole room.
    fn some_mentions(&mut self) -> (Vec<String>, bool) {
        if self.rng.bool() {
            return (Vec::new(), false);
        }
        let mut users = vec![self.neighbour()];
        for _ in 0..self.rng.usize(..3) {
            users.push(format!("user-{}", self.rng.usize(..self.place.users)));
        }
        if self.rng.u32(..4) == 0 {
            users.push("user-nobody".to_owned());
        }
        (users, self.rng.u32(..4) == 0)
    }

    /// An id for a message or an edit. The mark in a content is made of it.
    fn next_id(&self) -> String {
        let number = self.record.sent.len() + self.record.changes.len() + self.record.modes.len();
        format!("{}{}-{number}", self.record.user, self.device)
    }

    /// One of the messages that the client shows.
    fn some_message(&mut self, room: &str, is_wanted: impl Fn(&crate::view::Shown) -> bool) -> Option<u64> {
        let view = self.record.views.get(room)?;
        let of_last = view.messages.iter().rev().filter(|(_, message)| is_wanted(message)).take(8);
        let seqs: Vec<_> = of_last.map(|(seq, _)| *seq).collect();
        (!seqs.is_empty()).then(|| seqs[self.rng.usize(..seqs.len())])
    }

    /// Sends deleted messages once more: late retries. What they are answered must not have the content.
    pub async fn retries_deleted(mut self) -> Self {
        let deleted = |sent: &&Sent| {
            let view = sent.room.as_ref().and_then(|room| self.record.views.get(room));
            view.zip(sent.acked).is_some_and(|(view, seq)| view.messages.get(&seq).is_some_and(|one| one.is_deleted))
        };
        let lost: Vec<_> = self.record.sent.iter().filter(deleted).take(3).cloned().collect();
        for Sent { room, id, content, acked, .. } in lost {
            let room = room.unwrap();
            let target = json!({ "action": "sendMessage", "roomId": room, "content": content, "clientMessageId": id });
            let asked = self.asks("", target, "message").await;
            let answer = asked.answer.unwrap_or_default();
            let is_repeat =
                answer["duplicate"] == true && answer["deleted"].is_object() && answer["seq"] == json!(acked);
            if answer["type"] == "message" && !is_repeat {
                self.record.anomalies.push(format!("1: a late retry of {id} in {room} is answered {answer}"));
            }
        }
        self
    }

    /// Receives the frames that are still on their way to the socket.
    pub async fn listens(mut self) -> Self {
        self.asks_until_answered(json!({ "action": "ping" })).await;
        self
    }

    pub fn number(&self) -> usize {
        self.number
    }

    /// Notes that it created a room.
    pub fn owns(&mut self, room: &str) {
        self.joined.insert(room.to_owned());
        let user = self.record.user.clone();
        self.notes(What::Join, room, &user, &Asked::at_once());
        self.notes(What::Promote, room, &user, &Asked::at_once());
    }
}
