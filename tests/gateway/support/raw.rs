//! A TCP socket, for tests that control every byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::soon;

pub struct Raw(TcpStream);

impl Raw {
    /// Connects to the host and port of a URL.
    pub async fn connect(url: &str) -> Self {
        Self(TcpStream::connect(url.split('/').nth(2).unwrap()).await.unwrap())
    }

    pub async fn sends(&mut self, text: &str) {
        self.sends_bytes(text.as_bytes()).await;
    }

    pub async fn sends_bytes(&mut self, bytes: &[u8]) {
        soon("the bytes were not accepted", self.0.write_all(bytes)).await.unwrap();
    }

    pub async fn sends_handshake(&mut self, path: &str) {
        let key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: chat\r\n";
        self.sends(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{upgrade}{key}\r\n")).await;
    }

    /// Reads the status line and the headers of a response.
    pub async fn reads_head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon("no response arrived", self.0.read_u8()).await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    /// Reads until the other side closes. This side stays open.
    pub async fn reads_to_the_end(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        soon("the connection stays open", self.0.read_to_end(&mut all)).await.unwrap();
        all
    }
}
