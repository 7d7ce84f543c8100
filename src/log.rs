//! Structured logging: JSON lines on standard output, which CloudWatch parses. Each invocation writes one line;
//! everything else is logged through `tracing`, subject to the log level.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;
use serde_with::skip_serializing_none;
use tokio::task::futures::TaskLocalFuture;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::domain::Timestamp;
use crate::metrics::Embedded;

tokio::task_local! {
    static REQUEST_ID: String;
}

/// Enables logging up to a level. Libraries log warnings and errors only: below that the SDK and the runtime log
/// bodies, headers and tokens.
pub fn start(level: LevelFilter) {
    let ours = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("switchboard", level);
    tracing_subscriber::registry().with(Lines).with(ours).init();
}

/// Adds the request id to all lines that `work` logs.
pub fn about<F: Future>(request_id: String, work: F) -> TaskLocalFuture<String, F> {
    REQUEST_ID.scope(request_id, work)
}

/// The machine's time, for log timestamps only. Handlers use the event's time.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The line of an invocation. It is always written: it carries the metrics.
#[skip_serializing_none]
#[derive(Serialize)]
pub struct Invocation<'a> {
    pub timestamp: String,
    pub level: &'static str,
    pub message: &'static str,
    /// API Gateway's id for the request, or that of another source: the access logs have it too.
    pub request_id: &'a str,
    /// Lambda's id for the invocation: Lambda's own lines and traces have it.
    pub lambda_request_id: &'a str,
    pub route: &'static str,
    pub connection_id: Option<&'a str>,
    pub room_id: Option<&'a str>,
    pub user_id: Option<&'a str>,
    /// The address that the client connects from.
    pub source_ip: Option<String>,
    pub status: u16,
    pub code: &'static str,
    /// The field at fault, where there is one.
    pub field: Option<&'static str>,
    pub duration_ms: u64,
    pub recipients: u64,
    pub gone: u64,
    /// Posts that failed, other than to stale connections.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// Ranges of recipients that were handed on to other invocations.
    #[serde(skip_serializing_if = "is_zero")]
    pub handed_on: u64,
    pub error: Option<String>,
    pub target: &'static str,
    #[serde(flatten)]
    pub metrics: Embedded<'a>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Writes one line.
pub fn write(line: &impl Serialize) {
    if let Ok(mut line) = serde_json::to_vec(line) {
        line.push(b'\n');
        // A failure to log cannot be logged.
        let _ = io::stdout().lock().write_all(&line);
    }
}

/// Writes the events of `tracing`.
struct Lines;

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        write(&Line::of(event));
    }
}

/// The line of an event of `tracing`.
#[skip_serializing_none]
#[derive(Serialize)]
pub struct Line<'a> {
    timestamp: String,
    level: &'static str,
    request_id: Option<String>,
    #[serde(flatten)]
    fields: Fields,
    target: &'a str,
}

impl<'a> Line<'a> {
    /// The line of an event of `tracing`.
    pub fn of(event: &Event<'a>) -> Self {
        let mut fields = Fields::default();
        event.record(&mut fields);
        Self {
            timestamp: now().to_iso(),
            level: event.metadata().level().as_str(),
            request_id: REQUEST_ID.try_with(String::clone).ok(),
            fields,
            target: event.metadata().target(),
        }
    }
}

#[derive(Default, Serialize)]
#[serde(transparent)]
struct Fields(BTreeMap<&'static str, Value>);

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}").into());
    }
}
