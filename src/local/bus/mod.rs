//! The event bus: EventBridge's `PutEvents`, and what delivers the events to webhooks.
//!
//! Source: the EventBridge API reference, "PutEvents".

mod webhooks;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::REGION;
use super::calls::AwsCalls;
use super::clock::Clock;
use super::faults::Faults;
use super::guard::{self, Guard};
use super::keys::Keys;
use super::sigv4::{SignedRequest, Verifier};
pub use webhooks::Secret;
use webhooks::Webhooks;

/// The name of the bus that the function gets.
pub const BUS: &str = "switchboard";
/// Most events of a request.
const MOST_ENTRIES: usize = 10;
/// Most bytes of the events of a request.
const MOST_BYTES: usize = 256 * 1024;
/// How much of a larger request is read.
const READ_BYTES: usize = 4 * 1024 * 1024;

/// The settings of the event bus.
#[derive(Clone, Debug)]
pub struct BusOptions {
    /// 0 uses any free port.
    pub port: u16,
    /// Where each event is sent.
    pub webhooks: Vec<String>,
    /// The secret that signs what is sent.
    pub secret: Secret,
    /// How many of the latest events are kept.
    pub kept: usize,
}

impl Default for BusOptions {
    fn default() -> Self {
        Self { port: 0, webhooks: Vec::new(), secret: Secret::random(), kept: 1_000 }
    }
}

/// The event bus. Clones share it.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    /// The latest events, as rules see them.
    events: Mutex<VecDeque<Value>>,
    kept: usize,
    webhooks: Webhooks,
    verifier: Verifier,
    clock: Clock,
    calls: AwsCalls,
    faults: Faults,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutEvents {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(default)]
    source: String,
    #[serde(default)]
    detail_type: String,
    #[serde(default)]
    detail: String,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.source.len() + self.detail_type.len() + self.detail.len()
    }
}

impl Bus {
    /// A bus without events.
    ///
    /// # Errors
    /// The client for webhooks cannot be made, or the address of one is not an `http` or `https` URL.
    pub fn new(
        options: &BusOptions,
        keys: &Arc<Keys>,
        clock: Clock,
        calls: AwsCalls,
        faults: Faults,
    ) -> Result<Self, String> {
        let webhooks = Webhooks::new(&options.webhooks, &options.secret)?;
        let verifier = Verifier::new("events", "Missing Authentication Token", Arc::clone(keys));
        let (events, kept) = (Mutex::default(), options.kept);
        Ok(Self(Arc::new(Inner { events, kept, webhooks, verifier, clock, calls, faults })))
    }

    /// Serves the API until the task is aborted. `GET /` shows the latest events.
    pub fn serve(&self, listener: TcpListener, guard: Guard) -> JoinHandle<()> {
        let router = Router::new()
            .route("/", get(recent).post(handle))
            .layer(DefaultBodyLimit::max(READ_BYTES))
            .with_state(self.clone())
            .layer(middleware::from_fn_with_state(guard, guard::check));
        tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        })
    }

    /// The events that were kept, oldest first, as rules see them.
    pub fn events(&self) -> Vec<Value> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Value>> {
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an event, or answers why not.
    fn put(&self, entry: Entry) -> Value {
        if self.0.faults.strikes(|plan| plan.bus_entry_failed) {
            return json!({ "ErrorCode": "ThrottlingException", "ErrorMessage": "an injected fault" });
        }
        let missing = [&entry.source, &entry.detail_type, &entry.detail].into_iter().any(String::is_empty);
        let detail = serde_json::from_str::<Value>(&entry.detail).ok().filter(Value::is_object);
        let Some(detail) = detail.filter(|_| !missing) else {
            let (code, message) = if missing {
                (
                    "InvalidArgument",
                    "Parameter Source, DetailType or Detail is not valid. Reason: is a required argument.",
                )
            } else {
                ("MalformedDetail", "Detail is malformed.")
            };
            return json!({ "ErrorCode": code, "ErrorMessage": message });
        };
        let id = Uuid::new_v4().to_string();
        let event = json!({
            "version": "0",
            "id": id,
            "detail-type": entry.detail_type,
            "source": entry.source,
            "account": "000000000000",
            "time": self.0.clock.now().to_iso(),
            "region": REGION,
            "resources": [],
            "detail": detail,
        });
        self.0.webhooks.deliver(&event["detail"], entry.detail);
        let mut events = self.lock();
        if events.len() >= self.0.kept {
            events.pop_front();
        }
        events.push_back(event);
        json!({ "EventId": id })
    }

    fn put_all(&self, body: &[u8]) -> Response {
        let Ok(PutEvents { entries }) = serde_json::from_slice(body) else {
            return error(StatusCode::BAD_REQUEST, "SerializationException", "the request is not valid");
        };
        if !(1..=MOST_ENTRIES).contains(&entries.len()) {
            return error(
                StatusCode::BAD_REQUEST,
                "ValidationException",
                "1 validation error detected: Value at 'entries' failed to satisfy constraint: Member must have length \
                 between 1 and 10",
            );
        }
        if entries.iter().map(Entry::bytes).sum::<usize>() > MOST_BYTES {
            return error(
                StatusCode::BAD_REQUEST,
                "ValidationException",
                "Total size of the entries in the request is over the limit.",
            );
        }
        let answers: Vec<_> = entries.into_iter().map(|entry| self.put(entry)).collect();
        let failed = answers.iter().filter(|answer| answer.get("ErrorCode").is_some()).count();
        success(&json!({ "FailedEntryCount": failed, "Entries": answers }))
    }

    async fn answer(&self, body: &[u8]) -> Response {
        let failure = || error(StatusCode::INTERNAL_SERVER_ERROR, "InternalException", "an injected fault");
        if self.0.faults.strikes(|plan| plan.bus_failed) {
            return failure();
        }
        let answer = self.put_all(body);
        if self.0.faults.strikes(|plan| plan.bus_answer_lost) { failure() } else { answer }
    }
}

async fn recent(State(bus): State<Bus>) -> Response {
    axum::Json(bus.events()).into_response()
}

async fn handle(State(bus): State<Bus>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let signed = SignedRequest { method: &method, uri: &uri, headers: &headers, body: &body };
    if let Err(problem) = bus.0.verifier.verify(&signed) {
        return error(StatusCode::BAD_REQUEST, problem.kind, &problem.message);
    }
    if headers.get("x-amz-target").is_none_or(|target| target != "AWSEvents.PutEvents") {
        return error(StatusCode::BAD_REQUEST, "UnknownOperationException", "only PutEvents is supported");
    }
    bus.0.calls.record_events(&headers);
    let lost = || error(StatusCode::INTERNAL_SERVER_ERROR, "InternalException", "an injected fault");
    let process = bus.0.calls.process(&headers);
    bus.0.faults.requests().attend(process, "events PutEvents", bus.answer(&body), lost).await
}

fn success(body: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/x-amz-json-1.1")], body.to_string()).into_response()
}

fn error(status: StatusCode, kind: &str, message: &str) -> Response {
    (status, success(&json!({ "__type": kind, "message": message }))).into_response()
}
