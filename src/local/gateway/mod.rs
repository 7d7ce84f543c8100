//! API Gateway: a WebSocket API with its `@connections`, and an HTTP API. Sources: the API Gateway developer guide,
//! and captures on real accounts.

pub mod connections;
mod control;
mod cors;
mod events;
pub mod http;
pub mod websocket;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::calls::AwsCalls;
use super::clock::Clock;
use super::faults::Faults;
use super::runtime::{Failure, Pool};
use connections::Registry;

/// How the APIs are to be.
pub struct Setup {
    pub stage: String,
    pub has_default_route: bool,
    pub time_scale: NonZeroU32,
    pub fault_control: bool,
}

pub struct Gateway {
    setup: Setup,
    clock: Clock,
    calls: AwsCalls,
    pool: Arc<Pool>,
    registry: Registry,
    /// What connections still have to do: to close, to tell the function of it, to answer what was said.
    sessions: TaskTracker,
    faults: Faults,
}

/// Why an integration has no answer for the client.
enum IntegrationError {
    Failed,
    TimedOut,
}

impl Gateway {
    pub fn new(setup: Setup, clock: Clock, calls: AwsCalls, pool: Arc<Pool>, faults: Faults) -> Self {
        Self { setup, clock, calls, pool, registry: Registry::default(), sessions: TaskTracker::new(), faults }
    }

    /// Closes every connection with 1001 and lets no other in. Returns when their clients have closed them as well, and the
    /// function has heard of it.
    pub async fn close_connections(&self) {
        self.sessions.close();
        self.registry.close_all();
        self.sessions.wait().await;
    }

    /// One of API Gateway's limits, as long as it lasts here.
    fn scaled(&self, limit: Duration) -> Duration {
        limit / self.setup.time_scale.get()
    }

    pub fn open_connections(&self) -> Vec<String> {
        self.registry.ids()
    }

    /// Gives the function an event, and waits for its answer so long and no longer, whatever the function's own limit is.
    /// The answer must be a JSON value. The function works to its own end, also when nobody waits for it any more.
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

/// A status that can be the last word of an answer.
fn final_status(status: u64) -> Option<StatusCode> {
    let status = StatusCode::from_u16(u16::try_from(status).ok()?).ok()?;
    (!status.is_informational()).then_some(status)
}

/// Serves an API until the stack ends.
fn serve(listener: TcpListener, api: Router) -> JoinHandle<()> {
    tokio::spawn(async move {
        let _ = axum::serve(listener, api.into_make_service_with_connect_info::<SocketAddr>()).await;
    })
}

/// An id such as API Gateway gives to connections: 16 characters, the last one `=`.
fn connection_id() -> String {
    BASE64_URL_SAFE.encode(&Uuid::new_v4().as_bytes()[..11])
}

/// An id such as API Gateway gives to requests.
fn request_id() -> String {
    Uuid::new_v4().to_string()
}
