//! Fault injection on the wire: seeded, so that a run can be repeated.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::dynamodb::DATA_OPERATIONS;
pub use super::request_faults::{HoldAtRequest, KillAtRequest, Moment, Outcome, RequestFaults};
use crate::domain::Timestamp;

/// The probability of each fault, per mille, and latencies. No faults and no added latency by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Plan {
    /// Reseeds the random numbers; without it the sequence continues.
    pub seed: Option<u64>,
    /// DynamoDB throttles a request, and does nothing.
    #[serde(deserialize_with = "of_a_thousand")]
    pub store_throttled: u32,
    /// The throttled operations, by their names in the API; all if empty.
    #[serde(deserialize_with = "operations")]
    pub store_throttled_operations: Vec<String>,
    /// DynamoDB refuses a request, since a permission is missing.
    #[serde(deserialize_with = "of_a_thousand")]
    pub store_denied: u32,
    /// DynamoDB returns unprocessed items of a batch.
    #[serde(deserialize_with = "of_a_thousand")]
    pub store_unprocessed: u32,
    /// DynamoDB cancels a transaction, or refuses a put, because of a transaction conflict.
    #[serde(deserialize_with = "of_a_thousand")]
    pub transaction_conflict: u32,
    /// DynamoDB executes the request and its response is lost.
    #[serde(deserialize_with = "of_a_thousand")]
    pub store_answer_lost: u32,
    /// Global secondary indexes show an item only so many milliseconds after it was put.
    pub index_lag_ms: u32,
    /// Added latency of DynamoDB.
    pub store_latency: Latency,
    /// Added latency of S3.
    pub file_latency: Latency,
    /// S3 refuses a request of the function.
    #[serde(deserialize_with = "of_a_thousand")]
    pub file_refused: u32,
    /// API Gateway refuses a handshake, a frame or a request: its rate limit or the account's quota is reached.
    #[serde(deserialize_with = "of_a_thousand")]
    pub gateway_throttled: u32,
    /// Added latency of a post.
    pub post_latency: Latency,
    /// A post is answered 410 although the connection is open.
    #[serde(deserialize_with = "of_a_thousand")]
    pub post_gone: u32,
    /// A post is answered 410 but delivered.
    #[serde(deserialize_with = "of_a_thousand")]
    pub post_gone_but_delivered: u32,
    /// A post is answered 429.
    #[serde(deserialize_with = "of_a_thousand")]
    pub post_throttled: u32,
    /// A post is answered 500.
    #[serde(deserialize_with = "of_a_thousand")]
    pub post_failed: u32,
    /// A post is never answered.
    #[serde(deserialize_with = "of_a_thousand")]
    pub post_hanging: u32,
    /// The ids of the connections to which posts hang; all if empty.
    pub post_hanging_connections: Vec<String>,
    /// A function process is killed before it gets its event.
    #[serde(deserialize_with = "of_a_thousand")]
    pub function_killed_before: u32,
    /// A function process is killed while it handles an event.
    #[serde(deserialize_with = "of_a_thousand")]
    pub function_killed: u32,
    /// A function process is killed after it has responded, and its response is lost.
    #[serde(deserialize_with = "of_a_thousand")]
    pub function_killed_after: u32,
    /// An event is handled by the previous version of the function, if there is one.
    #[serde(deserialize_with = "of_a_thousand")]
    pub previous_version: u32,
    /// Timeout of the function in milliseconds; 0 is the configured one.
    pub function_timeout_ms: u32,
    /// An event is delivered twice, concurrently.
    #[serde(deserialize_with = "of_a_thousand")]
    pub event_repeated: u32,
    /// An asynchronous event is delayed by up to two seconds, and reordered.
    #[serde(deserialize_with = "of_a_thousand")]
    pub event_late: u32,
    /// A batch of a stream is delivered again although it was handled.
    #[serde(deserialize_with = "of_a_thousand")]
    pub stream_repeated: u32,
    /// The event bus answers 500 and takes nothing.
    #[serde(deserialize_with = "of_a_thousand")]
    pub bus_failed: u32,
    /// The event bus does not take one of the events of a request.
    #[serde(deserialize_with = "of_a_thousand")]
    pub bus_entry_failed: u32,
    /// The event bus takes events and answers 500.
    #[serde(deserialize_with = "of_a_thousand")]
    pub bus_answer_lost: u32,
    /// The `$disconnect` event is lost.
    #[serde(deserialize_with = "of_a_thousand")]
    pub disconnect_lost: u32,
    /// A socket breaks when its client sends a frame.
    #[serde(deserialize_with = "of_a_thousand")]
    pub socket_dropped: u32,
    /// At a request to AWS of the next invocation of a route, the function process is killed or loses the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill_at_request: Option<KillAtRequest>,
    /// At a request to AWS of the next invocation of a route, the response is held back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_at_request: Option<HoldAtRequest>,
    /// Maximum clock skew of event times in milliseconds, in both directions.
    pub clock_skew_ms: u32,
}

/// A latency: lognormal around a median; constant with a `sigma` of 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Latency {
    #[serde(deserialize_with = "not_negative")]
    pub median_ms: f64,
    #[serde(deserialize_with = "not_negative")]
    pub sigma: f64,
}

fn of_a_thousand<'de, D: Deserializer<'de>>(value: D) -> Result<u32, D::Error> {
    let chance = u32::deserialize(value)?;
    if chance <= 1000 { Ok(chance) } else { Err(D::Error::custom(format!("{chance} is above 1000 (per mille)"))) }
}

fn not_negative<'de, D: Deserializer<'de>>(value: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(value)?;
    if number >= 0.0 { Ok(number) } else { Err(D::Error::custom(format!("{number} is negative"))) }
}

fn operations<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    let names: Vec<String> = Deserialize::deserialize(value)?;
    match names.iter().find(|name| !DATA_OPERATIONS.contains(&name.as_str())) {
        Some(unknown) => Err(D::Error::custom(format!(
            "unknown operation {unknown}: the operations are {}",
            DATA_OPERATIONS.join(", ")
        ))),
        None => Ok(names),
    }
}

impl Latency {
    /// The longest latency: that of the longest invocation.
    const MOST: Duration = Duration::from_secs(900);
}

impl Plan {
    /// # Errors
    /// It is not a JSON object, or has an unknown member or an invalid value.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        // Serde would accept an array of members.
        let members: Map<String, Value> = serde_json::from_slice(json)?;
        serde_json::from_value(members.into())
    }

    pub(super) fn store_throttled(&self, operation: &str) -> u32 {
        chance_for(&self.store_throttled_operations, operation, self.store_throttled)
    }

    pub(super) fn post_hanging(&self, connection: &str) -> u32 {
        chance_for(&self.post_hanging_connections, connection, self.post_hanging)
    }
}

/// The probability if `name` is listed, or if the list is empty.
fn chance_for(named: &[String], name: &str, chance: u32) -> u32 {
    if named.is_empty() || named.iter().any(|known| known == name) { chance } else { 0 }
}

/// The average lateness of tokio's timer, which has a resolution of milliseconds.
const TIMER_LATENESS: Duration = Duration::from_millis(1);

/// The current plan and its random numbers. Clones share them.
#[derive(Clone)]
pub struct Faults {
    state: Arc<Mutex<State>>,
    requests: RequestFaults,
}

struct State {
    plan: Plan,
    dice: fastrand::Rng,
    /// How often a fault has struck under the current plan.
    strikes: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self::seeded(0)
    }
}

impl Faults {
    /// No faults yet; random numbers start from `seed`.
    pub fn seeded(seed: u64) -> Self {
        let state = State { plan: Plan::default(), dice: fastrand::Rng::with_seed(seed), strikes: 0 };
        Self { state: Arc::new(Mutex::new(state)), requests: RequestFaults::default() }
    }

    /// Injects faults according to `plan` from now on.
    pub fn follow(&self, plan: Plan) {
        self.requests.follow(&plan);
        let mut state = self.state();
        if let Some(seed) = plan.seed {
            state.dice = fastrand::Rng::with_seed(seed);
        }
        state.plan = plan;
        state.strikes = 0;
    }

    /// How often a fault has struck under the current plan.
    pub fn strike_count(&self) -> u64 {
        self.state().strikes
    }

    /// The faults at single requests: whether they have struck, and the release of a response that is held back.
    pub fn requests(&self) -> &RequestFaults {
        &self.requests
    }

    /// The current plan.
    pub fn plan(&self) -> Plan {
        self.state().plan.clone()
    }

    /// Whether a fault strikes this time.
    pub(super) fn strikes(&self, chance: impl Fn(&Plan) -> u32) -> bool {
        let mut state = self.state();
        let chance = chance(&state.plan);
        let strikes = chance > 0 && state.dice.u32(..1000) < chance;
        state.strikes += u64::from(strikes);
        strikes
    }

    /// The timeout of the function, which is `configured` without a fault.
    pub(super) fn function_timeout(&self, configured: Duration) -> Duration {
        let mut state = self.state();
        match state.plan.function_timeout_ms {
            0 => configured,
            most => {
                state.strikes += 1;
                Duration::from_millis(most.into())
            }
        }
    }

    /// Waits for a random latency.
    pub(super) async fn add_latency(&self, latency: impl Fn(&Plan) -> Latency) {
        let delay = {
            let mut state = self.state();
            let Latency { median_ms, sigma } = latency(&state.plan);
            if median_ms <= 0.0 {
                return;
            }
            state.strikes += 1;
            // The Box-Muller transform: two uniform numbers yield a normally distributed one.
            let (radius, angle) = (state.dice.f64(), state.dice.f64());
            let normal = (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos();
            Duration::try_from_secs_f64(median_ms / 1000.0 * (sigma * normal).exp()).unwrap_or(Latency::MOST)
        };
        tokio::time::sleep(delay.min(Latency::MOST).saturating_sub(TIMER_LATENESS)).await;
    }

    /// The delay of an asynchronous event.
    pub(super) fn event_delay(&self) -> Duration {
        if self.strikes(|plan| plan.event_late) {
            Duration::from_millis(self.state().dice.u64(..2_000))
        } else {
            Duration::ZERO
        }
    }

    /// The time of an event, with clock skew.
    pub(super) fn skewed(&self, time: Timestamp) -> Timestamp {
        let mut state = self.state();
        let most = i64::from(state.plan.clock_skew_ms);
        if most == 0 {
            return time;
        }
        state.strikes += 1;
        Timestamp::from_millis(time.as_millis() + state.dice.i64(-most..=most))
    }

    /// How far global secondary indexes lag behind their tables.
    pub(super) fn index_lag(&self) -> Duration {
        Duration::from_millis(self.state().plan.index_lag_ms.into())
    }

    /// A random moment during an invocation.
    pub(super) fn moment(&self) -> Duration {
        Duration::from_micros(self.state().dice.u64(..30_000))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
