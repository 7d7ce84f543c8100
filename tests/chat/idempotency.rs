//! Sending again what may have been sent.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{World, unchecked, with_aliases};

fn hello(id: &str) -> Value {
    json!({ "action": "sendMessage", "roomId": "tea", "content": "hello", "clientMessageId": id })
}

#[tokio::test]
async fn a_retry_gets_the_first_position_and_is_delivered_again() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    let mut first = ana.ask(hello("m1")).await;
    let heard = ben.hears("message").await;
    world.time_passes(60);

    let again = ana.ask(hello("m1")).await;

    assert_eq!((&first["seq"], &first["clientMessageId"]), (&json!(1), &json!("m1")));
    assert!(first.get("duplicate").is_none());
    first["duplicate"] = json!(true);
    assert_eq!(again, first);
    assert_eq!(ben.hears("message").await, heard);
    assert!(heard.get("clientMessageId").is_none());
    assert_eq!(world.rows("Messages").await.len(), 2);
}

#[tokio::test]
async fn the_same_id_with_other_content_is_refused() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    ana.ask(hello("m1")).await;
    ben.hears("message").await;

    for change in [json!({ "content": "other" }), json!({ "replyTo": 1 })] {
        let mut frame = hello("m1");
        frame.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(ana.is_refused(frame).await, (409, "IDEMPOTENCY_MISMATCH".to_owned()));
    }

    ben.hears_nothing().await;
    // An id is one's own, in one room.
    assert_eq!(ben.ask(hello("m1")).await["seq"], 2);
    let elsewhere = json!({ "action": "sendMessage", "recipientId": "ben", "content": "x", "clientMessageId": "m1" });
    assert_eq!(ana.ask(elsewhere).await["seq"], 1);
}

#[tokio::test]
async fn concurrent_retries_become_one_message() {
    let world = World::start().await;
    let mut devices = join_all((0..8).map(|_| world.connect_to("ana", "tea"))).await;

    let answers = join_all(devices.iter_mut().map(|device| device.ask(hello("m1")))).await;

    assert!(answers.iter().all(|answer| answer["seq"] == 1), "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| answer.get("duplicate").is_none()).count(), 1);
    let history = devices[0].ask(json!({ "action": "getMessages", "roomId": "tea" })).await;
    assert_eq!(history["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn client_message_ids_are_shown_to_the_senders_devices_only() {
    let world = World::start().await;
    let mut phone = world.connect_to("ana", "tea").await;
    let mut laptop = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;

    phone.ask(hello("m1")).await;

    assert_eq!(laptop.hears("message").await["clientMessageId"], "m1");
    let asked = json!({ "action": "getMessages", "roomId": "tea" });
    assert_eq!(laptop.ask(asked.clone()).await["items"][0]["clientMessageId"], "m1");
    assert!(ben.ask(asked).await["items"][0].get("clientMessageId").is_none());
}

#[tokio::test]
async fn a_retry_in_the_lobby_is_acked_as_a_duplicate() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let frame = with_aliases(json!({ "action": "sendMessage", "data": "hi", "clientMessageId": "m1" }));
    let mut first = ana.ask(frame.clone()).await;

    let again = ana.ask(frame).await;

    first["duplicate"] = json!(true);
    assert_eq!(again, first);
}

#[tokio::test]
async fn an_idempotency_key_expires_with_its_message() {
    let world = World::with(&[("MESSAGE_TTL_DAYS", "1")]).await;
    let mut ana = world.connect_to("ana", "tea").await;
    ana.ask(hello("m1")).await;
    world.time_passes(2 * 86_400);
    let mut ana = world.connect_to("ana", "tea").await;

    let later = ana.ask(hello("m1")).await;

    assert!(later.get("duplicate").is_none());
    assert!(later["seq"].as_u64().unwrap() > 100_000);
    let rows = world.rows("Messages").await;
    assert!(rows.iter().all(|row| row.contains_key("ttl")));
}

#[tokio::test]
async fn an_invalid_client_message_id_is_refused() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    for id in [json!(""), json!(5.5), json!([]), json!("x".repeat(129)), json!("a\nb")] {
        let mut frame = hello("m1");
        frame["clientMessageId"] = id;
        assert_eq!(ana.is_refused(unchecked(frame)).await, (400, "INVALID_FIELD".to_owned()));
    }
    assert_eq!(ana.ask(hello(&"é".repeat(128))).await["seq"], 1);
}
