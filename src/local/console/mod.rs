//! Terminal output: the banner, and a short line per event. A pipe, or `--json-logs`, gets JSON lines, as CloudWatch
//! does.

mod banner;

use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::panic;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::LogSink;
use crate::config;
use crate::domain::Timestamp;
use crate::log;
pub use banner::Banner;

const CLOCK: &[BorrowedFormatItem<'_>] = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
/// Longer ids are truncated. A UUID fits.
const MAX_ID_CHARS: usize = 36;
/// Fields of a log line that a terminal does not show.
const HIDDEN_FIELDS: [&str; 5] = ["timestamp", "level", "message", "request_id", "target"];

/// The format of log lines on standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// Short lines.
    Plain,
    /// Short lines with colours.
    Coloured,
}

impl Format {
    /// Short lines where standard error is a terminal, with colours unless `NO_COLOR` is set or `TERM` is `dumb`.
    pub fn detect(json_logs: bool) -> Self {
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        if json_logs || !io::stderr().is_terminal() {
            Self::Json
        } else if is_set("NO_COLOR") || env::var_os("TERM").is_some_and(|term| term == "dumb") {
            Self::Plain
        } else {
            Self::Coloured
        }
    }
}

/// Writes the log to standard error.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    format: Format,
    /// `LOG_LEVEL`. The JSON line of an invocation is written at every level: CloudWatch metrics need it.
    level: LevelFilter,
    /// The machine's time zone.
    offset: UtcOffset,
}

impl Console {
    /// Must be called before the first thread starts: the time zone cannot be read safely later.
    pub fn new(format: Format) -> Self {
        let level = env::var("LOG_LEVEL").ok().and_then(|name| config::log_level(&name)).unwrap_or(LevelFilter::INFO);
        Self { format, level, offset: UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC) }
    }

    /// Installs it as the log of the stack itself. The embedded DynamoDB and S3 log every refused request as an error,
    /// for example a failed condition. Only their 5xx responses are logged here: DynamoDB's by the proxy.
    pub fn start_tracing(self) {
        let level = self.level.min(LevelFilter::WARN);
        let quiet = ["dynoxide", "s3s", "s3s_fs"].map(|library| (library, LevelFilter::OFF));
        let targets = Targets::new().with_default(level).with_targets(quiet).with_target("s3s::service", level);
        tracing_subscriber::registry().with(self).with(targets).init();
        if self.format == Format::Json {
            // The default message of a panic has several lines that are not JSON.
            panic::set_hook(Box::new(|panic| tracing::error!(%panic, "the stack panicked")));
        }
    }

    /// Receives each line that the function logs.
    pub fn log_sink(self) -> LogSink {
        Arc::new(move |line| self.show(line))
    }

    /// Shows a log line: JSON, or any other output of a function.
    fn show(&self, line: &str) {
        let shown = match self.format {
            Format::Json => Some(as_json(line)),
            Format::Plain | Format::Coloured => self.readable(line),
        };
        if let Some(mut shown) = shown {
            shown.push('\n');
            // If standard error is closed, the error cannot be reported anywhere.
            let _ = io::stderr().write_all(shown.as_bytes());
        }
    }

    /// A short line; `None` if `LOG_LEVEL` excludes it.
    fn readable(&self, line: &str) -> Option<String> {
        let Ok(Value::Object(fields)) = serde_json::from_str(line) else { return Some(line.to_owned()) };
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let (Some(at), Some(level)) = (text("timestamp").and_then(Timestamp::from_iso), text("level")) else {
            return Some(line.to_owned());
        };
        if level.parse().is_ok_and(|level: LevelFilter| level > self.level) {
            return None;
        }
        let time = self.paint(Style::Faint, &self.time_of_day(at));
        let rest = if fields.contains_key("code") { self.invocation(&fields) } else { self.message(level, &fields) };
        Some(format!("{time}  {rest}"))
    }

    /// `ana  sendMessage  tea  200  to 2  4 ms`
    fn invocation(&self, fields: &Map<String, Value>) -> String {
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let count = |name: &str| fields.get(name).and_then(Value::as_u64).unwrap_or_default();
        let [user, route, room] = ["user_id", "route", "room_id"].map(|name| short(text(name).unwrap_or("-")));
        let (status, code) = (count("status"), sanitize(text("code").unwrap_or_default()));
        let mut outcome = if code == "OK" { status.to_string() } else { format!("{status} {code}") };
        if let Some(field) = text("field") {
            let _ = write!(outcome, " {field}");
        }
        let mut shown =
            format!("{user:<8}  {route:<16}  {room:<8}  {}", self.paint(Style::of_status(status), &outcome));
        let counts = [
            ("recipients", "to ", ""),
            ("gone", "", " gone"),
            ("failed", "", " failed"),
            ("handed_on", "", " handed on"),
        ];
        for (name, before, after) in counts.into_iter().filter(|(name, ..)| count(name) > 0) {
            let _ = write!(shown, "  {before}{}{after}", count(name));
        }
        let _ = write!(shown, "  {} ms", count("duration_ms"));
        if status >= 500 {
            let cause = text("error").map(|cause| format!(": {}", sanitize(cause))).unwrap_or_default();
            let _ = write!(shown, "  {}", self.paint(Style::Bad, &format!("ERROR{cause}")));
        }
        shown
    }

    /// `WARN  fan-out incomplete  error=...`
    fn message(&self, level: &str, fields: &Map<String, Value>) -> String {
        let text = |value: &Value| sanitize(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        let mut shown = self.paint(Style::of_level(level), level);
        if let Some(message) = fields.get("message") {
            let _ = write!(shown, "  {}", text(message));
        }
        for (name, value) in fields.iter().filter(|(name, _)| !HIDDEN_FIELDS.contains(&name.as_str())) {
            let _ = write!(shown, "  {name}={}", text(value));
        }
        shown
    }

    fn time_of_day(&self, at: Timestamp) -> String {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.as_millis()) * 1_000_000)
            .ok()
            .and_then(|at| at.to_offset(self.offset).format(CLOCK).ok())
            .unwrap_or_default()
    }

    fn paint(&self, style: Style, text: &str) -> String {
        match self.format {
            Format::Coloured => format!("\x1b[{}m{text}\x1b[0m", style as u8),
            Format::Json | Format::Plain => text.to_owned(),
        }
    }
}

/// The style of text, with its SGR code.
#[derive(Clone, Copy)]
enum Style {
    Faint = 2,
    Bad = 31,
    Good = 32,
    Warning = 33,
}

impl Style {
    fn of_level(level: &str) -> Self {
        match level {
            "ERROR" => Self::Bad,
            "WARN" => Self::Warning,
            _ => Self::Faint,
        }
    }

    fn of_status(status: u64) -> Self {
        match status {
            ..400 => Self::Good,
            400..500 => Self::Warning,
            _ => Self::Bad,
        }
    }
}

impl<S: Subscriber> Layer<S> for Console {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if let Ok(line) = serde_json::to_string(&log::Line::of(event)) {
            self.show(&line);
        }
    }
}

/// The line itself if it is JSON, and otherwise a JSON line with it as the message.
fn as_json(line: &str) -> String {
    if serde_json::from_str::<IgnoredAny>(line).is_ok() {
        return line.to_owned();
    }
    json!({ "timestamp": log::now().to_iso(), "level": "INFO", "message": line, "target": "function" }).to_string()
}

/// Replaces control characters and characters that change the direction of text.
fn sanitize(text: &str) -> String {
    let is_control = |letter: char| {
        let changes_direction =
            matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        letter.is_control() || changes_direction
    };
    text.replace(is_control, "\u{fffd}")
}

/// A sanitized and truncated id.
fn short(id: &str) -> String {
    let id = sanitize(id);
    match id.char_indices().nth(MAX_ID_CHARS) {
        Some((end, _)) => format!("{}…", &id[..end]),
        None => id,
    }
}
