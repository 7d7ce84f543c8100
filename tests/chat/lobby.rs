//! The room that everybody is in.

use serde_json::{Value, json};

use crate::harness::{World, token, with_aliases};

#[tokio::test]
async fn lobby_messages_reach_everybody_and_are_acked() {
    let world = World::start().await;
    let mut ana = world.open("?format=native").await.unwrap();
    let mut ben = world.open("?format=native").await.unwrap();
    let mut pinned = world.connect_to("eve", "tea").await;

    let ack = ana.ask(json!({ "action": "sendMessage", "roomId": "lobby", "content": "hello" })).await;

    let message = ben.hears("message").await;
    let place = |frame: &Value| [frame["messageId"].clone(), frame["seq"].clone(), frame["createdAt"].clone()];
    assert_eq!(place(&ack), place(&message));
    assert_eq!((&ack["type"], &ack["action"], &ack["roomId"]), (&json!("ack"), &json!("sendMessage"), &json!("lobby")));
    assert_eq!((&message["roomId"], &message["content"]), (&json!("lobby"), &json!("hello")));
    assert!(message["userId"].as_str().unwrap().starts_with("anon-"));
    // Opened for one room.
    pinned.hears_nothing().await;
    ana.hears_nothing().await;
}

#[tokio::test]
async fn the_lobby_has_a_history_and_can_be_left_and_joined_again() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    ana.ask(with_aliases(json!({ "action": "sendMessage", "data": "one" }))).await;
    ben.hears("message").await;

    ben.ask(json!({ "action": "leaveRoom", "roomId": "lobby" })).await;
    ana.ask(with_aliases(json!({ "action": "sendMessage", "data": "two" }))).await;
    ben.hears_nothing().await;

    let info = ben.ask(json!({ "action": "joinRoom", "roomId": "lobby" })).await;
    assert_eq!((&info["participantCount"], &info["lastSeq"]), (&json!(2), &json!(2)));
    ana.ask(with_aliases(json!({ "action": "sendMessage", "data": "three" }))).await;
    assert_eq!(ben.hears("message").await["content"], "three");
    let history = ben.ask(json!({ "action": "getMessages", "roomId": "lobby" })).await;
    assert_eq!(history["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn only_an_admin_broadcasts_to_everybody() {
    let world = World::with_tokens().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let signed = |user: &str, roles: Value| token(&json!({ "sub": user, "iat": now, "roles": roles }));
    let admin = signed("ana", json!(["editor", "admin"]));
    let plain = signed("ben", json!(["editor"]));
    let mut ana = world.open(&format!("?token={admin}&format=native")).await.unwrap();
    let mut ben = world.open(&format!("?token={plain}&format=native")).await.unwrap();

    let refused = ben.is_refused(json!({ "action": "broadcastMessage", "content": "me!" })).await;
    assert_eq!(refused, (403, "FORBIDDEN".to_owned()));
    let ack = ana.ask(json!({ "action": "broadcastMessage", "content": "all!" })).await;

    assert_eq!((&ack["type"], &ack["action"]), (&json!("ack"), &json!("broadcastMessage")));
    assert_eq!(ben.hears("message").await["content"], "all!");
    ana.hears_nothing().await;
}

#[tokio::test]
async fn a_disabled_lobby_does_not_exist() {
    let world = World::with(&[("LOBBY", "off")]).await;
    let mut ana = world.connect("ana").await;

    for frame in [
        with_aliases(json!({ "action": "sendMessage", "data": "anybody?" })),
        json!({ "action": "joinRoom", "roomId": "lobby" }).into(),
        json!({ "action": "getMessages", "roomId": "lobby" }).into(),
        json!({ "action": "roomInfo", "roomId": "lobby" }).into(),
        json!({ "action": "typing", "roomId": "lobby" }).into(),
    ] {
        assert_eq!(ana.is_refused(frame).await, (404, "ROOM_NOT_FOUND".to_owned()));
    }
    assert_eq!(world.open("?userId=ana&roomId=lobby").await.err(), Some(404));
}
