//! A sender who says much at once.

use std::path::Path;

use switchboard::local::Options;

use crate::cost::{READS, REQUESTS, WRITES};
use crate::table::{Figure, Goal};
use crate::world::{ROOM, World, cost, distances};

const GROUP: &str = "burst";
const MEMBERS: usize = 100;
const MESSAGES: usize = 20;

pub async fn figures(function: &Path) -> Vec<Figure> {
    // On Lambda each message of a burst has a process of its own.
    let mut world = World::changed(function, |options| Options { concurrency: MESSAGES, ..options }).await;
    world.grows_to(MEMBERS).await;
    world.faults.follow(distances());
    let said = format!(r#"{{"action":"sendMessage","roomId":"{ROOM}","content":"{{}}"}}"#);
    // Processes that are there, and a room that has been spoken in.
    world.crowd.hears(&[said.as_str(); MESSAGES]).await;
    world.stack.take_store_calls();

    let heard = world.crowd.hears(&[said.as_str(); MESSAGES]).await;
    let calls = world.stack.take_store_calls();

    // Whoever loses the race for a place has put in vain, of which the embedded DynamoDB tells no units, and reads the
    // end of the log once more.
    let races = calls.iter().filter(|call| call.operation == "PutItem").count() - MESSAGES;
    let tails = calls.iter().filter(|call| call.operation == "Query");
    let tail_units = tails.map(|call| call.read_units).fold(f64::INFINITY, f64::min);
    let cost = cost(&calls);
    let each = |all: f64, for_a_race: f64| (all - races as f64 * for_a_race) / MESSAGES as f64;
    let holes = heard.seqs.windows(2).filter(|pair| pair[1] != pair[0] + 1).count() + MESSAGES - heard.seqs.len();
    let figure =
        |name: &str, value: f64| Figure::told(GROUP, format!("{name}, {MESSAGES} at once to {MEMBERS}"), value, "");
    vec![
        figure("not heard exactly once", heard.amiss() as f64).with_goal(Goal::AtMost(0.0)),
        figure("holes in the order", holes as f64).with_goal(Goal::AtMost(0.0)),
        figure("another order than others heard", heard.contradictions as f64).with_goal(Goal::AtMost(0.0)),
        figure("write units each", each(cost.writes, 0.0)).with_goal(Goal::AtMost(WRITES)),
        figure("read units each", each(cost.reads, tail_units)).with_goal(Goal::AtMost(READS)),
        figure("requests each", each(cost.requests as f64, 2.0)).with_goal(Goal::AtMost(REQUESTS)),
        figure("races lost each", races as f64 / MESSAGES as f64),
        Figure::told(GROUP, "time to the last of all", heard.last_ms, "ms"),
    ]
}
