//! What is counted for CloudWatch. The numbers stand in each invocation's line of log in CloudWatch's embedded metric
//! format, which makes metrics of them; nobody calls it. The dashboard and the alarms use the names declared here.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::domain::Timestamp;

/// Declares [`Metric`] and what is known of each: its name and its unit.
macro_rules! metrics {
    ($($(#[doc = $about:literal])+ $name:ident in $unit:literal,)+) => {
        /// Something that is counted or measured.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Metric {
            $($(#[doc = $about])+ $name,)+
        }

        impl Metric {
            pub const ALL: &[Metric] = &[$(Metric::$name,)+];

            /// What CloudWatch calls the metric.
            pub const fn name(self) -> &'static str {
                match self { $(Metric::$name => stringify!($name),)+ }
            }

            /// One of CloudWatch's units.
            pub const fn unit(self) -> &'static str {
                match self { $(Metric::$name => $unit,)+ }
            }
        }
    };
}

metrics! {
    /// Handshakes that held.
    ConnectionsOpened in "Count",
    /// Connections that told that they close.
    ConnectionsClosed in "Count",
    /// New entries of logs: what is sent again counts once, a file counts as its message.
    Messages in "Count",
    /// Connections that frames were posted to.
    Recipients in "Count",
    /// Connections that were found to be gone.
    ConnectionsGone in "Count",
    /// Rooms that somebody made. The lobby and direct conversations are nobody's, and never closed.
    RoomsOpened in "Count",
    /// Rooms that were closed by somebody, or for being idle.
    RoomsClosed in "Count",
    /// Files that have come as announced.
    Uploads in "Count",
    /// Invocations that ended with status 500 or above. Lambda counts no error where the answer says so.
    Failures in "Count",
    /// How long the handler took.
    Duration in "Milliseconds",
}

impl Metric {
    /// Whether there is a metric for each route, by the dimension `route`. Each is one to pay for.
    pub const fn is_by_route(self) -> bool {
        matches!(self, Self::Duration)
    }
}

/// How much there was of each metric in one invocation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts([u64; Metric::ALL.len()]);

impl Counts {
    /// Counts more of a metric.
    pub fn add(&mut self, metric: Metric, more: u64) {
        self.0[metric as usize] += more;
    }

    /// What CloudWatch is told: no zeros, but for a duration.
    fn told(&self, by_route: bool) -> impl Iterator<Item = (Metric, u64)> {
        let all = Metric::ALL.iter().copied().zip(self.0);
        all.filter(move |(metric, count)| metric.is_by_route() == by_route && (by_route || *count > 0))
    }
}

/// The members of a line of log that CloudWatch makes metrics of: `_aws`, which names them, and the numbers. The line
/// itself has the dimension, `route`.
///
/// The format:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
pub struct Embedded<'a> {
    pub namespace: &'a str,
    pub at: Timestamp,
    pub counts: Counts,
}

impl Serialize for Embedded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry("_aws", &Metadata(self))?;
        for (metric, count) in self.counts.told(false).chain(self.counts.told(true)) {
            members.serialize_entry(metric.name(), &count)?;
        }
        members.end()
    }
}

/// What `_aws` holds.
struct Metadata<'a>(&'a Embedded<'a>);

impl Serialize for Metadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Embedded { namespace, at, counts } = self.0;
        let counted = Directive { namespace, dimensions: [&[]], metrics: Definitions { counts, by_route: false } };
        let measured =
            Directive { namespace, dimensions: [&["route"]], metrics: Definitions { counts, by_route: true } };
        let mut members = serializer.serialize_map(Some(2))?;
        members.serialize_entry("Timestamp", &at.as_millis())?;
        if counts.told(false).next().is_some() {
            members.serialize_entry("CloudWatchMetrics", &[counted, measured])?;
        } else {
            members.serialize_entry("CloudWatchMetrics", &[measured])?;
        }
        members.end()
    }
}

/// Metrics with the same dimensions.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'a> {
    namespace: &'a str,
    dimensions: [&'static [&'static str]; 1],
    metrics: Definitions<'a>,
}

struct Definitions<'a> {
    counts: &'a Counts,
    by_route: bool,
}

impl Serialize for Definitions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let told = self.counts.told(self.by_route);
        serializer.collect_seq(told.map(|(metric, _)| Definition { name: metric.name(), unit: metric.unit() }))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: &'static str,
    unit: &'static str,
}
