//! JSON as JavaScript programs write it, names as people type them, and ids that look reserved: in every field that can
//! have them.

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::harness::{User, World, unchecked, with_aliases};

/// The answer to a frame that is given as text.
async fn answer_to(user: &mut User, frame: &str) -> Value {
    user.send(unchecked(frame)).await;
    user.hears_anything().await
}

#[tokio::test]
async fn lone_surrogates_become_replacement_characters_in_every_text() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;

    let said = answer_to(&mut ana, r#"{"action":"sendMessage","roomId":"tea","content":"cut \ud83d"}"#).await;
    assert_eq!(said["content"], "cut \u{fffd}");
    let said =
        answer_to(&mut ana, r#"{"action":"sendMessage","roomId":"tea","userName":"\ude00A","content":"\ud83d\ude00"}"#)
            .await;
    assert_eq!((&said["userName"], &said["content"]), (&json!("\u{fffd}A"), &json!("\u{1f600}")));
    let room = answer_to(&mut ana, r#"{"action":"createRoom","roomName":"\ud83dx","members":["\udc00"]}"#).await;
    assert_eq!((&room["roomName"], &room["participantCount"]), (&json!("\u{fffd}x"), &json!(2)));
    let joined = answer_to(&mut ana, r#"{"action":"joinRoom","roomId":"\ud83d"}"#).await;
    assert_eq!(joined["code"], "ROOM_NOT_FOUND");
    let pong = answer_to(&mut ana, r#"{"action":"ping","requestId":"\ud83d","\ud800":1}"#).await;
    assert_eq!(pong["requestId"], "\u{fffd}");
    let body = r#"{"userId":"\ud83d","latitude":1,"longitude":1,"roomName":"a\ud83d"}"#;
    let made = world.request("POST", "/rooms", &[], unchecked(body)).await.body;
    assert_eq!((&made["creator"], &made["roomName"]), (&json!("\u{fffd}"), &json!("a\u{fffd}")));
}

#[tokio::test]
async fn unread_fields_may_be_any_json() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let values = ["1e999", "-1e999", "1e-999", "99999999999999999999999999", r#""\ud83d""#, "[[[]]]", "null", &deep];
    for (number, unread) in values.into_iter().enumerate() {
        let pong = answer_to(&mut ana, &format!(r#"{{"action":"ping","requestId":"1","unread":{unread}}}"#)).await;
        assert_eq!(pong, json!({ "type": "pong", "requestId": "1" }), "{unread:.20}");
        let body = unchecked(format!(r#"{{"userId":"ana-{number}","latitude":1,"longitude":1,"unread":{unread}}}"#));
        assert_eq!(world.request("POST", "/rooms", &[], body).await.status, 201, "{unread:.20}");
    }
    let read = answer_to(&mut ana, r#"{"action":"getMessages","roomId":"tea","limit":1e999}"#).await;
    assert_eq!((&read["code"], &read["field"]), (&json!("INVALID_FIELD"), &json!("limit")));
}

#[tokio::test]
async fn numbers_are_accepted_with_zero_fraction_and_as_text() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    for number in ["one", "two", "three"] {
        ana.says("tea", number).await;
    }
    let read = |fields: &str| format!(r#"{{"action":"getMessages","roomId":"tea",{fields}}}"#);
    for (frame, count) in [
        (read(r#""limit":2.0"#), 2),
        (read(r#""limit":"2""#), 2),
        (read(r#""limit":"""#), 3),
        (read(r#""before":2.0"#), 1),
        (read(r#""before":"2""#), 1),
        (read(r#""after":1.0e0"#), 2),
        (read(r#""after":"1""#), 2),
    ] {
        let page = answer_to(&mut ana, &frame).await;
        assert_eq!(page["items"].as_array().map(Vec::len), Some(count), "{frame}: {page}");
    }
    for (frame, kind) in [
        (r#"{"action":"markRead","roomId":"tea","seq":2.0}"#, "ack"),
        (r#"{"action":"markRead","roomId":"tea","seq":"3"}"#, "ack"),
        (r#"{"action":"sendMessage","roomId":"tea","content":"re","replyTo":"1"}"#, "message"),
        (r#"{"action":"sendMessage","roomId":"tea","content":"re","replyTo":1.0}"#, "message"),
        (r#"{"action":"resume","rooms":{"tea":"2"}}"#, "resumed"),
        (r#"{"action":"resume","rooms":{"tea":2.0}}"#, "resumed"),
        (r#"{"action":"createRoom","maxParticipants":"5"}"#, "room"),
        (r#"{"action":"createRoom","maxParticipants":5.0}"#, "room"),
        (
            r#"{"action":"handleFileUpload","roomId":"tea","fileName":"a.png","contentType":"image/png","size":10.0}"#,
            "upload",
        ),
        (
            r#"{"action":"handleFileUpload","roomId":"tea","fileName":"a.png","contentType":"image/png","size":"10"}"#,
            "upload",
        ),
    ] {
        assert_eq!(answer_to(&mut ana, frame).await["type"], kind, "{frame}");
    }
    for frame in [
        r#"{"action":"markRead","roomId":"tea","seq":2.5}"#,
        r#"{"action":"markRead","roomId":"tea","seq":"two"}"#,
        r#"{"action":"markRead","roomId":"tea","seq":9007199254740992}"#,
        r#"{"action":"getMessages","roomId":"tea","limit":"0x2"}"#,
        r#"{"action":"getMessages","roomId":"tea","limit":true}"#,
    ] {
        assert_eq!(answer_to(&mut ana, frame).await["code"], "INVALID_FIELD", "{frame}");
    }
    let room =
        json!({ "userId": "ana", "latitude": "37.7", "longitude": "-122.4", "maxParticipants": "15", "radius": "500" });
    let made = world.post("/rooms", unchecked(room)).await;
    assert_eq!((made.status, &made.body["maxParticipants"], &made.body["radius"]), (201, &json!(15), &json!(500)));
    assert_eq!(made.body["location"], json!({ "latitude": 37.7, "longitude": -122.4 }));
}

#[tokio::test]
async fn ids_are_accepted_as_exact_numbers() {
    let world = World::start().await;
    let mut ana = world.connect_to("123", "456").await;
    let mut ben = world.connect_to("789", "456").await;
    ana.hears("joined").await;

    for frame in [
        r#"{"action":"sendMessage","chatRoomId":456,"content":"a"}"#,
        r#"{"action":"sendMessage","roomId":456,"chatRoomId":"456","content":"a"}"#,
        r#"{"action":"sendMessage","roomId":456.0,"content":"a"}"#,
        r#"{"action":"sendMessage","recipientId":789,"content":"a"}"#,
        r#"{"action":"sendMessage","targetId":789,"content":"a"}"#,
        r#"{"action":"sendMessage","roomId":456,"content":"b","clientMessageId":1001}"#,
    ] {
        assert_eq!(answer_to(&mut ana, frame).await["type"], "message", "{frame}");
        ben.hears("message").await;
    }
    ana.send(unchecked(r#"{ "action": "typingIndicator", "userId": 123, "chatRoomId": 456 }"#)).await;
    assert_eq!(ben.hears("typing").await["roomId"], "456");
    let repeat = r#"{"action":"sendMessage","roomId":456,"content":"b","clientMessageId":"1001"}"#;
    assert_eq!(answer_to(&mut ana, repeat).await["duplicate"], true);
    let room = answer_to(&mut ana, r#"{"action":"createRoom","members":[789, "5"]}"#).await;
    assert_eq!(room["participantCount"], 3);
    for frame in [
        r#"{"action":"joinRoom","roomId":4.5}"#,
        r#"{"action":"joinRoom","roomId":12345678901234567890123}"#,
        r#"{"action":"joinRoom","roomId":true}"#,
        r#"{"action":"sendMessage","roomId":"456","content":5}"#,
    ] {
        assert_eq!(answer_to(&mut ana, frame).await["code"], "INVALID_FIELD", "{frame}");
    }
    let joined = world.post("/rooms/join", unchecked(json!({ "roomId": 456, "userId": 5 }))).await;
    assert_eq!((joined.status, &joined.body["roomId"]), (200, &json!("456")));
}

#[tokio::test]
async fn a_malformed_frame_gets_its_request_id_back() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    for frame in [
        r#"{"action":"sendMessage","requestId":"7","content":"unfinished"#,
        r#"{"requestId": "7", 'action': 'ping'}"#,
        r#"{"action":"ping","requestId":"7",}"#,
        r#"[{"action":"ping","requestId":"7"}]"#,
    ] {
        let answer = answer_to(&mut ana, frame).await;
        assert_eq!((&answer["code"], &answer["requestId"]), (&json!("BAD_REQUEST"), &json!("7")), "{frame}");
    }
    let long = format!(r#"{{"requestId":"{}","#, "x".repeat(65));
    assert_eq!(answer_to(&mut ana, &long).await.get("requestId"), None);
}

#[tokio::test]
async fn names_lose_invisible_and_bidirectional_characters() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let tricky = "\u{202e}A\u{200b}n\u{2028}a\u{feff} ";
    let emoji = "\u{1f469}\u{200d}\u{1f4bb}";
    for (given, shown) in [(tricky, "Ana"), ("Zoe\u{308}", "Zo\u{eb}"), (emoji, emoji)] {
        let said =
            ana.ask(json!({ "action": "sendMessage", "roomId": "tea", "content": given, "userName": given })).await;
        assert_eq!((&said["userName"], &said["content"]), (&json!(shown), &json!(given)));
        assert_eq!(ana.ask(json!({ "action": "createRoom", "roomName": given })).await["roomName"], shown);
        let made = json!({ "userId": "ana", "latitude": 1, "longitude": 1, "roomName": given, "roadName": given });
        let made = world.post("/rooms", made).await.body;
        assert_eq!((&made["roomName"], &made["roadName"]), (&json!(shown), &json!(shown)));
        let query: String = form_urlencoded::byte_serialize(given.as_bytes()).collect();
        let mut named = world.open(&format!("?userId=ben&username={query}&format=native")).await.unwrap();
        assert_eq!(named.ask(json!({ "action": "hello" })).await["userName"], shown);
    }
    for invisible in ["\u{200b}", " ", "\u{202e}\u{2066}", "\u{3164}", "\u{a0}\u{2060}"] {
        for frame in [
            json!({ "action": "sendMessage", "roomId": "tea", "content": "x", "userName": invisible }),
            json!({ "action": "joinRoom", "roomId": "tea", "name": invisible }),
            json!({ "action": "createRoom", "roomName": invisible }),
        ] {
            let answer = ana.ask(with_aliases(frame)).await;
            assert_eq!(answer["code"], "INVALID_FIELD", "{invisible:?}");
            assert!(answer["message"].as_str().unwrap().contains("visible"), "{answer}");
        }
    }
    let file = json!({ "action": "requestUpload", "roomId": "tea", "fileName": "photo\u{202e}gpj.\u{200b}exe",
        "contentType": "application/octet-stream", "size": 1 });
    assert_eq!(ana.ask(file).await["type"], "upload");
    let row = world.rows("Files").await.remove(0);
    assert_eq!(row["fileName"].as_s().unwrap(), "photogpj.exe");
}

#[tokio::test]
async fn reserved_room_ids_are_reserved_in_every_case_and_width() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    for id in [
        "Lobby",
        "LOBBY",
        "\u{ff4c}obby",
        "DM-x",
        "Dm-x",
        "\u{ff44}m-x",
        "d\u{ff4d}\u{ff0d}x",
        "lobby\u{200b}",
        "lob\u{ad}by",
        "lobby ",
    ] {
        let query: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
        assert_eq!(world.open(&format!("?userId=ana&roomId={query}")).await.err(), Some(400), "{id}");
        for action in ["sendMessage", "joinRoom", "roomInfo", "getMessages"] {
            let answer = ana.ask(unchecked(json!({ "action": action, "roomId": id, "content": "x" }))).await;
            assert_eq!((&answer["code"], &answer["field"]), (&json!("INVALID_FIELD"), &json!("roomId")), "{id}");
        }
        let joined = world.post("/rooms/join", json!({ "userId": "ana", "roomId": id })).await;
        assert_eq!(joined.refusal(), (400, "INVALID_FIELD", "roomId"), "{id}");
        let direct = ana.ask(json!({ "action": "sendMessage", "targetId": id, "content": "to a user" })).await;
        assert_eq!(direct["type"], "message", "{id}");
    }
    let mut bob = world.connect_to("bob", "lobbyists").await;
    bob.says("lobbyists", "not reserved").await;
}

#[tokio::test]
async fn content_types_with_parameters_and_empty_ones_are_accepted() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    for (name, content_type, taken) in [
        ("clip.webm", "video/webm;codecs=vp8,opus", "video/webm;codecs=vp8,opus"),
        ("clip.mp4", "video/mp4; codecs=\"avc1.42E01E, mp4a.40.2\"", "video/mp4; codecs=\"avc1.42E01E, mp4a.40.2\""),
        ("notes.md", "", "text/markdown"),
        ("data.bin", "", "application/octet-stream"),
    ] {
        let file = json!({ "action": "requestUpload", "roomId": "tea", "fileName": name, "contentType": content_type,
            "size": 3 });
        let upload = ana.ask(file).await;
        assert_eq!(upload["headers"]["content-type"], taken, "{upload}");
        let headers: Vec<_> = upload["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        let put = world.fetch("PUT", upload["uploadUrl"].as_str().unwrap(), &headers, Bytes::from_static(b"abc")).await;
        assert_eq!(put.status, 200, "{name}");
        assert_eq!(ana.hears("message").await["file"]["contentType"], taken);
    }
    let refused = json!({
        "action": "requestUpload", "roomId": "tea", "fileName": "a.html", "contentType": "text/html", "size": 3 });
    let refused = ana.ask(refused).await;
    assert_eq!((&refused["code"], &refused["field"]), (&json!("INVALID_FIELD"), &json!("contentType")));
    assert!(refused["message"].as_str().unwrap().contains("image/png, image/jpeg"), "{refused}");
}

#[tokio::test]
async fn a_room_id_with_a_slash_is_given_in_the_query() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "a%2Fb%3Fc").await;
    ana.says("a/b?c", "hello").await;

    let messages = world.get("/rooms/-/messages?userId=ana&roomId=a%2Fb%3Fc").await;
    assert_eq!((messages.status, &messages.body["items"][0]["content"]), (200, &json!("hello")));
    let info = world.get("/rooms/-?userId=ana&roomId=a%2Fb%3Fc").await;
    assert_eq!((info.status, &info.body["roomId"]), (200, &json!("a/b?c")));
    let invite = world.post("/rooms/-/invites?roomId=a%2Fb%3Fc", json!({ "userId": "ana" })).await;
    assert_eq!(invite.status, 201, "{}", invite.body);
}

#[tokio::test]
async fn user_ids_are_visible_and_not_those_of_rooms() {
    let world = World::start().await;
    for taken in ["lobby", "LOBBY", "dm-ana", "%EF%BC%AC%EF%BD%8Fbby", "%E2%80%8B", "%20", "%E2%80%AE"] {
        assert_eq!(world.open(&format!("?userId={taken}&format=native")).await.err(), Some(400), "{taken}");
        assert_eq!(world.get(&format!("/me?userId={taken}")).await.status, 400, "{taken}");
    }
    let mut bob = world.connect("lobbyist").await;
    assert_eq!(bob.ask(json!({ "action": "hello" })).await["userId"], "lobbyist");
}
