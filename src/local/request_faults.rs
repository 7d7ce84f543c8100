//! Faults at a single request that the function sends to AWS: the process is killed, the response is lost, or either
//! is held back. The request is counted within one invocation, so that a run can be repeated.

use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use super::faults::Plan;
use super::lambda::{ProcessIdentity, kill_group};
use crate::actions;

/// The next invocation of `route` is killed, or loses a response, at its request number `request`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct KillAtRequest {
    /// The route of the gateway (`sendMessage`, `POST /rooms`), or `ObjectCreated`, `schedule`, `fan-out`, `cleanup`.
    pub route: String,
    /// From 1. Requests count in the order in which they arrive.
    #[serde(deserialize_with = "from_one")]
    pub request: u32,
    pub moment: Moment,
}

/// The next invocation of `route` waits for the response to its request number `request` until that is released.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HoldAtRequest {
    /// As in [`KillAtRequest`].
    pub route: String,
    /// From 1. Requests count in the order in which they arrive.
    #[serde(deserialize_with = "from_one")]
    pub request: u32,
    /// Whether the request has its effect only when it is released.
    #[serde(default)]
    pub before: bool,
}

/// What happens to the request and to the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Moment {
    /// The process is killed, and the request has no effect.
    Before,
    /// The request is executed, and then the process is killed.
    After,
    /// The request is executed, and its response is an internal error. The process goes on.
    AnswerLost,
}

fn from_one<'de, D: Deserializer<'de>>(value: D) -> Result<u32, D::Error> {
    match u32::deserialize(value)? {
        0 => Err(D::Error::custom("requests count from 1")),
        request => Ok(request),
    }
}

/// How a fault at a request has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has struck at this request: `dynamodb PutItem MESSAGES_TABLE`.
    Struck(String),
    /// The invocation has ended with fewer requests: so many.
    NotReached(u32),
}

/// The faults at single requests under the current plan. Clones share them.
#[derive(Clone, Default)]
pub struct RequestFaults(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    kill: Option<Watch>,
    hold: Option<Watch>,
    /// How many plans there have been.
    plan: u64,
    is_released: bool,
}

/// The search for a request.
struct Watch {
    route: String,
    request: u32,
    moment: Moment,
    process: Option<ProcessIdentity>,
    requests: u32,
    outcome: Option<Outcome>,
}

impl Watch {
    fn new(route: &str, request: u32, moment: Moment) -> Self {
        Self { route: route.to_owned(), request, moment, process: None, requests: 0, outcome: None }
    }

    fn is_of(&self, process: u64) -> bool {
        self.process.is_some_and(|watched| watched.number == process)
    }

    /// Whether the fault strikes at this request of a process.
    fn strikes(&mut self, process: u64, what: &str) -> bool {
        if !self.is_of(process) || self.outcome.is_some() {
            return false;
        }
        self.requests += 1;
        let strikes = self.requests == self.request;
        if strikes {
            self.outcome = Some(Outcome::Struck(what.to_owned()));
        }
        strikes
    }
}

/// What happens to a request.
#[derive(Default)]
struct Fate {
    kill: Option<(Moment, ProcessIdentity)>,
    held: Option<Moment>,
    /// The number of the plan.
    plan: u64,
    /// The process was killed before.
    is_dead: bool,
}

impl RequestFaults {
    /// Watches for the requests of a plan, and releases what is held back.
    pub(super) fn follow(&self, plan: &Plan) {
        let mut state = self.state();
        let kill = plan.kill_at_request.as_ref();
        state.kill = kill.map(|kill| Watch::new(&kill.route, kill.request, kill.moment));
        let hold = plan.hold_at_request.as_ref();
        let held = |hold: &HoldAtRequest| if hold.before { Moment::Before } else { Moment::After };
        state.hold = hold.map(|hold| Watch::new(&hold.route, hold.request, held(hold)));
        state.plan += 1;
        state.is_released = false;
        drop(state);
        self.0.changed.send_replace(());
    }

    /// Waits until the plan's `kill_at_request` has struck, or its invocation has ended without it.
    pub async fn killed(&self) -> Outcome {
        self.outcome(|state| state.kill.as_ref()).await
    }

    /// Waits until the plan's `hold_at_request` has struck, or its invocation has ended without it.
    pub async fn held(&self) -> Outcome {
        self.outcome(|state| state.hold.as_ref()).await
    }

    /// Releases the response that is held back.
    pub fn release(&self) {
        self.state().is_released = true;
        self.0.changed.send_replace(());
    }

    async fn outcome(&self, watch: impl Fn(&State) -> Option<&Watch>) -> Outcome {
        let mut changed = self.0.changed.subscribe();
        loop {
            if let Some(outcome) = watch(&self.state()).and_then(|watch| watch.outcome.clone()) {
                return outcome;
            }
            // The sender lives as long as `self`.
            let _ = changed.changed().await;
        }
    }

    /// A process is given an event.
    pub(super) fn begin_invocation(&self, event: &str, process: ProcessIdentity) {
        let mut state = self.state();
        if state.kill.is_none() && state.hold.is_none() {
            return;
        }
        let route = route_of(event);
        let State { kill, hold, .. } = &mut *state;
        for watch in [kill, hold].into_iter().flatten() {
            if watch.process.is_none() && watch.route == route {
                watch.process = Some(process);
            }
        }
    }

    /// A process has answered its event, or has died.
    pub(super) fn end_invocation(&self, process: ProcessIdentity) {
        let mut state = self.state();
        let State { kill, hold, .. } = &mut *state;
        for watch in [kill, hold].into_iter().flatten().filter(|watch| watch.is_of(process.number)) {
            watch.outcome.get_or_insert(Outcome::NotReached(watch.requests));
        }
        drop(state);
        self.0.changed.send_replace(());
    }

    /// Executes a request with the fault that strikes at it; `lost` is the response of a request whose response is
    /// lost. A dead process gets no response.
    pub(super) async fn attend<R>(
        &self,
        process: Option<u64>,
        what: &str,
        execution: impl Future<Output = R>,
        lost: impl FnOnce() -> R,
    ) -> R {
        let fate = process.map_or_else(Fate::default, |process| self.fate(process, what));
        if fate.is_dead {
            return pending().await;
        }
        if let Some((Moment::Before, process)) = fate.kill {
            kill_group(process.id);
            return pending().await;
        }
        if fate.held == Some(Moment::Before) {
            self.wait_for_release(fate.plan).await;
        }
        let response = execution.await;
        if fate.held == Some(Moment::After) {
            self.wait_for_release(fate.plan).await;
        }
        match fate.kill {
            Some((Moment::AnswerLost, _)) => lost(),
            Some((_, process)) => {
                kill_group(process.id);
                pending().await
            }
            None => response,
        }
    }

    fn fate(&self, process: u64, what: &str) -> Fate {
        let mut state = self.state();
        let mut fate = Fate { plan: state.plan, ..Fate::default() };
        if let Some(watch) = &mut state.kill {
            let was_struck = matches!(watch.outcome, Some(Outcome::Struck(_)));
            fate.is_dead = watch.is_of(process) && was_struck && watch.moment == Moment::Before;
            fate.kill = watch.process.filter(|_| watch.strikes(process, what)).map(|process| (watch.moment, process));
        }
        fate.held = state.hold.as_mut().and_then(|watch| watch.strikes(process, what).then_some(watch.moment));
        drop(state);
        self.0.changed.send_replace(());
        fate
    }

    async fn wait_for_release(&self, plan: u64) {
        let mut changed = self.0.changed.subscribe();
        while self.is_holding(plan) {
            let _ = changed.changed().await;
        }
    }

    fn is_holding(&self, plan: u64) -> bool {
        let state = self.state();
        state.plan == plan && !state.is_released
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The route of an event, by the names of the catalogue.
fn route_of(event: &str) -> String {
    let event: Value = serde_json::from_str(event).unwrap_or_default();
    if let Some(key) = event["requestContext"]["routeKey"].as_str().or_else(|| event["routeKey"].as_str()) {
        return key.to_owned();
    }
    match event["source"].as_str() {
        _ if event["Records"][0]["eventSource"] == "aws:dynamodb" => actions::STREAM.to_owned(),
        _ if event["Records"].is_array() => actions::OBJECT_CREATED.to_owned(),
        Some("aws.events" | "aws.scheduler") => actions::SWEEP.to_owned(),
        // The function's own events: `switchboard.fan-out`.
        Some(source) => source.rsplit('.').next().unwrap_or_default().to_owned(),
        None => String::new(),
    }
}
