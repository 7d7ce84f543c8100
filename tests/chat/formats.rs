//! What connections of each format hear.

use aws_sdk_dynamodb::types::AttributeValue;
use axum::body::Bytes;
use serde_json::{Value, json};

use crate::harness::{User, World, token, with_aliases};
use crate::uploads::{Upload, announcement};

/// Fields of a frame, in alphabetical order.
fn names(frame: &Value) -> Vec<&str> {
    frame.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The format that a connection has by its own account.
async fn format_of(user: &mut User) -> String {
    user.ask(json!({ "action": "hello" })).await["format"].as_str().unwrap().to_owned()
}

async fn opened(world: &World, query: &str) -> User {
    world.open(query).await.unwrap()
}

#[tokio::test]
async fn compat_messages_repeat_fields_under_all_names() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = opened(&world, "?userId=ben&username=Ben&roomId=tea&events=1").await;

    let native = ana.says("tea", "hello").await;
    let heard = ben.hears("message").await;

    let mut expected = native.clone();
    for (copy, field) in [
        ("chatRoomId", "roomId"),
        ("id", "messageId"),
        ("text", "content"),
        ("username", "userName"),
        ("timestamp", "createdAt"),
        ("senderId", "userId"),
    ] {
        expected[copy] = native[field].clone();
    }
    assert_eq!(heard, expected);
    let own = ben.says("tea", "hi").await;
    assert_eq!((&own["text"], &own["username"], &own["chatRoomId"]), (&json!("hi"), &json!("Ben"), &json!("tea")));
    let history = ben.ask(json!({ "action": "getMessages", "roomId": "tea" })).await;
    assert_eq!(history["items"][0], expected);
    let resumed = ben.ask(json!({ "action": "resume", "rooms": { "tea": 0 } })).await;
    assert_eq!(resumed["rooms"]["tea"]["items"][0], expected);
    let rooms = ben.ask(json!({ "action": "listRooms" })).await;
    assert_eq!(
        (&rooms["items"][0]["chatRoomId"], &rooms["items"][0]["lastMessage"]["text"]),
        (&json!("tea"), &json!("hi"))
    );
}

#[tokio::test]
async fn native_frames_have_no_copies() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;

    ana.says("tea", "hello").await;

    let heard = ben.hears("message").await;
    assert_eq!(names(&heard), ["content", "createdAt", "messageId", "roomId", "seq", "type", "userId", "userName"]);
    ana.send(json!({ "action": "typing", "roomId": "tea" })).await;
    assert_eq!(names(&ben.hears("typing").await), ["at", "isTyping", "roomId", "type", "until", "userId", "userName"]);
    let room = ben.ask(json!({ "action": "roomInfo", "roomId": "tea" })).await;
    assert!(room["participants"][0]["userId"].is_string() && room.get("members").is_none());
}

#[tokio::test]
async fn compat_rooms_list_participants_by_id_and_members_in_full() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let room = ana.creates_room(&["ben"]).await;
    let native = ana.ask(json!({ "action": "roomInfo", "roomId": room })).await;

    let mut ben = opened(&world, "?userId=ben").await;
    let info = ben.ask(json!({ "action": "roomInfo", "roomId": room })).await;

    assert_eq!((&info["participants"], &info["chatRoomId"]), (&json!(["ana", "ben"]), &json!(room)));
    assert_eq!((&info["id"], &info["members"][0]), (&json!(room), &native["participants"][0]));
    assert_eq!(info["members"].as_array().unwrap().len(), 2);
    let over_http = world.get(&format!("/rooms/{room}?userId=ben")).await.body;
    assert_eq!((&over_http["participants"], &over_http["id"]), (&json!(["ana", "ben"]), &json!(room)));
}

#[tokio::test]
async fn compat_room_events_have_room_id_and_chat_room_id() {
    let world = World::start().await;
    let mut ana = opened(&world, "?userId=ana&roomId=tea&events=1").await;
    let mut ben = world.connect("ben").await;

    ben.ask(json!({ "action": "joinRoom", "roomId": "tea" })).await;
    assert_eq!(ana.hears("joined").await["chatRoomId"], "tea");
    ben.send(json!({ "action": "typing", "roomId": "tea" })).await;
    let typing = ana.hears("typing").await;
    assert_eq!((&typing["chatRoomId"], &typing["action"]), (&json!("tea"), &json!("typingIndicator")));
    assert_eq!((&typing["userId"], &typing["isTyping"]), (&json!("ben"), &json!(true)));
    ana.says("tea", "hello").await;
    ben.ask(json!({ "action": "markRead", "roomId": "tea", "seq": 1 })).await;
    let read = ana.hears("read").await;
    assert_eq!((&read["chatRoomId"], &read["userId"], &read["seq"]), (&json!("tea"), &json!("ben"), &json!(1)));
    ben.ask(json!({ "action": "leaveRoom", "roomId": "tea" })).await;
    assert_eq!(ana.hears("left").await["chatRoomId"], "tea");
    let _ben = world.connect_to("ben", "tea").await;
    ana.hears("joined").await;
}

#[tokio::test]
async fn compat_messages_have_file_url_at_the_top_level() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = opened(&world, "?userId=ben&roomId=tea").await;

    let upload = Upload::of(&ana.ask(announcement("tea", "a.png", 4)).await);
    assert_eq!(upload.puts(&world, b"\x89PNG").await, 200);

    let heard = ben.hears("message").await;
    assert_eq!((&heard["fileUrl"], &heard["text"]), (&heard["file"]["fileUrl"], &json!("a.png")));
    assert!(heard["fileUrl"].as_str().unwrap().contains("/files/"));
}

#[tokio::test]
async fn a_file_is_uploaded_and_downloaded_without_headers() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let query = |jwt: bool, user: &str| match jwt {
        true => format!("?token={}&roomId=tea", token(&json!({ "sub": user, "iat": now }))),
        false => format!("?userId={user}&roomId=tea"),
    };
    for jwt in [false, true] {
        let unset = ("TICKET_SECRET", "");
        let world = if jwt { World::with_tokens_and(&[unset]).await } else { World::with(&[unset]).await };
        let mut ana = opened(&world, &query(jwt, "ana")).await;
        let mut ben = opened(&world, &query(jwt, "ben")).await;

        let upload = ana.ask(announcement("tea", "a.png", 4)).await;
        // As `fetch(url, {method: 'PUT', body: file})` does it in a browser: with the type that the system knows, or
        // none.
        let headers: &[_] = if jwt { &[] } else { &[("content-type", "image/x-png")] };
        let put =
            world.fetch("PUT", upload["uploadUrl"].as_str().unwrap(), headers, Bytes::from_static(b"\x89PNG")).await;
        assert_eq!(put.status, 200);
        let link = ben.hears("message").await["fileUrl"].as_str().unwrap().to_owned();
        let history = ben.ask(json!({ "action": "getMessages", "roomId": "tea" })).await;
        assert_eq!(history["items"][0]["fileUrl"], link);

        let redirect = world.fetch("GET", &link, &[], Bytes::new()).await;
        let got = world.fetch("GET", redirect.header("location"), &[], Bytes::new()).await;
        assert_eq!((redirect.status, got.status, &got.bytes[..]), (307, 200, b"\x89PNG".as_slice()));
        assert_eq!(got.header("content-type"), "image/png");
        let shown = world.fetch("GET", &format!("{link}?inline=1"), &[], Bytes::new()).await;
        assert_eq!(shown.status, 307);
        let forged = world.fetch("GET", &format!("{}x", &link[..link.len() - 1]), &[], Bytes::new()).await;
        assert_eq!(forged.status, 401);
        if jwt {
            // Who says who they are in a way that does not count here is judged by the link.
            assert_eq!(world.fetch("GET", &format!("{link}?userId=ben"), &[], Bytes::new()).await.status, 307);
        } else {
            let header = [("authorization", "Bearer whatever")];
            assert_eq!(world.fetch("GET", &link, &header, Bytes::new()).await.status, 307);
            // Who says that they are somebody is judged by that.
            let stranger = world.fetch("GET", &format!("{link}?userId=eve"), &[], Bytes::new()).await;
            assert_eq!(stranger.status, 403);
        }
        // A link ends with the membership.
        ben.ask(json!({ "action": "leaveRoom", "roomId": "tea" })).await;
        assert_eq!(world.fetch("GET", &link, &[], Bytes::new()).await.status, 403);
    }
}

#[tokio::test]
async fn an_accepted_file_that_is_replaced_is_deleted() {
    let world = World::start().await;
    let mut ana = opened(&world, "?userId=ana&roomId=tea").await;
    let mut ben = opened(&world, "?userId=ben&roomId=tea").await;
    let upload = ana.ask(announcement("tea", "a.png", 4)).await;
    let url = upload["uploadUrl"].as_str().unwrap();
    let puts =
        |bytes: &'static [u8]| world.fetch("PUT", url, &[("content-type", "image/png")], Bytes::from_static(bytes));
    puts(b"\x89PNG").await;
    let link = ben.hears("message").await["fileUrl"].as_str().unwrap().to_owned();

    // The same bytes again are the same file.
    assert_eq!(puts(b"\x89PNG").await.status, 200);
    world.has_called("ObjectCreated", 2).await;
    assert_eq!(world.fetch("GET", &link, &[], Bytes::new()).await.status, 307);
    assert_eq!(puts(b"nope").await.status, 200);
    world.has_called("ObjectCreated", 3).await;

    assert_eq!(world.fetch("GET", &link, &[], Bytes::new()).await.status, 404);
    assert!(world.objects("switchboard-uploads").await.is_empty());
    ben.hears_nothing().await;
}

#[tokio::test]
async fn copies_are_left_out_of_frames_that_would_be_too_large() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = opened(&world, "?userId=ben&roomId=tea").await;
    let long = "x".repeat(16 * 1024);

    ana.says("tea", &long).await;

    let heard = ben.hears("message").await;
    assert_eq!((heard["content"].as_str(), heard.get("text")), (Some(long.as_str()), None));
    let page = ben.ask(json!({ "action": "getMessages", "roomId": "tea" })).await;
    assert_eq!((page["items"][0]["content"].as_str(), page["items"][0].get("text")), (Some(long.as_str()), None));
}

#[tokio::test]
async fn a_page_of_one_room_receives_messages_only() {
    let world = World::start().await;
    let mut page = opened(&world, "?userId=ana&roomId=tea&username=Ana").await;
    let mut owner = world.connect_to("ben", "tea").await;

    owner.send(json!({ "action": "typing", "roomId": "tea" })).await;
    owner.says("tea", "one").await;
    owner.ask(json!({ "action": "markRead", "roomId": "tea", "seq": 1 })).await;
    owner.ask(json!({ "action": "leaveRoom", "roomId": "tea" })).await;
    owner.ask(json!({ "action": "joinRoom", "roomId": "tea" })).await;
    owner.says("tea", "two").await;

    assert_eq!(page.hears_anything().await["content"], "one");
    assert_eq!(page.hears_anything().await["content"], "two");
    page.hears_nothing().await;
    // The page's own leaving, and the end of the room, are its business.
    page.ask(json!({ "action": "setRole", "roomId": "tea", "userId": "ben", "role": "owner" })).await;
    let mut other = opened(&world, "?userId=cleo&roomId=tea&username=Cleo").await;
    owner.ask(json!({ "action": "removeMember", "roomId": "tea", "userId": "cleo" })).await;
    assert_eq!(other.hears_anything().await["reason"], "removed");
    owner.ask(json!({ "action": "closeRoom", "roomId": "tea" })).await;
    assert_eq!(page.hears_anything().await["type"], "room-closed");
}

#[tokio::test]
async fn raw_connections_receive_lobby_messages_as_bare_text() {
    let world = World::start().await;
    let mut ana = opened(&world, "").await;
    let mut ben = opened(&world, "").await;
    let mut cleo = world.connect("cleo").await;
    let say = |text: &str| with_aliases(json!({ "action": "sendMessage", "data": text }));

    ana.send(say("Hello, World!")).await;
    assert_eq!(ben.hears_text().await, "Hello, World!");
    assert_eq!(cleo.hears("message").await["content"], "Hello, World!");
    ana.hears_nothing().await;

    // Whoever says what looks like a frame is quoted in one.
    for text in [r#"{"type":"error"}"#, " [1]\n", r#"{"type":"error","n":[NaN,-Infinity]}"#] {
        ana.send(say(text)).await;
        assert_eq!(ben.hears("message").await["content"], text);
    }
    for text in ["{", "7", "\"quoted\"", "[1", "null"] {
        ana.send(say(text)).await;
        assert_eq!(ben.hears_anything().await, serde_json::from_str(text).unwrap_or_else(|_| json!(text)));
    }
}

#[tokio::test]
async fn raw_senders_are_answered_only_with_a_request_id_or_client_message_id() {
    let world = World::start().await;
    let mut ana = opened(&world, "?format=raw").await;

    ana.send(with_aliases(json!({ "action": "sendMessage", "data": "one" }))).await;
    ana.hears_nothing().await;

    let ack = ana.ask(with_aliases(json!({ "action": "sendMessage", "data": "two" }))).await;
    assert_eq!((&ack["type"], &ack["seq"]), (&json!("ack"), &json!(2)));
    ana.send(with_aliases(json!({ "action": "sendMessage", "data": "three", "clientMessageId": "m3" }))).await;
    assert_eq!(ana.hears("ack").await["seq"], 3);
    ana.send(json!({ "action": "sendMessage", "content": "to nobody" })).await;
    assert_eq!(ana.hears("error").await["code"], "TARGET_REQUIRED");
}

#[tokio::test]
async fn raw_connections_receive_json_in_other_rooms() {
    let world = World::start().await;
    let mut ana = opened(&world, "?userId=ana&format=raw").await;
    let mut ben = world.connect_to("ben", "tea").await;
    ana.ask(json!({ "action": "joinRoom", "roomId": "tea" })).await;

    ben.says("tea", "hello").await;

    assert_eq!(ana.hears("message").await["text"], "hello");
    ben.send(json!({ "action": "typing", "roomId": "tea" })).await;
    assert_eq!(ana.hears("typing").await["chatRoomId"], "tea");
}

#[tokio::test]
async fn the_handshake_determines_the_format() {
    let world = World::start().await;
    let native: &[(&str, &str)] = &[("sec-websocket-protocol", "switchboard.v1")];
    let origin: &[(&str, &str)] = &[("origin", "https://chat.example")];
    for (query, headers, format) in [
        ("", &[][..], "raw"),
        ("", origin, "raw"),
        ("", native, "native"),
        ("?userId=ana", &[], "compat"),
        ("?userId=ana", native, "native"),
        ("?userId=ana&roomId=tea", &[], "compat"),
        ("?userId=ana&format=native", &[], "native"),
        ("?userId=ana&format=Native", &[], "native"),
        ("?userId=ana&format=raw", native, "raw"),
        ("?format=compat", &[], "compat"),
        ("?username=Ana", &[], "compat"),
        ("?userId=&format=", &[], "raw"),
    ] {
        let (mut user, answer) = world.open_with(query, headers).await.unwrap();
        assert_eq!(format_of(&mut user).await, format, "{query} {headers:?}");
        let echoed = answer.get("sec-websocket-protocol").map(|name| name.to_str().unwrap());
        assert_eq!(echoed, headers.iter().find(|(name, _)| *name != "origin").map(|(_, value)| *value));
    }
}

#[tokio::test]
async fn a_handshake_with_only_a_token_gets_the_raw_format() {
    let world = World::with_tokens().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let token = token(&json!({ "sub": "ana", "iat": now }));
    let (bare, bearer) = (token.clone(), format!("Bearer {token}"));
    let (in_query, beside) = (format!("?token={token}"), format!("switchboard.v1, {token}"));
    let beside_chat = format!("chat, {token}");
    let origin = ("origin", "https://chat.example");
    for (query, headers, format) in [
        ("", &[("authorization", bare.as_str())][..], "raw"),
        ("", &[("authorization", &bearer)], "raw"),
        (&in_query, &[], "raw"),
        (&in_query, &[origin], "compat"),
        (&format!("{in_query}&userId=ana"), &[], "compat"),
        ("", &[("sec-websocket-protocol", &beside_chat)], "compat"),
        ("", &[("sec-websocket-protocol", &beside), origin], "native"),
        ("", &[("sec-websocket-protocol", "switchboard.v1"), ("sec-websocket-protocol", &token)], "native"),
    ] {
        let mut user = world.open_with(query, headers).await.unwrap().0;
        assert_eq!(format_of(&mut user).await, format, "{query} {headers:?}");
    }
}

#[tokio::test]
async fn a_connection_keeps_its_format_in_every_room() {
    let world = World::start().await;
    let mut ana = opened(&world, "?userId=ana").await;
    let mut ben = world.connect("ben").await;

    let room = ben.creates_room(&["ana"]).await;
    ben.says(&room, "added").await;
    assert_eq!(ana.hears("message").await["text"], "added");
    let other = ben.creates_room(&[]).await;
    ana.ask(json!({ "action": "joinRoom", "roomId": other })).await;
    ben.says(&other, "joined").await;
    assert_eq!(ana.hears("message").await["text"], "joined");
    ben.ask(json!({ "action": "sendMessage", "recipientId": "ana", "content": "direct" })).await;
    assert_eq!(ana.hears("message").await["text"], "direct");
    let over_http = ben.creates_room(&[]).await;
    world.post("/rooms/join", json!({ "roomId": over_http, "userId": "ana" })).await;
    ben.says(&over_http, "over http").await;
    assert_eq!(ana.hears("message").await["text"], "over http");
}

#[tokio::test]
async fn a_frame_may_name_its_sender_unless_the_token_does() {
    let world = World::start().await;
    let mut ana = opened(&world, "?userId=ana").await;
    let mut ben = world.connect_to("ben", "tea").await;
    ana.ask(json!({ "action": "joinRoom", "roomId": "tea" })).await;
    let frame = json!({ "action": "send-message", "roomId": "tea", "message": "hi", "userName": "Ana",
        "userIcon": "a.png", "userColor": "red" });
    let frame = with_aliases(frame);

    ana.ask(frame.clone()).await;

    let heard = ben.hears("message").await;
    assert_eq!(
        [&heard["userId"], &heard["userName"], &heard["userIcon"], &heard["userColor"]],
        [&json!("ana"), &json!("Ana"), &json!("a.png"), &json!("red")]
    );
    ana.send(json!({ "action": "user-typing", "roomId": "tea", "userName": "Ana" })).await;
    assert_eq!(ben.hears("typing").await["userName"], "Ana");

    let world = World::with_tokens().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let named = token(&json!({ "sub": "ana", "name": "Ana A.", "iat": now }));
    let nameless = token(&json!({ "sub": "ben", "iat": now }));
    let mut ana = opened(&world, &format!("?token={named}&roomId=tea")).await;
    let mut ben = opened(&world, &format!("?token={nameless}&roomId=tea")).await;
    assert_eq!(ana.ask(frame.clone()).await["userName"], "Ana A.");
    assert_eq!(ben.ask(frame).await["userName"], "Ana");
}

#[tokio::test]
async fn nearby_rooms_list_participants_of_public_rooms() {
    let world = World::start().await;
    let room = json!({ "userId": "ana", "latitude": 1, "longitude": 1, "maxParticipants": 15 });
    let public = world.post("/rooms", room.clone()).await.body["id"].clone();
    for user in ["ben", "cleo"] {
        world.post("/rooms/join", json!({ "roomId": public, "userId": user })).await;
    }
    world.post("/rooms/leave", json!({ "roomId": public, "userId": "ben" })).await;
    let mut private = room;
    private["roomType"] = json!("private");
    world.post("/rooms", private).await;

    let near = world.get("/rooms?latitude=1&longitude=1&userId=ana").await.body;

    let rooms = near["rooms"].as_array().unwrap();
    let found = |kind: &str| rooms.iter().find(|room| room["roomType"] == kind).unwrap();
    assert_eq!((rooms.len(), &found("public")["participants"]), (2, &json!(["ana", "cleo"])));
    assert_eq!(found("private").get("participants"), None);
}

#[tokio::test]
async fn hello_and_me_answer_identity_and_limits() {
    let world = World::start().await;
    let mut ana = opened(&world, "?userId=ana&username=Ana&format=native").await;

    let mut hello = ana.ask(json!({ "action": "hello" })).await;

    let connection = world.rows("Connections").await[0]["connectionId"].as_s().unwrap().clone();
    let time = hello["serverTime"].take();
    assert!(time.as_str().is_some_and(|time| time.len() == 24 && time.ends_with('Z')), "{time}");
    let limits = json!({ "contentBytes": 16_384, "frameBytes": 32_768, "fileBytes": 26_214_400, "rooms": 200 });
    assert_eq!(
        hello,
        json!({ "type": "hello", "userId": "ana", "userName": "Ana", "roles": [], "connectionId": connection,
            "format": "native", "serverTime": null, "lobby": true, "limits": limits })
    );
    let me = world.get("/me?userId=ana").await;
    assert_eq!((me.status, &me.body["userId"], &me.body["limits"]), (200, &json!("ana"), &limits));
    assert!(me.body.get("connectionId").is_none() && me.body.get("type").is_none());
    let guest = world.get("/me").await;
    assert!(guest.body["userId"].as_str().unwrap().starts_with("anon-"));

    let world = World::with_tokens().await;
    let refused = world.get("/me").await;
    assert_eq!(refused.refusal(), (401, "UNAUTHORIZED", ""));
    let message = refused.body["message"].as_str().unwrap();
    assert!(message.contains("Bearer") && !message.contains("?token="), "{message}");
}

#[tokio::test]
async fn rows_of_later_versions_do_not_break_delivery() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = opened(&world, "?userId=ben&roomId=tea").await;
    for mut row in world.rows("Subscriptions").await {
        if row["userId"].as_s().is_ok_and(|user| user == "ben") {
            row.insert("f".to_owned(), AttributeValue::S("z".to_owned()));
            world.dynamodb().put_item().table_name("Subscriptions").set_item(Some(row)).send().await.unwrap();
        }
    }

    ana.says("tea", "hello").await;

    assert_eq!(ben.hears("message").await["text"], "hello");
    assert_eq!(ben.says("tea", "hi").await["text"], "hi");
}

#[tokio::test]
async fn the_first_direct_message_has_the_name_in_its_frame() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;

    let frame = json!({ "action": "sendMessage", "recipientId": "ben", "content": "hi", "userName": "Anna" });
    let room = ana.ask(frame).await["roomId"].clone();

    let info = ana.ask(json!({ "action": "roomInfo", "roomId": room })).await;
    assert_eq!(info["participants"][0]["userName"], "Anna");
}

#[tokio::test]
async fn a_large_room_has_names_and_roles_in_every_format() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let members: Vec<_> = (0..60).map(|number| format!("{number:02}{}", "\u{1f600}".repeat(126))).collect();
    let room = ana.ask(json!({ "action": "createRoom", "members": members })).await["roomId"].clone();

    let mut ben = opened(&world, "?userId=ana").await;
    let info = ben.ask(json!({ "action": "roomInfo", "roomId": room })).await;

    let shown = info["members"].as_array().unwrap().len();
    assert!(shown > 10 && shown == info["participants"].as_array().unwrap().len(), "{shown}");
    assert!(info.to_string().len() <= 32 * 1024 && info["nextCursor"].is_string());
}
