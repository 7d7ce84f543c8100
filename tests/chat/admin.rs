//! What a backend does: messages, members, and what it looks up.

use serde_json::{Value, json};

use crate::harness::{User, World};

#[tokio::test]
async fn a_message_of_a_backend_reaches_rooms_and_users_once() {
    let world = World::with(&[("ADD_MEMBERS", "invite")]).await;
    let (mut ana, mut ben) = (world.connect("ana").await, world.connect("ben").await);
    let tea = ana.creates_room(&[]).await;
    ana.ask(json!({ "action": "setRoomMode", "roomId": tea, "write": "admins" })).await;
    ben.ask(json!({ "action": "blockUser", "userId": "spammer" })).await;
    ana.clears_received();
    let message = json!({
        "as": "weather", "userName": "Weather", "rooms": [tea, "nowhere"], "users": ["ben"], "content": "Rain",
        "data": { "mm": 3 }
    });

    let first = world.admin_with_key("k1", "POST", "/admin/messages", message.clone()).await;
    let again = world.admin_with_key("k1", "POST", "/admin/messages", message.clone()).await;

    assert_eq!((first.status, &first.body), (200, &again.body), "{}", first.body);
    let results = &first.body["results"];
    assert_eq!((&results[0]["roomId"], &results[0]["seq"]), (&json!(tea), &json!(2)));
    assert_eq!((&results[1]["code"], &results[2]["userId"]), (&json!("ROOM_NOT_FOUND"), &json!("ben")));
    for user in [&mut ana, &mut ben] {
        let heard = user.hears("message").await;
        assert_eq!((&heard["userId"], &heard["userName"]), (&json!("weather"), &json!("Weather")));
        assert_eq!((&heard["content"], &heard["data"]), (&json!("Rain"), &json!({ "mm": 3 })));
        user.hears_nothing().await;
    }
    // A repeat after a crash, before the answer was kept, writes nothing twice.
    world.loses_answer("k1").await;
    let repeated = world.admin_with_key("k1", "POST", "/admin/messages", message).await;
    assert_eq!(
        (&repeated.body["results"][0]["seq"], &repeated.body["results"][0]["duplicate"]),
        (&json!(2), &json!(true))
    );
    let blocked = json!({ "as": "spammer", "users": ["ben"], "content": "Buy" });
    let answer = world.admin("POST", "/admin/messages", blocked).await;
    assert_eq!(answer.body["results"][0]["code"], "BLOCKED");
    let from_the_chat = world.admin("POST", "/admin/messages", json!({ "rooms": ["lobby"], "content": "Hi" })).await;
    assert_eq!(from_the_chat.body["results"][0]["seq"], 1, "{}", from_the_chat.body);
    // The repeat was published again.
    assert_eq!(ben.hears("message").await["userId"], "weather");
    assert_eq!(ben.hears("message").await["userId"], "switchboard");
}

#[tokio::test]
async fn a_message_of_a_backend_has_1_to_25_targets() {
    let world = World::start().await;
    let many: Vec<_> = (0..26).map(|number| format!("room-{number}")).collect();
    for rooms in [json!([]), json!(many)] {
        let answer = world.admin("POST", "/admin/messages", json!({ "rooms": rooms, "content": "Rain" })).await;
        assert_eq!(answer.refusal(), (400, "INVALID_FIELD", "rooms"));
    }
}

#[tokio::test]
async fn a_backend_adds_and_removes_members_without_asking() {
    let world = World::with(&[("ADD_MEMBERS", "invite")]).await;
    let (mut ana, mut ben) = (world.connect("ana").await, world.connect("ben").await);
    let tea = ana.creates_room(&[]).await;
    let path = format!("/admin/rooms/{tea}/members/ben");

    for _ in 0..2 {
        assert_eq!(world.admin("PUT", &path, Value::Null).await.status, 200);
    }

    assert_eq!((ana.hears("joined").await["userId"].clone(), world.member_count(&tea).await), (json!("ben"), 2));
    ana.says(&tea, "welcome").await;
    assert_eq!(ben.hears("message").await["content"], "welcome");
    for _ in 0..2 {
        assert_eq!(world.admin("DELETE", &path, Value::Null).await.status, 200);
    }
    assert_eq!(ben.hears("left").await["reason"], "removed");
    assert_eq!(world.member_count(&tea).await, 1);
    for (room, user, code) in [("nowhere", "ben", "ROOM_NOT_FOUND"), ("lobby", "ben", "ROOM_NOT_FOUND")] {
        let answer = world.admin("PUT", &format!("/admin/rooms/{room}/members/{user}"), Value::Null).await;
        assert_eq!(answer.body["code"], code);
    }
    ana.ask(json!({ "action": "banMember", "roomId": tea, "userId": "cho" })).await;
    let banned = world.admin("PUT", &format!("/admin/rooms/{tea}/members/cho"), Value::Null).await;
    assert_eq!(banned.body["code"], "BANNED");
}

#[tokio::test]
async fn a_backend_looks_up_connections_reports_and_the_record() {
    let world = World::start().await;
    let (mut ana, mut ben): (User, User) = (world.connect("ana").await, world.connect("ben").await);
    let tea = ana.creates_room(&["ben"]).await;
    ana.says(&tea, "Buy now").await;
    ben.ask(json!({ "action": "reportMessage", "roomId": tea, "seq": 1, "reason": "spam" })).await;
    ana.ask(json!({ "action": "removeMember", "roomId": tea, "userId": "ben" })).await;

    let connections = world.admin("GET", "/admin/users/ana/connections", Value::Null).await;
    let reports = world.admin("GET", &format!("/admin/reports?roomId={tea}"), Value::Null).await;
    let record = world.admin("GET", "/admin/audit", Value::Null).await;

    let hello = ana.ask(json!({ "action": "hello" })).await;
    assert_eq!(connections.body["items"][0]["connectionId"], hello["connectionId"]);
    let report = &reports.body["items"][0];
    assert_eq!((&report["by"], &report["reason"], &report["seq"]), (&json!("ben"), &json!("spam"), &json!(1)));
    assert_eq!((&report["userId"], &report["content"]), (&json!("ana"), &json!("Buy now")));
    let acts: Vec<_> = record.body["items"].as_array().unwrap().iter().map(|act| &act["action"]).collect();
    let expected = ["GET /admin/audit", "GET /admin/reports", "GET /admin/users/{userId}/connections", "removeMember"];
    assert_eq!(acts, expected);
    let removal = &record.body["items"][3];
    let at = removal["at"].as_str().unwrap();
    assert!(at.len() == "2026-11-27T13:03:25.727Z".len() && at.ends_with('Z'), "{at}");
    assert_eq!((&removal["by"], &removal["userId"], &removal["roomId"]), (&json!("ana"), &json!("ben"), &json!(tea)));
    let nothing = world.admin("GET", "/admin/audit?day=2020-01-01", Value::Null).await;
    assert_eq!(nothing.body, json!({ "day": "2020-01-01", "items": [] }));
    let wrong = world.admin("GET", "/admin/audit?day=today", Value::Null).await;
    assert_eq!(wrong.refusal(), (400, "INVALID_FIELD", "day"));
    // The record is in pages.
    for _ in 0..50 {
        world.admin("GET", "/admin/users/ana/connections", Value::Null).await;
    }
    let first = world.admin("GET", "/admin/audit", Value::Null).await;
    let cursor = form_urlencoded::byte_serialize(first.body["nextCursor"].as_str().unwrap().as_bytes());
    let path = format!("/admin/audit?cursor={}", cursor.collect::<String>());
    let second = world.admin("GET", &path, Value::Null).await;
    assert_eq!((first.body["items"].as_array().unwrap().len(), &second.body["nextCursor"]), (50, &Value::Null));
    // The four of before, two that found nothing, and one of the fifty-one since.
    assert_eq!(second.body["items"].as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn a_backend_makes_a_room_once_and_changes_it() {
    let world = World::with(&[("ADD_MEMBERS", "invite")]).await;
    let (mut ana, mut ben) = (world.connect("ana").await, world.connect("ben").await);
    let room = json!({
        "owner": "ana", "roomName": "Office", "roomType": "private", "maxParticipants": 5, "slowSeconds": 30,
        "latitude": 1, "longitude": 2, "roadName": "Main Street"
    });

    let made = world.admin("PUT", "/admin/rooms/office", room.clone()).await;

    assert_eq!((made.status, &made.body["participants"]), (200, &json!(["ana"])), "{}", made.body);
    assert_eq!((&made.body["roomType"], &made.body["mode"]), (&json!("private"), &json!({ "slowSeconds": 30 })));
    assert_eq!((&made.body["creator"], &made.body["roadName"]), (&json!("ana"), &json!("Main Street")));
    assert_eq!(ana.hears("joined").await["roomId"], "office");
    assert_eq!(ben.is_refused(json!({ "action": "joinRoom", "roomId": "office" })).await.1, "INVITE_REQUIRED");
    // A repeat changes nothing, and tells again.
    let again = world.admin("PUT", "/admin/rooms/office", room).await;
    assert_eq!((&again.body["lastSeq"], &again.body["participantCount"]), (&json!(0), &json!(1)));
    assert_eq!(ana.hears("room").await["roomName"], "Office");
    let change = json!({ "roomName": "Kitchen", "roomType": "public", "slowSeconds": 0, "autoClose": true });
    let changed = world.admin("PUT", "/admin/rooms/office", change).await;
    assert_eq!((&changed.body["roomName"], &changed.body["autoClose"]), (&json!("Kitchen"), &json!(true)));
    assert_eq!((&changed.body["roomType"], &changed.body["maxParticipants"]), (&json!("public"), &json!(5)));
    assert_eq!(ana.hears("message").await["system"], json!({ "what": "renamed", "roomName": "Kitchen" }));
    assert_eq!(ana.hears("message").await["system"]["mode"], json!({ "slowSeconds": 0 }));
    ben.joined("office").await;
    let near = world.get("/rooms?latitude=1&longitude=2&userId=ben").await;
    assert_eq!(near.body["rooms"][0]["roomId"], "office", "{}", near.body);
    ana.ask(json!({ "action": "closeRoom", "roomId": "office" })).await;
    let closed = world.admin("PUT", "/admin/rooms/office", json!({ "roomName": "Attic" })).await;
    assert_eq!(closed.body["code"], "ROOM_CLOSED");
    for (id, body, field) in [
        ("lobby", json!({}), "roomId"),
        ("attic", json!({ "latitude": 1 }), "latitude"),
        ("attic", json!({ "roadName": "Main Street" }), "latitude"),
    ] {
        let answer = world.admin("PUT", &format!("/admin/rooms/{id}"), body).await;
        assert_eq!(answer.refusal(), (400, "INVALID_FIELD", field));
    }
}

#[tokio::test]
async fn a_room_that_a_backend_made_has_no_members_until_somebody_is_put_into_it() {
    let world = World::with(&[("ADD_MEMBERS", "invite")]).await;
    let mut ana = world.connect("ana").await;
    let made = world.admin("PUT", "/admin/rooms/hall", json!({})).await;
    assert_eq!((&made.body["creator"], &made.body["participants"]), (&json!("switchboard"), &json!([])));

    for role in ["admin", "owner"] {
        let path = "/admin/rooms/hall/members/ana";
        assert_eq!(world.admin("PUT", path, json!({ "role": role })).await.status, 200);
        assert_eq!(ana.hears("room").await["participants"][0]["role"], role);
    }

    let rename = json!({ "action": "setRole", "roomId": "hall", "userId": "ana", "role": "member" });
    assert_eq!(ana.is_refused(rename).await.1, "FORBIDDEN");
    assert_eq!(world.admin("PUT", "/admin/rooms/hall/members/ana", Value::Null).await.status, 200);
    let hall = ana.ask(json!({ "action": "roomInfo", "roomId": "hall" })).await;
    assert_eq!(hall["participants"][0]["role"], "owner");
    // A second owner by the room itself, and the creator's role stays.
    let owned = world.admin("PUT", "/admin/rooms/hall", json!({ "owner": "ben" })).await;
    assert_eq!(owned.body["members"][1]["role"], "owner", "{}", owned.body);
    world.admin("PUT", "/admin/rooms/own", json!({ "owner": "ben" })).await;
    let demoted = world.admin("PUT", "/admin/rooms/own/members/ben", json!({ "role": "member" })).await;
    assert_eq!(demoted.body["code"], "FORBIDDEN");
}
