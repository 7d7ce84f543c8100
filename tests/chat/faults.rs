//! What is left when something went wrong for a while: nothing.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use switchboard::local::Options;
use switchboard::local::faults::{Faults, Latency, Plan};

use crate::support::World;

/// How often something is tried while it goes wrong; `TRIES=100 cargo test --test chat faults::` for more of it.
fn tries() -> usize {
    std::env::var("TRIES").map_or(8, |tries| tries.parse().unwrap())
}

async fn world_with(faults: &Faults) -> World {
    World::changed(&[], |options| Options { faults: faults.clone(), fault_control: true, ..options }).await
}

/// Says something on a connection of its own; the answer, if there was one.
async fn tries_to_say(world: &World, content: &str) -> Option<Value> {
    let mut user = world.open(&format!("?userId={content}&roomId=tea")).await.ok()?;
    let frame = json!({ "action": "sendMessage", "roomId": "tea", "content": content });
    let answer = user.may_ask(frame).await.filter(|answer| answer["type"] == "message");
    user.goes().await;
    answer
}

/// The ids of all messages of the room.
async fn log(world: &World) -> BTreeSet<String> {
    let mut reader = world.connect_to("reader", "tea").await;
    let mut ids = BTreeSet::new();
    let mut after = 0;
    loop {
        let asked = json!({ "action": "getMessages", "roomId": "tea", "after": after, "limit": 100 });
        let page = reader.ask(asked).await;
        let items = page["items"].as_array().unwrap();
        ids.extend(items.iter().map(|item| item["messageId"].as_str().unwrap().to_owned()));
        match page["hasMore"].as_bool() {
            Some(true) => after = items.last().unwrap()["seq"].as_u64().unwrap(),
            _ => return ids,
        }
    }
}

/// For a while nothing but `plan`, and then: the chat works as it did, with what was acknowledged.
async fn survives(what: &str, plan: Plan) {
    let faults = Faults::seeded(1);
    let world = world_with(&faults).await;
    let mut ana = world.connect_to("ana", "tea").await;
    let first = ana.says("tea", "first").await;

    faults.follow(plan);
    let contents = stream::iter((0..tries()).map(|number| format!("try-{number}")));
    let answers = contents.map(|content| {
        let world = &world;
        async move { tries_to_say(world, &content).await }
    });
    let answers: Vec<Value> = answers.buffer_unordered(8).filter_map(async |answer| answer).collect().await;
    faults.follow(Plan::default());

    let mut ben = world.connect_to("ben", "tea").await;
    let mut carl = world.connect_to("carl", "tea").await;
    let said = carl.says("tea", "and now").await;
    while ben.hears("message").await["messageId"] != said["messageId"] {}
    let log = log(&world).await;
    for answer in answers.iter().chain([&first, &said]) {
        assert!(log.contains(answer["messageId"].as_str().unwrap()), "{what}: {answer} is lost");
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
    the_chat_goes_on_after_slow_tables: Plan { store_latency: Latency { median_ms: 20.0, sigma: 1.0 }, ..Plan::default() },
}

#[tokio::test]
async fn what_goes_wrong_is_said_on_this_machine_and_only_where_that_was_asked_for() {
    let world = world_with(&Faults::default()).await;
    let mut ana = world.connect_to("ana", "tea").await;

    let told = world.post("/_faults", json!({ "storeThrottled": 1000, "storeThrottledOperations": ["PutItem"] })).await;
    assert_eq!((told.status, &told.body["storeThrottled"]), (200, &json!(1000)));
    let say = json!({ "action": "sendMessage", "roomId": "tea", "content": "hello" });
    assert_eq!(ana.is_refused(say).await.0, 503);
    assert_eq!(ana.ask(json!({ "action": "getMessages", "roomId": "tea" })).await["items"], json!([]));

    let told = world.post("/_faults", json!({ "storeTrottled": 1 })).await;
    assert_eq!(told.status, 400);
    assert!(told.body["message"].as_str().unwrap().contains("storeTrottled"), "{}", told.body);
    assert_eq!(world.get("/_faults").await.body["storeThrottled"], 1000);

    assert_eq!(world.post("/_faults", json!({})).await.status, 200);
    ana.says("tea", "hello").await;

    let world = World::start().await;
    assert_eq!(world.post("/_faults", json!({})).await.status, 404);
}
