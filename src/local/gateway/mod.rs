//! API Gateway: a WebSocket API with its `@connections`, and an HTTP API.
//!
//! Sources: the API Gateway developer guide, and captures on real accounts.

mod connections;
mod cors;
mod events;
mod fault_control;
mod handshake;
pub mod http;
mod management;
pub mod page;
mod session;
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
use super::lambda::{InvokeError, Pool};
use super::sigv4::Verifier;
use connections::Registry;

const WEBSOCKET_INTEGRATION_TIMEOUT: Duration = Duration::from_secs(29);

/// The settings of both APIs.
pub struct Setup {
    pub stage: String,
    pub has_default_route: bool,
    pub time_scale: NonZeroU32,
    pub fault_control: bool,
    /// What the chat page connects to.
    pub page: page::Addresses,
    pub keys: Arc<Keys>,
    /// The address of each API.
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
    /// Background tasks of connections: handling frames, closing, `$disconnect` events.
    connection_tasks: TaskTracker,
    faults: Faults,
    /// Verifies requests to `@connections`.
    verifier: Verifier,
}

/// Why an integration has no response for the client.
enum IntegrationError {
    Failed,
    TimedOut,
    /// Above the rate limit: the function is not invoked.
    Throttled,
}

impl Gateway {
    /// A gateway without connections.
    pub fn new(setup: Setup, clock: Clock, calls: AwsCalls, pool: Arc<Pool>, faults: Faults) -> Self {
        let verifier = Verifier::new("execute-api", "Missing Authentication Token", Arc::clone(&setup.keys));
        let (registry, connection_tasks) = (Registry::default(), TaskTracker::new());
        Self { setup, clock, calls, pool, registry, connection_tasks, faults, verifier }
    }

    /// Closes every connection with 1001, and refuses new ones. Returns when all clients have closed theirs and the
    /// function has handled the `$disconnect` events.
    pub async fn close_connections(&self) {
        self.connection_tasks.close();
        self.registry.close_all();
        self.connection_tasks.wait().await;
    }

    /// One of API Gateway's time limits, shortened by the time scale.
    fn scaled(&self, limit: Duration) -> Duration {
        limit / self.setup.time_scale.get()
    }

    /// The ids of the open connections.
    pub fn open_connections(&self) -> Vec<String> {
        self.registry.ids()
    }

    /// Invokes the function, and waits for its JSON response up to the integration timeout. The invocation continues
    /// after that, up to the function's own timeout.
    async fn integrate(&self, event: &Value, timeout: Duration) -> Result<Value, IntegrationError> {
        let context = &event["requestContext"];
        if context["eventType"] != "DISCONNECT" && self.faults.strikes(|plan| plan.gateway_throttled) {
            let (route, request_id) = (context["routeKey"].as_str(), context["requestId"].as_str());
            // As in the access log.
            tracing::warn!(route, request_id, status = "429", integration_status = "-", "throttled by API Gateway");
            return Err(IntegrationError::Throttled);
        }
        if event["body"].is_string() && self.faults.strikes(|plan| plan.event_repeated) {
            self.invoke(event);
        }
        let response: Bytes = match tokio::time::timeout(self.scaled(timeout), self.invoke(event)).await {
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(failure))) => {
                if !failure.is_logged() {
                    tracing::error!(%failure, "invocation failed");
                }
                return Err(IntegrationError::Failed);
            }
            Ok(Err(_)) => return Err(IntegrationError::Failed),
            Err(_) => return Err(IntegrationError::TimedOut),
        };
        serde_json::from_slice(&response).map_err(|error| {
            tracing::error!(%error, "the function's response is not valid JSON");
            IntegrationError::Failed
        })
    }

    fn invoke(&self, event: &Value) -> JoinHandle<Result<Bytes, InvokeError>> {
        let (pool, event) = (Arc::clone(&self.pool), event.to_string());
        tokio::spawn(async move { pool.invoke(event).await })
    }
}

/// Whether reading a body failed because of its length, and not because it is malformed or incomplete.
fn is_too_long(error: &axum::Error) -> bool {
    error.source().is_some_and(|cause| cause.is::<LengthLimitError>())
}

/// A status that a final response can have: not 1xx.
fn final_status(status: u64) -> Option<StatusCode> {
    let status = StatusCode::from_u16(u16::try_from(status).ok()?).ok()?;
    (!status.is_informational()).then_some(status)
}

/// The status of the function's response, if it is valid.
fn response_status(response: &Value) -> Option<StatusCode> {
    final_status(response["statusCode"].as_u64()?)
}

/// An id in the form of API Gateway's ids of connections, messages and requests: 16 characters of base64, the last one
/// `=`.
fn new_id() -> String {
    BASE64_URL_SAFE.encode(&Uuid::new_v4().as_bytes()[..11])
}

/// Whether it has the form of a connection id. AWS uses both alphabets of base64.
fn is_id(id: &str) -> bool {
    let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || b"+/-_".contains(&letter);
    id.len() == 16 && id.strip_suffix('=').is_some_and(|letters| letters.bytes().all(is_letter))
}

/// `domainName` in events: with the port, so that a function can reach the API there.
fn domain_name(listening: SocketAddr) -> String {
    let address = listening.ip();
    if address.is_loopback() || address.is_unspecified() {
        return format!("localhost:{}", listening.port());
    }
    listening.to_string()
}
