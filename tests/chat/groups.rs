//! Rooms: making them, joining, leaving, and who is in them.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{User, World, unchecked, with_aliases};

#[tokio::test]
async fn members_of_a_new_room_are_told_at_once() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;

    let room = ana
        .ask(json!({
            "action": "createRoom", "roomName": "Tea", "members": ["ben", "cleo", "ana"], "maxParticipants": 5 }))
        .await;

    let id = room["roomId"].clone();
    let joined = json!({ "type": "joined", "roomId": id, "userId": "ben", "userName": "ben" });
    assert_eq!(ben.hears("joined").await, joined);
    let participants: Vec<_> = room["participants"].as_array().unwrap().iter().map(brief).collect();
    assert_eq!(
        participants,
        [json!(["ana", "owner", true]), json!(["ben", "member", true]), json!(["cleo", "member", false])]
    );
    let expected = json!({
        "type": "room", "roomId": id, "roomName": "Tea", "roomType": "public", "status": "active", "creator": "ana",
        "createdAt": room["createdAt"], "lastActivity": room["lastActivity"], "autoClose": false,
        "maxParticipants": 5, "participantCount": 3, "epoch": "0", "lastSeq": 0, "onlineCount": 2,
        "participants": room["participants"],
    });
    assert_eq!(room, expected);
    assert!(room["lastActivity"].is_i64());
    ben.says(id.as_str().unwrap(), "thanks").await;
    assert_eq!(ana.hears("message").await["content"], "thanks");
}

fn brief(participant: &Value) -> Value {
    json!([participant["userId"], participant["role"], participant["online"]])
}

#[tokio::test]
async fn a_join_is_announced_and_subscribes_all_devices() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&[]).await;
    let mut phone = world.connect("ben").await;
    let mut laptop = world.connect("ben").await;

    let room = phone.ask(with_aliases(json!({ "action": "join-room", "roomId": tea, "userName": "Ben" }))).await;

    let joined = json!({ "type": "joined", "roomId": tea, "userId": "ben", "userName": "Ben" });
    assert_eq!(ana.hears("joined").await, joined);
    assert_eq!(laptop.hears("joined").await, joined);
    assert_eq!((&room["participantCount"], &room["onlineCount"]), (&json!(2), &json!(2)));
    ana.says(&tea, "welcome").await;
    assert_eq!(phone.hears("message").await["content"], "welcome");
    assert_eq!(laptop.hears("message").await["content"], "welcome");
    assert_eq!(phone.says(&tea, "hi").await["userName"], "Ben");
}

#[tokio::test]
async fn a_member_added_by_another_keeps_its_name() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.open("?userId=ben&username=Benny").await.unwrap();
    let tea = ana.creates_room(&["ben"]).await;

    assert_eq!(ben.says(&tea, "hi").await["userName"], "Benny");
}

#[tokio::test]
async fn joining_again_is_idempotent_and_not_announced() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect("ben").await.joined("tea").await;
    ana.hears("joined").await;

    let room = ben.ask(json!({ "action": "joinRoom", "roomId": "tea" })).await;

    assert_eq!(room["participantCount"], 2);
    ana.hears_nothing().await;
}

#[tokio::test]
async fn a_leave_is_announced_and_unsubscribes_all_devices() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut phone = world.connect("ben").await.joined("tea").await;
    let mut laptop = world.connect("ben").await;
    ana.hears("joined").await;

    let ack = phone.ask(with_aliases(json!({ "action": "leave-room", "roomId": "tea" }))).await;

    assert_eq!(ack, json!({ "type": "ack", "action": "leaveRoom", "roomId": "tea" }));
    assert_eq!(ana.hears("left").await, json!({ "type": "left", "roomId": "tea", "userId": "ben", "reason": "left" }));
    assert_eq!(laptop.hears("left").await["userId"], "ben");
    ana.says("tea", "gone?").await;
    phone.hears_nothing().await;
    laptop.hears_nothing().await;
    for action in ["getMessages", "sendMessage", "roomInfo", "typing"] {
        let refused =
            phone.is_refused(unchecked(json!({ "action": action, "roomId": "tea", "content": "back" }))).await;
        assert_eq!(refused, (403, "NOT_A_MEMBER".to_owned()), "{action}");
    }
    // Leaving again is no error, and no news.
    assert_eq!(phone.ask(json!({ "action": "leaveRoom", "roomId": "tea" })).await["type"], "ack");
    let info = ana.ask(json!({ "action": "roomInfo", "roomId": "tea" })).await;
    assert_eq!(info["participantCount"], 1);
    ana.hears_nothing().await;
}

#[tokio::test]
async fn a_reconnect_subscribes_all_rooms_of_the_user() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ana.creates_room(&["ben"]).await;
    let coffee = ben.creates_room(&["ana"]).await;
    ana.closes().await;
    world.logs(|line| line["route"] == "$disconnect").await;

    let mut ana = world.connect("ana").await;

    ben.says(&tea, "one").await;
    ben.says(&coffee, "two").await;
    assert_eq!(ana.hears("message").await["content"], "one");
    assert_eq!(ana.hears("message").await["content"], "two");
}

#[tokio::test]
async fn a_connection_for_one_room_hears_no_other_until_it_joins_one() {
    let world = World::start().await;
    let mut ben = world.connect("ben").await;
    let tea = ben.creates_room(&["ana"]).await;
    let mut ana = world.connect_to("ana", "coffee").await;

    ben.says(&tea, "unheard").await;
    ana.hears_nothing().await;

    ana.ask(json!({ "action": "joinRoom", "roomId": tea })).await;
    ben.says(&tea, "heard").await;
    assert_eq!(ana.hears("message").await["content"], "heard");
}

#[tokio::test]
async fn only_a_handshake_creates_an_unknown_room() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    for action in ["joinRoom", "leaveRoom", "roomInfo", "sendMessage", "getMessages"] {
        let refused = ana.is_refused(unchecked(json!({ "action": action, "roomId": "tea", "content": "?" }))).await;
        assert_eq!(refused, (404, "ROOM_NOT_FOUND".to_owned()), "{action}");
    }
    assert!(world.rows("ChatRooms").await.is_empty());

    let mut ben = world.connect_to("ben", "tea").await;

    let info = ben.ask(json!({ "action": "roomInfo", "roomId": "tea" })).await;
    assert_eq!(
        (&info["creator"], &info["roomType"], &info["autoClose"]),
        (&json!("ben"), &json!("public"), &json!(false))
    );
    assert_eq!(info["participants"][0]["role"], "owner");
}

#[tokio::test]
async fn concurrent_handshakes_to_an_unknown_room_create_it_once() {
    let world = World::start().await;

    let users = join_all((0..20).map(|number| {
        let (world, user) = (&world, format!("user-{number:02}"));
        async move { world.connect_to(&user, "tea").await }
    }))
    .await;

    let info = users.into_iter().next().unwrap().ask(json!({ "action": "roomInfo", "roomId": "tea" })).await;
    assert_eq!((&info["participantCount"], &info["onlineCount"]), (&json!(20), &json!(20)));
    let owners = info["participants"].as_array().unwrap().iter().filter(|user| user["role"] == "owner").count();
    assert_eq!(owners, 1);
}

#[tokio::test]
async fn max_participants_holds_under_concurrent_joins() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let room = ana.ask(json!({ "action": "createRoom", "maxParticipants": 5 })).await;
    let id = room["roomId"].as_str().unwrap();

    let mut users = join_all((0..20).map(|number| {
        let (world, user) = (&world, format!("user-{number}"));
        async move { world.connect(&user).await }
    }))
    .await;
    let answers = join_all(users.iter_mut().map(|user| user.ask(json!({ "action": "joinRoom", "roomId": id })))).await;

    let admitted = answers.iter().filter(|answer| answer["type"] == "room").count();
    assert_eq!(admitted, 4);
    assert!(answers.iter().all(|answer| answer["type"] == "room" || answer["code"] == "ROOM_FULL"));
    assert_eq!(world.open(&format!("?userId=late&roomId={id}")).await.err(), Some(409));
    let info = ana.ask(json!({ "action": "roomInfo", "roomId": id })).await;
    assert_eq!(info["participantCount"], 5);
    assert_eq!(world.member_count(id).await, 5);
}

#[tokio::test]
async fn a_private_room_is_open_to_its_first_members_only() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let room = ana.ask(json!({ "action": "createRoom", "roomType": "private", "members": ["ben"] })).await;
    let id = room["roomId"].as_str().unwrap();
    let mut ben = world.connect("ben").await;
    let mut eve = world.connect("eve").await;

    assert_eq!(ben.ask(json!({ "action": "joinRoom", "roomId": id })).await["roomType"], "private");
    let refused = eve.is_refused(json!({ "action": "joinRoom", "roomId": id })).await;
    assert_eq!(refused, (403, "INVITE_REQUIRED".to_owned()));
    assert_eq!(world.open(&format!("?userId=eve&roomId={id}")).await.err(), Some(403));
    assert_eq!(world.rows_with("Connections", "userId", "eve").await, 1);
}

#[tokio::test]
async fn participants_are_paginated() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let members: Vec<_> = (0..98).map(|number| format!("user-{number:02}")).collect();
    let room = ana.ask(json!({ "action": "createRoom", "members": members })).await;
    let id = room["roomId"].clone();
    assert_eq!(room["participants"].as_array().unwrap().len(), 99);
    for user in ["zoe-1", "zoe-2"] {
        world.connect(user).await.joined(id.as_str().unwrap()).await;
    }

    let first = ana.ask(json!({ "action": "roomInfo", "roomId": id })).await;
    let cursor = first["nextCursor"].clone();
    let second = ana.ask(json!({ "action": "roomInfo", "roomId": id, "cursor": cursor })).await;

    assert_eq!(first["participantCount"], 101);
    assert_eq!(first["participants"].as_array().unwrap().len(), 100);
    assert_eq!(second["participants"].as_array().unwrap().len(), 1);
    assert_eq!(second["participants"][0]["userId"], "zoe-2");
    assert!(second.get("nextCursor").is_none());
}

#[tokio::test]
async fn a_room_cannot_be_created_with_too_many_members() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let many: Vec<_> = (0..99).map(|number| format!("user-{number}")).collect();
    for frame in [
        json!({ "action": "createRoom", "members": many }),
        json!({ "action": "createRoom", "members": ["ben", "cleo"], "maxParticipants": 2 }),
        json!({ "action": "createRoom", "maxParticipants": 0 }),
        json!({ "action": "createRoom", "roomType": "secret" }),
        json!({ "action": "createRoom", "members": "ben" }),
        json!({ "action": "createRoom", "roomName": "x".repeat(129) }),
    ] {
        assert_eq!(ana.is_refused(unchecked(frame)).await, (400, "INVALID_FIELD".to_owned()));
    }
    assert!(world.rows("ChatRooms").await.is_empty());
}

#[tokio::test]
async fn lists_show_the_name_that_a_member_gave_last() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let name_of_ben = async |asker: &mut User| {
        let room = asker.ask(json!({ "action": "roomInfo", "roomId": "tea" })).await;
        let participants = room["participants"].as_array().unwrap().clone();
        participants.into_iter().find(|one| one["userId"] == "ben").unwrap()["userName"].clone()
    };

    world.open("?userId=ben&userName=Ben&roomId=tea&format=native").await.unwrap().goes().await;
    assert_eq!(name_of_ben(&mut ana).await, "Ben");
    let mut ben = world.open("?userId=ben&userName=Benjamin&format=native").await.unwrap();
    assert_eq!(name_of_ben(&mut ana).await, "Benjamin");
    ben.ask(json!({ "action": "joinRoom", "roomId": "tea", "userName": "Benny" })).await;
    assert_eq!(name_of_ben(&mut ana).await, "Benny");
}

#[tokio::test]
async fn a_room_made_again_after_its_end_is_a_new_room() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let last = ana.says("tea", "the end").await["seq"].as_u64().unwrap();
    let first_epoch = ana.ask(json!({ "action": "roomInfo", "roomId": "tea" })).await["epoch"].clone();
    ana.ask(json!({ "action": "banMember", "roomId": "tea", "userId": "eve" })).await;
    ana.ask(json!({ "action": "closeRoom", "roomId": "tea" })).await;
    world.time_passes(31 * 86_400);

    let mut eve = world.connect_to("eve", "tea").await;
    let mut ana = world.connect("ana").await;

    let first = eve.says("tea", "a new one").await["seq"].as_u64().unwrap();
    assert!(first > last, "{first}");
    let not_a_member = (403, "NOT_A_MEMBER".to_owned());
    assert_eq!(ana.is_refused(json!({ "action": "getMessages", "roomId": "tea" })).await, not_a_member);
    let ban = json!({ "action": "banMember", "roomId": "tea", "userId": "eve" });
    assert_eq!(ana.is_refused(ban).await, (403, "FORBIDDEN".to_owned()));
    assert_eq!(ana.ask(json!({ "action": "leaveRoom", "roomId": "tea" })).await["type"], "ack");
    let room = eve.ask(json!({ "action": "roomInfo", "roomId": "tea" })).await;
    assert_eq!((&room["creator"], &room["participantCount"]), (&json!("eve"), &json!(1)));
    assert_eq!(ana.ask(json!({ "action": "joinRoom", "roomId": "tea" })).await["participantCount"], 2);
    let page = ana.ask(json!({ "action": "getMessages", "roomId": "tea" })).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert!(first_epoch != room["epoch"] && page["epoch"] == room["epoch"], "{first_epoch} {page}");
    // A position of the earlier room is none of this one.
    let resumed = |seen: Value| json!({ "action": "resume", "rooms": { "tea": seen } });
    let earlier = ana.ask(resumed(json!({ "seq": first, "epoch": first_epoch }))).await["rooms"]["tea"].clone();
    assert_eq!((&earlier["reset"], &earlier["oldestSeq"]), (&json!(true), &json!(first)));
    assert_eq!((&earlier["items"][0]["content"], &earlier["epoch"]), (&json!("a new one"), &room["epoch"]));
    let current = ana.ask(resumed(json!({ "seq": first, "epoch": room["epoch"] }))).await["rooms"]["tea"].clone();
    assert_eq!((&current["items"], &current["complete"]), (&json!([]), &json!(true)));
    assert_eq!(current.get("reset"), None);
}

#[tokio::test]
async fn the_epoch_of_a_new_room_is_known_before_its_first_message() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;

    let room = ana.ask(json!({ "action": "roomInfo", "roomId": "tea" })).await;
    let page = ana.ask(json!({ "action": "getMessages", "roomId": "tea" })).await;
    let resumed = ana.ask(json!({ "action": "resume", "rooms": { "tea": 0, "lobby": 0 } })).await;

    assert_eq!(room["epoch"], "0");
    assert_eq!(page["epoch"], "0");
    assert_eq!(resumed["rooms"]["tea"]["epoch"], "0");
    assert_eq!(resumed["rooms"]["lobby"]["epoch"], "0");
}
