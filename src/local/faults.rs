//! What goes wrong on the wires, when somebody asks for it: seeded, so that it can be asked for again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::dynamodb::DATA_OPERATIONS;
use crate::domain::Timestamp;

/// How often each thing goes wrong, of a thousand times that it could, and how long things take. By default never, and
/// no longer than it takes here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Plan {
    /// Where the dice begin anew; they go on without it.
    pub seed: Option<u64>,
    /// DynamoDB throttles a request, and does nothing.
    #[serde(deserialize_with = "of_a_thousand")]
    pub store_throttled: u32,
    /// Which operations are throttled, as the API calls them; all when empty.
    #[serde(deserialize_with = "operations")]
    pub store_throttled_operations: Vec<String>,
    /// DynamoDB leaves a part of a batch for later.
    #[serde(deserialize_with = "of_a_thousand")]
    pub store_unprocessed: u32,
    /// DynamoDB cancels a transaction, or refuses a put, since another transaction is at the same rows.
    #[serde(deserialize_with = "of_a_thousand")]
    pub transaction_conflict: u32,
    /// DynamoDB does what is asked, and its answer is lost.
    #[serde(deserialize_with = "of_a_thousand")]
    pub store_answer_lost: u32,
    /// How long DynamoDB takes, on top of what it takes here.
    pub store_latency: Latency,
    /// How long S3 takes.
    pub file_latency: Latency,
    /// How long a post takes.
    pub post_latency: Latency,
    /// A post is answered 410 although the connection is open.
    #[serde(deserialize_with = "of_a_thousand")]
    pub post_gone: u32,
    /// A post is answered 410, and delivered all the same.
    #[serde(deserialize_with = "of_a_thousand")]
    pub post_gone_but_delivered: u32,
    /// A post is answered 429.
    #[serde(deserialize_with = "of_a_thousand")]
    pub post_throttled: u32,
    /// A post is answered 500.
    #[serde(deserialize_with = "of_a_thousand")]
    pub post_failed: u32,
    /// A post is not answered at all.
    #[serde(deserialize_with = "of_a_thousand")]
    pub post_hanging: u32,
    /// The connections to which posts hang, by their ids; all when empty.
    pub post_hanging_connections: Vec<String>,
    /// A function process is killed before it has its event.
    #[serde(deserialize_with = "of_a_thousand")]
    pub function_killed_before: u32,
    /// A function process is killed while it works.
    #[serde(deserialize_with = "of_a_thousand")]
    pub function_killed: u32,
    /// A function process is killed when it has done its work, and its answer is lost.
    #[serde(deserialize_with = "of_a_thousand")]
    pub function_killed_after: u32,
    /// How long the function may take for an event, in milliseconds; as long as it is set up for when 0.
    pub function_timeout_ms: u32,
    /// An event is given to the function twice, at once.
    #[serde(deserialize_with = "of_a_thousand")]
    pub event_repeated: u32,
    /// An event that nobody waits for comes up to two seconds later, and behind others.
    #[serde(deserialize_with = "of_a_thousand")]
    pub event_late: u32,
    /// Nobody is told that a connection has closed.
    #[serde(deserialize_with = "of_a_thousand")]
    pub disconnect_lost: u32,
    /// A socket breaks when its client says something.
    #[serde(deserialize_with = "of_a_thousand")]
    pub socket_dropped: u32,
    /// By how many milliseconds the times that events tell are wrong at most, to either side.
    pub clock_skew_ms: u32,
}

/// How long something takes: lognormal around a median, and always the same with a `sigma` of 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Latency {
    #[serde(deserialize_with = "not_negative")]
    pub median_ms: f64,
    #[serde(deserialize_with = "not_negative")]
    pub sigma: f64,
}

fn of_a_thousand<'de, D: Deserializer<'de>>(given: D) -> Result<u32, D::Error> {
    let chance = u32::deserialize(given)?;
    if chance <= 1000 { Ok(chance) } else { Err(D::Error::custom(format!("{chance} is no chance of a thousand"))) }
}

fn not_negative<'de, D: Deserializer<'de>>(given: D) -> Result<f64, D::Error> {
    let number = f64::deserialize(given)?;
    if number >= 0.0 { Ok(number) } else { Err(D::Error::custom(format!("{number} is less than nothing"))) }
}

fn operations<'de, D: Deserializer<'de>>(given: D) -> Result<Vec<String>, D::Error> {
    let names: Vec<String> = Deserialize::deserialize(given)?;
    match names.iter().find(|name| !DATA_OPERATIONS.contains(&name.as_str())) {
        Some(unknown) => Err(D::Error::custom(format!("{unknown} is none of {}", DATA_OPERATIONS.join(", ")))),
        None => Ok(names),
    }
}

impl Latency {
    /// Nothing takes longer than the longest invocation.
    const MOST: Duration = Duration::from_secs(900);
}

impl Plan {
    /// # Errors
    /// It is no object of JSON, or has a member or a value that means nothing.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        // An array would be taken for the members in their order.
        let members: Map<String, Value> = serde_json::from_slice(json)?;
        serde_json::from_value(members.into())
    }

    pub(super) fn store_throttled(&self, operation: &str) -> u32 {
        for_those(&self.store_throttled_operations, operation, self.store_throttled)
    }

    pub(super) fn post_hanging(&self, connection: &str) -> u32 {
        for_those(&self.post_hanging_connections, connection, self.post_hanging)
    }
}

/// A chance for what is named, and for everything where nothing is.
fn for_those(named: &[String], name: &str, chance: u32) -> u32 {
    if named.is_empty() || named.iter().any(|known| known == name) { chance } else { 0 }
}

/// By how much tokio's timer is late on average: it counts milliseconds, and so does the wait for the next event.
const TIMER_LATE: Duration = Duration::from_millis(1);

/// The dice, and how they are loaded.
#[derive(Clone)]
pub struct Faults(Arc<Mutex<State>>);

struct State {
    plan: Plan,
    dice: fastrand::Rng,
}

impl Default for Faults {
    fn default() -> Self {
        Self::seeded(0)
    }
}

impl Faults {
    /// Nothing goes wrong yet; what will is chosen by `seed`.
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State { plan: Plan::default(), dice: fastrand::Rng::with_seed(seed) })))
    }

    /// From now on things go wrong as `plan` has it.
    pub fn follow(&self, plan: Plan) {
        let mut state = self.state();
        if let Some(seed) = plan.seed {
            state.dice = fastrand::Rng::with_seed(seed);
        }
        state.plan = plan;
    }

    /// What is followed.
    pub fn plan(&self) -> Plan {
        self.state().plan.clone()
    }

    /// Whether it goes wrong this time.
    pub(super) fn strikes(&self, chance: impl Fn(&Plan) -> u32) -> bool {
        let mut state = self.state();
        let chance = chance(&state.plan);
        chance > 0 && state.dice.u32(..1000) < chance
    }

    /// How long the function may take now, which usually is `as_set_up`.
    pub(super) fn function_timeout(&self, as_set_up: Duration) -> Duration {
        match self.state().plan.function_timeout_ms {
            0 => as_set_up,
            most => Duration::from_millis(most.into()),
        }
    }

    /// Returns when so much time has passed as something takes this time.
    pub(super) async fn linger(&self, latency: impl Fn(&Plan) -> Latency) {
        let delay = {
            let mut state = self.state();
            let Latency { median_ms, sigma } = latency(&state.plan);
            if median_ms <= 0.0 {
                return;
            }
            // Two even numbers make a normal one (Box and Muller, 1958).
            let (radius, angle) = (state.dice.f64(), state.dice.f64());
            let normal = (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos();
            Duration::try_from_secs_f64(median_ms / 1000.0 * (sigma * normal).exp()).unwrap_or(Latency::MOST)
        };
        tokio::time::sleep(delay.min(Latency::MOST).saturating_sub(TIMER_LATE)).await;
    }

    /// How late an event is that nobody waits for.
    pub(super) fn lateness(&self) -> Duration {
        if self.strikes(|plan| plan.event_late) {
            Duration::from_millis(self.state().dice.u64(..2_000))
        } else {
            Duration::ZERO
        }
    }

    /// A time as an event tells it.
    pub(super) fn skewed(&self, time: Timestamp) -> Timestamp {
        let mut state = self.state();
        let most = i64::from(state.plan.clock_skew_ms);
        if most == 0 { time } else { Timestamp::from_millis(time.as_millis() + state.dice.i64(-most..=most)) }
    }

    /// Some moment while an invocation is at work.
    pub(super) fn moment(&self) -> Duration {
        Duration::from_micros(self.state().dice.u64(..30_000))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
