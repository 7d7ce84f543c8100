//! After a fault of a while the chat works as before, and nothing that was acknowledged is lost.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::body::Bytes;
use futures_util::future;
use serde_json::{Value, json};
use switchboard::local::Options;
use switchboard::local::faults::{Faults, Latency, Plan};

use crate::harness::{Answer, User, World};

/// A hundred operations under faults in all: concurrent users, and how often each of them tries.
const USERS: usize = 20;
const TRIES: usize = 5;
/// Small rooms: the faults are the same, and the tests are faster.
const ROOMS: [&str; 4] = ["tea", "coffee", "cocoa", "water"];

async fn world_with(faults: &Faults) -> World {
    let change = |options| Options {
        faults: faults.clone(),
        fault_control: true,
        concurrency: USERS,
        // Retries until the deadline end sooner.
        timeout: Duration::from_secs(8),
        ..options
    };
    World::changed(&[], change).await
}

/// Sends, disconnects, reconnects, and so on. Returns the answers to what was sent.
async fn tries_to_chat(world: &World, number: usize, mut user: Option<User>) -> Vec<Value> {
    let room = ROOMS[number % ROOMS.len()];
    let mut answers = Vec::new();
    for number_of_try in 0..TRIES {
        user = match user {
            Some(mut user) => {
                let content = format!("try {number_of_try} of {number}");
                let frame = json!({ "action": "sendMessage", "roomId": room, "content": content });
                answers.extend(user.may_ask(frame).await.filter(|answer| answer["type"] == "message"));
                user.goes().await;
                None
            }
            None => world.open(&format!("?userId=user-{number}&roomId={room}")).await.ok(),
        };
    }
    answers
}

/// The rooms and ids of all messages, as readers see them.
async fn logs(world: &World) -> BTreeSet<(String, String)> {
    let mut ids = BTreeSet::new();
    for room in ROOMS {
        let mut reader = world.connect_to("reader", room).await;
        let mut after = json!(0);
        while !after.is_null() {
            let page = reader.ask(json!({ "action": "getMessages", "roomId": room, "after": after })).await;
            ids.extend(page["items"].as_array().unwrap().iter().map(place));
            after = page["nextAfter"].clone();
        }
    }
    ids
}

fn place(message: &Value) -> (String, String) {
    ["roomId", "messageId"].map(|name| message[name].as_str().unwrap().to_owned()).into()
}

/// The chat under `plan`, and then without faults: it works, and has everything that was acknowledged.
async fn survives(what: &str, plan: Plan) {
    let faults = Faults::seeded(1);
    let world = &world_with(&faults).await;
    let mut ana = world.connect_to("ana", "tea").await;
    let first = ana.says("tea", "first").await;
    let mut crowd = Vec::new();
    for number in 0..USERS {
        crowd.push(world.connect_to(&format!("user-{number}"), ROOMS[number % ROOMS.len()]).await);
    }

    faults.follow(plan);
    let tries = crowd.into_iter().enumerate().map(|(number, user)| tries_to_chat(world, number, Some(user)));
    let answers = future::join_all(tries).await.concat();
    assert!(faults.strike_count() > 0, "{what}: the fault never struck");
    faults.follow(Plan::default());

    let mut ben = world.connect_to("ben", "tea").await;
    let mut carl = world.connect_to("carl", "tea").await;
    let said = carl.says("tea", "and now").await;
    while ben.hears("message").await["messageId"] != said["messageId"] {}
    let logs = logs(world).await;
    for answer in answers.iter().chain([&first, &said]) {
        assert!(logs.contains(&place(answer)), "{what}: {answer} is lost");
    }
}

macro_rules! faults {
    ($($name:ident: $plan:expr,)+) => {
        $(#[tokio::test]
        async fn $name() {
            survives(stringify!($name), $plan).await;
        })+
    };
}

faults! {
    the_chat_goes_on_after_throttled_tables: Plan { store_throttled: 1000, ..Plan::default() },
    the_chat_goes_on_after_batches_left_undone: Plan { store_unprocessed: 1000, ..Plan::default() },
    the_chat_goes_on_after_conflicts: Plan { transaction_conflict: 1000, ..Plan::default() },
    the_chat_goes_on_after_lost_answers_of_tables: Plan { store_answer_lost: 1000, ..Plan::default() },
    the_chat_goes_on_after_posts_answered_410: Plan { post_gone: 1000, ..Plan::default() },
    the_chat_goes_on_after_posts_answered_410_and_delivered: Plan { post_gone_but_delivered: 1000, ..Plan::default() },
    the_chat_goes_on_after_posts_answered_429: Plan { post_throttled: 1000, ..Plan::default() },
    the_chat_goes_on_after_posts_answered_500: Plan { post_failed: 1000, ..Plan::default() },
    the_chat_goes_on_after_posts_that_hang: Plan { post_hanging: 1000, ..Plan::default() },
    the_chat_goes_on_after_functions_killed_before_their_work: Plan { function_killed_before: 1000, ..Plan::default() },
    the_chat_goes_on_after_functions_killed_at_work: Plan { function_killed: 1000, ..Plan::default() },
    the_chat_goes_on_after_functions_killed_after_their_work: Plan { function_killed_after: 1000, ..Plan::default() },
    the_chat_goes_on_after_repeated_events: Plan { event_repeated: 1000, ..Plan::default() },
    the_chat_goes_on_after_lost_disconnects: Plan { disconnect_lost: 1000, ..Plan::default() },
    the_chat_goes_on_after_broken_sockets: Plan { socket_dropped: 1000, ..Plan::default() },
    the_chat_goes_on_after_wrong_clocks: Plan { clock_skew_ms: 60_000, ..Plan::default() },
    the_chat_goes_on_after_slow_tables:
        Plan { store_latency: Latency { median_ms: 20.0, sigma: 1.0 }, ..Plan::default() },
    the_chat_goes_on_after_too_little_time: Plan { function_timeout_ms: 1, ..Plan::default() },
    the_chat_goes_on_after_slow_posts:
        Plan { post_latency: Latency { median_ms: 500.0, sigma: 1.0 }, ..Plan::default() },
}

#[tokio::test]
async fn throttled_tables_are_retried_without_an_error() {
    let faults = Faults::seeded(1);
    let world = world_with(&faults).await;
    let mut ana = world.connect_to("ana", "tea").await;

    faults.follow(Plan { store_throttled: 50, ..Plan::default() });

    for number in 1..=40 {
        assert_eq!(ana.says("tea", "hello").await["seq"], number);
    }
    assert!(faults.strike_count() > 0, "nothing was throttled");
}

/// Posts a plan to the fault control, which is not part of the documented API.
async fn controls_faults(world: &World, plan: Value) -> Answer {
    let url = format!("{}/_faults", world.urls().http);
    world.fetch("POST", &url, &[("content-type", "application/json")], plan.to_string().into()).await
}

#[tokio::test]
async fn fault_control_is_local_and_opt_in() {
    let world = world_with(&Faults::default()).await;
    let mut ana = world.connect_to("ana", "tea").await;

    let plan = json!({ "storeThrottled": 1000, "storeThrottledOperations": ["PutItem"] });
    let told = controls_faults(&world, plan).await;
    assert_eq!((told.status, &told.body["storeThrottled"]), (200, &json!(1000)));
    let say = json!({ "action": "sendMessage", "roomId": "tea", "content": "hello" });
    assert_eq!(ana.is_refused(say).await.0, 503);
    assert_eq!(ana.ask(json!({ "action": "getMessages", "roomId": "tea" })).await["items"], json!([]));

    for (plan, why) in [
        (json!({ "storeTrottled": 1 }), "storeTrottled"),
        (json!({ "postGone": 1001 }), "1001 is above 1000"),
        (json!({ "postLatency": { "medianMs": -1.0 } }), "-1 is negative"),
        (json!({ "storeThrottledOperations": ["putItem"] }), "unknown operation putItem"),
        (json!([1000]), "expected a map"),
    ] {
        let told = controls_faults(&world, plan).await;
        assert_eq!(told.status, 400);
        assert!(told.body["message"].as_str().unwrap().contains(why), "{}", told.body);
    }
    let url = format!("{}/_faults", world.urls().http);
    let page = [("origin", "http://127.0.0.1:7070"), ("content-type", "text/plain")];
    let told = world.fetch("POST", &url, &page, "{}".into()).await;
    assert_eq!(told.status, 403);
    assert_eq!(world.fetch("GET", &url, &[], Bytes::new()).await.body["storeThrottled"], 1000);

    assert_eq!(controls_faults(&world, json!({})).await.status, 200);
    ana.says("tea", "hello").await;

    let world = World::start().await;
    assert_eq!(controls_faults(&world, json!({})).await.status, 404);
}
