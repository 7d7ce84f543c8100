//! Connecting where a signed token is asked for.

use serde_json::{Value, json};

use crate::harness::{World, token};

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn anas_token() -> String {
    token(&json!({ "sub": "ana", "name": "Ana", "exp": now() + 600 }))
}

async fn name_in_the_lobby(user: &mut crate::harness::User) -> Value {
    let info = user.ask(json!({ "action": "roomInfo", "roomId": "lobby" })).await;
    json!([info["members"][0]["userId"], info["members"][0]["userName"]])
}

#[tokio::test]
async fn a_token_is_read_from_header_subprotocol_or_query() {
    let world = World::with_tokens().await;
    let token = anas_token();
    let bearer = format!("Bearer {token}");
    let protocols = format!("chat, {token}");

    let (mut by_header, answer) = world.open_with("", &[("authorization", &bearer)]).await.unwrap();
    assert_eq!(name_in_the_lobby(&mut by_header).await, json!(["ana", "Ana"]));
    assert!(!answer.contains_key("sec-websocket-protocol"));

    let (mut by_protocol, answer) = world.open_with("", &[("sec-websocket-protocol", &protocols)]).await.unwrap();
    assert_eq!(name_in_the_lobby(&mut by_protocol).await, json!(["ana", "Ana"]));
    assert_eq!(answer["sec-websocket-protocol"], "chat");

    let mut by_query = world.open(&format!("?token={token}")).await.unwrap();
    assert_eq!(name_in_the_lobby(&mut by_query).await, json!(["ana", "Ana"]));
}

#[tokio::test]
async fn a_handshake_without_a_valid_token_is_refused() {
    let world = World::with_tokens().await;
    let good = anas_token();
    let expired = token(&json!({ "sub": "ana", "exp": now() - 1 }));
    let endless = token(&json!({ "sub": "ana" }));
    let nobody = token(&json!({ "exp": now() + 600 }));

    for query in [
        String::new(),
        "?userId=ana".to_owned(),
        "?token=".to_owned(),
        "?token=nonsense".to_owned(),
        format!("?token={good}x"),
        format!("?token={expired}"),
        format!("?token={endless}"),
        format!("?token={nobody}"),
    ] {
        assert_eq!(world.open(&query).await.err(), Some(401), "{query}");
    }
    assert_eq!(world.open(&format!("?token={good}&userId=ben")).await.err(), Some(403));
    assert!(world.open(&format!("?token={good}&userId=ana")).await.is_ok());
    assert_eq!(world.rows("Connections").await.len(), 1);
}

#[tokio::test]
async fn a_token_expires_by_the_events_time() {
    let world = World::with_tokens().await;
    let by_exp = anas_token();
    let by_age = token(&json!({ "sub": "ana", "iat": now() }));
    world.time_passes(599);
    assert!(world.open(&format!("?token={by_exp}")).await.is_ok());

    world.time_passes(2);
    assert_eq!(world.open(&format!("?token={by_exp}")).await.err(), Some(401));
    assert!(world.open(&format!("?token={by_age}")).await.is_ok());

    world.time_passes(86_400);
    assert_eq!(world.open(&format!("?token={by_age}")).await.err(), Some(401));
}

#[tokio::test]
async fn the_name_in_a_token_cannot_be_changed() {
    let world = World::with_tokens().await;
    let named = anas_token();
    let nameless = token(&json!({ "sub": "ben", "exp": now() + 600 }));
    let mut ana = world.open(&format!("?token={named}&username=Boss&roomId=tea")).await.unwrap();
    let mut ben = world.open(&format!("?token={nameless}")).await.unwrap();

    ana.ask(json!({ "action": "joinRoom", "roomId": "tea", "userName": "Boss" })).await;
    ben.ask(json!({ "action": "joinRoom", "roomId": "tea", "userName": "Benny" })).await;

    assert_eq!(ana.says("tea", "hi").await["userName"], "Ana");
    assert_eq!(ben.says("tea", "hi").await["userName"], "Benny");
}
