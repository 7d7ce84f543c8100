//! Handshakes: `$connect` decides whether a connection opens. Every accepted connection ends with a `$disconnect`
//! event.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::extract::ws::WebSocketUpgrade;
use axum::http::header::{HOST, SEC_WEBSOCKET_PROTOCOL, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::oneshot;

use super::connections::{Connection, Identity};
use super::events::{self, CloseStatus};
use super::management::MESSAGE_BYTES;
use super::session::{FRAME_BYTES, Session};
use super::socket::Peer;
use super::{Gateway, IntegrationError, WEBSOCKET_INTEGRATION_TIMEOUT, response_status};

const URL_CHARS: usize = 4096;
/// The read buffer of each open socket. Longer frames allocate more while they are read.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Handles a handshake, and then the connection until it closes.
pub async fn open(gateway: Arc<Gateway>, peer: Peer, mut parts: Parts) -> Response {
    if parts.uri.to_string().len() > URL_CHARS {
        return StatusCode::URI_TOO_LONG.into_response();
    }
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await else {
        return StatusCode::UPGRADE_REQUIRED.into_response();
    };
    if gateway.connection_tasks.is_closed() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let source_ip = peer.address.ip().to_canonical().to_string();
    let identity = Identity { source_ip, user_agent: header_text(&parts.headers, &USER_AGENT) };
    let host = header_text(&parts.headers, &HOST).unwrap_or_default();
    let (connection, outgoing) = Connection::new(gateway.clock.now(), identity, host);

    let event = events::connect(&gateway, &connection, &parts.headers, parts.uri.query());
    let (response, accepted) = match connect(&gateway, &connection, event).await {
        Ok(outcome) => outcome,
        Err(IntegrationError::Failed) => return StatusCode::BAD_GATEWAY.into_response(),
        Err(IntegrationError::TimedOut) => return StatusCode::GATEWAY_TIMEOUT.into_response(),
        Err(IntegrationError::Throttled) => return StatusCode::TOO_MANY_REQUESTS.into_response(),
    };
    let Some(accepted) = accepted else {
        return response_status(&response).unwrap_or(StatusCode::BAD_GATEWAY).into_response();
    };

    // Registered before the socket is open: messages posted from now on wait in the buffer.
    let task = gateway.connection_tasks.token();
    gateway.registry.add(Arc::clone(&connection));
    if gateway.connection_tasks.is_closed() {
        connection.close(CloseStatus::going_away());
    }
    let upgrade =
        upgrade.max_frame_size(FRAME_BYTES).max_message_size(MESSAGE_BYTES).read_buffer_size(READ_BUFFER_BYTES);
    let mut upgraded = upgrade.on_upgrade(move |socket| async move {
        if let Some(session) = accepted.into_session() {
            let status = session.run(socket, peer.tcp, outgoing).await;
            disconnected(&session.gateway, &session.connection, &status).await;
        }
        drop(task);
    });
    if let Some(subprotocol) = subprotocol(&response) {
        upgraded.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    upgraded
}

/// A connection that the function has accepted. If it is dropped before its socket opens, because the client has
/// cancelled the handshake, the function gets a `$disconnect` event.
struct Accepted {
    session: Option<Session>,
}

impl Accepted {
    fn into_session(mut self) -> Option<Session> {
        self.session.take()
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        if let Some(Session { gateway, connection }) = self.session.take() {
            let tasks = gateway.connection_tasks.clone();
            tasks.spawn(async move { disconnected(&gateway, &connection, &CloseStatus::abnormal()).await });
        }
    }
}

/// Invokes the function with `$connect`. The invocation completes even if the client cancels the handshake.
async fn connect(
    gateway: &Arc<Gateway>,
    connection: &Arc<Connection>,
    event: Value,
) -> Result<(Value, Option<Accepted>), IntegrationError> {
    let (gateway, connection) = (Arc::clone(gateway), Arc::clone(connection));
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        let outcome = gateway.integrate(&event, WEBSOCKET_INTEGRATION_TIMEOUT).await.map(|response| {
            let is_accepted = response_status(&response).is_some_and(|status| status.is_success());
            let session = is_accepted.then_some(Session { gateway, connection });
            (response, session.map(|session| Accepted { session: Some(session) }))
        });
        // If the client has cancelled, dropping the outcome disconnects an accepted connection.
        drop(sender.send(outcome));
    });
    receiver.await.unwrap_or(Err(IntegrationError::Failed))
}

/// Removes a connection, and sends the function the `$disconnect` event.
async fn disconnected(gateway: &Gateway, connection: &Connection, status: &CloseStatus) {
    gateway.registry.remove(&connection.id);
    if gateway.faults.strikes(|plan| plan.disconnect_lost) {
        return;
    }
    // The client is gone: nobody gets the response.
    let event = events::disconnect(gateway, connection, status);
    let _ = gateway.integrate(&event, WEBSOCKET_INTEGRATION_TIMEOUT).await;
}

/// The subprotocol that the function's response selects.
fn subprotocol(response: &Value) -> Option<HeaderValue> {
    let headers = response["headers"].as_object()?;
    let (_, value) = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(SEC_WEBSOCKET_PROTOCOL.as_str()))?;
    HeaderValue::from_str(value.as_str()?).ok()
}

fn header_text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
