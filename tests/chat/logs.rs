//! What the person who reads CloudWatch at night finds.

use serde_json::json;

use crate::support::{World, token};

#[tokio::test]
async fn each_invocation_leaves_one_line_that_says_who_where_and_how_it_ended() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let _ben = world.connect_to("ben", "tea").await;
    ana.says("tea", "hello").await;

    let line = world.logs(|line| line["route"] == "sendMessage").await;

    let wanted = json!({
        "level": "INFO", "message": "invocation", "route": "sendMessage", "room_id": "tea", "user_id": "ana",
        "status": 200, "code": "OK", "recipients": 1, "gone": 0,
    });
    for (name, value) in wanted.as_object().unwrap() {
        assert_eq!(&line[name], value, "{name}");
    }
    assert_eq!(line["connection_id"].as_str().unwrap().len(), 16);
    assert!(line["request_id"].is_string() && line["duration_ms"].is_u64());
    let lines = world.log();
    assert_eq!(lines.iter().filter(|line| line["route"] == "$connect").count(), 2);
    assert_eq!(lines.len(), 3);
}

#[tokio::test]
async fn a_refusal_is_logged_with_its_code() {
    let world = World::start().await;
    let mut eve = world.connect("eve").await;
    eve.is_refused(json!({ "action": "joinRoom", "roomId": "nowhere" })).await;
    assert_eq!(world.open("?userId=").await.err(), Some(400));

    let line = world.logs(|line| line["route"] == "joinRoom").await;
    assert_eq!(
        (&line["status"], &line["code"], &line["room_id"]),
        (&json!(404), &json!("ROOM_NOT_FOUND"), &json!("nowhere"))
    );
    let line = world.logs(|line| line["route"] == "$connect" && line["status"] != 200).await;
    assert_eq!((&line["status"], &line["code"]), (&json!(400), &json!("INVALID_FIELD")));
}

#[tokio::test]
async fn neither_what_is_said_nor_a_token_is_logged() {
    let world = World::with_tokens().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let token = token(&json!({ "sub": "ana", "iat": now }));
    let mut ana = world.open(&format!("?token={token}&roomId=tea")).await.unwrap();
    ana.says("tea", "a-secret-word").await;
    ana.send_text("a-secret-word, and no JSON".to_owned()).await;
    ana.hears("error").await;
    ana.is_refused(json!({ "action": "a-secret-word" })).await;
    ana.is_refused(json!({ "action": "getMessages", "limit": "a-secret-word" })).await;
    assert_eq!(world.open(&format!("?token={token}x")).await.err(), Some(401));

    let log = serde_json::to_string(&world.log()).unwrap();
    assert!(log.matches("invocation").count() >= 6);
    assert!(!log.contains("a-secret-word") && !log.contains(&token));
}
