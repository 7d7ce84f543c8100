//! What goes wrong on the wires, when somebody asks for it: seeded, so that it can be asked for again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often each thing goes wrong, of a thousand times that it could. All zero: never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// DynamoDB throttles a request, and does nothing.
    pub store_throttled: u32,
    /// DynamoDB cancels a transaction, or refuses a put, since another transaction is at the same rows.
    pub transaction_conflict: u32,
    /// DynamoDB does what is asked, and its answer is lost.
    pub store_answer_lost: u32,
    /// A post is answered 410 although the connection is open.
    pub post_gone: u32,
    /// A post is answered 429.
    pub post_throttled: u32,
    /// A post is answered 500.
    pub post_failed: u32,
    /// A post is not answered at all.
    pub post_hanging: u32,
    /// A function process is killed while it works.
    pub function_killed: u32,
    /// An event is given to the function twice, at once.
    pub event_repeated: u32,
    /// Nobody is told that a connection has closed.
    pub disconnect_lost: u32,
    /// A socket breaks when its client says something.
    pub socket_dropped: u32,
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
        self.state().plan = plan;
    }

    /// Whether it goes wrong this time.
    pub(super) fn strikes(&self, chance: impl Fn(&Plan) -> u32) -> bool {
        let mut state = self.state();
        let chance = chance(&state.plan);
        chance > 0 && state.dice.u32(..1000) < chance
    }

    /// Some moment while an invocation is at work.
    pub(super) fn moment(&self) -> Duration {
        Duration::from_micros(self.state().dice.u64(..30_000))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
