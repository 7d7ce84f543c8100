//! Connections end with their tokens.

use serde_json::{Value, json};

use crate::harness::{User, World, time_of, token};

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
