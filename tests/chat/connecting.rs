//! Opening and closing connections.

use serde_json::json;

use crate::harness::World;

#[tokio::test]
async fn a_user_without_an_id_gets_a_unique_anonymous_id() {
    let world = World::start().await;
    let mut one = world.open("?format=native").await.unwrap();
    let _two = world.open("").await.unwrap();

    let info = one.ask(json!({ "action": "roomInfo", "roomId": "lobby" })).await;

    let users: Vec<_> =
        info["participants"].as_array().unwrap().iter().map(|user| user["userId"].as_str().unwrap()).collect();
    assert!(users.len() == 2 && users.iter().all(|user| user.starts_with("anon-")), "{users:?}");
}

#[tokio::test]
async fn a_ping_is_answered_and_carries_its_request_id_back() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;

    ana.send(json!({ "action": "ping", "requestId": "7" })).await;

    assert_eq!(ana.hears_anything().await, json!({ "type": "pong", "requestId": "7" }));
}

#[tokio::test]
async fn an_invalid_query_is_refused_with_400() {
    let world = World::start().await;
    for query in [
        "?userId=a%00b",
        "?userId=a%0Ab",
        "?roomId=%7F",
        "?roomId=Lobby",
        "?format=xml",
        "?userId=ana&username=a%0Ab",
        "?userId=ana&username=Ana&name=Ben",
        "?userIcon=%00",
    ] {
        assert_eq!(world.open(query).await.err(), Some(400), "{query}");
    }
    let long = format!("?userId={}", "x".repeat(129));
    assert_eq!(world.open(&long).await.err(), Some(400));
    assert!(world.rows("Connections").await.is_empty());
    assert!(world.rows("Subscriptions").await.is_empty());
}

#[tokio::test]
async fn unusual_but_valid_queries_are_accepted() {
    let world = World::start().await;
    for query in [
        "?",
        "?&&",
        "?a=b&a=c",
        "?userId=",
        "?userId=ana&roomId=&username=",
        "?userId=%E2%98%95&x=%FF",
        "?userId=ana&userId=ben",
    ] {
        assert!(world.open(query).await.is_ok(), "{query}");
    }
}

#[tokio::test]
async fn a_closed_connection_leaves_no_rows() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    ana.creates_room(&[]).await;
    ana.creates_room(&[]).await;
    let pinned = world.connect_to("ana", "tea").await;
    assert_eq!(world.rows("Connections").await.len(), 2);
    // Its user, the lobby, two rooms and the third, which was joined by another connection of hers; that one has two.
    assert_eq!(world.rows("Subscriptions").await.len(), 7);

    ana.closes().await;
    pinned.closes().await;
    world.has_called("$disconnect", 2).await;

    assert!(world.rows("Connections").await.is_empty());
    assert!(world.rows("Subscriptions").await.is_empty());
    // Memberships are durable.
    assert_eq!(world.rows("Members").await.len(), 3);
}

#[tokio::test]
async fn a_close_frame_is_answered_with_the_same_code() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;

    ana.sends_close(4001).await;

    assert_eq!(ana.is_closed().await, Some(4001));
}

#[tokio::test]
async fn a_client_that_aborts_its_handshake_leaves_no_rows() {
    let world = World::start().await;
    let _ana = world.connect("ana").await;
    let processes = world.function_processes();

    for times in 1..=5 {
        world.aborts_a_handshake("ben").await;
        world.has_called("$disconnect", times).await;
    }

    assert_eq!(world.rows_with("Connections", "userId", "ben").await, 0);
    assert!(processes.iter().all(|id| world.function_processes().contains(id)));
    assert_eq!(world.rows_with("Subscriptions", "userId", "ben").await, 0);
}

#[tokio::test]
async fn rows_of_a_connection_expire_just_after_the_two_hour_limit() {
    let world = World::start().await;
    let _ana = world.connect_to("ana", "tea").await;

    for table in ["Connections", "Subscriptions"] {
        for row in world.rows(table).await {
            let number = |name: &str| row[name].as_n().unwrap().parse::<i64>().unwrap();
            let lives = number("ttl") - number("connectedAt") / 1000;
            assert!((7_200..=9_000).contains(&lives), "{table}: {lives}");
        }
    }
}

#[tokio::test]
async fn an_unknown_connection_is_told_to_reconnect_and_closed() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let row = world.rows("Connections").await.remove(0);
    let id = row["connectionId"].clone();
    world.dynamodb().delete_item().table_name("Connections").key("connectionId", id).send().await.unwrap();

    let answer = ana.ask(json!({ "action": "sendMessage", "recipientId": "ben", "content": "hello?" })).await;

    assert_eq!((&answer["status"], &answer["code"]), (&json!(401), &json!("RECONNECT")));
    assert_eq!(ana.is_closed().await, Some(1000));
    assert!(world.rows("Messages").await.is_empty());
}

#[tokio::test]
async fn the_http_api_answers_on_its_port() {
    let world = World::start().await;

    let (status, body) = crate::program::get(&format!("{}/health", world.urls().http)).await;
    assert_eq!((status, body.as_str()), (200, r#"{"status":"ok"}"#));

    let (status, body) = crate::program::get(&format!("{}/nowhere", world.urls().http)).await;
    assert_eq!((status, body.as_str()), (404, r#"{"message":"Not Found"}"#));
}

#[tokio::test]
async fn pages_of_other_origins_may_not_connect_where_origins_are_listed() {
    let world = World::with(&[("ALLOWED_ORIGINS", "https://chat.example,https://app.example:8443")]).await;
    let open = async |origin: &str| world.open_with("?userId=ana", &[("origin", origin)]).await.map(drop);

    assert_eq!(open("https://app.example:8443").await, Ok(()));
    assert!(world.open("?userId=ana").await.is_ok(), "a program sends no origin");
    for foreign in ["https://chat.example.evil", "http://chat.example", "https://app.example", "null"] {
        assert_eq!(open(foreign).await, Err(403), "{foreign}");
    }

    let line = world.logs(|line| line["origin"] == "http://chat.example").await;
    assert_eq!(line["level"], "WARN");
    let unlisted = World::start().await;
    assert!(unlisted.open_with("?userId=ana", &[("origin", "https://anywhere.example")]).await.is_ok());
}
