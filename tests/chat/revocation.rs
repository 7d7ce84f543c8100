//! A backend revokes a user's tokens, and closes their connections.

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::harness::{Answer, Signing, User, World, request, token};

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

/// A token that was issued some seconds from now.
fn token_of(user: &str, seconds: i64) -> String {
    let at = now().checked_add_signed(seconds).unwrap();
    token(&json!({ "sub": user, "iat": at, "exp": at + 7_000 }))
}

async fn connect(world: &World, token: &str) -> Result<User, u16> {
    world.open(&format!("?format=native&token={token}")).await
}

async fn disconnect(world: &World, user: &str, body: Value) -> Answer {
    world.admin("POST", &format!("/admin/users/{user}/disconnect"), body).await
}

async fn me(world: &World, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    world.request("GET", "/me", &[("authorization", &bearer)], Bytes::new()).await.status
}

#[tokio::test]
async fn a_revoked_user_is_disconnected_everywhere_and_needs_a_new_token() {
    let world = World::with_tokens_and(&[("ADD_MEMBERS", "direct")]).await;
    let old = token_of("ana", -10);
    let mut ana = [connect(&world, &old).await.unwrap(), connect(&world, &old).await.unwrap()];
    let mut ben = connect(&world, &token_of("ben", -10)).await.unwrap();
    let tea = ben.creates_room(&["ana"]).await;
    assert_eq!(me(&world, &old).await, 200);

    let answer = disconnect(&world, "ana", Value::Null).await;

    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!((&answer.body["userId"], &answer.body["connections"]), (&json!("ana"), &json!(2)));
    for device in &mut ana {
        assert_eq!(device.is_closed().await, Some(1000));
    }
    assert!(world.subscribers("user#ana").await.is_empty());
    assert_eq!(ben.hears("presence").await["status"], "offline");
    assert_eq!(ben.says(&tea, "nobody else is here").await["seq"], 1);
    assert_eq!((connect(&world, &old).await.err(), me(&world, &old).await), (Some(401), 401));
    assert_eq!((world.rows("Connections").await.len(), me(&world, &token_of("ben", -10)).await), (1, 200));
    // A token without a time of issue is as old as can be.
    let timeless = token(&json!({ "sub": "ana", "exp": now() + 600 }));
    assert_eq!(connect(&world, &timeless).await.err(), Some(401));
    let new = token_of("ana", 3);
    let mut ana = connect(&world, &new).await.unwrap();
    assert_eq!(me(&world, &new).await, 200);
    let refreshed = ana.is_refused(json!({ "action": "refreshToken", "token": old })).await;
    assert_eq!(refreshed, (401, "UNAUTHORIZED".to_owned()));
    assert_eq!(ana.ask(json!({ "action": "ping" })).await["type"], "pong");
}

#[tokio::test]
async fn a_blocked_user_is_refused_until_the_end_of_the_block() {
    let world = World::with_tokens().await;
    let new = token_of("ana", 3);
    let end = (now() + 3_600) * 1_000;
    let end = switchboard::domain::Timestamp::from_millis(end.try_into().unwrap()).to_iso();
    let answer = disconnect(&world, "ana", json!({ "blockUntil": end })).await;
    assert_eq!((&answer.body["blockUntil"], &answer.body["connections"]), (&json!(end), &json!(0)));

    assert_eq!((connect(&world, &new).await.err(), me(&world, &new).await), (Some(403), 403));
    let to_a_room = world.open(&format!("?roomId=tea&token={new}")).await;
    assert_eq!(to_a_room.err(), Some(403));
    assert_eq!(world.rows("ChatRooms").await.len() + world.rows("Members").await.len(), 0);

    // Another call without an end leaves the block as it is; one with an end in the past lifts it.
    disconnect(&world, "ana", json!({ "notBefore": "2026-01-01T00:00:00Z" })).await;
    assert_eq!(connect(&world, &new).await.err(), Some(403));
    disconnect(&world, "ana", json!({ "notBefore": "2026-01-01T00:00:00Z", "blockUntil": "2026-01-01T00:00:00Z" }))
        .await;
    assert!(connect(&world, &new).await.is_ok());
    // Tokens that were revoked stay revoked.
    assert_eq!(connect(&world, &token_of("ana", -10)).await.err(), Some(401));
}

#[tokio::test]
async fn a_file_of_a_revoked_user_is_refused_when_it_arrives() {
    let world = World::with_tokens_and(&[("ADD_MEMBERS", "direct")]).await;
    let mut ana = connect(&world, &token_of("ana", -10)).await.unwrap();
    let mut ben = connect(&world, &token_of("ben", -10)).await.unwrap();
    let tea = ben.creates_room(&["ana"]).await;
    let file = json!({
        "action": "handleFileUpload", "roomId": tea, "fileName": "a.txt", "contentType": "text/plain", "size": 4
    });
    let upload = ana.ask(file).await;

    disconnect(&world, "ana", Value::Null).await;

    let headers = upload["headers"].as_object().unwrap().iter();
    let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    let put = world.fetch("PUT", upload["uploadUrl"].as_str().unwrap(), &headers, "text".into()).await;
    assert_eq!(put.status, 200);
    world.has_called("ObjectCreated", 1).await;
    assert_eq!(ben.says(&tea, "no file came").await["seq"], 1);
    assert_eq!(world.rows_with("Files", "status", "unwanted").await, 1);
}

#[tokio::test]
async fn a_link_to_a_file_ends_with_a_revocation() {
    let world = World::with_tokens_and(&[("ADD_MEMBERS", "direct")]).await;
    let mut ana = connect(&world, &token_of("ana", -10)).await.unwrap();
    let page = format!("?token={}", token_of("ben", -10));
    let (mut ben, _) = world.open_with(&page, &[("origin", "http://localhost")]).await.unwrap();
    let tea = ana.creates_room(&["ben"]).await;
    let link = shares_file(&world, &mut ana, &tea, &mut ben).await;
    assert_eq!(world.fetch("GET", &link, &[], Bytes::new()).await.status, 307);

    disconnect(&world, "ben", Value::Null).await;

    assert_eq!(world.fetch("GET", &link, &[], Bytes::new()).await.status, 401);
}

/// A user uploads a file. Returns its address, as another one hears it.
async fn shares_file(world: &World, user: &mut User, room: &str, other: &mut User) -> String {
    let file = json!({
        "action": "handleFileUpload", "roomId": room, "fileName": "a.txt", "contentType": "text/plain", "size": 4
    });
    let upload = user.ask(file).await;
    let headers = upload["headers"].as_object().unwrap().iter();
    let headers: Vec<_> = headers.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    world.fetch("PUT", upload["uploadUrl"].as_str().unwrap(), &headers, "text".into()).await;
    other.hears("message").await["fileUrl"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_repeated_request_of_a_backend_is_answered_as_the_first_one_was() {
    let world = World::with_tokens().await;
    let _ana = connect(&world, &token_of("ana", -10)).await.unwrap();
    let path = "/admin/users/ana/disconnect";
    let first = world.admin_with_key("k1", "POST", path, Value::Null).await;
    let again = connect(&world, &token_of("ana", 3)).await;

    let second = world.admin_with_key("k1", "POST", path, Value::Null).await;

    assert_eq!((second.status, &second.body, &second.body["connections"]), (200, &first.body, &json!(1)));
    assert_eq!(again.unwrap().ask(json!({ "action": "ping" })).await["type"], "pong");
    let other = world.admin_with_key("k1", "POST", path, json!({ "blockUntil": "2999-01-01T00:00:00Z" })).await;
    assert_eq!(other.refusal(), (409, "IDEMPOTENCY_MISMATCH", ""));
    let elsewhere = world.admin_with_key("k1", "POST", "/admin/users/ben/disconnect", Value::Null).await;
    assert_eq!(elsewhere.status, 409);
    for key in ["", "a key", &"k".repeat(129)] {
        let answer = world.admin_with_key(key, "POST", path, Value::Null).await;
        assert_eq!(answer.refusal(), (400, "INVALID_FIELD", "Idempotency-Key"), "{key:?}");
    }
    world.time_passes(86_401);
    let next_day = world.admin_with_key("k1", "POST", path, json!({ "blockUntil": "2999-01-01T00:00:00Z" })).await;
    assert_eq!(next_day.status, 200);
}

#[tokio::test]
async fn each_call_of_a_backend_is_recorded() {
    let world = World::with_tokens().await;
    disconnect(&world, "ana", Value::Null).await;
    let rows = world.rows("Audit").await;
    let text = |name: &str| rows[0][name].as_s().unwrap().as_str();
    assert_eq!(rows.len(), 1);
    assert_eq!((text("action"), text("userId")), ("POST /admin/users/{userId}/disconnect", "ana"));
    assert_eq!((text("by"), text("sourceIp")), ("arn:aws:iam::000000000000:user/operator", "127.0.0.1"));
}

#[tokio::test]
async fn only_a_signed_request_reaches_the_routes_of_backends() {
    let world = World::with_tokens().await;
    let path = "/admin/users/ana/disconnect";
    let url = format!("{}{path}", world.urls().http);
    let admin = format!("Bearer {}", token(&json!({ "sub": "ana", "exp": now() + 600, "roles": ["admin"] })));
    let good = Signing {
        key: world.access_key().clone(),
        service: "execute-api",
        region: "us-east-1",
        at: std::time::SystemTime::now(),
    };
    let mut guessed = good.clone();
    guessed.key.secret = "guessed".to_owned();
    let headers = [("idempotency-key", "k")];

    let unsigned = request("POST", &url, &headers, b"").await;
    let by_token = request("POST", &url, &[headers[0], ("authorization", &admin)], b"").await;
    let guessed = guessed.request("POST", &url, &headers, b"").await;
    let other_service = Signing { service: "dynamodb", ..good.clone() }.request("POST", &url, &headers, b"").await;
    let signed: Vec<_> = good.headers("POST", &url, &headers, b"");
    let signed: Vec<_> = signed.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let changed = request("POST", &url, &signed, br#"{"blockUntil":"2999-01-01T00:00:00Z"}"#).await;

    for answer in [unsigned, by_token, guessed, other_service, changed] {
        assert_eq!((answer.status, answer.text()), (403, r#"{"message":"Forbidden"}"#));
    }
    assert_eq!(request("POST", &url, &signed, b"").await.status, 200);
    assert_eq!(world.rows("Audit").await.len(), 1);
    // The function itself refuses an event that the gateway has not authorized.
    let event = json!({
        "version": "2.0", "routeKey": "POST /admin/users/{userId}/disconnect", "rawPath": path, "rawQueryString": "",
        "headers": { "authorization": admin, "idempotency-key": "other" }, "pathParameters": { "userId": "ben" },
        "requestContext": {
            "accountId": "1", "apiId": "a", "domainName": "d", "domainPrefix": "d", "requestId": "not authorized",
            "routeKey": "POST /admin/users/{userId}/disconnect", "stage": "$default",
            "time": "19/Feb/2024:07:11:42 +0000", "timeEpoch": 1_800_000_000_000_u64,
            "http": { "method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "" }
        },
        "isBase64Encoded": false
    });
    world.sends_event(event).await;
    let line = world.logs(|line| line["request_id"] == "not authorized" && line["route"] != Value::Null).await;
    assert_eq!((&line["status"], &line["code"]), (&json!(403), &json!("FORBIDDEN")));
    assert_eq!(world.rows("Revoked").await.len(), 1);
}
