//! The WebSocket client: what a test sends and hears is validated against the published schemas.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::outgoing::Outgoing;
use super::{contract, soon};

/// Small, because tests open thousands of sockets in a process.
const READ_BUFFER_BYTES: usize = 4096;

pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Opens a connection. Also returns the response headers, or the status of a failed handshake.
    pub async fn open(url: &str, headers: &[(&str, &str)]) -> Result<(Self, HeaderMap), u16> {
        let opened = soon("no answer to the handshake", Self::try_open(url, headers)).await;
        match opened {
            Ok(opened) => Ok(opened),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("the handshake failed: {error}"),
        }
    }

    /// Like `open`, but also returns network errors.
    pub async fn try_open(url: &str, headers: &[(&str, &str)]) -> Result<(Self, HeaderMap), Error> {
        let mut request = url.into_client_request()?;
        for (name, value) in headers {
            request.headers_mut().append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
        let (socket, response) = connect_async_with_config(request, Some(config), false).await?;
        Ok((Self(socket), response.headers().clone()))
    }

    /// Sends a frame to Switchboard's function. It must be valid by its schema, unless it is marked.
    pub async fn send_frame(&mut self, frame: impl Into<Outgoing>) -> Result<(), Error> {
        self.send(&contract::sent_frame(frame)).await
    }

    /// Sends a text without validation, to a function other than Switchboard's.
    pub async fn send(&mut self, text: &str) -> Result<(), Error> {
        self.send_message(Message::text(text)).await
    }

    /// Sends a message of any kind.
    pub async fn send_message(&mut self, message: Message) -> Result<(), Error> {
        self.0.send(message).await
    }

    /// The next message; `None` when the connection has ended.
    pub async fn receive(&mut self) -> Option<Result<Message, Error>> {
        self.0.next().await
    }

    /// Like `receive`, from Switchboard's function: a text must be a published frame or bare text.
    pub async fn receive_published(&mut self) -> Option<Result<Message, Error>> {
        let message = self.receive().await;
        if let Some(Ok(Message::Text(text))) = &message {
            contract::heard_frame(text);
        }
        message
    }

    /// Closes the connection and waits for the close frame of the server.
    pub async fn close(&mut self, frame: Option<CloseFrame>) -> Result<(), Error> {
        self.0.close(frame).await?;
        while let Some(Ok(_)) = self.0.next().await {}
        Ok(())
    }

    /// Sends a close frame without waiting for the response.
    pub async fn leave(mut self) {
        let _ = self.0.close(None).await;
    }

    /// Flushes the buffer.
    pub async fn flush(&mut self) {
        let _ = self.0.flush().await;
    }

    /// The stream, which can be split to send and receive concurrently.
    pub fn into_inner(self) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
        self.0
    }
}

/// A received frame: JSON or bare text.
pub fn frame_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}
