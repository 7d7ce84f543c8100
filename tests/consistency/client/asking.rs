//! Requests, their retries, and the frames that arrive meanwhile.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message;

use super::Client;
use crate::harness::Socket;
use crate::record::{Act, Connected, Delivery, Outcome, Request, Seen, Span, What, marks_in};
use crate::view::Shown;

/// A response that takes longer counts as lost.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// As `RESPONSE_TIMEOUT`, of who must be answered, and of a handshake: on a busy machine, retries make it busier.
const PATIENCE: Duration = Duration::from_secs(30);
/// Maximum number of retries while faults are injected.
const MAX_RETRIES: usize = 4;
/// Maximum number of attempts without faults, on a busy machine.
const MAX_ATTEMPTS: usize = 20;

/// What came of a request and its retries.
pub struct Asked {
    pub span: Span,
    pub answer: Option<Value>,
    pub outcome: Outcome,
}

impl Asked {
    /// The answer, if the request succeeded.
    pub fn success(&self) -> Option<&Value> {
        self.answer.as_ref().filter(|_| self.outcome.is_done())
    }

    /// Before everything else.
    pub fn at_once() -> Self {
        Self { span: Span::default(), answer: None, outcome: Outcome::Done }
    }
}

impl Client {
    /// Sends a request until it is answered, with the same ids, as a client does. `wanted`: the type of its answer.
    pub async fn asks(&mut self, room: &str, frame: Value, wanted: &str) -> Asked {
        self.tries(room, frame, wanted, MAX_RETRIES).await
    }

    async fn tries(&mut self, room: &str, frame: Value, wanted: &str, attempts: usize) -> Asked {
        let mut span = Span { began: self.place.clock.now(), ..Span::default() };
        let (mut answer, mut is_sure) = (None, true);
        for attempt in 0..attempts {
            let began = self.place.clock.now();
            let is_patient = self.is_calm || attempts > MAX_RETRIES;
            let got = self.ask(frame.clone(), if is_patient { PATIENCE } else { RESPONSE_TIMEOUT }).await;
            let is_final = got.as_ref().is_some_and(|answer| !self.is_transient(answer));
            if got.is_none() {
                span.stray = Some(began);
            }
            answer = got;
            if is_final {
                break;
            }
            is_sure = false;
            if attempts > MAX_RETRIES && attempt > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        span.ended = self.place.clock.now();
        let outcome = match &answer {
            Some(answer) if answer["type"] == wanted || answer["type"] == "ack" => Outcome::Done,
            Some(answer) if is_sure => Outcome::Refused(answer["code"].as_str().unwrap_or_default().to_owned()),
            _ => Outcome::Unknown,
        };
        let answer = answer.filter(|answer| !self.is_transient(answer));
        if !room.is_empty() {
            self.notes_request(&frame["action"], room, span, &outcome);
            let code = answer.as_ref().map_or(&Value::Null, |answer| &answer["code"]);
            if *code == "NOT_A_MEMBER" || *code == "BANNED" {
                self.joined.remove(room);
            }
        }
        self.reads_answer(room, span, answer.as_ref());
        Asked { span, answer, outcome }
    }

    fn notes_request(&mut self, action: &Value, room: &str, span: Span, outcome: &Outcome) {
        let (action, connection) = (action.as_str().unwrap().to_owned(), self.record.connections.len());
        let request = Request { action, room: room.to_owned(), span, outcome: outcome.clone(), connection };
        self.record.requests.push(request);
    }

    /// As `notes_request`, for one of the rooms of a `resume`.
    pub fn notes_resume(&mut self, room: &str, span: Span, answer: &Value) {
        let outcome = match answer["error"]["code"].as_str() {
            Some(code) => Outcome::Refused(code.to_owned()),
            None => Outcome::Done,
        };
        self.notes_request(&json!("resume"), room, span, &outcome);
        self.reads_answer(room, span, Some(answer));
    }

    fn reads_answer(&mut self, room: &str, span: Span, answer: Option<&Value>) {
        let contents = answer.map(|answer| marks_in(&answer.to_string())).unwrap_or_default();
        if !contents.is_empty() {
            self.record.answers.push(Seen { span, room: room.to_owned(), contents });
        }
    }

    /// Notes what the client did to the membership or the rights of a user.
    pub fn notes(&mut self, what: What, room: &str, subject: &str, asked: &Asked) {
        let (span, outcome) = (asked.span, asked.outcome.clone());
        let (room, subject, actor) = (room.to_owned(), subject.to_owned(), self.record.user.clone());
        self.record.acts.push(Act { what, room, actor, subject, span, outcome });
    }

    /// Like `asks`, but must be answered, because no faults are injected.
    pub async fn asks_until_answered(&mut self, frame: Value) -> Asked {
        let room = frame["roomId"].as_str().unwrap_or_default().to_owned();
        let wanted = match frame["action"].as_str() {
            Some("joinRoom") => "room",
            Some("ping") => "pong",
            Some("getMessages") => "messages",
            Some("roomInfo") => "room",
            Some("sendMessage") => "message",
            Some("resume") => "resumed",
            _ => "ack",
        };
        let asked = self.tries(&room, frame.clone(), wanted, MAX_ATTEMPTS).await;
        assert!(asked.answer.is_some(), "{} got no response to: {frame}", self.record.user);
        asked
    }

    /// Whether a retry may succeed.
    fn is_transient(&self, answer: &Value) -> bool {
        let code = answer["code"].as_str().unwrap_or_default();
        answer["message"] == "Internal server error"
            || answer["message"] == "Endpoint request timed out"
            || answer["type"] == "error" && answer["status"].as_u64().unwrap_or(0) >= 500
            || code == "RECONNECT"
            || code == "SESSION_EXPIRED"
            // The release of before does not know the action.
            || self.place.is_mixed && code == "UNKNOWN_ACTION"
    }

    /// Sends a frame, on a new connection if there is none. Returns its request id.
    pub async fn sends_frame(&mut self, mut frame: Value) -> Option<Value> {
        self.connects().await?;
        self.requests += 1;
        let id = json!(format!("{}", self.requests));
        frame["requestId"] = id.clone();
        let sent = self.socket.as_mut()?.send_frame(frame).await;
        if sent.is_err() {
            self.socket = None;
        }
        sent.ok().map(|()| id)
    }

    /// The answer to a frame; `None` without one.
    async fn ask(&mut self, frame: Value, patience: Duration) -> Option<Value> {
        let id = self.sends_frame(frame).await?;
        let until = Instant::now() + patience;
        loop {
            let (is_mixed, socket) = (self.place.is_mixed, self.socket.as_mut()?);
            let received = async {
                // The frames of the release of before have other schemas.
                if is_mixed { socket.receive().await } else { socket.receive_published().await }
            };
            match timeout_at(until, received).await {
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
            let is_short = !self.place.is_mixed && self.rng.u32(..4) == 0;
            let at = self.place.clock.now();
            let url = self.place.url_of(&self.record.user, is_short);
            let (socket, _) = timeout(PATIENCE, Socket::try_open(&url, &[])).await.ok()?.ok()?;
            self.socket = Some(socket);
            self.record.connections.push(Connected { at, is_short });
        }
        Some(())
    }

    fn hears(&mut self, frame: &Value) {
        // A late response is not a delivery.
        if frame.get("requestId").is_none() {
            self.notes_heard(frame);
        }
        let room = frame["roomId"].as_str().unwrap_or_default();
        match frame["type"].as_str() {
            Some("message") => self.shows(frame),
            Some("edited" | "deleted" | "reactions" | "pinned" | "unpinned") => self.changes(frame),
            Some("left") if frame["userId"] == self.record.user.as_str() => drop(self.joined.remove(room)),
            _ => {}
        }
    }

    fn notes_heard(&mut self, frame: &Value) {
        let at = self.place.clock.now();
        let contents = marks_in(&frame.to_string());
        if contents.is_empty() {
            return;
        }
        let room = frame["roomId"].as_str().unwrap_or_default().to_owned();
        // A reply also has a part of what it replies to, which can be older.
        for content in marks_in(frame["content"].as_str().unwrap_or_default()) {
            let connection = self.record.connections.len();
            self.record.deliveries.push(Delivery { at, room: room.clone(), content, connection });
        }
        let span = Span { began: at, ended: at, stray: None };
        self.record.heard.push(Seen { span, room, contents });
    }

    /// Shows a message as it was when it was read.
    pub fn shows(&mut self, message: &Value) {
        let (room, seq) = (message["roomId"].as_str().unwrap().to_owned(), message["seq"].as_u64().unwrap());
        self.record.views.entry(room.clone()).or_default().shows(message);
        let shown = Shown::of(message);
        let before = self.record.states.insert((room.clone(), seq, shown.rev), shown.clone());
        if let Some(before) = before
            && before != shown
            && !self.place.is_mixed
        {
            self.record.anomalies.push(format!("3: {room} {seq} was {before:?} and then {shown:?}"));
        }
    }

    /// Applies a change that was heard or answered.
    pub fn changes(&mut self, frame: &Value) {
        let room = frame["roomId"].as_str().unwrap().to_owned();
        self.record.views.entry(room).or_default().changes(frame);
    }
}
