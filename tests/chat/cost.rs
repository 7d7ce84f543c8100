//! What an operation costs, by the capacity that DynamoDB says it took.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
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
async fn leaving_costs_6_write_units_and_1_in_the_index_a_removal_1_for_the_audit_and_2_for_each_device() {
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
    // A ban has a row of its own, which is in the index too.
    assert_eq!(writes, [7.0, 8.0, 10.0, 10.0], "{costs:?}");
    assert!(costs.iter().all(|cost| cost.reads > 0.0 && cost.reads <= 10.0 && cost.requests <= 13), "{costs:?}");
}

#[tokio::test]
async fn connecting_and_disconnecting_cost_at_most_3_write_units_and_3_read_units_each() {
    let world = World::start().await;
    world.take_store_calls();

    let ana = world.connect("ana").await;
    let connect = cost(&world.take_store_calls());
    // One of the reads tells whether the user's tokens were revoked.
    assert!(connect.writes <= 3.0 && connect.reads <= 3.0 && connect.requests <= 5, "{connect:?}");
    assert!(connect.writes > 0.0);

    ana.closes().await;
    world.logs(|line| line["route"] == "$disconnect").await;
    let disconnect = cost(&world.take_store_calls());
    assert!(disconnect.writes <= 3.0 && disconnect.reads <= 2.0 && disconnect.requests <= 4, "{disconnect:?}");
    assert!(disconnect.writes > 0.0);
}

#[tokio::test]
async fn a_page_of_50_small_messages_costs_at_most_6_read_units_and_3_requests() {
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

/// How often strangers did each of these to the victim.
const STRANGERS: usize = 10_000;
/// Rows of one request.
const BATCH: usize = 25;

fn item(row: &Value) -> HashMap<String, AttributeValue> {
    serde_dynamo::to_item(row).unwrap()
}

async fn put_all(world: &World, table: &str, rows: impl Iterator<Item = Value>) {
    let rows: Vec<_> = rows.collect();
    let dynamodb = &world.dynamodb();
    let batches = stream::iter(rows.chunks(BATCH)).map(|batch| async move {
        let put = |row| PutRequest::builder().set_item(Some(item(row))).build().unwrap();
        let writes = batch.iter().map(|row| WriteRequest::builder().put_request(put(row)).build()).collect();
        let answer = dynamodb.batch_write_item().request_items(table, writes).send().await.unwrap();
        assert!(answer.unprocessed_items.unwrap_or_default().is_empty());
    });
    batches.buffer_unordered(8).collect::<()>().await;
}

/// Strangers have invited the victim, banned them from rooms, and written to them.
async fn strangers_do_their_worst(world: &World) {
    const NEVER: u64 = 4_000_000_000;
    let stranger = |number: usize| format!("stranger-{number}");
    let dm = |number: usize| format!("dm-{number:032x}");
    let room = |number: usize| format!("room-{number}");
    let pending = |number: usize| {
        let row = move |key: String| {
            json!({ "userId": "victim", "roomId": key, "by": stranger(number), "at": 1,
            "ttl": NEVER })
        };
        [room(number), format!("\t{}", dm(number))].map(row)
    };
    put_all(world, "Pending", (0..STRANGERS).flat_map(pending)).await;
    let members = |number: usize| {
        let ban = json!({ "userId": format!("ban\t{}", room(number)), "roomId": "user\tvictim",
            "status": "banned", "joinedAt": 1 });
        let member = json!({ "userId": "victim", "roomId": dm(number), "role": "member", "status": "member",
            "joinedAt": 1, "name": "victim", "peer": stranger(number), "lastReadSeq": 0 });
        [ban, member]
    };
    put_all(world, "Members", (0..STRANGERS).flat_map(members)).await;
    let rooms = |number: usize| {
        json!({ "id": dm(number), "roomType": "direct", "status": "active", "creator": stranger(number),
            "createdAt": 1, "lastActivity": 1, "participantCount": 2 })
    };
    put_all(world, "ChatRooms", (0..STRANGERS).map(rooms)).await;
    let entries = |number: usize| {
        json!({ "roomId": dm(number), "messageId": "0000000000000001", "kind": "message",
            "userId": stranger(number), "createdAt": "2026-11-26T01:52:01.191Z", "userName": stranger(number),
            "text": "buy now", "ttl": NEVER })
    };
    put_all(world, "Messages", (0..STRANGERS).map(entries)).await;
    let blocks = |number: usize| json!({ "userId": "victim", "blockedId": format!("\t{}", stranger(number)), "at": 1 });
    put_all(world, "Blocks", (0..STRANGERS).map(blocks)).await;
}

#[tokio::test]
async fn a_user_whom_strangers_invited_banned_and_wrote_to_pays_nothing_for_it() {
    let world = World::start().await;
    strangers_do_their_worst(&world).await;
    world.take_store_calls();

    let mut victim = world.connect("victim").await;

    let connect = cost(&world.take_store_calls());
    assert!(connect.writes <= 3.0 && connect.reads <= 4.0 && connect.requests <= 5, "{connect:?}");
    let tea = victim.creates_room(&[]).await;
    victim.says(&tea, "first").await;
    world.take_store_calls();
    victim.says(&tea, "second").await;
    let send = cost(&world.take_store_calls());
    assert!(send.writes == 1.0 && send.reads <= 4.0 && send.requests == 4, "{send:?}");
    let list = victim.ask(json!({ "action": "listRooms" })).await;
    assert_eq!(list["items"].as_array().unwrap().len(), 20);
    let page = cost(&world.take_store_calls());
    assert!(page.writes <= 40.0 && page.reads <= 200.0, "{page:?}");
}

#[tokio::test]
async fn a_first_message_to_a_user_costs_reads_and_each_further_one_3_more_than_in_a_room() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let _ben = world.connect("ben").await;
    let direct = json!({ "action": "sendMessage", "recipientId": "ben", "content": "x" });
    ana.ask(direct.clone()).await;
    world.take_store_calls();

    ana.ask(direct).await;

    // The connection, the tail, the blocks both ways, the connections of both.
    let cost = cost(&world.take_store_calls());
    assert!(cost.writes == 1.0 && cost.reads <= 6.0 && cost.requests == 6, "{cost:?}");
}

#[tokio::test]
async fn a_ban_costs_2_write_units_more_than_the_end_of_a_membership_and_1_for_the_audit() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let _ben = world.connect_to("ben", "tea").await;
    world.take_store_calls();

    ana.ask(json!({ "action": "banMember", "roomId": "tea", "userId": "ben" })).await;

    let calls = world.take_store_calls();
    let ends: Vec<_> = calls.iter().filter(|call| call.operation == "TransactWriteItems").collect();
    // The row of the member is in an index too, as is that of the ban.
    assert_eq!(ends.iter().map(|call| call.write_units).collect::<Vec<_>>(), [7.0], "{calls:?}");
    let bans: f64 = calls.iter().filter(|call| call.operation == "PutItem").map(|call| call.write_units).sum();
    assert_eq!(bans, 3.0, "{calls:?}");
}

#[tokio::test]
async fn a_page_of_large_messages_reads_about_what_it_answers() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    for _ in 0..20 {
        ana.says("tea", &"x".repeat(16_000)).await;
    }
    world.take_store_calls();

    let page = ana.ask(json!({ "action": "getMessages", "roomId": "tea", "limit": 100 })).await;

    assert!(page["hasMore"] == true && !page["items"].as_array().unwrap().is_empty());
    let cost = cost(&world.take_store_calls());
    assert!(cost.reads > 0.0 && cost.reads <= 40.0, "{cost:?}");
}

#[tokio::test]
async fn a_resume_of_many_rooms_with_large_messages_reads_about_100_units() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut positions = serde_json::Map::new();
    for _ in 0..20 {
        let room = ana.creates_room(&[]).await;
        for _ in 0..3 {
            ana.says(&room, &"x".repeat(16_000)).await;
        }
        positions.insert(room, json!(0));
    }
    let (mut frames, mut found) = (0, HashMap::new());
    while !positions.is_empty() {
        world.take_store_calls();
        let answer = ana.ask(json!({ "action": "resume", "rooms": positions })).await;
        let cost = cost(&world.take_store_calls());
        assert!(cost.reads <= 125.0, "{cost:?}");
        frames += 1;
        for (room, missed) in answer["rooms"].as_object().unwrap() {
            let seqs = missed["items"].as_array().unwrap().iter().map(|item| item["seq"].as_u64().unwrap());
            found.entry(room.clone()).or_insert_with(Vec::new).extend(seqs);
            if missed["complete"] == true {
                positions.remove(room);
            } else {
                positions[room] = missed["nextAfter"].clone();
            }
        }
        if frames == 1 {
            assert!(answer["more"].as_array().unwrap().len() > 5, "{}", answer["more"]);
        }
    }
    assert!(found.values().all(|seqs| *seqs == [1, 2, 3]), "{found:?}");
}
