//! A WebSocket client of the stack that runs in the terminal.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Socket, request, soon};

pub struct Client(Socket);

impl Client {
    pub async fn connect(url: &str) -> Self {
        Self(Socket::open(url, &[]).await.unwrap().0)
    }

    pub async fn send(&mut self, frame: Value) {
        self.0.send_frame(frame).await.unwrap();
    }

    /// The next frame of this type.
    pub async fn hears(&mut self, kind: &str) -> Value {
        loop {
            if let Message::Text(text) = self.next().await {
                let frame: Value = serde_json::from_str(&text).unwrap();
                if frame["type"] == kind {
                    return frame;
                }
            }
        }
    }

    /// Waits for the close frame of the server, and returns code and reason. `closes` sends the client's own.
    pub async fn hears_close(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(frame) = self.next().await {
                let frame = frame.expect("a close frame without a code");
                return (frame.code.into(), frame.reason.to_string());
            }
        }
    }

    pub async fn closes(&mut self) {
        // The connection ends when both sides have sent a close frame.
        self.0.flush().await;
    }

    async fn next(&mut self) -> Message {
        soon("no frame arrived", self.0.receive_published()).await.expect("the connection was closed").unwrap()
    }

    /// Requests an upload, uploads the file, and verifies that S3 rejects a download without a signature.
    pub async fn uploads(&mut self, room: &str) {
        let file = json!({ "action": "handleFileUpload", "roomId": room, "fileName": "a.png",
            "contentType": "image/png", "size": 4 });
        self.send(file).await;
        let upload = self.hears("upload").await;
        let url = upload["uploadUrl"].as_str().unwrap();
        let headers = upload["headers"].as_object().unwrap().iter();
        let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        let headers: Vec<_> = headers.into_iter().filter(|(name, _)| *name != "content-length").collect();
        assert_eq!(request("PUT", url, &headers, b"\x89PNG").await.status, 200);
        assert_eq!(get(url.split('?').next().unwrap()).await.0, 403);
    }
}

/// The status and the body of a GET.
pub async fn get(url: &str) -> (u16, String) {
    let answer = request("GET", url, &[], b"").await;
    (answer.status, answer.text().to_owned())
}
