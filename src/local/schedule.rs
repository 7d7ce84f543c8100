//! The EventBridge schedule: sends the function an event at an interval.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval_at};
use uuid::Uuid;

use super::REGION;
use super::clock::Clock;
use super::faults::Faults;
use super::lambda::Pool;

/// Sends an event at each interval, the first after one interval, until the stack stops.
pub fn serve(interval: Duration, clock: Clock, faults: Faults, pool: Arc<Pool>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut ticks = interval_at(Instant::now() + interval, interval);
        loop {
            ticks.tick().await;
            let (event, pool) = (event(&clock, &faults), Arc::clone(&pool));
            tokio::spawn(async move { pool.invoke_async(event).await });
        }
    })
}

/// Sends one event, and returns when it is handled.
pub async fn fire(clock: &Clock, faults: &Faults, pool: &Pool) {
    pool.invoke_async(event(clock, faults)).await;
}

fn event(clock: &Clock, faults: &Faults) -> Value {
    let time = OffsetDateTime::from_unix_timestamp(faults.skewed(clock.now()).as_secs()).ok();
    json!({
        "version": "0",
        "id": Uuid::new_v4().to_string(),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "000000000000",
        "time": time.and_then(|time| time.format(&Rfc3339).ok()),
        "region": REGION,
        "resources": [format!("arn:aws:events:{REGION}:000000000000:rule/sweep")],
        "detail": {},
    })
}
