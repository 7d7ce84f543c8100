//! A client that chats at random, loses its connection and reconnects.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message;

use super::ROOMS;
use super::harness::Socket;
use super::record::{Absence, Body, Clock, Delivery, Record, Sent};

/// A response that takes longer counts as lost.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of retries while faults are injected.
const MAX_RETRIES: usize = 4;
/// Maximum number of attempts without faults, on a busy machine.
const MAX_ATTEMPTS: usize = 20;

pub struct Client {
    pub record: Record,
    rng: fastrand::Rng,
    url: String,
    clock: Arc<Clock>,
    socket: Option<Socket>,
    /// Rooms that the client joined, as far as it knows.
    joined: BTreeSet<String>,
    requests: usize,
    /// By room: the last sequence number seen, from which to resume.
    cursors: BTreeMap<String, u64>,
}

/// Creates a room before faults are injected.
pub async fn create_room(url: &str, room: &str) {
    let (mut socket, _) = Socket::open(&format!("{url}?userId=host&roomId={room}&format=native"), &[]).await.unwrap();
    socket.close(None).await.unwrap();
}

/// Sends a message to every connection that could be live, so that posts to stale ones get 410. The sender stays
/// connected.
pub async fn message_all_connections(url: &str, clients: &[Client]) -> Client {
    let mut host = Client::new(usize::MAX, 0, url.to_owned(), Arc::default());
    host.record.user = "host".to_owned();
    for room in ROOMS.into_iter().chain(["lobby"]) {
        host.ask_until_answered(json!({ "action": "sendMessage", "roomId": room, "content": "to the room" })).await;
    }
    for client in clients {
        let user = &client.record.user;
        host.ask_until_answered(json!({ "action": "sendMessage", "recipientId": user, "content": "to the user" }))
            .await;
    }
    host
}

impl Client {
    pub fn new(number: usize, seed: u64, url: String, clock: Arc<Clock>) -> Self {
        let record = Record { user: format!("user-{number}"), ..Record::default() };
        let rng = fastrand::Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
        Self { record, rng, url, clock, socket: None, joined: BTreeSet::new(), requests: 0, cursors: BTreeMap::new() }
    }

    pub async fn chats(mut self, operations: usize) -> Self {
        for room in ROOMS {
            self.record.absences.push(Absence { room: room.to_owned(), from: 0, until: None });
        }
        for _ in 0..operations {
            self.record.operations += 1;
            let room = ROOMS[self.rng.usize(..ROOMS.len())];
            if !self.joined.contains(room) {
                // Only half of the clients join the last room.
                if room != ROOMS[3] || self.record.user.ends_with(['0', '2', '4', '6', '8']) {
                    self.joins(room).await;
                }
                continue;
            }
            match self.rng.u32(..20) {
                0..11 => self.sends(room).await,
                11..13 => self.leaves(room).await,
                13..15 => drop(self.ask(json!({ "action": "typing", "roomId": room }), false).await),
                15..17 => self.reads(room).await,
                17 => self.socket = None,
                _ => drop(self.resumes(MAX_RETRIES).await),
            }
        }
        self
    }

    /// After the faults: rejoins its rooms, resumes, and reads the whole history.
    pub async fn recovers(mut self) -> Self {
        for room in ROOMS {
            if self.joined.contains(room) {
                self.joins(room).await;
            } else {
                self.ask_until_answered(json!({ "action": "leaveRoom", "roomId": room })).await;
            }
        }
        // Receives the frames that are still on their way to the last socket.
        self.ask_until_answered(json!({ "action": "ping" })).await;
        self.cursors.clear();
        assert!(self.resumes(MAX_ATTEMPTS).await, "{} could not resume", self.record.user);
        for room in self.joined.clone() {
            let mut after = json!(0);
            while !after.is_null() {
                let request = json!({ "action": "getMessages", "roomId": room, "after": after, "limit": 100 });
                let page = self.ask_until_answered(request).await;
                let history = self.record.histories.entry(room.clone()).or_default();
                for item in page["items"].as_array().unwrap() {
                    history.insert(item["seq"].as_u64().unwrap(), Body::of(item));
                }
                after = page["nextAfter"].clone();
            }
        }
        self
    }

    async fn sends(&mut self, room: &str) {
        let number = self.record.sent.len();
        let id = format!("{}-{number}", self.record.user);
        let content = format!("{id}: {}", "x".repeat(self.rng.usize(..200)));
        let started = self.clock.tick();
        let sent = Sent { room: room.to_owned(), id: id.clone(), content: content.clone(), started, acked: None };
        self.record.sent.push(sent);
        let frame = json!({ "action": "sendMessage", "roomId": room, "content": content, "clientMessageId": id });
        for _ in 0..MAX_RETRIES {
            let Some(answer) = self.ask(frame.clone(), true).await else { continue };
            match answer["type"].as_str() {
                Some("message") => {
                    self.record.sent[number].acked = answer["seq"].as_u64();
                    self.sees(&answer);
                    return;
                }
                _ if is_transient(&answer) => {}
                _ => return,
            }
        }
    }

    async fn joins(&mut self, room: &str) {
        let started = self.clock.tick();
        let open = self.record.absences.iter_mut().rfind(|absence| absence.room == room && absence.until.is_none());
        if let Some(absence) = open {
            absence.until = Some(started);
        }
        for _ in 0..MAX_RETRIES {
            let answer = self.ask(json!({ "action": "joinRoom", "roomId": room }), true).await;
            if answer.is_some_and(|answer| answer["type"] == "room") {
                self.joined.insert(room.to_owned());
                return;
            }
        }
    }

    async fn leaves(&mut self, room: &str) {
        self.joined.remove(room);
        for _ in 0..MAX_RETRIES {
            let answer = self.ask(json!({ "action": "leaveRoom", "roomId": room }), true).await;
            if answer.is_some_and(|answer| answer["type"] == "ack") {
                let from = self.clock.tick();
                self.record.absences.push(Absence { room: room.to_owned(), from, until: None });
                return;
            }
        }
    }

    async fn reads(&mut self, room: &str) {
        let page = self.ask(json!({ "action": "getMessages", "roomId": room, "limit": 20 }), true).await;
        for item in page.iter().flat_map(|page| page["items"].as_array()).flatten() {
            self.sees(item);
        }
    }

    /// Resumes until nothing is missing; `false` if that fails.
    async fn resumes(&mut self, tries: usize) -> bool {
        let mut left: BTreeSet<_> = self.joined.clone();
        let mut failures = 0;
        while !left.is_empty() && failures < tries {
            let rooms: Value =
                left.iter().map(|room| (room.clone(), json!(self.cursors.get(room).unwrap_or(&0)))).collect();
            let answer = self.ask(json!({ "action": "resume", "rooms": rooms }), true).await;
            let Some(answer) = answer.filter(|answer| answer["type"] == "resumed") else {
                failures += 1;
                continue;
            };
            for (room, resumed) in answer["rooms"].as_object().unwrap() {
                for item in resumed["items"].as_array().into_iter().flatten() {
                    self.sees(item);
                }
                if resumed["reset"] == true {
                    self.record.anomalies.push(format!("a reset of {room}: {resumed}"));
                }
                if resumed["complete"] == false {
                    self.cursors.insert(room.clone(), resumed["nextAfter"].as_u64().unwrap());
                } else {
                    left.remove(room);
                    if let Some(last) = resumed["lastSeq"].as_u64() {
                        self.cursors.insert(room.clone(), last);
                    }
                }
            }
        }
        left.is_empty()
    }

    /// Like `ask`, but must succeed, because no faults are injected.
    async fn ask_until_answered(&mut self, frame: Value) -> Value {
        for _ in 0..MAX_ATTEMPTS {
            match self.ask(frame.clone(), true).await {
                Some(answer) if is_transient(&answer) => {}
                Some(answer) => return answer,
                None => {}
            }
        }
        panic!("{} got no response to: {frame}", self.record.user);
    }

    /// Sends a frame, on a new connection if there is none. `None` without a response, or if none was wanted.
    async fn ask(&mut self, mut frame: Value, wants_answer: bool) -> Option<Value> {
        self.connects().await?;
        self.requests += 1;
        let id = json!(format!("{}", self.requests));
        frame["requestId"] = id.clone();
        let sent = self.socket.as_mut()?.send_frame(frame).await;
        if sent.is_err() {
            self.socket = None;
            return None;
        }
        if !wants_answer {
            return None;
        }
        let until = Instant::now() + RESPONSE_TIMEOUT;
        loop {
            match timeout_at(until, self.socket.as_mut()?.receive_published()).await {
                Ok(Some(Ok(Message::Text(text)))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    // Errors of the gateway have no request id, but only one request is pending.
                    if frame["requestId"] == id || frame.get("type").is_none() {
                        return Some(frame);
                    }
                    self.hears(&frame);
                }
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                Ok(_) => {
                    self.socket = None;
                    return None;
                }
                Err(_) => return None,
            }
        }
    }

    async fn connects(&mut self) -> Option<()> {
        if self.socket.is_none() {
            let url = format!("{}?userId={}&format=native", self.url, self.record.user);
            let (socket, _) = timeout(RESPONSE_TIMEOUT, Socket::try_open(&url, &[])).await.ok()?.ok()?;
            self.socket = Some(socket);
        }
        Some(())
    }

    fn hears(&mut self, frame: &Value) {
        if frame["type"] != "message" {
            return;
        }
        let room = frame["roomId"].as_str().unwrap().to_owned();
        let content = Body::of(frame).content;
        // A late response is not a delivery.
        if frame.get("requestId").is_none() {
            let seq = frame["seq"].as_u64().unwrap();
            self.record.deliveries.push(Delivery { at: self.clock.tick(), room, seq, content });
        }
        self.sees(frame);
    }

    fn sees(&mut self, message: &Value) {
        let (room, seq) = (message["roomId"].as_str().unwrap().to_owned(), message["seq"].as_u64().unwrap());
        let body = Body::of(message);
        let view = self.record.views.entry(room.clone()).or_default();
        if let Some(before) = view.insert(seq, body.clone())
            && before != body
        {
            self.record.anomalies.push(format!("{room} {seq} was {before:?} and then {body:?}"));
        }
    }
}

/// Whether a retry may succeed.
fn is_transient(answer: &Value) -> bool {
    answer["message"] == "Internal server error"
        || answer["message"] == "Endpoint request timed out"
        || answer["type"] == "error" && (answer["status"].as_u64().unwrap_or(0) >= 500 || answer["code"] == "RECONNECT")
}
