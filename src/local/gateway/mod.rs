//! API Gateway: a WebSocket API with its `@connections`, and an HTTP API. Sources: the API Gateway developer guide,
//! and captures on real accounts.

pub mod connections;
mod control;
mod cors;
mod events;
pub mod http;
mod socket;
pub mod websocket;

use std::error::Error as _;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE;
use http_body_util::LengthLimitError;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::calls::AwsCalls;
use super::clock::Clock;
use super::faults::Faults;
use super::keys::Keys;
use super::runtime::{Failure, Pool};
use super::sigv4::Verifier;
use connections::Registry;

/// How the APIs are to be.
pub struct Setup {
    pub stage: String,
    pub has_default_route: bool,
    pub time_scale: NonZeroU32,
    pub fault_control: bool,
    pub keys: Arc<Keys>,
    /// Where each API listens.
    pub websocket: SocketAddr,
    pub http: SocketAddr,
}

/// Both APIs and their connections.
pub struct Gateway {
    setup: Setup,
    clock: Clock,
    calls: AwsCalls,
    pool: Arc<Pool>,
    registry: Registry,
    /// What connections still have to do: to close, to tell the function of it, to answer what was said.
    sessions: TaskTracker,
    faults: Faults,
    /// Of what is asked of `@connections`.
    verifier: Verifier,
}

/// Why an integration has no answer for the client.
enum IntegrationError {
    Failed,
    TimedOut,
}

impl Gateway {
    /// A gateway without connections.
    pub fn new(setup: Setup, clock: Clock, calls: AwsCalls, pool: Arc<Pool>, faults: Faults) -> Self {
        let verifier = Verifier::new("execute-api", "Missing Authentication Token", Arc::clone(&setup.keys));
        let (registry, sessions) = (Registry::default(), TaskTracker::new());
        Self { setup, clock, calls, pool, registry, sessions, faults, verifier }
    }

    /// Closes every connection with 1001 and lets no other in. Returns when their clients have closed them as well, and
    /// the function has heard of it.
    pub async fn close_connections(&self) {
        self.sessions.close();
        self.registry.close_all();
        self.sessions.wait().await;
    }

    /// One of API Gateway's limits, as long as it lasts here.
    fn scaled(&self, limit: Duration) -> Duration {
        limit / self.setup.time_scale.get()
    }

    /// The ids of the open connections.
    pub fn open_connections(&self) -> Vec<String> {
        self.registry.ids()
    }

    /// Gives the function an event, and waits for its answer so long and no longer, whatever the function's own limit
    /// is. The answer must be a JSON value. The function works to its own end, also when nobody waits for it any more.
    async fn integrate(&self, event: &Value, patience: Duration) -> Result<Value, IntegrationError> {
        if event["body"].is_string() && self.faults.strikes(|plan| plan.event_repeated) {
            self.invoke(event);
        }
        let answer: Bytes = match tokio::time::timeout(self.scaled(patience), self.invoke(event)).await {
            Ok(Ok(Ok(answer))) => answer,
            Ok(Ok(Err(failure))) => {
                if !failure.is_logged() {
                    tracing::error!(%failure, "an event has no answer");
                }
                return Err(IntegrationError::Failed);
            }
            Ok(Err(_)) => return Err(IntegrationError::Failed),
            Err(_) => return Err(IntegrationError::TimedOut),
        };
        serde_json::from_slice(&answer).map_err(|error| {
            tracing::error!(%error, "the function's answer is no JSON");
            IntegrationError::Failed
        })
    }

    fn invoke(&self, event: &Value) -> JoinHandle<Result<Bytes, Failure>> {
        let (pool, event) = (Arc::clone(&self.pool), event.to_string());
        tokio::spawn(async move { pool.invoke(event).await })
    }
}

/// Whether a body was not read because of its length, and not because it is malformed or has broken off.
fn is_too_long(error: &axum::Error) -> bool {
    error.source().is_some_and(|cause| cause.is::<LengthLimitError>())
}

/// A status that can be the last word of an answer.
fn final_status(status: u64) -> Option<StatusCode> {
    let status = StatusCode::from_u16(u16::try_from(status).ok()?).ok()?;
    (!status.is_informational()).then_some(status)
}

/// An id such as API Gateway gives to connections, messages and requests: 16 characters of base64, the last one `=`.
fn new_id() -> String {
    BASE64_URL_SAFE.encode(&Uuid::new_v4().as_bytes()[..11])
}

/// Whether a connection can have this id. Both alphabets of base64 have been seen.
fn is_id(id: &str) -> bool {
    let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || b"+/-_".contains(&letter);
    id.len() == 16 && id.strip_suffix('=').is_some_and(|letters| letters.bytes().all(is_letter))
}

/// What a function finds as the domain of an API. With the port, so that it can be reached there.
fn domain_name(listening: SocketAddr) -> String {
    let address = listening.ip();
    if address.is_loopback() || address.is_unspecified() {
        return format!("localhost:{}", listening.port());
    }
    listening.to_string()
}
