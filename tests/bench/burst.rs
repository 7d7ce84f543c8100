//! A burst of messages from one sender.

use std::path::Path;

use switchboard::local::Options;

use crate::cost::{READS, REQUESTS, WRITES};
use crate::table::{Figure, Goal};
use crate::world::{ROOM, World, cost, region_latency};

const GROUP: &str = "burst";
const MEMBERS: usize = 100;
const MESSAGES: usize = 20;

pub async fn figures(function: &Path) -> Vec<Figure> {
    // On Lambda each message of a burst has its own process.
    let mut world = World::changed(function, |options| Options { concurrency: MESSAGES, ..options }).await;
    world.grows_to(MEMBERS).await;
    world.faults.follow(region_latency());
    let frame = format!(r#"{{"action":"sendMessage","roomId":"{ROOM}","content":"{{}}"}}"#);
    // Warm-up: starts the processes, and writes the first messages of the room.
    world.crowd.sends(&[frame.as_str(); MESSAGES]).await;
    world.stack.take_store_calls();

    let deliveries = world.crowd.sends(&[frame.as_str(); MESSAGES]).await;
    let calls = world.stack.take_store_calls();

    // An invocation that loses the race for a position retries its put, for which the embedded DynamoDB reports no
    // units, after reading the end of the log again.
    let races = calls.iter().filter(|call| call.operation == "PutItem").count() - MESSAGES;
    let tails = calls.iter().filter(|call| call.operation == "Query");
    let tail_units = tails.map(|call| call.read_units).fold(f64::INFINITY, f64::min);
    let cost = cost(&calls);
    let each = |all: f64, for_a_race: f64| (all - races as f64 * for_a_race) / MESSAGES as f64;
    let gaps =
        deliveries.seqs.windows(2).filter(|pair| pair[1] != pair[0] + 1).count() + MESSAGES - deliveries.seqs.len();
    let figure =
        |name: &str, value: f64| Figure::new(GROUP, format!("{name}, burst of {MESSAGES} to {MEMBERS}"), value, "");
    vec![
        figure("deliveries that are missing or duplicate", deliveries.missing_or_duplicate() as f64)
            .with_goal(Goal::AtMost(0.0)),
        figure("gaps in the sequence", gaps as f64).with_goal(Goal::AtMost(0.0)),
        figure("messages delivered with different sequence numbers", deliveries.conflicting_seqs as f64)
            .with_goal(Goal::AtMost(0.0)),
        figure("write units per message", each(cost.writes, 0.0)).with_goal(Goal::AtMost(WRITES)),
        figure("read units per message", each(cost.reads, tail_units)).with_goal(Goal::AtMost(READS)),
        figure("requests per message", each(cost.requests as f64, 2.0)).with_goal(Goal::AtMost(REQUESTS)),
        figure("lost write races per message", races as f64 / MESSAGES as f64),
        Figure::new(GROUP, "time to last delivery of the burst", deliveries.last_ms, "ms"),
    ]
}
