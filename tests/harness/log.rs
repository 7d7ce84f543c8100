//! The function's log, for tests.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::Notify;

use super::soon;

/// The lines that the function has logged.
#[derive(Default)]
pub struct Logs {
    lines: Mutex<Vec<String>>,
    more: Notify,
}

impl Logs {
    /// The sink that a stack logs to.
    pub fn sink(self: &Arc<Self>) -> Arc<dyn Fn(&str) + Send + Sync> {
        let logs = Arc::clone(self);
        Arc::new(move |line: &str| {
            logs.lines.lock().unwrap().push(line.to_owned());
            logs.more.notify_waiters();
        })
    }

    /// All lines so far.
    pub fn all(&self) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
    }

    /// Drops all lines so far.
    pub fn clear(&self) {
        self.lines.lock().unwrap().clear();
    }

    /// Waits for the n-th line that matches, with n = `times`.
    pub async fn wait_for(&self, times: usize, wanted: impl Fn(&Value) -> bool) -> Value {
        let line = async {
            loop {
                let more = self.more.notified();
                tokio::pin!(more);
                more.as_mut().enable();
                if let Some(line) = self.all().into_iter().filter(|line| wanted(line)).nth(times - 1) {
                    return line;
                }
                more.await;
            }
        };
        soon("too few matching log lines", line).await
    }
}
