//! Clients that were written for other backends, with the very frames of those backends' documents.

use serde_json::{Value, json};

use crate::harness::{Outgoing, World, unchecked, with_aliases};

/// A frame as it stands in a document.
fn verbatim(text: &str) -> Outgoing {
    with_aliases(text)
}

#[tokio::test]
async fn a_client_that_connects_with_user_room_and_name_and_sends_to_its_room() {
    let world = World::start().await;
    let mut ana = world.open("?userId=u1&roomId=room-id&username=Ana").await.unwrap();
    let mut ben = world.open("?userId=u2&roomId=room-id&username=Ben").await.unwrap();

    ana.send(verbatim(
        r#"{
      "action": "sendMessage",
      "roomId": "room-id",
      "content": "Hello, world!"
    }"#,
    ))
    .await;

    let heard = ben.hears("message").await;
    assert_eq!((&heard["content"], &heard["userName"]), (&json!("Hello, world!"), &json!("Ana")));
    assert_eq!(ana.hears("message").await, heard);
}

#[tokio::test]
async fn a_client_that_joins_sends_types_and_asks_for_its_room() {
    let world = World::start().await;
    // The documents take the room for granted.
    let mut other = world.connect_to("other", "room-123").await;
    let mut test = world.open("?userId=testuser").await.unwrap();

    test.send(verbatim(r#"{"action": "join-room", "roomId": "room-123", "userName": "TestUser"}"#)).await;
    assert_eq!(test.hears("room").await["participantCount"], 2);
    assert_eq!(other.hears("joined").await["userName"], "TestUser");

    test.send(verbatim(r#"{"action": "send-message", "roomId": "room-123", "message": "Hello world!"}"#)).await;
    let heard = other.hears("message").await;
    assert_eq!((&heard["content"], &heard["userName"]), (&json!("Hello world!"), &json!("TestUser")));

    test.send(verbatim(r#"{"action": "user-typing", "roomId": "room-123", "userName": "TestUser"}"#)).await;
    let typing = other.hears("typing").await;
    assert_eq!((&typing["userId"], &typing["userName"]), (&json!("testuser"), &json!("TestUser")));

    test.send(verbatim(r#"{"action": "room-info", "roomId": "room-123"}"#)).await;
    let info = test.hears("room").await;
    assert_eq!((&info["roomId"], &info["status"], &info["lastSeq"]), (&json!("room-123"), &json!("active"), &json!(1)));

    let row = world.rows("Messages").await.remove(0);
    let text = |name: &str| row[name].as_s().unwrap().clone();
    assert_eq!(
        (text("roomId"), text("text"), text("userId")),
        ("room-123".into(), "Hello world!".into(), "testuser".into())
    );
    assert_eq!((text("userName"), text("id")), ("TestUser".into(), text("messageId")));
    assert!(text("createdAt").ends_with('Z'));
    assert!(row["ttl"].as_n().is_ok());
}

#[tokio::test]
async fn a_client_that_talks_to_one_other_by_uuid() {
    const ALICE: &str = "0b1f5d8e-3c57-4e0e-9d40-6a8d1f0c2a11";
    const BOB: &str = "7e57a6c2-94a1-4b06-8f4e-2d7c3b1e9f22";
    let world = World::start().await;
    let mut alice = world.open(&format!("?userId={ALICE}")).await.unwrap();
    let mut bob = world.open(&format!("?userId={BOB}")).await.unwrap();

    alice.send(format!(r#"{{"action":"sendMessage","recipientId":"{BOB}","content":"Hello, Bob!"}}"#)).await;
    assert_eq!(bob.hears("message").await["content"], "Hello, Bob!");

    bob.send(format!(r#"{{"action":"getMessages","targetId":"{ALICE}","limit":10}}"#)).await;
    let page = bob.hears("messages").await;
    assert_eq!((&page["items"][0]["content"], &page["hasMore"]), (&json!("Hello, Bob!"), &json!(false)));
}

#[tokio::test]
async fn a_client_that_speaks_to_groups_and_individuals_and_shows_typing() {
    let world = World::start().await;
    let mut ana = world.connect_to("123", "456").await;
    let mut ben = world.connect_to("789", "456").await;
    ana.hears("joined").await;

    // `userId` is not a field of this action, and is ignored.
    let typing = r#"{ "action": "typingIndicator", "userId": "123", "chatRoomId": "456" }"#;
    ana.send(unchecked(typing)).await;
    assert_eq!(ben.hears("typing").await["userId"], "123");

    ana.ask(with_aliases(json!({ "action": "sendMessage", "chatRoomId": "456", "content": "to the group" }))).await;
    assert_eq!(ben.hears("message").await["content"], "to the group");
    ana.ask(with_aliases(json!({ "action": "broadcastMessage", "chatRoomId": "456", "content": "to all members" })))
        .await;
    assert_eq!(ben.hears("message").await["content"], "to all members");
    ana.ask(json!({ "action": "sendMessage", "recipientId": "789", "content": "to one" })).await;
    assert_eq!(ben.hears("message").await["content"], "to one");
    ana.hears_nothing().await;
}

#[tokio::test]
async fn a_client_without_identity_that_broadcasts() {
    let world = World::start().await;
    let mut ana = world.open("").await.unwrap();
    let mut ben = world.open("").await.unwrap();
    let mut cleo = world.open("").await.unwrap();

    ana.send(verbatim(
        r#"{
      "action": "sendMessage",
      "data": "Hello, World!"
    }"#,
    ))
    .await;

    assert_eq!(ben.hears_text().await, "Hello, World!");
    assert_eq!(cleo.hears_text().await, "Hello, World!");
    ana.hears_nothing().await;
}

/// What the generator in that backend's document signs: a subject, a name, roles, and the time by itself.
#[tokio::test]
async fn a_token_from_another_backends_generator() {
    let world = World::with_tokens().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let claims: Value = json!({ "sub": "1234567890", "name": "Cristian Scherer", "roles": ["admin"], "iat": now });
    let token = crate::harness::token(&claims);
    let mut admin = world.open_with("", &[("authorization", &format!("Bearer {token}"))]).await.unwrap().0;
    let mut other = world.open(&format!("?token={token}")).await.unwrap();

    admin.send(verbatim(r#"{"action": "sendMessage", "data": "Hello, World!"}"#)).await;

    assert_eq!(other.hears_text().await, "Hello, World!");
    let me = admin.ask(json!({ "action": "hello" })).await;
    assert_eq!(
        (&me["userId"], &me["userName"], &me["roles"]),
        (&json!("1234567890"), &json!("Cristian Scherer"), &json!(["admin"]))
    );
}
