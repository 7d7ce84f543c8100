//! A user's rooms: what is unread, and how far was read.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{User, World, time_of};

async fn list(user: &mut User) -> Vec<Value> {
    let answer = user.ask(json!({ "action": "listRooms" })).await;
    assert_eq!(answer["type"], "rooms", "{answer}");
    answer["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn rooms_are_listed_by_activity_with_unread_counts() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ana.creates_room(&["ben"]).await;
    let quiet = ana.creates_room(&[]).await;
    world.time_passes(1);
    ana.says(&tea, "one").await;
    ben.says(&tea, "two").await;
    ben.says(&tea, "three").await;
    world.time_passes(1);
    let dm = ben.ask(json!({ "action": "sendMessage", "recipientId": "ana", "content": "psst" })).await;

    let rooms = list(&mut ana).await;

    let ids: Vec<_> = rooms.iter().map(|room| room["roomId"].as_str().unwrap()).collect();
    assert_eq!(ids, [dm["roomId"].as_str().unwrap(), &tea, &quiet]);
    let [direct, group, silent] = &rooms[..] else { panic!() };
    assert_eq!(
        (&direct["roomType"], &direct["roomName"], &direct["unread"]),
        (&json!("direct"), &json!("ben"), &json!(1))
    );
    assert_eq!(direct["lastMessage"], dm);
    assert_eq!((&group["lastSeq"], &group["lastReadSeq"], &group["unread"]), (&json!(3), &json!(0), &json!(2)));
    assert_eq!((&group["participantCount"], &group["onlineCount"]), (&json!(2), &json!(2)));
    assert!(group.get("unreadMore").is_none() && group.get("participants").is_none());
    assert_eq!((&silent["unread"], &silent["lastSeq"]), (&json!(0), &json!(0)));
    assert!(silent.get("lastMessage").is_none());
    // Both have it, and their own messages are never unread.
    let bens = list(&mut ben).await;
    assert_eq!((&bens[0]["roomName"], &bens[0]["unread"]), (&json!("ana"), &json!(0)));
    assert_eq!(bens[1]["unread"], 1);
}

#[tokio::test]
async fn read_marks_are_shared_announced_and_never_go_back() {
    let world = World::start().await;
    let mut phone = world.connect("ana").await;
    let mut laptop = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ben.creates_room(&["ana"]).await;
    for number in 1..=3 {
        ben.says(&tea, &format!("{number}")).await;
    }

    let ack = phone.ask(json!({ "action": "markRead", "roomId": tea, "seq": 2 })).await;

    assert_eq!(ack, json!({ "type": "ack", "action": "markRead", "roomId": tea }));
    let read = ben.hears("read").await;
    assert_eq!(read, json!({ "type": "read", "roomId": tea, "userId": "ana", "seq": 2, "at": read["at"] }));
    assert_eq!(laptop.hears("read").await, read);
    assert_eq!(list(&mut laptop).await[0]["unread"], 1);

    laptop.ask(json!({ "action": "markRead", "roomId": tea, "seq": 1 })).await;
    assert_eq!(list(&mut laptop).await[0]["lastReadSeq"], 2);
    // Nobody has read what was not said.
    world.time_passes(60);
    laptop.ask(json!({ "action": "markRead", "roomId": tea, "seq": 1000 })).await;
    let later = ben.hears("read").await;
    assert_eq!(later["seq"], 3);
    assert!(time_of(&later["at"]).millis_since(time_of(&read["at"])) >= 60_000);
    assert_eq!(list(&mut phone).await[0]["unread"], 0);
    ben.hears_nothing().await;
}

#[tokio::test]
async fn only_members_set_read_marks() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut eve = world.connect("eve").await;

    for (room, refusal) in [("tea", "NOT_A_MEMBER"), ("nowhere", "ROOM_NOT_FOUND"), ("dm-x", "NOT_A_MEMBER")] {
        let refused = eve.is_refused(json!({ "action": "markRead", "roomId": room, "seq": 1 })).await;
        assert_eq!(refused.1, refusal);
    }
    assert!(list(&mut eve).await.is_empty());
    ana.hears_nothing().await;
}

#[tokio::test]
async fn unread_counts_are_exact_up_to_99() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ben.creates_room(&["ana"]).await;
    for number in 1..=99 {
        ben.says(&tea, &format!("{number}")).await;
    }
    ana.says(&tea, "mine does not count").await;

    let room = list(&mut ana).await.remove(0);
    assert_eq!(room["unread"], 99);
    assert!(room.get("unreadMore").is_none());

    ben.says(&tea, "100").await;
    let room = list(&mut ana).await.remove(0);
    assert_eq!((&room["unread"], &room["unreadMore"]), (&json!(99), &json!(true)));
}

#[tokio::test]
async fn room_lists_are_paginated_and_limited_to_200_rooms() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut made = BTreeSet::new();
    for _ in 0..200 {
        made.insert(ana.creates_room(&[]).await);
    }
    world.connect_to("ben", "tea").await;
    for frame in [json!({ "action": "createRoom" }), json!({ "action": "joinRoom", "roomId": "tea" })] {
        assert_eq!(ana.is_refused(frame).await, (403, "FORBIDDEN".to_owned()));
    }
    assert_eq!(world.open("?userId=ana&roomId=tea").await.err(), Some(403));

    let (mut found, mut cursor) = (Vec::new(), json!(null));
    loop {
        let page = ana.ask(json!({ "action": "listRooms", "cursor": cursor })).await;
        assert!(page.to_string().len() < 32 * 1024);
        found.extend(page["items"].as_array().unwrap().iter().map(|room| room["roomId"].as_str().unwrap().to_owned()));
        match page.get("nextCursor") {
            Some(next) => cursor = next.clone(),
            None => break,
        }
    }
    assert_eq!(found.len(), 200);
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), made);
    let refused = ana.is_refused(json!({ "action": "listRooms", "cursor": "nonsense" })).await;
    assert_eq!(refused, (400, "INVALID_FIELD".to_owned()));

    // What is closed does not count.
    ana.ask(json!({ "action": "closeRoom", "roomId": made.first() })).await;
    assert_eq!(ana.ask(json!({ "action": "joinRoom", "roomId": "tea" })).await["type"], "room");
}

#[tokio::test]
async fn a_page_of_rooms_is_cut_at_the_frame_limit() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    for _ in 0..4 {
        let room = ana.creates_room(&[]).await;
        ana.says(&room, &"x".repeat(14_000)).await;
    }

    let (mut found, mut cursor) = (0, json!(null));
    loop {
        let page = ana.ask(json!({ "action": "listRooms", "cursor": cursor })).await;
        assert!(page.to_string().len() < 32 * 1024);
        found += page["items"].as_array().unwrap().len();
        match page.get("nextCursor") {
            Some(next) => cursor = next.clone(),
            None => break,
        }
    }
    assert_eq!(found, 4);
}

#[tokio::test]
async fn a_read_mark_survives_leaving_and_joining_again() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    ana.says("tea", "one").await;
    ana.says("tea", "two").await;
    ben.ask(json!({ "action": "markRead", "roomId": "tea", "seq": 2 })).await;

    ben.ask(json!({ "action": "leaveRoom", "roomId": "tea" })).await;
    assert_eq!(list(&mut ben).await, Vec::<Value>::new());
    ben.ask(json!({ "action": "joinRoom", "roomId": "tea" })).await;

    let rooms = list(&mut ben).await;
    assert_eq!((&rooms[0]["lastReadSeq"], &rooms[0]["unread"]), (&json!(2), &json!(0)));
}
