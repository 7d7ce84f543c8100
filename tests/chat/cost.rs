//! What an operation costs, by the capacity that DynamoDB says it took.

use serde_json::json;
use switchboard::local::StoreCall;

use crate::harness::{User, World};

#[derive(Debug)]
struct Cost {
    reads: f64,
    writes: f64,
    requests: usize,
}

fn cost(calls: &[StoreCall]) -> Cost {
    Cost {
        reads: calls.iter().map(|call| call.read_units).sum(),
        writes: calls.iter().map(|call| call.write_units).sum(),
        requests: calls.len(),
    }
}

async fn room_of_100(world: &World) -> Vec<User> {
    let mut users = world.crowd("tea", 100).await;
    // The first message of a log also asks how old its room is.
    users[0].says("tea", "first").await;
    world.take_store_calls();
    users
}

#[tokio::test]
async fn a_message_to_100_costs_1_write_unit_at_most_6_read_units_and_4_requests() {
    let world = World::start().await;
    let mut users = room_of_100(&world).await;

    users[0].says("tea", &"x".repeat(300)).await;

    let cost = cost(&world.take_store_calls());
    assert!(cost.writes == 1.0 && cost.reads > 0.0 && cost.reads <= 6.0 && cost.requests == 4, "{cost:?}");
    for user in &mut users[1..] {
        while user.hears("message").await["seq"] != 2 {}
    }
}

#[tokio::test]
async fn a_message_with_a_client_message_id_costs_4_write_units() {
    let world = World::start().await;
    let mut users = room_of_100(&world).await;

    users[0].ask(json!({ "action": "sendMessage", "roomId": "tea", "content": "x", "clientMessageId": "m1" })).await;

    let cost = cost(&world.take_store_calls());
    assert!(cost.writes == 4.0 && cost.reads > 0.0 && cost.reads <= 6.0 && cost.requests == 4, "{cost:?}");
}

#[tokio::test]
async fn an_outbox_of_20_costs_80_write_units_and_reads_the_recipients_once() {
    let world = World::start().await;
    let mut users = room_of_100(&world).await;
    let messages: Vec<_> =
        (0..20).map(|number| json!({ "content": "x", "clientMessageId": format!("m{number}") })).collect();

    users[0].ask(json!({ "action": "sendMessages", "roomId": "tea", "messages": messages })).await;

    let cost = cost(&world.take_store_calls());
    assert!(cost.writes == 80.0 && cost.reads > 0.0 && cost.reads <= 6.0 && cost.requests == 4, "{cost:?}");
}

#[tokio::test]
async fn typing_to_100_costs_no_write_unit_at_most_4_read_units_and_1_request() {
    let world = World::start().await;
    let mut users = room_of_100(&world).await;

    users[0].send(json!({ "action": "typing", "roomId": "tea" })).await;
    for user in &mut users[1..] {
        user.hears("typing").await;
    }

    let cost = cost(&world.take_store_calls());
    assert!(cost.writes == 0.0 && cost.reads > 0.0 && cost.reads <= 4.0 && cost.requests == 1, "{cost:?}");
}

#[tokio::test]
async fn leaving_removing_and_banning_cost_6_write_units_1_in_the_index_and_2_for_each_device() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    for user in ["ben", "cho", "dan", "eve"] {
        world.post("/rooms/join", json!({ "userId": user, "roomId": "tea" })).await;
        while ana.hears("joined").await["userId"] != user {}
    }
    let _device = world.connect("eve").await;
    ana.hears("presence").await;
    world.take_store_calls();

    let mut costs = Vec::new();
    world.post("/rooms/leave", json!({ "userId": "ben", "roomId": "tea" })).await;
    costs.push(cost(&world.take_store_calls()));
    for (action, user) in [("removeMember", "cho"), ("banMember", "dan"), ("removeMember", "eve")] {
        ana.ask(json!({ "action": action, "roomId": "tea", "userId": user })).await;
        costs.push(cost(&world.take_store_calls()));
    }

    let writes: Vec<_> = costs.iter().map(|cost| cost.writes).collect();
    assert_eq!(writes, [7.0, 7.0, 7.0, 9.0], "{costs:?}");
    assert!(costs.iter().all(|cost| cost.reads > 0.0 && cost.reads <= 10.0 && cost.requests <= 12), "{costs:?}");
}

#[tokio::test]
async fn connecting_and_disconnecting_cost_at_most_3_write_units_and_2_read_units_each() {
    let world = World::start().await;
    world.take_store_calls();

    let ana = world.connect("ana").await;
    let connect = cost(&world.take_store_calls());
    assert!(connect.writes <= 3.0 && connect.reads <= 2.0 && connect.requests <= 4, "{connect:?}");
    assert!(connect.writes > 0.0);

    ana.closes().await;
    world.logs(|line| line["route"] == "$disconnect").await;
    let disconnect = cost(&world.take_store_calls());
    assert!(disconnect.writes <= 3.0 && disconnect.reads <= 2.0 && disconnect.requests <= 4, "{disconnect:?}");
    assert!(disconnect.writes > 0.0);
}

#[tokio::test]
async fn a_page_of_50_small_messages_costs_at_most_6_read_units() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    for _ in 0..60 {
        ana.says("tea", &"x".repeat(120)).await;
    }
    world.take_store_calls();

    let page = ana.ask(json!({ "action": "getMessages", "roomId": "tea" })).await;

    assert_eq!(page["items"].as_array().unwrap().len(), 50);
    let cost = cost(&world.take_store_calls());
    assert!(cost.writes == 0.0 && cost.reads > 0.0 && cost.reads <= 6.0 && cost.requests <= 3, "{cost:?}");
}
