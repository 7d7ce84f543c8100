//! The log line of an invocation, with its metrics.

use std::net::IpAddr;

use tokio::time::Instant;

use crate::context::{Services, Trace};
use crate::delivery::Delivered;
use crate::domain::{RoomId, UserId};
use crate::error::Error;
use crate::log;
use crate::metrics::{Counts, Embedded, Metric, SEND_OBJECTIVE_MS};

/// The subject of an invocation, for its log line.
pub struct Line<'a> {
    pub route: &'static str,
    pub request_id: &'a str,
    pub lambda_request_id: &'a str,
    pub connection_id: Option<&'a str>,
    pub source_ip: Option<IpAddr>,
    /// Whether it is a request to send messages, for which there is an objective.
    pub is_send: bool,
    pub trace: &'a Trace,
}

/// Counts what was delivered and how the invocation ended.
fn count_outcome(counts: &mut Counts, delivered: &Delivered, is_send: bool, status: u16, duration_ms: u64) {
    let is_failure = status >= 500;
    counts.add(Metric::Recipients, delivered.recipients);
    counts.add(Metric::PostsFailed, delivered.failed);
    counts.add(Metric::ConnectionsGone, delivered.gone);
    counts.add(Metric::Failures, u64::from(is_failure));
    counts.add(Metric::Sends, u64::from(is_send));
    counts.add(Metric::SendsMissed, u64::from(is_send && (is_failure || duration_ms > SEND_OBJECTIVE_MS)));
    counts.add(Metric::Duration, duration_ms);
}

/// Writes the log line of an invocation, which never has the content of a message.
pub fn write_line(services: &Services, about: Line<'_>, started: Instant, status: u16, error: Option<&Error>) {
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let trace = about.trace;
    let Delivered { recipients, gone, failed, handed_on } = trace.delivered;
    let mut counts = trace.counts;
    counts.add(Metric::RateLimited, u64::from(error.is_some_and(|error| error.scope().is_some())));
    count_outcome(&mut counts, &trace.delivered, about.is_send, status, duration_ms);
    let at = log::now();
    log::write(&log::Invocation {
        timestamp: at.to_iso(),
        level: if status >= 500 { "ERROR" } else { "INFO" },
        message: "invocation",
        request_id: about.request_id,
        lambda_request_id: about.lambda_request_id,
        route: about.route,
        connection_id: about.connection_id,
        room_id: trace.room.as_ref().map(RoomId::as_str),
        user_id: trace.user.as_ref().map(UserId::as_str),
        source_ip: about.source_ip.map(|address| address.to_string()),
        status,
        code: error.map_or("OK", Error::code),
        field: error.and_then(Error::field),
        duration_ms,
        recipients,
        gone,
        failed,
        handed_on,
        error: error.and_then(Error::cause),
        target: module_path!(),
        metrics: Embedded { namespace: &services.config.metrics_namespace, at, counts },
    });
}
