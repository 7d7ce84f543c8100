//! Somebody who chats with the stack in the terminal.

use axum::body::Bytes;
use axum::http::Request;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::terminal::PATIENCE;

pub struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    pub async fn connect(url: &str) -> Self {
        Self(timeout(PATIENCE, connect_async(url)).await.expect("no answer to the handshake").unwrap().0)
    }

    pub async fn send(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
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
        let _ = self.0.flush().await;
    }

    async fn next(&mut self) -> Message {
        timeout(PATIENCE, self.0.next()).await.expect("nothing comes").expect("it is closed").unwrap()
    }

    /// Announces a file, uploads it, and is refused where it may not look.
    pub async fn uploads(&mut self, room: &str) {
        let file = json!({ "action": "handleFileUpload", "roomId": room, "fileName": "a.png",
            "contentType": "image/png", "size": 4 });
        self.send(file).await;
        let upload = self.hears("upload").await;
        let url = upload["uploadUrl"].as_str().unwrap();
        let mut request = Request::put(url);
        let headers = upload["headers"].as_object().unwrap().iter();
        for (name, value) in headers.filter(|(name, _)| *name != "content-length") {
            request = request.header(name, value.as_str().unwrap());
        }
        assert_eq!(fetch(request.body(Full::from("good")).unwrap()).await.0, 200);
        // Without the signature.
        assert_eq!(get(url.split('?').next().unwrap()).await.0, 403);
    }
}

/// The status and the body of a GET.
pub async fn get(url: &str) -> (u16, String) {
    fetch(Request::get(url).body(Full::default()).unwrap()).await
}

async fn fetch(request: Request<Full<Bytes>>) -> (u16, String) {
    let client = HttpClient::builder(TokioExecutor::new()).build_http();
    let response = timeout(PATIENCE, client.request(request)).await.expect("no answer").unwrap();
    let status = response.status().as_u16();
    (status, String::from_utf8_lossy(&response.into_body().collect().await.unwrap().to_bytes()).into_owned())
}
