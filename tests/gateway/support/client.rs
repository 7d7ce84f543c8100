//! A WebSocket client of the gateway, independent of the function behind it.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::harness::{Socket, soon};

pub struct Client {
    /// The connection id, or empty if the test does not know it.
    pub id: String,
    socket: Socket,
}

impl Client {
    pub fn new(socket: Socket) -> Self {
        Self { id: String::new(), socket }
    }

    pub fn with_id(self, id: String) -> Self {
        Self { id, ..self }
    }

    pub async fn sends(&mut self, text: &str) {
        self.socket.send(text).await.unwrap();
    }

    pub async fn asks_for(&mut self, action: &str) {
        self.sends(&json!({ "action": action }).to_string()).await;
    }

    pub async fn sends_binary(&mut self) {
        self.socket.send_message(Message::binary(vec![0])).await.unwrap();
    }

    /// Sends one message in frames of these sizes. If the gateway closes the connection, the rest may fail to send.
    pub async fn sends_in_frames(&mut self, sizes: &[usize]) {
        for (number, size) in sizes.iter().enumerate() {
            let kind = if number == 0 { Data::Text } else { Data::Continue };
            let frame = Frame::message(vec![b'x'; *size], OpCode::Data(kind), number + 1 == sizes.len());
            let _ = self.socket.send_message(Message::Frame(frame)).await;
        }
    }

    /// The next text from the gateway.
    pub async fn hears(&mut self) -> String {
        match self.receives().await {
            Message::Text(text) => text.as_str().to_owned(),
            other => panic!("expected a text frame, not {other:?}"),
        }
    }

    /// The next error frame of the gateway itself, with its ids replaced by `...`.
    pub async fn hears_error(&mut self) -> String {
        let text = self.hears().await;
        let frame: Value = serde_json::from_str(&text).unwrap();
        assert!(self.id.is_empty() || frame["connectionId"] == self.id, "{text}");
        let ids = ["connectionId", "requestId"].map(|name| frame[name].as_str().unwrap().to_owned());
        ids.iter().fold(text, |text, id| text.replace(id, "..."))
    }

    /// Sends a ping frame and waits for the pong. `None`, or code and reason if the connection is closed instead.
    pub async fn pings(&mut self) -> Option<(u16, String)> {
        let _ = self.socket.send_message(Message::Ping(Vec::new().into())).await;
        match self.receives().await {
            Message::Pong(_) => None,
            Message::Close(frame) => Some(self.completes_close(frame).await),
            other => panic!("expected a pong, not {other:?}"),
        }
    }

    /// Waits until the gateway closes the connection, and returns code and reason.
    pub async fn is_closed(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(frame) = self.receives().await {
                return self.completes_close(frame).await;
            }
        }
    }

    /// Sends a message that is longer than the gateway accepts. Returns the code of the close frame, which arrives
    /// before all of the message is sent.
    pub async fn close_code_while_sending(self, text: &str) -> u16 {
        let (mut sink, mut stream) = self.socket.into_inner().split();
        let closed = async {
            tokio::select! {
                biased;
                received = stream.next() => received,
                _ = sink.send(Message::text(text)) => stream.next().await,
            }
        };
        match soon("the connection stays open", closed).await {
            Some(Ok(Message::Close(Some(frame)))) => frame.code.into(),
            other => panic!("expected a close frame, not {other:?}"),
        }
    }

    /// Closes the connection, with or without a code and a reason.
    pub async fn closes(mut self, frame: Option<(u16, &'static str)>) {
        let frame = frame.map(|(code, reason)| CloseFrame { code: code.into(), reason: reason.into() });
        self.socket.close(frame).await.unwrap();
    }

    /// Responds to the close frame, and waits for the end of the connection.
    async fn completes_close(&mut self, frame: Option<CloseFrame>) -> (u16, String) {
        soon("the connection was not ended", async { while let Some(Ok(_)) = self.socket.receive().await {} }).await;
        let frame = frame.expect("a close frame without a code");
        (frame.code.into(), frame.reason.as_str().to_owned())
    }

    async fn receives(&mut self) -> Message {
        let message = soon("no frame arrived", self.socket.receive()).await;
        message.expect("the connection was closed").expect("the connection failed")
    }
}
