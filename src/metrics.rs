//! CloudWatch metrics. Each invocation's log line carries them in the embedded metric format, so no API call is needed.
//! The dashboard and the alarms use the names declared here.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::domain::Timestamp;

/// Declares [`Metric`] with the name and the unit of each metric.
macro_rules! metrics {
    ($($(#[doc = $about:literal])+ $name:ident in $unit:literal,)+) => {
        /// A metric.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Metric {
            $($(#[doc = $about])+ $name,)+
        }

        impl Metric {
            pub const ALL: &[Metric] = &[$(Metric::$name,)+];

            /// The name in CloudWatch.
            pub const fn name(self) -> &'static str {
                match self { $(Metric::$name => stringify!($name),)+ }
            }

            /// The unit in CloudWatch.
            pub const fn unit(self) -> &'static str {
                match self { $(Metric::$name => $unit,)+ }
            }
        }
    };
}

metrics! {
    /// Successful handshakes.
    ConnectionsOpened in "Count",
    /// Connections that closed with a `$disconnect`.
    ConnectionsClosed in "Count",
    /// New messages: a retry counts once, a file counts as its message.
    Messages in "Count",
    /// Connections that frames were posted to.
    Recipients in "Count",
    /// Posts that failed other than by 410, and fan-outs that were not finished.
    PostsFailed in "Count",
    /// Stale connections that were found.
    ConnectionsGone in "Count",
    /// Rooms that were created, without the lobby and direct conversations.
    RoomsOpened in "Count",
    /// Rooms that were closed by a user, or because they were idle.
    RoomsClosed in "Count",
    /// Requests to send messages that were handled.
    Sends in "Count",
    /// Of those, the ones that failed or took longer than [`SEND_OBJECTIVE_MS`].
    SendsMissed in "Count",
    /// Files that were uploaded as announced.
    Uploads in "Count",
    /// Events that were put on the event bus: repeats count too.
    Events in "Count",
    /// Requests that a rate limit refused.
    RateLimited in "Count",
    /// Requests that were let through because the table of rate limits failed.
    LimitsFailed in "Count",
    /// Texts of which the review function said nothing: what became of them is in `REVIEW_FALLBACK`.
    ReviewsFailed in "Count",
    /// Invocations that ended with status 500 or above. Lambda counts no error for a response with such a status.
    Failures in "Count",
    /// How long the handler took.
    Duration in "Milliseconds",
}

/// The objective for sends: 99.9 % of them are answered within this time. `slo.tf` has the share.
pub const SEND_OBJECTIVE_MS: u64 = 1_000;

impl Metric {
    /// Whether the metric has the dimension `route`. Each route is then a metric that is billed.
    pub const fn is_by_route(self) -> bool {
        matches!(self, Self::Duration)
    }
}

/// The values of all metrics in one invocation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts([u64; Metric::ALL.len()]);

impl Counts {
    /// Adds to a metric.
    pub fn add(&mut self, metric: Metric, more: u64) {
        self.0[metric as usize] += more;
    }

    /// The values to report: zeros are left out, except of a duration, and of the recipients where posts failed, since
    /// an alarm compares the two.
    fn reported(&self, by_route: bool) -> impl Iterator<Item = (Metric, u64)> {
        let has_failed = self.0[Metric::PostsFailed as usize] > 0;
        let is_reported = move |metric, count| by_route || count > 0 || (metric == Metric::Recipients && has_failed);
        let all = Metric::ALL.iter().copied().zip(self.0);
        all.filter(move |(metric, count)| metric.is_by_route() == by_route && is_reported(*metric, *count))
    }
}

/// The metrics of a log line in the embedded metric format: `_aws`, which names them, and their values. The dimension,
/// `route`, is a member of the line.
///
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
pub struct Embedded<'a> {
    pub namespace: &'a str,
    pub at: Timestamp,
    pub counts: Counts,
}

impl Embedded<'_> {
    fn metadata(&self) -> Metadata<'_> {
        let directive = |dimensions: &'static [&'static str], by_route| {
            let reported = self.counts.reported(by_route);
            let metrics = reported.map(|(metric, _)| Definition { name: metric.name(), unit: metric.unit() }).collect();
            Directive { namespace: self.namespace, dimensions: [dimensions], metrics }
        };
        let mut directives = vec![directive(&[], false), directive(&["route"], true)];
        directives.retain(|directive| !directive.metrics.is_empty());
        Metadata { timestamp: self.at.as_millis(), cloud_watch_metrics: directives }
    }
}

impl Serialize for Embedded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry("_aws", &self.metadata())?;
        for (metric, count) in self.counts.reported(false).chain(self.counts.reported(true)) {
            members.serialize_entry(metric.name(), &count)?;
        }
        members.end()
    }
}

/// The value of `_aws`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata<'a> {
    /// Epoch milliseconds.
    timestamp: i64,
    cloud_watch_metrics: Vec<Directive<'a>>,
}

/// Metrics with the same dimensions.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'a> {
    namespace: &'a str,
    dimensions: [&'static [&'static str]; 1],
    metrics: Vec<Definition>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: &'static str,
    unit: &'static str,
}
