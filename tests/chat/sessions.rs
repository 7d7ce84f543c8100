//! Connections end with their tokens.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use crate::harness::{User, World, time_of, token, unchecked};

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn query(user: &str, seconds: u64) -> String {
    format!("?format=native&token={}", token(&json!({ "sub": user, "exp": now() + seconds })))
}

async fn connect(world: &World, user: &str, seconds: u64) -> User {
    world.open(&query(user, seconds)).await.unwrap()
}

#[tokio::test]
async fn hello_tells_when_the_session_ends() {
    let world = World::with_tokens().await;
    for (token_seconds, session_seconds) in [(2_000, 2_000), (10, 900), (90_000, 7_200)] {
        let mut ana = connect(&world, "ana", token_seconds).await;
        let hello = ana.ask(json!({ "action": "hello" })).await;
        let left = time_of(&hello["authUntil"]).millis_since(time_of(&hello["serverTime"])) / 1000;
        assert!((session_seconds - 60..=session_seconds).contains(&left), "{token_seconds}: {hello}");
    }
    let open = World::start().await;
    let hello = open.connect("ana").await.ask(json!({ "action": "hello" })).await;
    assert_eq!(hello["authUntil"], Value::Null);
}

#[tokio::test]
async fn a_frame_after_the_end_of_the_session_is_refused_and_the_connection_closed() {
    let world = World::with_tokens_and(&[("SESSION_MIN_SECONDS", "60")]).await;
    let frames = [
        json!({ "action": "ping" }),
        json!({ "action": "sendMessage", "roomId": "lobby", "content": "still here" }),
        json!({ "action": "listRooms" }),
    ];
    let mut users = Vec::new();
    for _ in &frames {
        users.push(connect(&world, "ana", 600).await);
    }
    world.time_passes(500);
    assert_eq!(users[1].ask(json!({ "action": "ping" })).await["type"], "pong");

    world.time_passes(200);

    for (mut user, frame) in users.into_iter().zip(frames) {
        assert_eq!(user.is_refused(frame).await, (401, "SESSION_EXPIRED".to_owned()));
        user.is_closed().await;
    }
    world.has_called("$disconnect", 3).await;
    assert!(world.subscribers("room#lobby").await.is_empty());
    let log = world.log();
    assert!(log.iter().any(|line| line["code"] == "SESSION_EXPIRED" && line["user_id"] == "ana"));
}

#[tokio::test]
async fn a_message_skips_and_closes_connections_whose_session_has_ended() {
    let world = World::with_tokens_and(&[("ADD_MEMBERS", "direct")]).await;
    let mut ana = connect(&world, "ana", 7_000).await;
    let mut ben = connect(&world, "ben", 1_000).await;
    let mut cleo = connect(&world, "cleo", 7_000).await;
    let tea = ana.creates_room(&["ben", "cleo"]).await;
    ben.hears("joined").await;
    world.time_passes(1_001);

    ana.says(&tea, "for those whose session lasts").await;

    assert_eq!(cleo.hears("message").await["content"], "for those whose session lasts");
    let heard = ben.hears_until_closed().await;
    assert!(heard.iter().all(|frame| frame["type"] != "message"), "{heard:?}");
    while !world.subscribers("user#ben").await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.subscribers(&format!("room#{tea}")).await.len(), 2);
    ana.says(&tea, "again").await;
    cleo.hears("message").await;
}

#[tokio::test]
async fn typing_after_the_end_of_the_session_is_not_told() {
    let world = World::with_tokens_and(&[("ADD_MEMBERS", "direct")]).await;
    let mut ana = connect(&world, "ana", 7_000).await;
    let mut ben = connect(&world, "ben", 1_000).await;
    let tea = ana.creates_room(&["ben"]).await;
    ben.hears("joined").await;
    world.time_passes(1_001);

    ben.send(json!({ "action": "typing", "roomId": tea })).await;

    let refused = ben.hears("error").await;
    assert_eq!(refused["code"], "SESSION_EXPIRED");
    ben.is_closed().await;
    assert_eq!(ana.hears_anything().await["type"], "presence");
    ana.hears_nothing().await;
}

fn refresh(user: &str, seconds: u64) -> Value {
    json!({ "action": "refreshToken", "token": token(&json!({ "sub": user, "exp": now() + seconds })) })
}

/// For how many seconds the session goes on, by an answer.
fn seconds_left(hello: &Value) -> i64 {
    time_of(&hello["authUntil"]).millis_since(time_of(&hello["serverTime"])) / 1000
}

#[tokio::test]
async fn a_session_goes_on_with_a_new_token_and_ends_at_its_time() {
    let world = World::with_tokens_and(&[("ADD_MEMBERS", "direct")]).await;
    let mut ana = connect(&world, "ana", 7_000).await;
    let mut ben = connect(&world, "ben", 1_000).await;
    let tea = ana.creates_room(&["ben"]).await;
    ben.hears("joined").await;

    let refreshed = ben.ask(refresh("ben", 3_000)).await;

    assert_eq!((&refreshed["type"], &refreshed["userId"]), (&json!("hello"), &json!("ben")));
    assert!((2_940..=3_000).contains(&seconds_left(&refreshed)), "{refreshed}");
    world.time_passes(2_000);
    for channel in ["room#lobby", &format!("room#{tea}"), "user#ben"] {
        assert_eq!(world.subscribers(channel).await.iter().filter(|(_, user)| user == "ben").count(), 1, "{channel}");
    }
    for room in ["lobby", &tea] {
        let says = |content: &str| json!({ "action": "sendMessage", "roomId": room, "content": content });
        ana.ask(says("after the end of the first token")).await;
        assert_eq!(ben.hears("message").await["content"], "after the end of the first token");
        assert_ne!(ben.ask(says("still here")).await["type"], "error");
    }
    world.time_passes(1_001);
    assert_eq!(ben.is_refused(json!({ "action": "ping" })).await, (401, "SESSION_EXPIRED".to_owned()));
    ben.is_closed().await;
}

#[tokio::test]
async fn a_token_that_is_refused_leaves_the_session_as_it_was() {
    let world = World::with_tokens().await;
    let mut ana = connect(&world, "ana", 2_000).await;
    for (frame, status, code) in [
        (refresh("ben", 3_000), 403, "FORBIDDEN"),
        (json!({ "action": "refreshToken", "token": "a.b.c" }), 401, "UNAUTHORIZED"),
        (
            json!({ "action": "refreshToken", "token": token(&json!({ "sub": "ana", "exp": now() - 1 })) }),
            401,
            "UNAUTHORIZED",
        ),
    ] {
        assert_eq!(ana.is_refused(frame).await, (status, code.to_owned()));
    }
    assert_eq!(ana.ask(unchecked(json!({ "action": "refreshToken" }))).await["field"], "token");

    let shorter = ana.ask(refresh("ana", 1_000)).await;

    assert!((1_940..=2_000).contains(&seconds_left(&shorter)), "{shorter}");
    ana.hears_nothing().await;
}

#[tokio::test]
async fn a_session_without_tokens_is_not_extended() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let answer = ana.ask(refresh("ana", 3_000)).await;
    assert_eq!((&answer["code"], &answer["field"]), (&json!("INVALID_FIELD"), &json!("token")));
    assert!(answer["message"].as_str().unwrap().contains("no tokens"), "{answer}");
    ana.hears_nothing().await;
}

#[tokio::test]
async fn the_role_of_the_new_token_counts_from_then_on() {
    let world = World::with_tokens().await;
    let mut ana = connect(&world, "ana", 2_000).await;
    let announcement = json!({ "action": "broadcastMessage", "content": "to all" });
    assert_eq!(ana.is_refused(announcement.clone()).await.0, 403);
    let admin = token(&json!({ "sub": "ana", "exp": now() + 3_000, "roles": ["admin"] }));
    let refreshed = ana.ask(json!({ "action": "refreshToken", "token": admin })).await;
    assert_eq!(refreshed["roles"], json!(["admin"]));
    assert_ne!(ana.ask(announcement.clone()).await["type"], "error");
    ana.ask(refresh("ana", 4_000)).await;
    assert_eq!(ana.is_refused(announcement).await.0, 403);
}

#[tokio::test]
async fn a_subscription_that_was_not_told_of_the_new_end_is_mended() {
    let world = World::with_tokens_and(&[("ADD_MEMBERS", "direct")]).await;
    let mut ana = connect(&world, "ana", 7_000).await;
    let mut ben = connect(&world, "ben", 1_000).await;
    let tea = ana.creates_room(&["ben"]).await;
    ben.hears("joined").await;
    let before = subscription_of(&world, &tea, "ben").await;
    ben.ask(refresh("ben", 5_000)).await;
    // As if the function had ended in between, or another device had joined the room just then.
    world.dynamodb().put_item().table_name("Subscriptions").set_item(Some(before)).send().await.unwrap();
    world.time_passes(2_000);

    ben.says(&tea, "the session goes on").await;
    ana.says(&tea, "which finds the old end").await;
    world.has_called("cleanup", 1).await;
    ana.says(&tea, "and then the new one").await;

    assert_eq!(ben.hears("message").await["content"], "and then the new one");
    ben.hears_nothing().await;
}

async fn subscription_of(world: &World, room: &str, user: &str) -> HashMap<String, AttributeValue> {
    let is = |row: &HashMap<_, _>, name: &str, value: String| row.get(name) == Some(&AttributeValue::S(value));
    let rows = world.rows("Subscriptions").await;
    let is_meant =
        |row: &HashMap<_, _>| is(row, "channel", format!("room#{room}")) && is(row, "userId", user.to_owned());
    rows.into_iter().find(is_meant).unwrap()
}
