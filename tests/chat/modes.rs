//! The modes of a room: who may write, how often, for how long a message can be edited; and its name.

use serde_json::{Value, json};

use crate::harness::{User, World};
use crate::uploads::{Upload, announcement};

fn mode(settings: Value) -> Value {
    let mut frame = json!({ "action": "setRoomMode", "roomId": "tea" });
    frame.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    frame
}

fn message(content: &str) -> Value {
    json!({ "action": "sendMessage", "roomId": "tea", "content": content, "clientMessageId": content })
}

fn plain(content: &str) -> Value {
    json!({ "action": "sendMessage", "roomId": "tea", "content": content })
}

/// Ana, who made the room, and Ben.
async fn room_of_two(world: &World) -> (User, User) {
    let ana = world.connect_to("ana", "tea").await;
    let ben = world.connect_to("ben", "tea").await;
    (ana, ben)
}

fn wait_of(refusal: &Value, code: &str) -> u64 {
    assert_eq!((&refusal["code"], &refusal["status"]), (&json!(code), &json!(429)), "{refusal}");
    refusal["retryAfterMs"].as_u64().unwrap()
}

#[tokio::test]
async fn a_mode_is_an_entry_of_the_log_that_everybody_hears_and_the_room_shows() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;

    let set = ana.ask(mode(json!({ "write": "admins", "slowSeconds": 30 }))).await;

    assert_eq!((&set["type"], &set["seq"], &set["userId"]), (&json!("message"), &json!(1), &json!("ana")));
    assert_eq!(set["system"], json!({ "what": "mode", "mode": { "write": "admins", "slowSeconds": 30 } }));
    assert_eq!(set["content"], "ana changed the room's settings: only admins write, 30 s between messages");
    assert_eq!(ben.hears("message").await, set);
    let room = ben.ask(json!({ "action": "roomInfo", "roomId": "tea" })).await;
    assert_eq!(room["mode"], json!({ "write": "admins", "slowSeconds": 30 }));
    let again = ana.ask(mode(json!({ "write": "admins" }))).await;
    assert_eq!((&again["seq"], &again["duplicate"]), (&json!(1), &json!(true)));
    let page = ben.ask(json!({ "action": "getMessages", "roomId": "tea" })).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let change = json!({ "action": "editMessage", "roomId": "tea", "seq": 1, "content": "x", "version": 0 });
    assert_eq!(ana.is_refused(change).await, (403, "FORBIDDEN".to_owned()));
}

#[tokio::test]
async fn only_owners_and_admins_set_a_mode_and_a_mode_sets_something() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;

    assert_eq!(ben.is_refused(mode(json!({ "write": "admins" }))).await, (403, "FORBIDDEN".to_owned()));
    for wrong in [
        json!({}),
        json!({ "write": "nobody" }),
        json!({ "slowSeconds": 21_601 }),
        json!({ "maxPerSecond": 0 }),
        json!({ "maxPerSecond": 101 }),
        json!({ "editWindowSeconds": -1 }),
    ] {
        let frame = crate::harness::unchecked(mode(wrong));
        assert_eq!(ana.is_refused(frame).await, (400, "INVALID_FIELD".to_owned()));
    }
}

#[tokio::test]
async fn in_a_read_only_room_only_owners_and_admins_write_and_a_repeat_is_answered() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;
    ben.ask(message("before")).await;
    ana.ask(mode(json!({ "write": "admins" }))).await;

    assert_eq!(ben.is_refused(message("after")).await, (403, "READ_ONLY".to_owned()));
    assert_eq!(ben.is_refused(plain("after")).await, (403, "READ_ONLY".to_owned()));
    assert_eq!(ben.is_refused(announcement("tea", "a.txt", 5)).await, (403, "READ_ONLY".to_owned()));
    let repeat = ben.ask(message("before")).await;
    assert_eq!((&repeat["seq"], &repeat["duplicate"]), (&json!(1), &json!(true)));
    assert_eq!(ana.ask(message("owner")).await["seq"], 3);
    ana.ask(json!({ "action": "setRole", "roomId": "tea", "userId": "ben", "role": "admin" })).await;
    assert_eq!(ben.ask(message("admin")).await["seq"], 4);
    ana.ask(json!({ "action": "setRole", "roomId": "tea", "userId": "ben", "role": "member" })).await;
    ana.ask(mode(json!({ "write": "members" }))).await;
    assert_eq!(ben.ask(message("after")).await["seq"], 6);
}

#[tokio::test]
async fn a_file_that_arrives_after_the_room_became_read_only_is_refused() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;
    let upload = Upload::of(&ben.ask(announcement("tea", "a.txt", 5)).await);
    ana.ask(mode(json!({ "write": "admins" }))).await;

    assert_eq!(upload.puts(&world, b"12345").await, 200);

    world.has_logged(1, |line| line["route"] == "ObjectCreated").await;
    let page = ana.ask(json!({ "action": "getMessages", "roomId": "tea" })).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1, "{page}");
}

#[tokio::test]
async fn in_slow_mode_a_member_waits_exactly_as_long_as_the_room_says() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;
    let mut tablet = world.connect_to("ben", "tea").await;
    ana.ask(mode(json!({ "slowSeconds": 60 }))).await;

    let first = ben.ask(message("one")).await;
    assert_eq!(first["seq"], 2);
    for device in [&mut ben, &mut tablet] {
        let wait = wait_of(&device.ask(message("two")).await, "SLOW_MODE");
        assert!((50_000..=60_000).contains(&wait), "{wait}");
        wait_of(&device.ask(plain("two")).await, "SLOW_MODE");
    }
    assert_eq!(ben.ask(message("one")).await["duplicate"], true);
    for number in 0..3 {
        assert_eq!(ana.ask(plain("owner")).await["seq"], 3 + number);
    }

    let wait = wait_of(&ben.ask(message("two")).await, "SLOW_MODE");
    world.time_passes(wait.div_ceil(1000));
    let (one, other) = tokio::join!(ben.ask(message("two")), tablet.ask(message("three")));
    let written = [&one, &other].into_iter().filter(|answer| answer["type"] == "message").count();
    assert_eq!(written, 1, "{one} {other}");
    ana.ask(mode(json!({ "slowSeconds": 0 }))).await;
    assert_eq!(ben.ask(plain("four")).await["type"], "message");
}

#[tokio::test]
async fn an_outbox_is_written_as_far_as_the_mode_allows() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;
    let outbox = |ids: &[&str]| {
        let messages: Vec<_> = ids.iter().map(|id| json!({ "content": id, "clientMessageId": id })).collect();
        json!({ "action": "sendMessages", "roomId": "tea", "messages": messages })
    };
    ben.ask(message("a")).await;
    ana.ask(mode(json!({ "slowSeconds": 60 }))).await;

    let sent = ben.ask(outbox(&["a", "b", "c"])).await;

    let results = sent["results"].as_array().unwrap();
    assert_eq!((&results[0]["seq"], &results[0]["duplicate"]), (&json!(1), &json!(true)));
    assert_eq!(results[1]["seq"], 3);
    assert_eq!((&results[2]["code"], &results[2]["retryAfterMs"]), (&json!("SLOW_MODE"), &json!(60_000)));
    wait_of(&ben.ask(outbox(&["c", "d"])).await, "SLOW_MODE");
    let owner = ana.ask(outbox(&["x", "y", "z"])).await;
    assert_eq!(owner["results"].as_array().unwrap().iter().filter(|result| result["seq"].is_u64()).count(), 3);
    ana.ask(mode(json!({ "write": "admins" }))).await;
    assert_eq!(ben.is_refused(outbox(&["c"])).await, (403, "READ_ONLY".to_owned()));
}

#[tokio::test]
async fn a_room_takes_no_more_messages_in_a_second_than_its_mode_says() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;
    ana.ask(mode(json!({ "maxPerSecond": 2 }))).await;

    let mut by_second: std::collections::BTreeMap<i64, u64> = std::collections::BTreeMap::new();
    let mut refused = 0;
    for number in 0..20 {
        let answer = ben.ask(plain(&number.to_string())).await;
        if answer["type"] == "message" {
            *by_second.entry(crate::harness::time_of(&answer["createdAt"]).as_secs()).or_default() += 1;
        } else {
            assert!(wait_of(&answer, "ROOM_RATE") <= 1000);
            refused += 1;
        }
    }

    assert!(by_second.values().all(|count| *count <= 2), "{by_second:?}");
    assert!(refused > 0);
    world.time_passes(2);
    assert_eq!(ben.ask(message("later")).await["type"], "message");
}

#[tokio::test]
async fn messages_can_be_edited_for_as_long_as_the_room_says() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;
    ben.ask(plain("one")).await;
    let edit = |content: &str| {
        json!({
            "action": "editMessage", "roomId": "tea", "seq": 1, "content": content, "clientMessageId": content
        })
    };
    ana.ask(mode(json!({ "editWindowSeconds": 60 }))).await;

    assert_eq!(ben.ask(edit("uno")).await["type"], "edited");
    world.time_passes(61);
    assert_eq!(ben.is_refused(edit("eins")).await, (403, "EDIT_WINDOW_OVER".to_owned()));
    assert_eq!(ben.ask(edit("uno")).await["unchanged"], true);
}

#[tokio::test]
async fn members_react_only_where_the_mode_lets_them_and_may_take_back_what_they_gave() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;
    ana.ask(plain("one")).await;
    let react =
        |emoji: &str, on: bool| json!({ "action": "react", "roomId": "tea", "seq": 1, "emoji": emoji, "on": on });
    ben.ask(react("👍", true)).await;
    ana.ask(mode(json!({ "react": "admins" }))).await;

    assert_eq!(ben.is_refused(react("🎉", true)).await, (403, "READ_ONLY".to_owned()));
    assert_eq!(ben.ask(react("👍", true)).await["unchanged"], true);
    assert_eq!(ben.ask(react("👍", false)).await["counts"], json!({}));
    assert_eq!(ana.ask(react("🎉", true)).await["counts"], json!({ "🎉": 1 }));
}

#[tokio::test]
async fn who_writes_behind_a_mode_obeys_it_whoever_was_first() {
    let world = World::start().await;
    let (mut ana, ben) = room_of_two(&world).await;
    let mut devices = vec![ben];
    for _ in 0..3 {
        devices.push(world.connect_to("ben", "tea").await);
    }
    let sends = devices.iter_mut().enumerate().map(|(number, device)| async move {
        for round in 0..5 {
            device.ask(plain(&format!("{number} {round}"))).await;
        }
    });

    let (set, _) = tokio::join!(ana.ask(mode(json!({ "write": "admins" }))), futures_util::future::join_all(sends));

    let page = ana.ask(json!({ "action": "getMessages", "roomId": "tea", "limit": 100 })).await;
    let behind = page["items"].as_array().unwrap().iter().filter(|item| item["seq"].as_u64() > set["seq"].as_u64());
    assert_eq!(behind.count(), 0, "{page}");
}

#[tokio::test]
async fn a_room_is_renamed_by_an_entry_of_its_log() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;
    let rename = json!({ "action": "renameRoom", "roomId": "tea", "roomName": "Tea at five" });

    assert_eq!(ben.is_refused(rename.clone()).await, (403, "FORBIDDEN".to_owned()));
    let renamed = ana.ask(rename.clone()).await;

    assert_eq!(renamed["system"], json!({ "what": "renamed", "roomName": "Tea at five" }));
    assert_eq!(renamed["content"], "ana renamed the room to Tea at five");
    assert_eq!(ben.hears("message").await, renamed);
    assert_eq!(ben.ask(json!({ "action": "roomInfo", "roomId": "tea" })).await["roomName"], "Tea at five");
    assert_eq!(ana.ask(rename).await["duplicate"], true);
}

#[tokio::test]
async fn a_mode_outlives_the_entries_that_carry_it() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;
    ana.ask(mode(json!({ "write": "admins" }))).await;

    world.time_passes(31 * 86_400);

    let mut ben_again = world.connect_to("ben", "tea").await;
    assert_eq!(ben_again.is_refused(plain("x")).await, (403, "READ_ONLY".to_owned()));
    drop((ana, ben.hears_until_closed()));
}
