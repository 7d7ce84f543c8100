//! The HTTP API as such: what it takes, what it refuses, and who is asking.

use axum::body::Bytes;
use base64::Engine;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use switchboard::local::Options;

use crate::harness::{Outgoing, World, token, unchecked};

const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn the_documented_examples_of_older_backends_work() {
    let world = World::start().await;
    let created = r#"{
     "userId": "user123",
     "latitude": 37.7749,
     "longitude": -122.4194,
     "roadName": "Main Street",
     "roomType": "public",
     "maxParticipants": 15
   }"#;
    let created = world.request("POST", "/rooms", &[JSON], created).await;
    assert_eq!(created.status, 201);
    let id = created.body["id"].as_str().unwrap();

    let found = world.get("/rooms?latitude=37.7749&longitude=-122.4194&roomType=public").await;
    assert_eq!((&found.body["rooms"][0]["id"], &found.body["rooms"][0]["distance"]), (&json!(id), &json!(0)));

    let joined = world.post("/rooms/join", json!({ "roomId": id, "userId": "user456" })).await;
    assert_eq!((joined.status, &joined.body["participantCount"]), (200, &json!(2)));

    let stranger = world.post("/rooms/close", json!({ "roomId": id, "userId": "user456" })).await;
    assert_eq!(stranger.status, 403);
    let closed = world.post("/rooms/close", json!({ "roomId": id, "userId": "user123" })).await;
    assert_eq!((closed.status, &closed.body["id"], &closed.body["status"]), (200, &json!(id), &json!("closed")));
    assert_eq!(closed.body["participants"], json!(["user123", "user456"]));
    assert_eq!(world.post("/rooms/join", json!({ "roomId": "room-uuid", "userId": "user123" })).await.status, 404);
    assert_eq!(world.post("/rooms/close", json!({ "roomId": "room-uuid", "userId": "user123" })).await.status, 404);
    assert_eq!(world.post("/rooms", unchecked(json!({ "userId": "user123" }))).await.status, 400);
}

#[tokio::test]
async fn errors_name_the_invalid_field() {
    let world = World::start().await;
    let room = |changed: &str, value: Value| {
        let mut room = json!({ "userId": "ana", "latitude": 1.5, "longitude": 2.5 });
        room[changed] = value;
        room
    };
    for (changed, value) in [
        ("latitude", json!(90.0001)),
        ("latitude", json!(-91)),
        ("latitude", json!("north")),
        ("latitude", Value::Null),
        ("latitude", json!([1])),
        ("longitude", json!(180.5)),
        ("longitude", json!(-1e300)),
        ("longitude", json!("west")),
        ("userId", json!(7.5)),
        ("userId", json!("")),
        ("userId", Value::Null),
        ("roomType", json!("secret")),
        ("roomType", json!("direct")),
        ("maxParticipants", json!(0)),
        ("maxParticipants", json!("many")),
        ("maxParticipants", json!(1.5)),
        ("radius", json!(0)),
        ("radius", json!(10_001)),
        ("radius", json!("1 km")),
        ("roadName", json!(["Main Street"])),
        ("roomName", json!("x".repeat(129))),
    ] {
        let answer = world.post("/rooms", unchecked(room(changed, value.clone()))).await;
        assert_eq!(answer.refusal(), (400, "INVALID_FIELD", changed), "{changed}: {value}");
        assert!(answer.body["message"].as_str().unwrap().contains(changed));
        assert!(answer.body.get("type").is_none());
    }
    for (query, field) in [
        ("longitude=1", "latitude"),
        ("latitude=1", "longitude"),
        ("latitude=NaN&longitude=1", "latitude"),
        ("latitude=inf&longitude=1", "latitude"),
        ("latitude=1&longitude=181", "longitude"),
        ("latitude=&longitude=1", "latitude"),
        ("latitude=1&longitude=1&radius=50001", "radius"),
        ("latitude=1&longitude=1&radius=-1", "radius"),
        ("latitude=1&longitude=1&limit=0", "limit"),
        ("latitude=1&longitude=1&limit=many", "limit"),
        ("latitude=1&longitude=1&roomType=direct", "roomType"),
        ("latitude=1&longitude=1&cursor=here", "cursor"),
    ] {
        assert_eq!(world.get(&format!("/rooms?{query}")).await.refusal(), (400, "INVALID_FIELD", field), "{query}");
    }
    let id = world.posts_room("ana", 1.0, 1.0).await;
    for (query, field) in [
        ("userId=ana&limit=0", "limit"),
        ("userId=ana&before=1&after=2", "after"),
        ("userId=ana&before=-1", "before"),
        ("limit=1", "userId"),
    ] {
        let refused = world.get(&format!("/rooms/{id}/messages?{query}")).await;
        assert_eq!(refused.refusal(), (400, "INVALID_FIELD", field), "{query}");
    }
    let no_room = world.post("/rooms/join", unchecked(json!({ "userId": "ana" }))).await;
    assert_eq!(no_room.refusal(), (400, "INVALID_FIELD", "roomId"));
    let two = world.post("/rooms/join?userId=ben", json!({ "roomId": id, "userId": "ana" })).await;
    assert_eq!(two.refusal(), (400, "AMBIGUOUS_FIELD", "userId"));
}

#[tokio::test]
async fn a_body_is_parsed_as_json_whatever_its_content_type_and_limited_in_size() {
    let world = World::start().await;
    let room = r#"{"userId":"ana","latitude":1,"longitude":2}"#;
    let post = |content_type: Option<&'static str>, body: Outgoing| {
        let world = &world;
        let headers: Vec<_> = content_type.map(|kind| ("content-type", kind)).into_iter().collect();
        async move { world.request("POST", "/rooms", &headers, body).await }
    };

    let kinds = [
        None,
        Some("application/json; charset=utf-8"),
        Some("Application/JSON"),
        Some("application/x+json"),
        Some("text/plain;charset=UTF-8"),
        Some("application/x-www-form-urlencoded"),
        Some("application/octet-stream"),
    ];
    for (number, kind) in kinds.into_iter().enumerate() {
        let room = room.replace("ana", &format!("ana-{number}"));
        assert_eq!(post(kind, room.as_str().into()).await.status, 201, "{kind:?}");
    }
    let form = post(Some("application/x-www-form-urlencoded"), unchecked("userId=ana&latitude=1&longitude=2")).await;
    assert_eq!(form.refusal(), (400, "INVALID_FIELD", "body"));
    let no_utf8: &'static [u8] = b"{\"userId\":\"\xff\"}";
    for body in [b"{".as_slice(), b"[]", b"7", b"{\"latitude\": NaN}", no_utf8] {
        assert_eq!(
            post(Some("application/json"), unchecked(Bytes::from_static(body))).await.refusal(),
            (400, "INVALID_FIELD", "body")
        );
    }
    assert_eq!(post(Some("application/json"), unchecked("")).await.refusal(), (400, "INVALID_FIELD", "latitude"));
    let whole = r#"{"userId":"ana","latitude":1,"longitude":2,"maxParticipants":15.0}"#;
    assert_eq!(post(Some("application/json"), whole.into()).await.body["maxParticipants"], 15);
    // What a post says stands in its body, but for who posts it.
    let in_query = world.request("POST", "/rooms?userId=ana&latitude=1&longitude=2", &[], unchecked("")).await;
    assert_eq!(in_query.refusal(), (400, "INVALID_FIELD", "latitude"));
    let padded = format!("{}{room}", " ".repeat(32 * 1024 - room.len()));
    assert_eq!(post(Some("application/json"), padded.as_str().into()).await.status, 201);
    let long = format!(" {padded}");
    assert_eq!(post(Some("application/json"), long.into()).await.refusal(), (413, "TOO_LARGE", ""));
}

#[tokio::test]
async fn base64_bodies_are_decoded() {
    let world = World::start().await;
    // The local gateway packs what is no text, as API Gateway does.
    let room = r#"{"userId":"ana","latitude":1,"longitude":2}"#;
    let answer = world.request("POST", "/rooms", &[("content-type", "application/vnd.chat+json")], room).await;
    assert_eq!(answer.status, 201);

    let id = "a room ü+%";
    let path: String = form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>().replace('+', "%20");
    let mut ana = world.open(&format!("?userId=ana&roomId={path}")).await.unwrap();
    ana.says(id, "hi").await;
    assert_eq!(world.get(&format!("/rooms/{path}?userId=ana")).await.body["id"], json!(id));
    let tricky: String = form_urlencoded::byte_serialize("a,b&c=é".as_bytes()).collect();
    let refused = world.get(&format!("/rooms/{path}?userId={tricky}")).await;
    assert_eq!(refused.refusal(), (403, "NOT_A_MEMBER", ""));
    assert!(world.log().iter().any(|line| line["user_id"] == "a,b&c=é"));
    let packed = base64::prelude::BASE64_STANDARD.encode(room);
    let answer = world.request("POST", "/rooms", &[JSON], unchecked(packed)).await;
    assert_eq!(answer.refusal(), (400, "INVALID_FIELD", "body"));
}

#[tokio::test]
async fn the_bearer_token_identifies_the_caller() {
    let world = World::with_tokens().await;
    let claims = json!({ "sub": "ana", "name": "Ana", "iat": 1_700_000_000, "exp": 4_000_000_000_u64 });
    let bearer = format!("Bearer {}", token(&claims));
    let headers = [JSON, ("authorization", bearer.as_str())];
    let ask = |method: &'static str, path: String, body: Value| {
        let (world, headers) = (&world, &headers);
        let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
        async move { world.request(method, &path, headers, body).await }
    };

    let room = ask("POST", "/rooms".into(), json!({ "latitude": 1, "longitude": 1, "userName": "Somebody" })).await;
    assert_eq!((room.status, &room.body["creator"]), (201, &json!("ana")));
    assert_eq!(room.body["members"][0]["userName"], "Ana");
    let id = room.body["id"].as_str().unwrap();
    let own = ask("POST", "/rooms/join".into(), json!({ "roomId": id, "userId": "ana" })).await;
    assert_eq!(own.status, 200);
    let others = ask("POST", "/rooms/join".into(), json!({ "roomId": id, "userId": "ben" })).await;
    assert_eq!(others.refusal(), (403, "FORBIDDEN", ""));
    assert_eq!(ask("GET", format!("/rooms/{id}?userId=ben"), Value::Null).await.status, 403);
    assert_eq!(ask("GET", format!("/rooms/{id}"), Value::Null).await.status, 200);
    assert_eq!(ask("GET", "/rooms?latitude=1&longitude=1".into(), Value::Null).await.status, 200);

    for path in ["/rooms?latitude=1&longitude=1&userId=ana", "/rooms/x?userId=ana", "/rooms/x/messages"] {
        assert_eq!(world.get(path).await.refusal(), (401, "UNAUTHORIZED", ""), "{path}");
    }
    let nobody = world.post("/rooms", json!({ "userId": "ana", "latitude": 1, "longitude": 1 })).await;
    assert_eq!(nobody.refusal(), (401, "UNAUTHORIZED", ""));
    assert_eq!(world.get("/health").await.status, 200);
}

#[tokio::test]
async fn cors_is_answered_as_configured() {
    let world = World::start().await;
    let ours = ("origin", "https://chat.example");
    let preflight =
        [ours, ("access-control-request-method", "POST"), ("access-control-request-headers", "content-type")];
    let answer = world.request("OPTIONS", "/rooms", &preflight, Bytes::new()).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, "*"));
    assert_eq!(answer.header("access-control-allow-methods"), "DELETE,GET,OPTIONS,PATCH,POST");
    assert_eq!(answer.header("access-control-allow-headers"), "authorization,content-type");
    let answer = world.request("GET", "/health", &[ours], Bytes::new()).await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(world.get("/health").await.header("access-control-allow-origin"), "");

    let origins = vec!["https://chat.example".to_owned()];
    let strict = World::changed(&[], |options| Options { cors_origins: origins, ..options }).await;
    let answer = strict.request("GET", "/health", &[ours], Bytes::new()).await;
    assert_eq!(
        (answer.header("access-control-allow-origin"), answer.header("vary")),
        ("https://chat.example", "Origin")
    );
    for method in ["GET", "OPTIONS"] {
        let theirs = [("origin", "https://evil.example"), ("access-control-request-method", "POST")];
        let answer = strict.request(method, "/health", &theirs, Bytes::new()).await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{method}");
    }
}

#[tokio::test]
async fn two_thousand_random_requests_cause_no_server_error() {
    const REQUESTS: u64 = 2_000;

    let world = World::start().await;
    let room = world.posts_room("ana", 0.0, 0.0).await;
    let ask = |seed: u64| {
        let (world, room) = (&world, &room);
        async move {
            let mut dice = fastrand::Rng::with_seed(seed);
            let (method, path, headers, body) = odd_request(&mut dice, room);
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = world.request(method, &path, &headers, unchecked(body.clone())).await;
            assert!((200..500).contains(&answer.status), "{seed}: {method} {path} {body:?}: {}", answer.body);
            answer.status
        }
    };
    let statuses: Vec<_> = stream::iter(0..REQUESTS).map(ask).buffer_unordered(8).collect().await;

    for status in [200, 201, 400, 403, 404, 413] {
        assert!(statuses.contains(&status), "none was answered {status}");
    }
    assert_eq!(world.processes_ever(), world.function_processes().len(), "a function process has ended");
}

/// Something that a route might be asked, with a few things wrong with it.
fn odd_request(dice: &mut fastrand::Rng, room: &str) -> (&'static str, String, Vec<(&'static str, String)>, Bytes) {
    let odd_text = |dice: &mut fastrand::Rng| -> String {
        let texts =
            ["ana", "ben", room, "lobby", "dm-x", "", "é\u{202e}", "\0", "a b/c?d#e%", "' OR 1=1", "null", "💬"];
        match dice.usize(..texts.len() + 2) {
            at if at < texts.len() => texts[at].to_owned(),
            at if at == texts.len() => "x".repeat(dice.usize(100..5_000)),
            _ => (0..dice.usize(..40)).map(|_| dice.char(..)).collect(),
        }
    };
    let odd_number = |dice: &mut fastrand::Rng| -> Value {
        let numbers =
            [0.0, -0.0, 1.0, 15.0, -1.0, 90.0, 180.0, -180.0, 1e-320, 1e308, 0.1, 89.999_999_999, 4_294_967_296.0];
        match dice.usize(..4) {
            0 => json!(dice.i64(..)),
            1 => json!(dice.u64(..)),
            _ => json!(numbers[dice.usize(..numbers.len())]),
        }
    };
    let odd_value = |dice: &mut fastrand::Rng| -> Value {
        match dice.usize(..9) {
            0 => Value::Null,
            1 => json!(dice.bool()),
            2..=3 => odd_number(dice),
            4 => json!([odd_text(dice), odd_number(dice)]),
            5 => json!({ "a": { "b": odd_text(dice) } }),
            _ => json!(odd_text(dice)),
        }
    };
    const FIELDS: &[&str] = &[
        "userId",
        "roomId",
        "latitude",
        "longitude",
        "roomType",
        "radius",
        "limit",
        "cursor",
        "maxParticipants",
        "roadName",
        "roomName",
        "userName",
        "name",
        "username",
        "invite",
        "maxUses",
        "expiresInSeconds",
        "before",
        "after",
        "chatRoomId",
        "recipientId",
        "targetId",
        "data",
        "requestId",
        "action",
    ];
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");

    let mut fields = json!({ "userId": "ana", "roomId": room, "latitude": 1, "longitude": 2 });
    for _ in 0..dice.usize(..4) {
        fields[FIELDS[dice.usize(..FIELDS.len())]] = odd_value(dice);
    }
    let named = if dice.bool() { room.to_owned() } else { odd_text(dice) };
    let (method, path, has_body) = match dice.usize(..11) {
        0 => ("POST", "/rooms".to_owned(), true),
        1 => ("GET", "/rooms".to_owned(), false),
        2 => ("POST", "/rooms/join".to_owned(), true),
        3 => ("POST", "/rooms/leave".to_owned(), true),
        // Closed, it would have little more to say.
        4 => ("POST", "/rooms/close".to_owned(), {
            fields["roomId"] = odd_value(dice);
            true
        }),
        5 => ("GET", format!("/rooms/{}", encoded(&named)), false),
        6 => ("GET", format!("/rooms/{}/messages", encoded(&named)), false),
        7 => ("POST", format!("/rooms/{}/invites", encoded(&named)), true),
        8 => ("DELETE", format!("/rooms/{}/invites/{}", encoded(&named), encoded(&odd_text(dice))), false),
        9 => ("GET", "/health".to_owned(), false),
        _ => ("PUT", format!("/{}", encoded(&odd_text(dice))), true),
    };
    let mut query = String::new();
    let in_query = !has_body || dice.u8(..8) == 0;
    if in_query {
        if path.starts_with("/rooms/") {
            fields.as_object_mut().unwrap().remove("roomId");
        }
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let pairs = fields.as_object().unwrap().iter().map(|(name, value)| format!("{name}={}", encoded(&text(value))));
        query = format!("?{}", pairs.collect::<Vec<_>>().join("&"));
        query.truncate(4_000);
    }
    let body = match dice.usize(..12) {
        _ if !has_body => Bytes::new(),
        0 => Bytes::from((0..dice.usize(..200)).map(|_| dice.u8(..)).collect::<Vec<_>>()),
        1 => Bytes::from(fields.to_string().split_off(1)),
        2 => Bytes::from(format!("{fields}{}", " ".repeat(40_000))),
        3 => Bytes::from("[".repeat(10_000)),
        _ => Bytes::from(fields.to_string()),
    };
    let kind = ["application/json", "application/json", "application/json", "text/plain", "", "\u{e9}/json"];
    let mut headers = vec![("content-type", kind[dice.usize(..kind.len())].to_owned())];
    if dice.u8(..6) == 0 {
        headers.push(("authorization", ["Bearer", "Bearer x.y.z", "Basic \u{fc}"][dice.usize(..3)].to_owned()));
    }
    (method, format!("{path}{query}"), headers, body)
}
