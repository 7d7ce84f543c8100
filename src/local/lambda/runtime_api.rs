//! The Runtime API of one function process: it fetches its event here and posts the response.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::{mpsc, oneshot};

use super::{FUNCTION_ARN, PAYLOAD_BYTES, READ_BYTES, lock};

/// Receives the response or the error report of an event.
type Reply = oneshot::Sender<Result<Bytes, String>>;

/// An event for the process.
pub struct Invocation {
    pub id: String,
    pub event: String,
    pub timeout: Duration,
    /// Notified when the process has fetched the event.
    pub fetched: oneshot::Sender<()>,
    pub reply: Reply,
}

/// The state of the Runtime API of one process.
pub struct Mailbox {
    next: tokio::sync::Mutex<mpsc::Receiver<Invocation>>,
    current: Mutex<Option<(String, Reply)>>,
    init_error: Mutex<Option<String>>,
}

impl Mailbox {
    /// The process fetches its events from `next`.
    pub fn new(next: mpsc::Receiver<Invocation>) -> Self {
        Self { next: next.into(), current: Mutex::default(), init_error: Mutex::default() }
    }

    /// The initialisation error that the function reported.
    pub fn take_init_error(&self) -> Option<String> {
        lock(&self.init_error).take()
    }
}

/// The routes of the API.
pub fn router(mailbox: Arc<Mailbox>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .layer(DefaultBodyLimit::max(READ_BYTES))
        .with_state(mailbox)
}

async fn next(State(mailbox): State<Arc<Mailbox>>) -> Response {
    let Some(invocation) = mailbox.next.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // The caller may have timed out.
    let _ = invocation.fetched.send(());
    let headers = [
        ("Content-Type", "application/json".to_owned()),
        ("Lambda-Runtime-Aws-Request-Id", invocation.id.clone()),
        ("Lambda-Runtime-Deadline-Ms", (now + invocation.timeout).as_millis().to_string()),
        ("Lambda-Runtime-Invoked-Function-Arn", FUNCTION_ARN.to_owned()),
        ("Lambda-Runtime-Trace-Id", "Root=1-00000000-000000000000000000000000;Sampled=0".to_owned()),
    ];
    *lock(&mailbox.current) = Some((invocation.id, invocation.reply));
    (headers, invocation.event).into_response()
}

async fn response(State(mailbox): State<Arc<Mailbox>>, Path(id): Path<String>, body: Bytes) -> Response {
    if body.len() > PAYLOAD_BYTES {
        let report = r#"{"errorType":"Function.ResponseSizeTooLarge"}"#;
        complete(&mailbox, &id, Err(report.to_owned()));
        return (StatusCode::PAYLOAD_TOO_LARGE, r#"{"errorType":"RequestEntityTooLarge"}"#).into_response();
    }
    complete(&mailbox, &id, Ok(body))
}

async fn error(State(mailbox): State<Arc<Mailbox>>, Path(id): Path<String>, body: Bytes) -> Response {
    complete(&mailbox, &id, Err(String::from_utf8_lossy(&body).into_owned()))
}

async fn init_error(State(mailbox): State<Arc<Mailbox>>, body: Bytes) -> Response {
    *lock(&mailbox.init_error) = Some(String::from_utf8_lossy(&body).into_owned());
    (StatusCode::ACCEPTED, r#"{"status":"OK"}"#).into_response()
}

/// Passes the outcome on to the caller, if `id` is the current invocation.
fn complete(mailbox: &Mailbox, id: &str, outcome: Result<Bytes, String>) -> Response {
    let current = lock(&mailbox.current).take_if(|(current, _)| current == id);
    match current {
        Some((_, reply)) => {
            // The caller may have timed out.
            let _ = reply.send(outcome);
            (StatusCode::ACCEPTED, r#"{"status":"OK"}"#).into_response()
        }
        None => (StatusCode::BAD_REQUEST, r#"{"errorType":"InvalidRequestID"}"#).into_response(),
    }
}
