//! The connections there are, and `@connections`: what can be done with one from outside.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;
use tokio::sync::{Notify, mpsc};

use super::events::Ending;
use super::{Gateway, is_id, new_id};
use crate::domain::Timestamp;
use crate::local::sigv4::Refusal;

/// The largest message that can be posted.
pub const MESSAGE_BYTES: usize = 128 * 1024;
/// What may wait for a client that is slow to read.
const OUTBOX_FRAMES: usize = 1024;
const OUTBOX_BYTES: usize = 4 * 1024 * 1024;

/// What is to be done with a socket.
pub enum Outgoing {
    Text(String),
    /// Closed on the server's behalf.
    Close(Ending),
}

/// What API Gateway knows of a client.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    pub source_ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// An open connection.
pub struct Live {
    pub id: String,
    pub connected_at: Timestamp,
    pub identity: Identity,
    /// As the client addressed it.
    pub host: String,
    last_active_ms: AtomicI64,
    outbox: mpsc::Sender<Outgoing>,
    waiting_bytes: AtomicUsize,
    /// That it is to be closed, whether its client reads or not.
    cut: Notify,
}

impl Live {
    /// A connection, and what is to be sent to it.
    pub fn new(connected_at: Timestamp, identity: Identity, host: String) -> (Arc<Self>, mpsc::Receiver<Outgoing>) {
        let (outbox, outgoing) = mpsc::channel(OUTBOX_FRAMES);
        let last_active_ms = AtomicI64::new(connected_at.as_millis());
        let live = Self {
            id: new_id(),
            connected_at,
            identity,
            host,
            last_active_ms,
            outbox,
            waiting_bytes: AtomicUsize::new(0),
            cut: Notify::new(),
        };
        (Arc::new(live), outgoing)
    }

    /// Notes that a data frame went either way.
    pub fn touch(&self, now: Timestamp) {
        self.last_active_ms.store(now.as_millis(), Ordering::Relaxed);
    }

    /// Ends when the connection is to be closed.
    pub async fn cut(&self) {
        self.cut.notified().await;
    }

    /// `false` when the client is too slow to take more.
    pub fn send(&self, text: String) -> bool {
        let bytes = text.len();
        if self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= OUTBOX_BYTES
            && self.outbox.try_send(Outgoing::Text(text)).is_ok()
        {
            return true;
        }
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        false
    }

    /// That what was sent waits no longer.
    pub fn has_taken(&self, text: &str) {
        self.waiting_bytes.fetch_sub(text.len(), Ordering::Relaxed);
    }

    /// Closes it behind what was sent.
    pub fn close(&self, ending: Ending) {
        // Where there is no place for that, it is cut off.
        let _ = self.outbox.try_send(Outgoing::Close(ending));
        self.cut.notify_one();
    }
}

/// All open connections by their ids.
#[derive(Default)]
pub struct Registry(Mutex<HashMap<String, Arc<Live>>>);

impl Registry {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Live>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a connection.
    pub fn add(&self, live: Arc<Live>) {
        self.all().insert(live.id.clone(), live);
    }

    /// Removes a connection.
    pub fn remove(&self, id: &str) -> Option<Arc<Live>> {
        self.all().remove(id)
    }

    /// The ids of the connections.
    pub fn ids(&self) -> Vec<String> {
        self.all().keys().cloned().collect()
    }

    /// Ends every connection, since the gateway itself ends.
    pub fn close_all(&self) {
        for live in self.all().values() {
            live.close(Ending::going_away());
        }
    }

    fn find(&self, id: &str) -> Option<Arc<Live>> {
        self.all().get(id).cloned()
    }
}

/// Answers a request to `@connections/{id}`.
pub async fn answer(gateway: &Gateway, method: &Method, id: &str, body: Bytes) -> Response {
    if *method == Method::POST
        && let Some(fault) = faulty(gateway, id).await
    {
        return fault;
    }
    if !is_id(id) {
        let told = json!({ "message": format!("Invalid connectionId: {id}") });
        return refuse(StatusCode::BAD_REQUEST, "BadRequestException", told);
    }
    let Some(live) = gateway.registry.find(id) else {
        return gone();
    };
    match *method {
        Method::POST if body.len() > MESSAGE_BYTES => too_large(),
        Method::POST => {
            if !live.send(String::from_utf8_lossy(&body).into_owned()) {
                if live.outbox.is_closed() {
                    return gone();
                }
                let told = json!({ "message": "Too many requests" });
                refuse(StatusCode::TOO_MANY_REQUESTS, "LimitExceededException", told)
            } else if gateway.faults.strikes(|plan| plan.post_gone_but_delivered) {
                gone()
            } else {
                StatusCode::OK.into_response()
            }
        }
        Method::GET => {
            let last_active = Timestamp::from_millis(live.last_active_ms.load(Ordering::Relaxed));
            axum::Json(json!({
                "connectedAt": live.connected_at.to_iso(),
                "lastActiveAt": last_active.to_iso(),
                "identity": live.identity,
            }))
            .into_response()
        }
        Method::DELETE => {
            gateway.registry.remove(id);
            live.close(Ending::closed());
            StatusCode::NO_CONTENT.into_response()
        }
        _ => forbidden(),
    }
}

/// What a post is answered when it goes wrong on purpose.
async fn faulty(gateway: &Gateway, id: &str) -> Option<Response> {
    let faults = &gateway.faults;
    faults.linger(|plan| plan.post_latency).await;
    if faults.strikes(|plan| plan.post_hanging(id)) {
        std::future::pending::<()>().await;
    }
    if faults.strikes(|plan| plan.post_gone) {
        return Some(gone());
    }
    if faults.strikes(|plan| plan.post_throttled) {
        return Some(refuse(StatusCode::TOO_MANY_REQUESTS, "LimitExceededException", json!({})));
    }
    faults
        .strikes(|plan| plan.post_failed)
        .then(|| refuse(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException", json!({})))
}

fn gone() -> Response {
    refuse(StatusCode::GONE, "GoneException", json!({}))
}

/// The answer to a post that is too large.
pub fn too_large() -> Response {
    let told = json!({ "message": "Payload too large" });
    refuse(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLargeException", told)
}

/// What API Gateway says to whatever it does not know.
pub fn forbidden() -> Response {
    refuse(StatusCode::FORBIDDEN, "ForbiddenException", json!({ "message": "Forbidden" }))
}

/// What API Gateway says to whoever has not signed with one of the keys.
pub fn unsigned(refusal: &Refusal) -> Response {
    refuse(StatusCode::FORBIDDEN, refusal.kind, json!({ "message": refusal.message }))
}

fn refuse(status: StatusCode, kind: &'static str, body: serde_json::Value) -> Response {
    (status, [("x-amzn-ErrorType", kind)], axum::Json(body)).into_response()
}
