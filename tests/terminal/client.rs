//! A client of the stack in the terminal.

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

    /// The code and the reason that the connection is closed with. The client's own close frame waits for `closes`.
    pub async fn hears_close(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(frame) = self.next().await {
                let frame = frame.expect("a close frame without a code");
                return (frame.code.into(), frame.reason.to_string());
            }
        }
    }

    pub async fn closes(&mut self) {
        // It is closed when both have said so.
        self.0.flush().await;
    }

    async fn next(&mut self) -> Message {
        soon("nothing comes", self.0.receive_published()).await.expect("it is closed").unwrap()
    }

    /// Announces a file, uploads it, and is refused where it may not look.
    pub async fn uploads(&mut self, room: &str) {
        let file = json!({ "action": "handleFileUpload", "roomId": room, "fileName": "a.png",
            "contentType": "image/png", "size": 4 });
        self.send(file).await;
        let upload = self.hears("upload").await;
        let url = upload["uploadUrl"].as_str().unwrap();
        let headers = upload["headers"].as_object().unwrap().iter();
        let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
        let headers: Vec<_> = headers.into_iter().filter(|(name, _)| *name != "content-length").collect();
        assert_eq!(request("PUT", url, &headers, b"good").await.status, 200);
        // Without the signature.
        assert_eq!(get(url.split('?').next().unwrap()).await.0, 403);
    }
}

/// The status and the body of a GET.
pub async fn get(url: &str) -> (u16, String) {
    let answer = request("GET", url, &[], b"").await;
    (answer.status, answer.text().to_owned())
}
