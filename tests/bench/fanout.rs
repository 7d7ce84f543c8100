//! Fan-out: the time from a message to its last delivery, and the resources of the function meanwhile.

use std::path::Path;
use std::time::Duration;

use switchboard::local::Options;
use switchboard::local::faults::{Latency, Plan};

use crate::process::{self, OpenFiles};
use crate::table::{Figure, Goal, readable};
use crate::world::{POST_MS, ROOM, STORE_MS, World, median, region_latency};

const GROUP: &str = "fanout";
/// Concurrent posts: `CONCURRENCY` of the delivery.
const CONCURRENT_POSTS: usize = 128;
/// Members of each room, and the number of messages measured in it. In larger rooms a message takes seconds.
const ROOMS: [(usize, usize); 4] = [(2, 9), (100, 9), (1_000, 7), (10_000, 3)];

pub async fn figures(function: &Path) -> Vec<Figure> {
    let (mut figures, mut errors) = (Vec::new(), 0);
    let mut world = World::of(function).await;
    for (members, messages) in ROOMS {
        world.grows_to(members).await;
        figures.extend(without_faults(&mut world, members, messages, &mut errors).await);
    }
    let errors = Figure::new(GROUP, "deliveries that are missing or duplicate", errors as f64, "");
    figures.push(errors.with_goal(Goal::AtMost(0.0)));
    let processes = world.stack.function_processes();
    let memory = processes.into_iter().map(process::peak_memory_mb).fold(0.0, f64::max);
    figures.push(Figure::new(GROUP, "peak memory of the function", memory, "MB").with_goal(Goal::AtMost(64.0)));
    figures.extend(with_faults(&mut world).await);
    drop(world);
    figures.extend(with_a_short_timeout(function).await);
    figures
}

fn message() -> String {
    format!(r#"{{"action":"sendMessage","roomId":"{ROOM}","content":"{{}} {}"}}"#, "x".repeat(100))
}

async fn without_faults(world: &mut World, members: usize, messages: usize, errors: &mut u64) -> Vec<Figure> {
    let room = |what: &str| format!("{what}, room of {}", readable(members as f64));
    world.faults.follow(region_latency());
    // Warm-up: the first message of a room makes more requests, and opens the sockets of the function.
    world.crowd.sends(&[&message()]).await;
    world.waits_until_idle().await;
    world.stack.take_store_calls();

    let files = OpenFiles::of(world.stack.function_processes());
    let before = world.cpu_ms();
    let (mut firsts, mut times) = (Vec::new(), Vec::new());
    for _ in 0..messages {
        let deliveries = world.crowd.sends(&[&message()]).await;
        firsts.push(deliveries.first_ms);
        times.push(deliveries.last_ms);
        *errors += deliveries.missing_or_duplicate();
    }
    world.waits_until_idle().await;
    let posts = ((members - 1) * messages) as f64;
    let cpu_us = (world.cpu_ms() - before) * 1e3 / posts;

    let files = files.most();
    let queries = world.stack.take_store_calls().iter().filter(|call| call.operation == "Query").count();
    // One query of each message reads the end of the log; the others read pages of subscribers.
    let pages = queries / messages - 1;
    let rounds = (members - 1).div_ceil(CONCURRENT_POSTS);
    let lower_bound = STORE_MS + STORE_MS + pages as f64 * STORE_MS + rounds as f64 * POST_MS;
    let time = median(times);
    let mut figures = vec![Figure::new(GROUP, room("time to last delivery"), time, "ms")];
    if members >= 1_000 {
        let name = format!("lower bound ({} ms) / {}", readable(lower_bound), room("time to last delivery"));
        figures.push(Figure::new(GROUP, name, lower_bound / time, "").with_goal(Goal::AtLeast(0.9)));
        figures.push(Figure::new(GROUP, room("time to first delivery"), median(firsts), "ms"));
        figures.push(Figure::new(GROUP, room("function CPU per post"), cpu_us, "µs"));
        let figure = Figure::new(GROUP, room("peak open file descriptors of the function"), files as f64, "");
        figures.push(figure.with_goal(Goal::AtMost(1_023.0)));
    }
    figures
}

/// One connection in a hundred is stale, one post in twenty is throttled, and one peer hangs.
async fn with_faults(world: &mut World) -> Vec<Figure> {
    let members = ROOMS[ROOMS.len() - 1].0;
    let stale = (0..members / 100).map(|number| format!("GONE{number:011}="));
    let hanging = "HANGINGHANGING0=".to_owned();
    world.subscribe(stale.chain([hanging.clone()]).zip(members..)).await;
    // Old enough that a 410 removes the connection.
    world.stack.clock().advance(Duration::from_secs(60));
    let plan =
        Plan { post_throttled: 50, post_hanging: 1000, post_hanging_connections: vec![hanging], ..region_latency() };
    world.faults.follow(plan);
    let deliveries = world.crowd.sends(&[&message()]).await;
    world.waits_until_idle().await;
    let again = world.crowd.counts_again().await;
    let room = |what: &str| format!("{what}, room of {} with faults", readable(members as f64));
    vec![
        Figure::new(GROUP, room("time to last delivery"), deliveries.last_ms, "ms"),
        Figure::new(GROUP, room("time to response"), deliveries.answered_ms, "ms"),
        Figure::new(GROUP, room("missing deliveries"), deliveries.missing as f64, "").with_goal(Goal::AtMost(0.0)),
        Figure::new(GROUP, room("messages delivered more than twice"), again.more_than_twice as f64, "")
            .with_goal(Goal::AtMost(0.0)),
    ]
}

/// The function has a timeout of 5 s, and the whole fan-out would take 8 s.
async fn with_a_short_timeout(function: &Path) -> Vec<Figure> {
    let members = ROOMS[ROOMS.len() - 1].0;
    let short = |options| Options { timeout: Duration::from_secs(5), ..options };
    let mut world = World::changed(function, short).await;
    world.grows_to(members).await;
    world.faults.follow(Plan { post_latency: Latency { median_ms: 2.0 * POST_MS, sigma: 0.0 }, ..region_latency() });
    let deliveries = world.crowd.sends(&[&message()]).await;
    world.waits_until_idle().await;
    let again = world.crowd.counts_again().await;
    let room = |what: &str| format!("{what}, room of {} with a timeout of 5 s", readable(members as f64));
    vec![
        Figure::new(GROUP, room("time to last delivery"), deliveries.last_ms, "ms"),
        Figure::new(GROUP, room("missing deliveries"), again.missing as f64, "").with_goal(Goal::AtMost(0.0)),
        Figure::new(GROUP, room("messages delivered twice"), again.twice as f64, ""),
        Figure::new(GROUP, room("messages delivered more than twice"), again.more_than_twice as f64, "")
            .with_goal(Goal::AtMost(0.0)),
    ]
}
