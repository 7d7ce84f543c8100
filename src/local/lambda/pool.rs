//! The pool of function processes: concurrency, throttling, reuse, and retries of asynchronous events.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError};

use super::process::{LogForwarder, Process, kill_group};
use super::{Function, InvokeError, PAYLOAD_BYTES, lock};
use crate::local::LogSink;
use crate::local::faults::{Faults, RequestFaults};

/// Backoff between the attempts of an asynchronous event.
const BACKOFF: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];

/// One process per concurrent event, up to a limit; above it events wait or are throttled.
pub struct Pool {
    function: Function,
    logs: LogForwarder,
    throttles: bool,
    permits: Semaphore,
    /// The most recently used process is last, and is used first.
    idle: Mutex<Vec<Process>>,
    /// The ids of the running processes.
    running: Arc<Mutex<Vec<u32>>>,
    started: AtomicUsize,
    /// Whether a failure to start was logged since the last successful invocation.
    start_failure_is_logged: AtomicBool,
    concurrency: usize,
    faults: Faults,
}

impl Pool {
    /// A pool without processes: the first events start them.
    pub fn new(function: Function, concurrency: usize, throttles: bool, logs: LogSink, faults: Faults) -> Self {
        Self {
            function,
            logs: LogForwarder::new(logs),
            throttles,
            permits: Semaphore::new(concurrency),
            idle: Mutex::default(),
            running: Arc::default(),
            started: AtomicUsize::new(0),
            start_failure_is_logged: AtomicBool::new(false),
            concurrency,
            faults,
        }
    }

    /// Sends the function an event and waits for the response.
    ///
    /// # Errors
    /// The function failed or is throttled, or the event is too large.
    pub async fn invoke(&self, event: String) -> Result<Bytes, InvokeError> {
        if event.len() > PAYLOAD_BYTES {
            return Err(InvokeError::TooLarge);
        }
        if self.throttles {
            let permit = self.permits.try_acquire().map_err(|error| match error {
                TryAcquireError::NoPermits => InvokeError::Throttled,
                TryAcquireError::Closed => InvokeError::Stopped,
            })?;
            return self.run(event, permit).await;
        }
        self.invoke_when_free(event).await
    }

    /// As [`Pool::invoke`]; where that is throttled, this waits.
    ///
    /// # Errors
    /// The function failed.
    pub async fn invoke_when_free(&self, event: String) -> Result<Bytes, InvokeError> {
        let permit = self.permits.acquire().await.map_err(|_| InvokeError::Stopped)?;
        self.run(event, permit).await
    }

    /// Runs an event and logs failures of the process.
    async fn run(&self, event: String, _permit: SemaphorePermit<'_>) -> Result<Bytes, InvokeError> {
        let outcome = self.run_in_process(event).await;
        match &outcome {
            // The stack has killed the process.
            Err(_) if self.permits.is_closed() => return Err(InvokeError::Stopped),
            // Logged once: every further event would log the same.
            Err(failure @ (InvokeError::NotStarted(_) | InvokeError::ExitedDuringInit(_)))
                if !self.start_failure_is_logged.swap(true, Ordering::Relaxed) =>
            {
                tracing::error!(%failure, "the function failed to start");
            }
            Err(failure @ (InvokeError::Exited(_) | InvokeError::TimedOut)) => {
                tracing::error!(%failure, "a function process ended; the next event starts another");
            }
            _ => {}
        }
        outcome
    }

    async fn run_in_process(&self, event: String) -> Result<Bytes, InvokeError> {
        let previous = self.function.previous.as_ref();
        let previous = previous.filter(|_| self.faults.strikes(|plan| plan.previous_version));
        let mut process = match self.take_idle(previous.is_some()) {
            Some(process) => process,
            None => {
                let number = self.started.fetch_add(1, Ordering::Relaxed);
                Process::start(&self.function, previous, number as u64, &self.logs, &self.running).await?
            }
        };
        if self.faults.strikes(|plan| plan.function_killed_before) {
            return Err(InvokeError::Killed);
        }
        let is_killed = self.faults.strikes(|plan| plan.function_killed);
        let kill = is_killed.then(|| process.kill_after(self.faults.moment()));
        self.faults.requests().begin_invocation(&event, process.identity());
        let outcome = process.run(event, self.faults.function_timeout(self.function.timeout)).await;
        self.faults.requests().end_invocation(process.identity());
        if let Some(kill) = kill {
            // The process is dropped in any case, so the kill must not strike during another event.
            kill.abort();
            return outcome;
        }
        if outcome.is_ok() && self.faults.strikes(|plan| plan.function_killed_after) {
            return Err(InvokeError::Killed);
        }
        if matches!(outcome, Ok(_) | Err(InvokeError::Function(_))) {
            self.start_failure_is_logged.store(false, Ordering::Relaxed);
            lock(&self.idle).push(process);
        }
        outcome
    }

    /// Sends the function an asynchronous event, with two retries and a shorter backoff than Lambda's. It waits where
    /// synchronous events are throttled. Returns `false` if the stack stopped before the function had handled it.
    pub async fn invoke_async(&self, event: serde_json::Value) -> bool {
        let event = event.to_string();
        tokio::time::sleep(self.faults.event_delay()).await;
        let deliveries = 1 + u32::from(self.faults.strikes(|plan| plan.event_repeated));
        for _ in 0..deliveries {
            for backoff in BACKOFF.into_iter().map(Some).chain([None]) {
                let Err(failure) = self.invoke_when_free(event.clone()).await else { break };
                match backoff {
                    _ if matches!(failure, InvokeError::Stopped) => return false,
                    Some(backoff) => tokio::time::sleep(backoff).await,
                    None => tracing::error!(%failure, "an asynchronous event was discarded after three attempts"),
                }
            }
        }
        true
    }

    fn take_idle(&self, is_previous: bool) -> Option<Process> {
        let mut idle = lock(&self.idle);
        loop {
            let at = idle.iter().rposition(|process| process.is_previous() == is_previous)?;
            let mut process = idle.remove(at);
            if process.is_running() {
                return Some(process);
            }
        }
    }

    /// The faults at single requests of the function.
    pub fn requests(&self) -> &RequestFaults {
        self.faults.requests()
    }

    /// The number of processes started so far.
    pub fn started(&self) -> usize {
        self.started.load(Ordering::Relaxed)
    }

    /// The ids of the running processes.
    pub fn process_ids(&self) -> Vec<u32> {
        lock(&self.running).clone()
    }

    /// Returns when no invocation is running or waiting.
    pub async fn drain(&self) {
        let all = u32::try_from(self.concurrency).unwrap_or(u32::MAX);
        // Released at once, for later events.
        drop(self.permits.acquire_many(all).await);
    }

    /// Returns when all lines of the exited processes are logged.
    pub async fn flush_logs(&self) {
        self.logs.finish().await;
    }

    /// Kills every process, including busy ones.
    pub fn stop(&self) {
        self.permits.close();
        lock(&self.idle).clear();
        for id in self.process_ids() {
            kill_group(id);
        }
    }
}
