//! How long a message takes to everybody in a room, and what of the function that takes.

use std::path::Path;
use std::time::Duration;

use switchboard::local::Options;
use switchboard::local::faults::{Latency, Plan};

use crate::process::{self, OpenFiles};
use crate::table::{Figure, Goal, readable};
use crate::world::{POST_MS, ROOM, STORE_MS, World, distances, median};

const GROUP: &str = "fanout";
/// Posts under way at once: `CONCURRENCY` of the delivery.
const AT_ONCE: usize = 128;
/// Rooms, and how many messages each is measured with. The larger ones take seconds for each.
const ROOMS: [(usize, usize); 4] = [(2, 9), (100, 9), (1_000, 7), (10_000, 3)];

pub async fn figures(function: &Path) -> Vec<Figure> {
    let (mut figures, mut amiss) = (Vec::new(), 0);
    let mut world = World::of(function).await;
    for (members, messages) in ROOMS {
        world.grows_to(members).await;
        figures.extend(in_peace(&mut world, members, messages, &mut amiss).await);
    }
    let amiss = Figure::told(GROUP, "messages that somebody did not hear exactly once", amiss as f64, "");
    figures.push(amiss.with_goal(Goal::AtMost(0.0)));
    let processes = world.stack.function_processes();
    let memory = processes.into_iter().map(process::peak_memory_mb).fold(0.0, f64::max);
    figures.push(Figure::told(GROUP, "most memory of the function", memory, "MB").with_goal(Goal::AtMost(64.0)));
    figures.extend(in_trouble(&mut world).await);
    drop(world);
    figures.extend(in_haste(function).await);
    figures
}

fn said() -> String {
    format!(r#"{{"action":"sendMessage","roomId":"{ROOM}","content":"{{}} {}"}}"#, "x".repeat(100))
}

async fn in_peace(world: &mut World, members: usize, messages: usize, amiss: &mut u64) -> Vec<Figure> {
    let room = |what: &str| format!("{what}, room of {}", readable(members as f64));
    world.faults.follow(distances());
    // The first message of a room asks more, and finds no open sockets.
    world.crowd.hears(&[&said()]).await;
    world.rests().await;
    world.stack.take_store_calls();

    let files = OpenFiles::of(world.stack.function_processes());
    let before = world.cpu_ms();
    let (mut firsts, mut times) = (Vec::new(), Vec::new());
    for _ in 0..messages {
        let heard = world.crowd.hears(&[&said()]).await;
        firsts.push(heard.first_ms);
        times.push(heard.last_ms);
        *amiss += heard.amiss();
    }
    world.rests().await;
    let posts = ((members - 1) * messages) as f64;
    let cpu_us = (world.cpu_ms() - before) * 1e3 / posts;

    let files = files.most();
    let queries = world.stack.take_store_calls().iter().filter(|call| call.operation == "Query").count();
    // Each message asks for the end of the log by one of them, beside its sender's seat.
    let pages = queries / messages - 1;
    let rounds = (members - 1).div_ceil(AT_ONCE);
    let floor = STORE_MS + STORE_MS + pages as f64 * STORE_MS + rounds as f64 * POST_MS;
    let time = median(times);
    let mut figures = vec![Figure::told(GROUP, room("time to the last"), time, "ms")];
    if members >= 1_000 {
        let name = format!("{} ({} ms)", room("of that the floor"), readable(floor));
        figures.push(Figure::told(GROUP, name, floor / time, "").with_goal(Goal::AtLeast(0.9)));
        figures.push(Figure::told(GROUP, room("time to the first"), median(firsts), "ms"));
        figures.push(Figure::told(GROUP, room("CPU of the function for each post"), cpu_us, "µs"));
        let most = Figure::told(GROUP, room("most sockets and files of the function"), files as f64, "");
        figures.push(most.with_goal(Goal::AtMost(1_023.0)));
    }
    figures
}

/// One in a hundred is gone, one post in twenty is throttled, and one peer hangs.
async fn in_trouble(world: &mut World) -> Vec<Figure> {
    let members = ROOMS[ROOMS.len() - 1].0;
    let gone = (0..members / 100).map(|number| format!("GONE{number:011}="));
    let hanging = "HANGINGHANGING0=".to_owned();
    world.subscribe(gone.chain([hanging.clone()]).zip(members..)).await;
    // So old that a 410 is believed.
    world.stack.clock().advance(Duration::from_secs(60));
    let plan = Plan { post_throttled: 50, post_hanging: 1000, post_hanging_connections: vec![hanging], ..distances() };
    world.faults.follow(plan);
    let heard = world.crowd.hears(&[&said()]).await;
    world.rests().await;
    let again = world.crowd.recounts().await;
    let room = |what: &str| format!("{what}, room of {} in trouble", readable(members as f64));
    vec![
        Figure::told(GROUP, room("time to the last"), heard.last_ms, "ms"),
        Figure::told(GROUP, room("time to the answer"), heard.answered_ms, "ms"),
        Figure::told(GROUP, room("who did not hear"), heard.skipped as f64, "").with_goal(Goal::AtMost(0.0)),
        Figure::told(GROUP, room("who heard oftener than twice"), again.oftener as f64, "")
            .with_goal(Goal::AtMost(0.0)),
    ]
}

/// The function has 5 s, and posts to everybody would take it 8.
async fn in_haste(function: &Path) -> Vec<Figure> {
    let members = ROOMS[ROOMS.len() - 1].0;
    let short = |options| Options { timeout: Duration::from_secs(5), ..options };
    let mut world = World::changed(function, short).await;
    world.grows_to(members).await;
    world.faults.follow(Plan { post_latency: Latency { median_ms: 2.0 * POST_MS, sigma: 0.0 }, ..distances() });
    let heard = world.crowd.hears(&[&said()]).await;
    world.rests().await;
    let again = world.crowd.recounts().await;
    let room = |what: &str| format!("{what}, room of {} in a function of 5 s", readable(members as f64));
    vec![
        Figure::told(GROUP, room("time to the last"), heard.last_ms, "ms"),
        Figure::told(GROUP, room("who did not hear"), again.skipped as f64, "").with_goal(Goal::AtMost(0.0)),
        Figure::told(GROUP, room("who heard twice"), again.twice as f64, ""),
        Figure::told(GROUP, room("who heard oftener than twice"), again.oftener as f64, "")
            .with_goal(Goal::AtMost(0.0)),
    ]
}
