//! A client of the gateway, whatever the function behind it says.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::harness::{Socket, soon};

pub struct Client {
    /// The connection's id, where the test knows it.
    pub id: String,
    socket: Socket,
}

impl Client {
    pub fn new(socket: Socket) -> Self {
        Self { id: String::new(), socket }
    }

    pub fn known_as(self, id: String) -> Self {
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

    /// One message in frames of these sizes. When the gateway has enough of it, the rest may not get through.
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
            other => panic!("a text is expected, not {other:?}"),
        }
    }

    /// What the gateway itself says, without the ids in it: `...` stands for them.
    pub async fn is_told(&mut self) -> String {
        let text = self.hears().await;
        let frame: Value = serde_json::from_str(&text).unwrap();
        assert!(self.id.is_empty() || frame["connectionId"] == self.id, "{text}");
        let ids = ["connectionId", "requestId"].map(|name| frame[name].as_str().unwrap().to_owned());
        ids.iter().fold(text, |text, id| text.replace(id, "..."))
    }

    /// Asks of the protocol whether anybody is there, and is answered, unless the connection ends before that.
    pub async fn pings(&mut self) -> Option<(u16, String)> {
        let _ = self.socket.send_message(Message::Ping(Vec::new().into())).await;
        match self.receives().await {
            Message::Pong(_) => None,
            Message::Close(frame) => Some(self.bids_farewell(frame).await),
            other => panic!("a pong is expected, not {other:?}"),
        }
    }

    /// Waits for the gateway to close the connection, and gives code and reason.
    pub async fn is_closed(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(frame) = self.receives().await {
                return self.bids_farewell(frame).await;
            }
        }
    }

    /// Sends a message and is told meanwhile, before all of it has gone, that the connection is closed; with which
    /// code.
    pub async fn hears_its_end_while_it_sends(self, text: &str) -> u16 {
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
            other => panic!("a close frame is expected, not {other:?}"),
        }
    }

    /// Closes the connection: with a code and a reason or without.
    pub async fn closes(mut self, said: Option<(u16, &'static str)>) {
        let frame = said.map(|(code, reason)| CloseFrame { code: code.into(), reason: reason.into() });
        self.socket.close(frame).await.unwrap();
    }

    /// Lets the gateway have its answer to the close frame.
    async fn bids_farewell(&mut self, frame: Option<CloseFrame>) -> (u16, String) {
        soon("the connection is not ended", async { while let Some(Ok(_)) = self.socket.receive().await {} }).await;
        let frame = frame.expect("it is closed without a code");
        (frame.code.into(), frame.reason.as_str().to_owned())
    }

    async fn receives(&mut self) -> Message {
        let message = soon("nothing is heard", self.socket.receive()).await;
        message.expect("the connection has ended").expect("the connection has broken")
    }
}
