//! What goes wrong on the wires, when somebody asks for it: seeded, so that it can be asked for again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;

/// How often each thing goes wrong, of a thousand times that it could, and how long things take. By default never, and no longer than it takes here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Plan {
    /// Where the dice begin anew; they go on without it.
    pub seed: Option<u64>,
    /// DynamoDB throttles a request, and does nothing.
    pub store_throttled: u32,
    /// Which operations are throttled, as the API calls them; all when empty.
    pub store_throttled_operations: Vec<String>,
    /// DynamoDB leaves a part of a batch for later.
    pub store_unprocessed: u32,
    /// DynamoDB cancels a transaction, or refuses a put, since another transaction is at the same rows.
    pub transaction_conflict: u32,
    /// DynamoDB does what is asked, and its answer is lost.
    pub store_answer_lost: u32,
    /// How long DynamoDB takes, on top of what it takes here.
    pub store_latency: Latency,
    /// How long S3 takes.
    pub file_latency: Latency,
    /// How long a post takes.
    pub post_latency: Latency,
    /// A post is answered 410 although the connection is open.
    pub post_gone: u32,
    /// A post is answered 429.
    pub post_throttled: u32,
    /// A post is answered 500.
    pub post_failed: u32,
    /// A post is not answered at all.
    pub post_hanging: u32,
    /// Connections to which no post is answered at all.
    pub post_hanging_connections: Vec<String>,
    /// A function process is killed before it has its event.
    pub function_killed_before: u32,
    /// A function process is killed while it works.
    pub function_killed: u32,
    /// A function process is killed when it has done its work, and its answer is lost.
    pub function_killed_after: u32,
    /// An event is given to the function twice, at once.
    pub event_repeated: u32,
    /// An event that nobody waits for comes up to two seconds later, and behind others.
    pub event_late: u32,
    /// Nobody is told that a connection has closed.
    pub disconnect_lost: u32,
    /// A socket breaks when its client says something.
    pub socket_dropped: u32,
    /// By how many milliseconds the times that events tell are wrong at most, to either side.
    pub clock_skew_ms: u32,
}

/// How long something takes: lognormal around a median, and always the same with a `sigma` of 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Latency {
    pub median_ms: f64,
    pub sigma: f64,
}

impl Latency {
    /// Nothing takes longer than the longest invocation.
    const MOST: Duration = Duration::from_secs(900);
}

impl Plan {
    pub(super) fn store_throttled(&self, operation: &str) -> u32 {
        let named = &self.store_throttled_operations;
        if named.is_empty() || named.iter().any(|name| name == operation) { self.store_throttled } else { 0 }
    }
}

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

    /// Whether a post to this connection hangs.
    pub(super) fn hangs(&self, connection: &str) -> bool {
        let hanging = self.state().plan.post_hanging_connections.iter().any(|hanging| hanging == connection);
        hanging || self.strikes(|plan| plan.post_hanging)
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
        tokio::time::sleep(delay.min(Latency::MOST)).await;
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
