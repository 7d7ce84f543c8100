//! One room, two doors: what is done over HTTP is done over WebSocket too, and the other way round.

use futures_util::future::join_all;
use serde_json::json;
use switchboard::local::Options;
use switchboard::local::faults::{Faults, Plan};

use crate::harness::{World, with_aliases};

#[tokio::test]
async fn joining_over_http_subscribes_all_live_connections() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&[]).await;
    let mut phone = world.connect("ben").await;
    let mut laptop = world.connect_to("ben", "another").await;
    assert_eq!(phone.hears("joined").await["roomId"], "another");

    let joined = world.post("/rooms/join", json!({ "roomId": tea, "userId": "ben", "userName": "Ben" })).await;

    assert_eq!((joined.status, &joined.body["id"], &joined.body["participantCount"]), (200, &json!(tea), &json!(2)));
    let told = json!({ "type": "joined", "roomId": tea, "userId": "ben", "userName": "Ben" });
    assert_eq!(ana.hears("joined").await, told);
    ana.says(&tea, "welcome").await;
    for device in [&mut phone, &mut laptop] {
        assert_eq!(device.hears("joined").await, told);
        assert_eq!(device.hears("message").await["content"], "welcome");
    }
    assert_eq!(phone.says(&tea, "hi").await["userName"], "Ben");
    // Joining again is no error, and no news.
    assert_eq!(world.post("/rooms/join", json!({ "roomId": tea, "userId": "ben" })).await.body["participantCount"], 2);
    ana.hears("message").await;
    ana.hears_nothing().await;
}

#[tokio::test]
async fn a_room_created_over_http_is_usable_over_websocket() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let id = world.posts_room("ana", 1.0, 2.0).await;
    let mut ben = world.connect("ben").await.joined(&id).await;

    assert_eq!(ana.hears("joined").await["userId"], "ben");
    ana.says(&id, "over here").await;
    assert_eq!(ben.hears("message").await["content"], "over here");
    ben.says(&id, "coming").await;

    let page = world.get(&format!("/rooms/{id}/messages?userId=ana&limit=1")).await;
    let ids = (&page.body["hasMore"], &page.body["nextBefore"]);
    assert_eq!((page.status, ids), (200, (&json!(true), &json!(2))));
    assert_eq!(page.body["items"][0]["content"], "coming");
    let older = world.get(&format!("/rooms/{id}/messages?userId=ana&before=2")).await;
    assert_eq!((older.body["items"].as_array().unwrap().len(), &older.body["items"][0]["seq"]), (1, &json!(1)));
    let newer = world.get(&format!("/rooms/{id}/messages?userId=ana&after=1")).await;
    assert_eq!(newer.body["items"][0]["seq"], 2);
    let room = world.get(&format!("/rooms/{id}?userId=ben")).await.body;
    assert_eq!((&room["lastSeq"], &room["onlineCount"], &room["participantCount"]), (&json!(2), &json!(2), &json!(2)));
}

#[tokio::test]
async fn leaving_over_http_unsubscribes_all_connections() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ana.creates_room(&["ben"]).await;
    ben.hears("joined").await;

    let left = world.post("/rooms/leave", json!({ "roomId": tea, "userId": "ben" })).await;

    assert_eq!((left.status, &left.body["roomId"]), (200, &json!(tea)));
    let told = json!({ "type": "left", "roomId": tea, "userId": "ben", "reason": "left" });
    assert_eq!(ana.hears("left").await, told);
    assert_eq!(ben.hears("left").await, told);
    ana.says(&tea, "gone?").await;
    ben.hears_nothing().await;
    assert_eq!(world.get(&format!("/rooms/{tea}?userId=ben")).await.refusal(), (403, "NOT_A_MEMBER", ""));
    assert_eq!(world.get(&format!("/rooms/{tea}/messages?userId=ben")).await.refusal(), (403, "NOT_A_MEMBER", ""));
}

#[tokio::test]
async fn a_closed_room_is_closed_over_http_and_websocket_and_keeps_its_history() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ana.creates_room(&["ben"]).await;
    let coffee = ana.creates_room(&["ben"]).await;
    let sent = json!({ "action": "sendMessage", "roomId": tea, "content": "last words", "clientMessageId": "1" });
    ana.ask(sent.clone()).await;
    ben.hears("message").await;

    let closed = world.post("/rooms/close", json!({ "roomId": tea, "userId": "ana" })).await;
    assert_eq!((closed.status, &closed.body["roomId"]), (200, &json!(tea)));
    let told = json!({ "type": "room-closed", "roomId": tea, "reason": "closed", "userId": "ana" });
    assert_eq!(ben.hears("room-closed").await, told);
    assert_eq!(ana.hears("room-closed").await, told);
    let ack = ana.ask(with_aliases(json!({ "action": "close-room", "roomId": coffee }))).await;
    assert_eq!(ack, json!({ "type": "ack", "action": "closeRoom", "roomId": coffee }));
    assert_eq!(ben.hears("room-closed").await["roomId"], json!(coffee));

    for room in [&tea, &coffee] {
        let gone = (410, "ROOM_CLOSED".to_owned());
        assert_eq!(ben.is_refused(json!({ "action": "sendMessage", "roomId": room, "content": "?" })).await, gone);
        assert_eq!(world.connect("eve").await.is_refused(json!({ "action": "joinRoom", "roomId": room })).await, gone);
        assert_eq!(world.post("/rooms/join", json!({ "roomId": room, "userId": "eve" })).await.status, 410);
        let again = world.post("/rooms/close", json!({ "roomId": room, "userId": "ana" })).await;
        assert_eq!(again.refusal(), (410, "ROOM_CLOSED", ""));
        assert_eq!(ana.is_refused(json!({ "action": "closeRoom", "roomId": room })).await, gone);
        assert_eq!(world.open(&format!("?userId=ben&roomId={room}")).await.err(), Some(410));
    }
    // Nobody hears it any more, also not who comes again.
    let mut again = world.connect("ben").await;
    assert_eq!(world.rows_with("Subscriptions", "channel", &format!("room#{tea}")).await, 0);
    ana.send(json!({ "action": "typing", "roomId": tea })).await;
    again.hears_nothing().await;

    let page = world.get(&format!("/rooms/{tea}/messages?userId=ben")).await.body;
    assert_eq!((page["items"].as_array().unwrap().len(), &page["hasMore"]), (1, &json!(false)));
    let room = world.get(&format!("/rooms/{tea}?userId=ben")).await.body;
    assert_eq!((&room["status"], &room["lastSeq"]), (&json!("closed"), &json!(1)));
    let resumed = ben.ask(json!({ "action": "resume", "rooms": { &tea: 0, &coffee: 0 } })).await["rooms"].clone();
    assert_eq!(resumed[&tea]["items"].as_array().unwrap().len(), 1);
    for (room, seq) in [(&tea, 1), (&coffee, 0)] {
        assert_eq!((&resumed[room]["complete"], &resumed[room]["closed"]), (&json!(true), &json!(true)));
        assert_eq!((&resumed[room]["lastSeq"], &resumed[room]["reset"]), (&json!(seq), &json!(null)));
    }
    let rooms = ben.ask(json!({ "action": "listRooms" })).await["items"].clone();
    for item in rooms.as_array().unwrap() {
        let unread = if item["roomId"] == json!(tea) { 1 } else { 0 };
        assert_eq!((&item["status"], &item["unread"]), (&json!("closed"), &json!(unread)));
    }
    // Room and memberships end with the history.
    for (table, attribute) in [("ChatRooms", "id"), ("Members", "roomId")] {
        for row in world.rows(table).await.iter().filter(|row| row[attribute].as_s().unwrap() == &tea) {
            let ttl: u64 = row["ttl"].as_n().unwrap().parse().unwrap();
            let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
            assert!((now + 29 * 86_400..now + 31 * 86_400).contains(&ttl), "{table}: {ttl}");
        }
    }
    // What was said before is not refused when its sender asks again.
    assert_eq!(ana.ask(sent).await["duplicate"], true);
}

#[tokio::test]
async fn only_the_creator_or_an_admin_closes_a_room() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&["ben", "cleo"]).await;
    let close = |user: &'static str, room: &str| {
        let (world, body) = (&world, json!({ "roomId": room, "userId": user }));
        async move { world.post("/rooms/close", body).await }
    };

    assert_eq!(close("eve", &tea).await.refusal(), (403, "FORBIDDEN", ""));
    assert_eq!(close("ben", &tea).await.refusal(), (403, "FORBIDDEN", ""));
    assert_eq!(close("ana", "nowhere").await.refusal(), (404, "ROOM_NOT_FOUND", ""));
    assert_eq!(close("ana", "lobby").await.refusal(), (403, "FORBIDDEN", ""));
    ana.ask(json!({ "action": "setRole", "roomId": tea, "userId": "ben", "role": "admin" })).await;
    assert_eq!(close("ben", &tea).await.status, 200);
}

#[tokio::test]
async fn no_message_is_written_after_a_room_is_closed() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut writers = join_all((0..8).map(|number| {
        let world = &world;
        async move { world.connect(&format!("writer-{number}")).await }
    }))
    .await;
    let names: Vec<_> = (0..8).map(|number| format!("writer-{number}")).collect();
    let tea = ana.creates_room(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;

    let writing = join_all(writers.iter_mut().map(|writer| {
        let frame = json!({ "action": "sendMessage", "roomId": tea, "content": "still here" });
        async move {
            let mut written = Vec::new();
            loop {
                let answer = writer.ask(frame.clone()).await;
                match answer["seq"].as_u64() {
                    Some(seq) => written.push(seq),
                    None => return (written, answer),
                }
            }
        }
    }));
    let closing = async {
        world.logs(|line| line["route"] == "sendMessage").await;
        world.post("/rooms/close", json!({ "roomId": tea, "userId": "ana" })).await
    };
    let (writers, closed) = tokio::join!(writing, closing);

    assert_eq!(closed.status, 200);
    let mut written: Vec<_> = writers.iter().flat_map(|(written, _)| written.iter().copied()).collect();
    written.sort_unstable();
    assert!(written.iter().copied().eq(1..=written.len() as u64), "{written:?}");
    assert!(writers.iter().all(|(_, answer)| answer["code"] == "ROOM_CLOSED"));
    let room = world.get(&format!("/rooms/{tea}?userId=ana")).await.body;
    assert_eq!(room["lastSeq"], json!(written.len()));
}

#[tokio::test]
async fn capacity_holds_when_100_join_concurrently_over_http_and_websocket() {
    let faults = Faults::seeded(15);
    let world = World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await;
    // As on DynamoDB itself, where transactions get in each other's way.
    faults.follow(Plan { transaction_conflict: 400, ..Plan::default() });
    let room = json!({ "userId": "ana", "latitude": 0, "longitude": 0, "maxParticipants": 15 });
    let tea = world.post("/rooms", room).await.body["id"].as_str().unwrap().to_owned();
    let connected = join_all((0..50).map(|number| {
        let world = &world;
        async move { world.connect(&format!("socket-{number}")).await }
    }))
    .await;

    let sockets = join_all(connected.into_iter().map(|mut user| {
        let frame = json!({ "action": "joinRoom", "roomId": tea });
        async move {
            let answer = user.ask(frame).await;
            (answer["status"] != "active").then(|| answer["code"].as_str().unwrap().to_owned())
        }
    }));
    let requests = join_all((0..50).map(|number| {
        let (world, body) = (&world, json!({ "roomId": tea, "userId": format!("request-{number}") }));
        async move {
            let answer = world.post("/rooms/join", body).await;
            (answer.status != 200).then(|| format!("{}{}", answer.status, answer.body["code"].as_str().unwrap()))
        }
    }));
    let (sockets, requests) = tokio::join!(sockets, requests);

    let refused: Vec<_> = sockets.into_iter().chain(requests).flatten().collect();
    assert_eq!(refused.len(), 86);
    assert!(refused.iter().all(|code| code == "ROOM_FULL" || code == "409ROOM_FULL"), "{refused:?}");
    counts(&world, &tea, 15).await;
    // Those who are in can come again; who leaves makes room for one.
    assert_eq!(world.post("/rooms/join", json!({ "roomId": tea, "userId": "ana" })).await.status, 200);
    counts(&world, &tea, 15).await;
    assert_eq!(world.post("/rooms/leave", json!({ "roomId": tea, "userId": "ana" })).await.status, 200);
    counts(&world, &tea, 14).await;
    assert_eq!(world.post("/rooms/join", json!({ "roomId": tea, "userId": "late" })).await.status, 200);
    assert_eq!(world.post("/rooms/join", json!({ "roomId": tea, "userId": "later" })).await.status, 409);
    counts(&world, &tea, 15).await;
}

async fn counts(world: &World, room: &str, expected: usize) {
    assert_eq!(world.member_count(room).await, expected);
    let rooms = world.rows("ChatRooms").await;
    let row = rooms.iter().find(|row| row["id"].as_s().unwrap() == room).unwrap();
    assert_eq!(row["participantCount"].as_n().unwrap(), &expected.to_string());
}

#[tokio::test]
async fn participant_count_is_exact_after_concurrent_joins_and_leaves() {
    let world = World::start().await;
    let tea = world.posts_room("ana", 0.0, 0.0).await;
    join_all((0..10).flat_map(|user| (0..6).map(move |turn| (user, turn))).map(|(user, turn)| {
        let (world, body) = (&world, json!({ "roomId": tea, "userId": format!("user-{user}") }));
        let path = if turn % 3 == 2 { "/rooms/leave" } else { "/rooms/join" };
        async move {
            let answer = world.post(path, body).await;
            // Of one who joins and leaves at once, the join may end as if it had left before.
            assert!(answer.status == 200 || answer.body["code"] == "NOT_A_MEMBER", "{}", answer.body);
        }
    }))
    .await;

    let members = world.member_count(&tea).await;
    counts(&world, &tea, members).await;
}
