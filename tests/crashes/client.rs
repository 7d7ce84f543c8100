//! A client that keeps every frame it hears, and survives a closed connection.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Outgoing, Socket, World};

/// Longer than the function may take.
const PATIENCE: Duration = Duration::from_secs(40);

pub struct Client {
    pub user: String,
    socket: Option<Socket>,
    /// Everything heard, including the answers.
    pub heard: Vec<Value>,
    asked: u32,
}

impl Client {
    /// A connection with `format=native`; `None` if the handshake fails.
    pub async fn open(world: &World, user: &str, query: &str) -> Option<Self> {
        let url = format!("{}{}&format=native{query}", world.urls().websocket, world.query_of(user));
        let (socket, _) = Socket::open(&url, &[]).await.ok()?;
        Some(Self { user: user.to_owned(), socket: Some(socket), heard: Vec::new(), asked: 0 })
    }

    /// Takes over what an earlier connection of the user has heard, and its count of requests.
    pub fn goes_on_for(&mut self, earlier: &mut Self) {
        self.heard.append(&mut earlier.heard);
        self.asked = earlier.asked;
    }

    /// Sends a frame, and returns the request id of its answer.
    pub async fn send(&mut self, frame: &Value) -> String {
        self.asked += 1;
        let id = format!("question {}", self.asked);
        let frame = Outgoing::from(frame.clone()).with_request_id(&json!(id));
        if let Some(socket) = &mut self.socket
            && socket.send_frame(frame).await.is_err()
        {
            self.socket = None;
        }
        id
    }

    /// The answer to a request: `None` if the function failed or the connection ended.
    pub async fn answer(&mut self, id: &str) -> Option<Value> {
        let is_answer = |frame: &Value| frame["requestId"] == id;
        if let Some(answer) = self.heard.iter().find(|frame| is_answer(frame)) {
            return Some(answer.clone());
        }
        loop {
            let frame = timeout(PATIENCE, self.receive()).await.ok().flatten()?;
            if is_answer(&frame) {
                return Some(frame);
            }
            if frame["message"] == "Internal server error" {
                return None;
            }
        }
    }

    pub async fn ask(&mut self, frame: &Value) -> Option<Value> {
        let id = self.send(frame).await;
        self.answer(&id).await
    }

    /// Repeats a request until it has an answer that is not an internal failure.
    pub async fn insist(&mut self, frame: &Value) -> Option<Value> {
        for _ in 0..5 {
            match self.ask(frame).await {
                Some(answer) if answer["status"].as_u64().unwrap_or(0) < 500 => return Some(answer),
                _ => {}
            }
        }
        None
    }

    /// Receives what was posted before.
    pub async fn catches_up(&mut self) {
        self.ask(&json!({ "action": "ping" })).await;
    }

    pub fn is_open(&self) -> bool {
        self.socket.is_some()
    }

    pub async fn closes(&mut self) {
        if let Some(mut socket) = self.socket.take() {
            let _ = socket.close(None).await;
        }
    }

    pub fn has_heard(&self, kind: &str, room: &str, user: Option<&str>) -> bool {
        let is_about = |frame: &Value| user.is_none_or(|user| frame["userId"] == user);
        self.heard.iter().any(|frame| frame["type"] == kind && frame["roomId"] == room && is_about(frame))
    }

    /// The first heard frame with this text anywhere in it.
    pub fn frame_with(&self, text: &str) -> Option<String> {
        self.heard.iter().map(Value::to_string).find(|frame| frame.contains(text))
    }

    async fn receive(&mut self) -> Option<Value> {
        loop {
            match self.socket.as_mut()?.receive_published().await {
                Some(Ok(Message::Text(text))) => {
                    let frame: Value = serde_json::from_str(&text).unwrap_or_default();
                    self.heard.push(frame.clone());
                    return Some(frame);
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => {
                    self.socket = None;
                    return None;
                }
                Some(Ok(_)) => {}
            }
        }
    }
}
