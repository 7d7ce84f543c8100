//! The WebSocket API: handshakes, frames, ends.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::header::{HOST, SEC_WEBSOCKET_PROTOCOL, UPGRADE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tungstenite::error::{Error as SocketError, ProtocolError};

use super::connections::{self, Identity, Live, MESSAGE_BYTES, Outgoing, forbidden, too_large, unsigned};
use super::events::{self, Ending};
use super::socket::{Peer, Sockets, Wire};
use super::{Gateway, IntegrationError, is_too_long, new_id};
use crate::actions;
use crate::local::guard::{self, Guard};
use crate::local::runtime::READ_BYTES;
use crate::local::sigv4::Signed;

const FRAME_BYTES: usize = 32 * 1024;
const URL_CHARS: usize = 4096;
/// What each open socket keeps for reading; frames that are longer get more while they come.
const READ_BUFFER_BYTES: usize = 4 * 1024;
/// Without data in either direction; pings of the protocol are none.
const IDLE: Duration = Duration::from_secs(10 * 60);
const LIFETIME: Duration = Duration::from_secs(2 * 60 * 60);
const INTEGRATION_TIMEOUT: Duration = Duration::from_secs(29);
/// How long a client is waited for that may have gone already.
const GRACE: Duration = Duration::from_secs(2);

/// Serves the API until the stack ends.
pub fn serve(listener: TcpListener, guard: Guard, gateway: Arc<Gateway>) -> JoinHandle<()> {
    let api =
        Router::new().fallback(request).with_state(gateway).layer(middleware::from_fn_with_state(guard, guard::check));
    tokio::spawn(async move {
        let _ = axum::serve(Sockets(listener), api.into_make_service_with_connect_info::<Peer>()).await;
    })
}

async fn request(
    State(gateway): State<Arc<Gateway>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let rest = path.strip_prefix('/').and_then(|path| path.strip_prefix(gateway.setup.stage.as_str()));
    if let Some(id) = rest.and_then(connection) {
        return manage(&gateway, &id, &parts, body).await;
    }
    let is_upgrade = parts.headers.contains_key(UPGRADE);
    match rest {
        Some("" | "/") => open(gateway, peer, parts).await,
        _ if parts.method == Method::GET && !is_upgrade && !is_of_connections(path) => {
            StatusCode::UPGRADE_REQUIRED.into_response()
        }
        _ => forbidden(),
    }
}

/// The id in `/@connections/{id}`. Both parts may be percent-encoded.
fn connection(path: &str) -> Option<String> {
    let (first, id) = path.strip_prefix('/')?.split_once('/')?;
    is_of_connections(first).then(|| percent_decode_str(id).decode_utf8_lossy().into_owned())
}

fn is_of_connections(path: &str) -> bool {
    path.split('/').any(|segment| percent_decode_str(segment).decode_utf8_lossy() == "@connections")
}

/// Answers a request to `@connections`, if it is signed and no web page's.
async fn manage(gateway: &Gateway, id: &str, parts: &Parts, body: Body) -> Response {
    if let Some(refusal) = guard::refuse_page(&parts.headers) {
        return refusal;
    }
    if let Err(refusal) = gateway.verifier.require_signature(&parts.headers) {
        return unsigned(&refusal);
    }
    let body = match to_bytes(body, READ_BYTES).await {
        Ok(body) => body,
        Err(error) if is_too_long(&error) => return too_large(),
        Err(_) => return StatusCode::BAD_REQUEST.into_response(),
    };
    let signed = Signed { method: &parts.method, uri: &parts.uri, headers: &parts.headers, body: &body };
    if let Err(refusal) = gateway.verifier.verify(&signed) {
        return unsigned(&refusal);
    }
    gateway.calls.record_connections(&parts.method, &parts.headers);
    connections::answer(gateway, &parts.method, id, body).await
}

async fn open(gateway: Arc<Gateway>, peer: Peer, mut parts: Parts) -> Response {
    if parts.uri.to_string().len() > URL_CHARS {
        return StatusCode::URI_TOO_LONG.into_response();
    }
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut parts, &()).await else {
        return StatusCode::UPGRADE_REQUIRED.into_response();
    };
    if gateway.sessions.is_closed() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let user_agent = parts.headers.get(USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
    let identity = Identity { source_ip: peer.address.ip().to_canonical().to_string(), user_agent };
    let host = parts.headers.get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    let (live, outgoing) = Live::new(gateway.clock.now(), identity, host.unwrap_or_default());

    let event = events::connect(&gateway, &live, &parts.headers, parts.uri.query());
    let (answer, accepted) = match connect(&gateway, &live, event).await {
        Ok(outcome) => outcome,
        Err(IntegrationError::Failed) => return StatusCode::BAD_GATEWAY.into_response(),
        Err(IntegrationError::TimedOut) => return StatusCode::GATEWAY_TIMEOUT.into_response(),
    };
    let Some(accepted) = accepted else {
        return status_of(&answer).unwrap_or(StatusCode::BAD_GATEWAY).into_response();
    };
    let subprotocol = header(&answer, SEC_WEBSOCKET_PROTOCOL.as_str());

    // From here on it can be posted to; what is posted before the socket is there waits for it.
    let at_work = gateway.sessions.token();
    gateway.registry.add(Arc::clone(&live));
    if gateway.sessions.is_closed() {
        live.close(Ending::going_away());
    }
    let upgrade =
        upgrade.max_frame_size(FRAME_BYTES).max_message_size(MESSAGE_BYTES).read_buffer_size(READ_BUFFER_BYTES);
    let mut response = upgrade.on_upgrade(move |socket| async move {
        if let Some(session) = accepted.session() {
            let ending = session.run(socket, peer.wire, outgoing).await;
            closed(&session.gateway, &session.live, &ending).await;
        }
        drop(at_work);
    });
    if let Some(subprotocol) = subprotocol.and_then(|name| HeaderValue::from_str(&name).ok()) {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, subprotocol);
    }
    response
}

/// A connection that the function has accepted: as long as it has no socket, dropping it is its end, of which the
/// function hears. So it is when the client has not waited for its handshake.
struct Accepted {
    session: Option<Session>,
}

impl Accepted {
    fn session(mut self) -> Option<Session> {
        self.session.take()
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        if let Some(Session { gateway, live }) = self.session.take() {
            let sessions = gateway.sessions.clone();
            sessions.spawn(async move { closed(&gateway, &live, &Ending::abnormal()).await });
        }
    }
}

/// The function's answer to a handshake; it works to its end also when the client does not wait for it.
async fn connect(
    gateway: &Arc<Gateway>,
    live: &Arc<Live>,
    event: Value,
) -> Result<(Value, Option<Accepted>), IntegrationError> {
    let (gateway, live) = (Arc::clone(gateway), Arc::clone(live));
    let (answer, answered) = oneshot::channel();
    tokio::spawn(async move {
        let outcome = gateway.integrate(&event, INTEGRATION_TIMEOUT).await.map(|answer| {
            let is_accepted = status_of(&answer).is_some_and(|status| status.is_success());
            let session = is_accepted.then_some(Session { gateway, live });
            (answer, session.map(|session| Accepted { session: Some(session) }))
        });
        // Where nobody waits any more, what is accepted ends here.
        drop(answer.send(outcome));
    });
    answered.await.unwrap_or(Err(IntegrationError::Failed))
}

fn status_of(answer: &Value) -> Option<StatusCode> {
    super::final_status(answer["statusCode"].as_u64()?)
}

fn header(answer: &Value, wanted: &str) -> Option<String> {
    let headers = answer["headers"].as_object()?;
    let (_, value) = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
    value.as_str().map(str::to_owned)
}

async fn closed(gateway: &Gateway, live: &Live, ending: &Ending) {
    gateway.registry.remove(&live.id);
    if gateway.faults.strikes(|plan| plan.disconnect_lost) {
        return;
    }
    // The client has gone; there is nobody to tell how it went.
    let _ = gateway.integrate(&events::disconnect(gateway, live, ending), INTEGRATION_TIMEOUT).await;
}

/// An open socket.
struct Session {
    gateway: Arc<Gateway>,
    live: Arc<Live>,
}

impl Session {
    async fn run(&self, socket: WebSocket, wire: Wire, mut outgoing: mpsc::Receiver<Outgoing>) -> Ending {
        let (mut sink, mut stream) = socket.split();
        let idle = self.gateway.scaled(IDLE);
        let mut idle_until = Instant::now() + idle;
        let mut end = (Instant::now() + self.gateway.scaled(LIFETIME), Ending::going_away());
        // Whether a frame is on its way to a client that may be slow to read.
        let mut sends = false;
        // Whether nothing gets through to the client any more. What it has said before still counts.
        let mut is_broken = false;
        // Whether there may be more of what was wrong, which the client sends before it looks what it is told.
        let mut overflows = false;
        let ending = loop {
            tokio::select! {
                received = stream.next() => match received {
                    Some(Ok(Message::Text(_))) if self.gateway.faults.strikes(|plan| plan.socket_dropped) => {
                        return Ending::abnormal();
                    }
                    Some(Ok(Message::Text(text))) => {
                        idle_until = Instant::now() + idle;
                        self.live.touch(self.gateway.clock.now());
                        self.dispatch(text.as_str().to_owned());
                    }
                    Some(Ok(Message::Binary(_))) => break Ending::new(1003, "Binary is not supported"),
                    Some(Ok(Message::Close(frame))) => {
                        self.gateway.registry.remove(&self.live.id);
                        self.gateway.sessions.spawn(farewell(sink, stream, None, None));
                        return ending_of(frame);
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Err(error)) => {
                        overflows = true;
                        match error.into_inner().downcast_ref::<SocketError>() {
                            Some(SocketError::Capacity(_)) => break Ending::new(1009, "Message is too big"),
                            Some(SocketError::Utf8(_)) => break Ending::new(1007, "Invalid UTF-8"),
                            Some(SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                                return Ending::abnormal();
                            }
                            Some(SocketError::Protocol(_)) => break Ending::new(1002, "Protocol error"),
                            _ => return Ending::abnormal(),
                        }
                    }
                    None => return Ending::abnormal(),
                },
                Some(what) = outgoing.recv(), if !sends && !is_broken => match what {
                    Outgoing::Text(text) => {
                        self.live.has_taken(&text);
                        idle_until = Instant::now() + idle;
                        self.live.touch(self.gateway.clock.now());
                        // Nothing is sent before the one before is; so there is place for it, and it goes with the
                        // flush.
                        let _ = sink.feed(Message::Text(text.into())).await;
                        sends = true;
                    }
                    Outgoing::Close(ending) => break ending,
                },
                sent = sink.flush(), if sends => {
                    sends = false;
                    if sent.is_err() {
                        is_broken = true;
                        end = (Instant::now() + GRACE, Ending::abnormal());
                    }
                }
                // What was posted before may still go out, if the client reads.
                () = self.live.cut() => end = (Instant::now() + GRACE, Ending::closed()),
                () = sleep_until(end.0) => break end.1,
                () = sleep_until(idle_until) => break Ending::going_away(),
            }
        };
        self.gateway.registry.remove(&self.live.id);
        let wire = overflows.then_some(wire);
        self.gateway.sessions.spawn(farewell(sink, stream, Some(ending.clone()), wire));
        ending
    }

    /// Frames of one connection may be under way at once, and their answers come as they come.
    fn dispatch(&self, body: String) {
        let (gateway, live) = (Arc::clone(&self.gateway), Arc::clone(&self.live));
        self.gateway.sessions.spawn(async move {
            let (key, has_route_response) = selected(&body).unwrap_or((actions::DEFAULT, true));
            if key == actions::DEFAULT && !gateway.setup.has_default_route {
                live.send(told("Forbidden", &live.id));
                return;
            }
            let event = events::message(&gateway, &live, key, &body);
            let answer = match gateway.integrate(&event, INTEGRATION_TIMEOUT).await {
                // An answer without a body is an empty frame, unless its status says that there is none.
                Ok(answer) if answer["statusCode"].is_u64() => {
                    let is_heard = has_route_response && status_of(&answer) != Some(StatusCode::NO_CONTENT);
                    is_heard.then(|| answer["body"].as_str().unwrap_or_default().to_owned())
                }
                Ok(_) | Err(IntegrationError::Failed) => Some(told("Internal server error", &live.id)),
                Err(IntegrationError::TimedOut) => Some(told("Endpoint request timed out", &live.id)),
            };
            if let Some(answer) = answer {
                live.send(answer);
            }
        });
    }
}

/// `$request.body.action`: the route of exactly that key, and whether it has a route response.
fn selected(body: &str) -> Option<(&'static str, bool)> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let action = body["action"].as_str()?;
    actions::websocket_routes().find(|(key, _)| *key == action)
}

/// What API Gateway itself tells a client, with its very spacing.
fn told(message: &str, connection: &str) -> String {
    let request = new_id();
    format!(r#"{{"message": "{message}", "connectionId":"{connection}", "requestId":"{request}"}}"#)
}

/// Lets the close frames of both sides go through, as the protocol wants it; some clients never send theirs, or read
/// none. Where what comes is no longer understood, the wire is closed behind the close frame, for the client to see the
/// end at once.
async fn farewell(
    mut sink: SplitSink<WebSocket, Message>,
    mut stream: SplitStream<WebSocket>,
    said: Option<Ending>,
    overflowing: Option<Wire>,
) {
    let both = async {
        if let Some(Ending { code, reason }) = said {
            sink.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await.ok();
        }
        match overflowing {
            Some(wire) => wire.close_behind().await,
            None => while let Some(Ok(_)) = stream.next().await {},
        }
    };
    let _ = timeout(GRACE, both).await;
}

fn ending_of(frame: Option<CloseFrame>) -> Ending {
    match frame {
        Some(frame) => Ending::new(frame.code, &frame.reason),
        None => Ending::new(1005, "Client-side close frame status not set"),
    }
}
