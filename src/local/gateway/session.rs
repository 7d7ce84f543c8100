//! An open connection: text frames become events, responses and posts become frames, and limits close it.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use axum::http::StatusCode;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tungstenite::error::{Error as SocketError, ProtocolError};

use super::connections::{Connection, Outgoing};
use super::events::{self, CloseStatus};
use super::socket::TcpHandle;
use super::{Gateway, IntegrationError, WEBSOCKET_INTEGRATION_TIMEOUT, new_id, response_status};
use crate::actions;

/// Maximum size of a frame.
pub const FRAME_BYTES: usize = 32 * 1024;
/// Maximum time without data frames in either direction. Pings and pongs do not count.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10 * 60);
const MAX_LIFETIME: Duration = Duration::from_secs(2 * 60 * 60);
/// How long the gateway waits for the client to complete a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// An open connection that the function has accepted.
pub struct Session {
    pub gateway: Arc<Gateway>,
    pub connection: Arc<Connection>,
}

/// Why a session ends.
enum End {
    /// The gateway closes the connection.
    Close(CloseStatus),
    /// The gateway closes the connection because of an invalid frame. The client may still be sending.
    InvalidFrame(CloseStatus),
    /// The client has sent a close frame.
    ClosedByClient(CloseStatus),
    /// The connection is lost without a close frame.
    Lost,
}

impl Session {
    /// Runs until the connection closes, and returns how.
    pub async fn run(&self, socket: WebSocket, tcp: TcpHandle, mut outgoing: mpsc::Receiver<Outgoing>) -> CloseStatus {
        let (mut sink, mut stream) = socket.split();
        let mut idle_until = self.idle_deadline();
        let mut deadline = (Instant::now() + self.gateway.scaled(MAX_LIFETIME), CloseStatus::going_away());
        // Whether a frame is being written, to a client that may be slow to read.
        let mut is_writing = false;
        // Whether writing has failed. Frames that the client sent before are still read.
        let mut is_broken = false;
        let end = loop {
            tokio::select! {
                received = stream.next() => match self.receive(received) {
                    ControlFlow::Continue(true) => idle_until = self.idle_deadline(),
                    ControlFlow::Continue(false) => {}
                    ControlFlow::Break(end) => break end,
                },
                Some(next) = outgoing.recv(), if !is_writing && !is_broken => match next {
                    Outgoing::Text(text) => {
                        self.connection.release(&text);
                        self.connection.touch(self.gateway.clock.now());
                        idle_until = self.idle_deadline();
                        // The previous frame is flushed, so the sink has capacity. The flush below writes this one.
                        let _ = sink.feed(Message::Text(text.into())).await;
                        is_writing = true;
                    }
                    Outgoing::Close(status) => break End::Close(status),
                },
                written = sink.flush(), if is_writing => {
                    is_writing = false;
                    if written.is_err() {
                        is_broken = true;
                        deadline = (Instant::now() + CLOSE_TIMEOUT, CloseStatus::abnormal());
                    }
                }
                // Frames buffered before are still written, if the client reads.
                () = self.connection.closing() => deadline = (Instant::now() + CLOSE_TIMEOUT, CloseStatus::normal()),
                () = sleep_until(deadline.0) => break End::Close(deadline.1),
                () = sleep_until(idle_until) => break End::Close(CloseStatus::going_away()),
            }
        };
        self.end(end, sink, stream, tcp)
    }

    fn idle_deadline(&self) -> Instant {
        Instant::now() + self.gateway.scaled(IDLE_TIMEOUT)
    }

    /// Handles what the client has sent. Continues with whether it was a data frame.
    fn receive(&self, received: Option<Result<Message, axum::Error>>) -> ControlFlow<End, bool> {
        ControlFlow::Break(match received {
            Some(Ok(Message::Text(_))) if self.gateway.faults.strikes(|plan| plan.socket_dropped) => End::Lost,
            Some(Ok(Message::Text(text))) => {
                self.connection.touch(self.gateway.clock.now());
                self.dispatch(text.as_str().to_owned());
                return ControlFlow::Continue(true);
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return ControlFlow::Continue(false),
            Some(Ok(Message::Binary(_))) => End::Close(CloseStatus::new(1003, "Binary is not supported")),
            Some(Ok(Message::Close(frame))) => End::ClosedByClient(close_status(frame)),
            Some(Err(error)) => match error.into_inner().downcast_ref::<SocketError>() {
                Some(SocketError::Capacity(_)) => End::InvalidFrame(CloseStatus::new(1009, "Message is too big")),
                Some(SocketError::Utf8(_)) => End::InvalidFrame(CloseStatus::new(1007, "Invalid UTF-8")),
                Some(SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => End::Lost,
                Some(SocketError::Protocol(_)) => End::InvalidFrame(CloseStatus::new(1002, "Protocol error")),
                _ => End::Lost,
            },
            None => End::Lost,
        })
    }

    /// Completes the close in the background.
    fn end(
        &self,
        end: End,
        sink: SplitSink<WebSocket, Message>,
        stream: SplitStream<WebSocket>,
        tcp: TcpHandle,
    ) -> CloseStatus {
        let (status, sends_close, tcp) = match end {
            End::Lost => return CloseStatus::abnormal(),
            End::ClosedByClient(status) => (status, false, None),
            End::Close(status) => (status, true, None),
            End::InvalidFrame(status) => (status, true, Some(tcp)),
        };
        self.gateway.registry.remove(&self.connection.id);
        let close_frame = sends_close.then(|| status.clone());
        self.gateway.connection_tasks.spawn(close(sink, stream, close_frame, tcp));
        status
    }

    /// Handles a text frame in the background: frames of a connection are handled concurrently, and responses are sent
    /// in the order in which they arrive.
    fn dispatch(&self, body: String) {
        let (gateway, connection) = (Arc::clone(&self.gateway), Arc::clone(&self.connection));
        self.gateway.connection_tasks.spawn(async move {
            if let Some(reply) = reply(&gateway, &connection, &body).await {
                connection.send(reply);
            }
        });
    }
}

/// The frame that answers a text frame, if any.
async fn reply(gateway: &Gateway, connection: &Connection, body: &str) -> Option<String> {
    let (route_key, has_route_response) = select_route(body).unwrap_or((actions::DEFAULT, true));
    if route_key == actions::DEFAULT && !gateway.setup.has_default_route {
        return Some(gateway_error("Forbidden", &connection.id));
    }
    let event = events::message(gateway, connection, route_key, body);
    match gateway.integrate(&event, WEBSOCKET_INTEGRATION_TIMEOUT).await {
        // A response without a body is an empty frame, unless its status is 204.
        Ok(response) if response["statusCode"].is_u64() => {
            let has_frame = has_route_response && response_status(&response) != Some(StatusCode::NO_CONTENT);
            has_frame.then(|| response["body"].as_str().unwrap_or_default().to_owned())
        }
        Ok(_) | Err(IntegrationError::Failed) => Some(gateway_error("Internal server error", &connection.id)),
        Err(IntegrationError::TimedOut) => Some(gateway_error("Endpoint request timed out", &connection.id)),
        Err(IntegrationError::Throttled) => Some(gateway_error("Too Many Requests", &connection.id)),
    }
}

/// `$request.body.action`: the route with exactly this key, and whether it has a route response.
fn select_route(body: &str) -> Option<(&'static str, bool)> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let action = body["action"].as_str()?;
    actions::websocket_routes().find(|(key, _)| *key == action)
}

/// An error frame of API Gateway, with its spacing.
fn gateway_error(message: &str, connection: &str) -> String {
    let request = new_id();
    format!(r#"{{"message": "{message}", "connectionId":"{connection}", "requestId":"{request}"}}"#)
}

/// Exchanges the close frames of both sides. Some clients never send theirs, or do not read. After an invalid frame the
/// write side of the TCP connection is closed after the close frame, so that the client sees the end at once.
async fn close(
    mut sink: SplitSink<WebSocket, Message>,
    mut stream: SplitStream<WebSocket>,
    status: Option<CloseStatus>,
    tcp_after_invalid_frame: Option<TcpHandle>,
) {
    let exchange = async {
        if let Some(CloseStatus { code, reason }) = status {
            sink.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await.ok();
        }
        match tcp_after_invalid_frame {
            Some(tcp) => tcp.shut_down_and_drain().await,
            None => while let Some(Ok(_)) = stream.next().await {},
        }
    };
    let _ = timeout(CLOSE_TIMEOUT, exchange).await;
}

fn close_status(frame: Option<CloseFrame>) -> CloseStatus {
    match frame {
        Some(frame) => CloseStatus::new(frame.code, &frame.reason),
        None => CloseStatus::new(1005, "Client-side close frame status not set"),
    }
}
