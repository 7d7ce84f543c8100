//! Rooms that are too large to be told by one invocation in its time.

use futures_util::future::join_all;
use serde_json::json;
use switchboard::local::Options;
use switchboard::local::faults::{Faults, Plan};

use crate::harness::World;

/// From then on an invocation has time for the first posts, and no others.
fn hurry() -> Plan {
    Plan { function_timeout_ms: 3_500, ..Plan::default() }
}

/// Connections that opened a moment ago and answer nothing, with ids all over those that real ones have.
async fn haunts(world: &World, room: &str, count: usize) {
    let letters = ('0'..='9').chain('A'..='Z').chain('a'..='z').cycle();
    let ids: Vec<_> = letters.zip(0..count).map(|(letter, number)| format!("{letter}HAUNTED{number:07}=")).collect();
    join_all(ids.iter().map(|id| world.has_stale_connection(id, room))).await;
}

#[tokio::test]
async fn a_fan_out_that_runs_out_of_time_reaches_every_connection() {
    let faults = Faults::default();
    let world = World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await;
    let mut users = world.crowd("tea", 24).await;
    haunts(&world, "tea", 276).await;
    faults.follow(hurry());

    let answer = users[0].says("tea", "hello all").await;
    users[0].clears_received();

    assert_eq!(answer["seq"], 1);
    for user in &mut users[1..] {
        let heard = user.hears("message").await;
        assert_eq!((&heard["content"], &heard["seq"]), (&json!("hello all"), &json!(1)));
    }
    // 300 are told by three invocations: 128 each, and the last one the rest.
    let send = world.logs(|line| line["route"] == "sendMessage").await;
    assert_eq!(send["handed_on"], 1);
    world.has_called("fan-out", 2).await;
    let parts: Vec<_> = world.log().into_iter().filter(|line| line["route"] == "fan-out").collect();
    let told: u64 = parts.iter().chain([&send]).map(|line| line["recipients"].as_u64().unwrap()).sum();
    assert_eq!(told, 23);
    for part in parts {
        assert_eq!((&part["request_id"], &part["room_id"]), (&send["request_id"], &json!("tea")));
    }
    users[0].hears_nothing().await;
}

#[tokio::test]
async fn a_handed_on_fan_out_keeps_the_senders_copy_for_own_devices() {
    let faults = Faults::default();
    let world = World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await;
    let mut ana = world.connect_to("ana", "tea").await;
    haunts(&world, "tea", 276).await;
    let mut devices = Vec::new();
    for _ in 0..8 {
        devices.push(world.connect_to("ana", "tea").await);
    }
    faults.follow(hurry());

    ana.ask(json!({ "action": "sendMessage", "roomId": "tea", "content": "mine", "clientMessageId": "m1" })).await;

    for device in &mut devices {
        assert_eq!(device.hears("message").await["clientMessageId"], "m1");
    }
    world.has_called("fan-out", 1).await;
}

#[tokio::test]
async fn a_handed_on_fan_out_tells_everybody_that_the_room_is_closed() {
    let faults = Faults::default();
    let world = World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await;
    let mut host = world.connect_to("host", "tea").await;
    let mut users = world.crowd("tea", 24).await;
    haunts(&world, "tea", 276).await;
    faults.follow(hurry());

    let closed = host.ask(json!({ "action": "closeRoom", "roomId": "tea" })).await;

    assert_eq!(closed["type"], "ack", "{closed}");
    for user in &mut users {
        assert_eq!(user.hears("room-closed").await["roomId"], "tea");
    }
    world.has_called("fan-out", 2).await;
    assert_eq!(world.rows_with("Subscriptions", "channel", "room#tea").await, 0);
}
