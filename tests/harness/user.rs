//! A user with a connection.

use std::collections::VecDeque;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::socket::frame_of;
use super::{Outgoing, PATIENCE, Socket};

pub struct User {
    socket: Socket,
    /// Received frames that the test has not consumed.
    heard: VecDeque<Value>,
    asked: u32,
}

impl User {
    pub fn new(socket: Socket) -> Self {
        Self { socket, heard: VecDeque::new(), asked: 0 }
    }

    /// Sends a frame. It must be valid by its schema unless it is marked: `unchecked(..)`, `with_aliases(..)`.
    pub async fn send(&mut self, frame: impl Into<Outgoing>) {
        self.socket.send_frame(frame).await.unwrap();
    }

    pub async fn send_binary(&mut self, bytes: Vec<u8>) {
        self.socket.send_message(Message::binary(bytes)).await.unwrap();
    }

    /// Sends a frame and returns the response to it, matched by request id and without that field.
    pub async fn ask(&mut self, frame: impl Into<Outgoing>) -> Value {
        self.asked += 1;
        let id = json!(format!("question {}", self.asked));
        self.send(frame.into().with_request_id(&id)).await;
        let mut answer = self.waits_for("an answer", |frame| frame["requestId"] == id).await;
        answer.as_object_mut().unwrap().remove("requestId");
        answer
    }

    /// Like `ask`, but the connection may end or the response may be missing.
    pub async fn may_ask(&mut self, frame: impl Into<Outgoing>) -> Option<Value> {
        self.socket.send_frame(frame.into().with_request_id(&json!("question"))).await.ok()?;
        let answer = async {
            while let Some(Ok(message)) = self.socket.receive_published().await {
                let frame: Value = message.to_text().ok().and_then(|text| serde_json::from_str(text).ok())?;
                if frame["requestId"] == "question" || frame["message"] == "Internal server error" {
                    return Some(frame);
                }
            }
            None
        };
        tokio::time::timeout(PATIENCE, answer).await.ok().flatten()
    }

    /// Like `ask`, for a request that must fail. Returns the status and the code.
    pub async fn is_refused(&mut self, frame: impl Into<Outgoing>) -> (u64, String) {
        let frame = frame.into();
        let answer = self.ask(frame.clone()).await;
        assert_eq!(answer["type"], "error", "{frame} was answered {answer}");
        (answer["status"].as_u64().unwrap(), answer["code"].as_str().unwrap().to_owned())
    }

    /// The next frame of this type. Other frames remain to be consumed.
    pub async fn hears(&mut self, kind: &str) -> Value {
        self.waits_for(kind, |frame| frame["type"] == kind).await
    }

    /// The next frame that is bare text.
    pub async fn hears_text(&mut self) -> String {
        let text = self.waits_for("a text", Value::is_string).await;
        text.as_str().unwrap().to_owned()
    }

    /// The next frame, whatever it is.
    pub async fn hears_anything(&mut self) -> Value {
        self.waits_for("anything", |_| true).await
    }

    /// Asserts that no frame is left, with a ping whose response must arrive after all earlier frames.
    pub async fn hears_nothing(&mut self) {
        let pong = self.ask(json!({ "action": "ping" })).await;
        assert_eq!(pong["type"], "pong");
        assert!(self.heard.is_empty(), "heard {:?}", self.heard);
    }

    /// Drops the received frames.
    pub fn clears_received(&mut self) {
        self.heard.clear();
    }

    /// Joins a room.
    pub async fn joined(mut self, room: &str) -> Self {
        let answer = self.ask(json!({ "action": "joinRoom", "roomId": room })).await;
        assert_eq!(answer["type"], "room", "{answer}");
        self
    }

    /// Creates a room with these members and returns its id.
    pub async fn creates_room(&mut self, members: &[&str]) -> String {
        let answer = self.ask(json!({ "action": "createRoom", "members": members })).await;
        assert_eq!(answer["type"], "room", "{answer}");
        answer["roomId"].as_str().unwrap().to_owned()
    }

    /// Sends a message to a room and returns the sender's copy.
    pub async fn says(&mut self, room: &str, content: &str) -> Value {
        let answer = self.ask(json!({ "action": "sendMessage", "roomId": room, "content": content })).await;
        assert_eq!(answer["type"], "message", "{answer}");
        answer
    }

    /// Waits until the server closes the connection, and returns the code.
    pub async fn is_closed(&mut self) -> Option<u16> {
        let closed = async {
            loop {
                match self.socket.receive_published().await {
                    Some(Ok(Message::Close(frame))) => return frame.map(|frame: CloseFrame| frame.code.into()),
                    Some(Ok(Message::Text(text))) => {
                        self.heard.push_back(frame_of(&text));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        };
        tokio::time::timeout(PATIENCE, closed).await.expect("the connection stays open")
    }

    /// Sends a frame unless the connection has ended.
    pub async fn may_send(&mut self, frame: impl Into<Outgoing>) {
        let _ = self.socket.send_frame(frame).await;
    }

    /// Waits until the server closes the connection, and returns what was heard until then.
    pub async fn hears_until_closed(&mut self) -> Vec<Value> {
        self.is_closed().await;
        self.heard.drain(..).collect()
    }

    /// Sends a close frame. The response can be received with `is_closed`.
    pub async fn sends_close(&mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "bye".into() };
        self.socket.send_message(Message::Close(Some(frame))).await.unwrap();
    }

    /// Closes the connection with a close handshake.
    pub async fn closes(mut self) {
        self.socket.close(None).await.unwrap();
    }

    /// Sends a close frame and does not wait for the response.
    pub async fn goes(self) {
        self.socket.leave().await;
    }

    async fn waits_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.heard.iter().position(&wanted) {
            return self.heard.remove(at).unwrap();
        }
        let frame = tokio::time::timeout(PATIENCE, async {
            loop {
                match self.socket.receive_published().await {
                    Some(Ok(Message::Text(text))) => {
                        let frame = frame_of(&text);
                        if wanted(&frame) {
                            return frame;
                        }
                        self.heard.push_back(frame);
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => panic!("waiting for {what}: the connection ended"),
                    Some(Ok(_)) => {}
                }
            }
        })
        .await;
        frame.unwrap_or_else(|_| panic!("waiting for {what}, heard only {:?}", self.heard))
    }
}
