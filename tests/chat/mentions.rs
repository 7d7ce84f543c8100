//! Mentions, what is unread, and what a user wants to be told of.

use serde_json::{Value, json};
use switchboard::local::StoreCall;

use crate::harness::{User, World};

fn unreads() -> Value {
    json!({ "action": "unreads" })
}

async fn unread_in(user: &mut User, room: &str) -> Value {
    let answer = user.ask(unreads()).await;
    let rooms = answer["rooms"].as_array().unwrap();
    rooms.iter().find(|unread| unread["roomId"] == room).unwrap_or_else(|| panic!("{answer}")).clone()
}

fn mentioning(users: &[&str]) -> Value {
    json!({ "action": "sendMessage", "roomId": "tea", "content": "look", "mentions": users })
}

/// Ana, Ben and Carl in a room.
async fn room_of_three(world: &World) -> (User, User, User) {
    let ana = world.connect_to("ana", "tea").await;
    let ben = world.connect_to("ben", "tea").await;
    let carl = world.connect_to("carl", "tea").await;
    (ana, ben, carl)
}

#[tokio::test]
async fn a_mention_is_shown_and_counted_until_it_is_read() {
    let world = World::start().await;
    let (mut ana, mut ben, mut carl) = room_of_three(&world).await;
    ana.says("tea", "hello").await;

    let sent = ana.ask(mentioning(&["ben", "zoe", "ben"])).await;

    assert_eq!((&sent["mentions"], &sent["notMentioned"]), (&json!(["ben"]), &json!(["zoe"])));
    let mut heard = ben.hears("message").await;
    while heard["seq"] != 2 {
        heard = ben.hears("message").await;
    }
    assert_eq!((&heard["mentions"], heard.get("notMentioned")), (&json!(["ben"]), None));
    let unread = unread_in(&mut ben, "tea").await;
    assert_eq!((&unread["unread"], &unread["mentions"]), (&json!(2), &json!(1)));
    assert_eq!((&unread["lastSeq"], &unread["lastBy"]), (&json!(2), &json!("ana")));
    assert_eq!(unread_in(&mut carl, "tea").await["mentions"], 0);
    assert_eq!(unread_in(&mut ana, "tea").await["unread"], 0);
    ben.ask(json!({ "action": "markRead", "roomId": "tea", "seq": 2 })).await;
    let read = ben.ask(unreads()).await;
    assert_eq!((&read["total"], &read["totalMentions"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn who_left_or_has_blocked_the_sender_is_not_mentioned() {
    let world = World::start().await;
    let (mut ana, mut ben, mut carl) = room_of_three(&world).await;
    ben.ask(json!({ "action": "blockUser", "userId": "ana" })).await;
    carl.ask(json!({ "action": "leaveRoom", "roomId": "tea" })).await;

    let sent = ana.ask(mentioning(&["ben", "carl"])).await;

    assert_eq!((sent.get("mentions"), &sent["notMentioned"]), (None, &json!(["ben", "carl"])));
    assert_eq!(world.rows("Mentions").await.len(), 0);
}

#[tokio::test]
async fn a_deleted_message_mentions_nobody_and_is_not_unread() {
    let world = World::start().await;
    let (mut ana, mut ben, _carl) = room_of_three(&world).await;
    ana.ask(mentioning(&["ben"])).await;
    assert_eq!(world.rows("Mentions").await.len(), 1);

    ana.ask(json!({ "action": "deleteMessage", "roomId": "tea", "seq": 1 })).await;

    let unread = unread_in(&mut ben, "tea").await;
    assert_eq!((&unread["unread"], &unread["mentions"]), (&json!(0), &json!(0)));
    assert_eq!(world.rows("Mentions").await.len(), 0);
    let page = ben.ask(json!({ "action": "getMessages", "roomId": "tea" })).await;
    assert_eq!(page["items"][0].get("mentions"), None);
}

#[tokio::test]
async fn an_outbox_mentions_at_most_20_users_in_all() {
    let world = World::start().await;
    let (mut ana, mut ben, _carl) = room_of_three(&world).await;
    let outbox = |mentions: &[String]| {
        let message = |id: &str| json!({ "content": id, "clientMessageId": id, "mentions": mentions });
        json!({ "action": "sendMessages", "roomId": "tea", "messages": [message("a"), message("b")] })
    };
    let many: Vec<_> = (0..11).map(|number| format!("user-{number}")).collect();

    assert_eq!(ana.is_refused(outbox(&many)).await, (400, "INVALID_FIELD".to_owned()));
    let sent = ana.ask(outbox(&["ben".to_owned(), "zoe".to_owned()])).await;

    assert_eq!(sent["notMentioned"], json!(["zoe"]));
    assert_eq!(unread_in(&mut ben, "tea").await["mentions"], 2);
}

#[tokio::test]
async fn everybody_can_be_mentioned_in_small_rooms_and_by_owners_in_large_ones() {
    let world = World::start().await;
    let (mut ana, mut ben, mut carl) = room_of_three(&world).await;
    let everybody = json!({ "action": "sendMessage", "roomId": "tea", "content": "look", "mentionRoom": true });

    assert_eq!(ben.ask(everybody.clone()).await["mentionRoom"], true);
    assert_eq!(unread_in(&mut carl, "tea").await["roomMention"], true);
    assert_eq!(unread_in(&mut ben, "tea").await.get("roomMention"), None);
    carl.ask(json!({ "action": "markRead", "roomId": "tea", "seq": 1 })).await;
    assert_eq!(unread_in(&mut carl, "tea").await.get("roomMention"), None);
    let names: Vec<_> = (0..48).map(|number| format!("user-{number}")).collect();
    for some in names.chunks(20) {
        ana.ask(json!({ "action": "addMembers", "roomId": "tea", "members": some })).await;
    }
    assert_eq!(ben.is_refused(everybody.clone()).await, (403, "FORBIDDEN".to_owned()));
    assert_eq!(ana.ask(everybody).await["mentionRoom"], true);
}

#[tokio::test]
async fn a_mark_is_set_back_on_purpose_and_a_late_mark_of_before_loses() {
    let world = World::start().await;
    let (mut ana, mut ben, _carl) = room_of_three(&world).await;
    let mut tablet = world.connect_to("ben", "tea").await;
    for content in ["one", "two", "three"] {
        ana.says("tea", content).await;
    }
    let read =
        |seq: u64, version: u64| json!({ "action": "markRead", "roomId": "tea", "seq": seq, "readVersion": version });
    ben.ask(read(3, 0)).await;

    let back = ben.ask(json!({ "action": "markUnread", "roomId": "tea", "seq": 2 })).await;

    assert_eq!((&back["type"], &back["seq"], &back["readVersion"]), (&json!("read"), &json!(1), &json!(1)));
    let mut heard = tablet.hears("read").await;
    while heard.get("readVersion").is_none() {
        heard = tablet.hears("read").await;
    }
    assert_eq!((&heard["seq"], &heard["readVersion"]), (&json!(1), &json!(1)));
    let unread = unread_in(&mut ben, "tea").await;
    assert_eq!((&unread["unread"], &unread["readVersion"]), (&json!(2), &json!(1)));
    tablet.ask(read(3, 0)).await;
    assert_eq!(unread_in(&mut ben, "tea").await["unread"], 2);
    tablet.ask(read(3, 1)).await;
    assert_eq!(unread_in(&mut ben, "tea").await["unread"], 0);
    ben.ask(json!({ "action": "leaveRoom", "roomId": "tea" })).await;
    ben.ask(json!({ "action": "joinRoom", "roomId": "tea" })).await;
    assert_eq!(unread_in(&mut ben, "tea").await["lastReadSeq"], 3);
}

#[tokio::test]
async fn a_mark_is_set_back_and_never_forward() {
    let world = World::start().await;
    let (mut ana, mut ben, _carl) = room_of_three(&world).await;
    for content in ["one", "two", "three"] {
        ana.says("tea", content).await;
    }

    let answer = ben.ask(json!({ "action": "markUnread", "roomId": "tea", "seq": 3 })).await;

    assert_eq!((&answer["seq"], &answer["readVersion"]), (&json!(0), &json!(1)));
    assert_eq!(unread_in(&mut ben, "tea").await["unread"], 3);
}

#[tokio::test]
async fn what_a_user_wants_to_be_told_of_is_kept_and_heard_by_their_devices() {
    let world = World::start().await;
    let (mut ana, mut ben, _carl) = room_of_three(&world).await;
    let mut tablet = world.connect_to("ben", "tea").await;
    assert_eq!(unread_in(&mut ben, "tea").await["notify"], "all");
    let set = json!({
        "action": "setNotify", "roomId": "tea", "level": "mentions", "mutedUntil": "2999-01-01T00:00:00.000Z"
    });

    assert_eq!(ben.ask(set).await["type"], "ack");

    let heard = tablet.hears("notify").await;
    assert_eq!((&heard["level"], &heard["mutedUntil"]), (&json!("mentions"), &json!("2999-01-01T00:00:00.000Z")));
    let unread = unread_in(&mut ben, "tea").await;
    assert_eq!((&unread["notify"], &unread["mutedUntil"]), (&heard["level"], &heard["mutedUntil"]));
    assert_eq!(unread_in(&mut ana, "tea").await["notify"], "all");
    ben.ask(json!({ "action": "setNotify", "roomId": "tea", "level": "none" })).await;
    assert_eq!(unread_in(&mut tablet, "tea").await.get("mutedUntil"), None);
}

#[tokio::test]
async fn clients_of_other_backends_hear_of_notification_levels_only_if_they_ask() {
    let world = World::start().await;
    let (mut ana, mut ben, _carl) = room_of_three(&world).await;
    let mut old = world.open("?userId=ben&format=compat").await.unwrap();
    let mut new = world.open("?userId=ben&format=compat&events=1").await.unwrap();
    new.ask(json!({ "action": "ping" })).await;
    old.clears_received();

    ben.ask(json!({ "action": "setNotify", "roomId": "tea", "level": "none" })).await;

    assert_eq!(new.hears("notify").await["level"], "none");
    ana.says("tea", "hello").await;
    let mut heard = old.hears_anything().await;
    while heard["type"] != "message" {
        assert_ne!(heard["type"], "notify");
        heard = old.hears_anything().await;
    }
}

#[tokio::test]
async fn closed_rooms_and_hidden_conversations_are_not_listed_and_requests_are_apart() {
    let world = World::with(&[("ADD_MEMBERS", "invite")]).await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut zoe = world.connect("zoe").await;
    let hello = json!({ "action": "sendMessage", "recipientId": "ana", "content": "hello" });
    zoe.ask(hello.clone()).await;

    let answer = ana.ask(unreads()).await;

    assert_eq!(answer["rooms"].as_array().unwrap().len(), 1);
    assert_eq!(answer["requests"][0]["by"], "zoe");
    let back = ana.ask(json!({ "action": "sendMessage", "recipientId": "zoe", "content": "hi" })).await;
    zoe.ask(hello).await;
    let direct = back["roomId"].as_str().unwrap();
    assert_eq!(unread_in(&mut ana, direct).await["unread"], 2);
    ana.ask(json!({ "action": "leaveRoom", "roomId": direct })).await;
    ana.ask(json!({ "action": "closeRoom", "roomId": "tea" })).await;
    assert_eq!(ana.ask(unreads()).await["rooms"], json!([]));
}

#[tokio::test]
async fn two_hundred_quiet_rooms_are_one_frame_and_230_read_units() {
    let world = World::with(&[("LIMITS", "off")]).await;
    let mut ana = world.connect("ana").await;
    for number in 0..200 {
        let room = ana.ask(json!({ "action": "createRoom", "roomName": format!("Room {number}") })).await;
        let id = room["roomId"].as_str().unwrap_or_else(|| panic!("{room}")).to_owned();
        ana.says(&id, "first").await;
        ana.ask(json!({ "action": "markRead", "roomId": id, "seq": 1 })).await;
    }
    world.take_store_calls();

    let answer = ana.ask(unreads()).await;

    let units: f64 = world.take_store_calls().iter().map(|call: &StoreCall| call.read_units).sum();
    assert_eq!(answer["rooms"].as_array().unwrap().len(), 200, "{:?}", answer.get("nextCursor"));
    assert_eq!(answer.get("nextCursor"), None);
    assert!(units <= 230.0, "{units}");
}

#[tokio::test]
async fn each_mention_costs_two_write_units_and_at_most_two_read_units() {
    let world = World::start().await;
    let (mut ana, mut ben, _carl) = room_of_three(&world).await;
    ana.says("tea", "first").await;
    ben.hears("message").await;
    let mut cost = Vec::new();
    for (number, users) in [&[][..], &["ben"], &["ben", "carl"]].into_iter().enumerate() {
        world.take_store_calls();
        let id = number.to_string();
        let mut frame = mentioning(users);
        frame["clientMessageId"] = json!(id);
        ana.ask(frame).await;
        let calls = world.take_store_calls();
        cost.push((
            calls.iter().map(|call| call.write_units).sum::<f64>(),
            calls.iter().map(|call| call.read_units).sum::<f64>(),
        ));
    }

    assert_eq!(cost.iter().map(|(written, _)| *written).collect::<Vec<_>>(), [4.0, 6.0, 8.0]);
    assert!(cost[1].1 - cost[0].1 <= 2.0 && cost[2].1 - cost[1].1 <= 2.0, "{cost:?}");
}

#[tokio::test]
async fn unread_counts_are_served_over_http() {
    let world = World::start().await;
    let (mut ana, _ben, _carl) = room_of_three(&world).await;
    ana.says("tea", "one").await;

    let answer = world.get("/unreads?userId=ben").await;

    assert_eq!((answer.status, &answer.body["total"]), (200, &json!(1)));
    assert_eq!(answer.body["rooms"][0]["roomId"], "tea");
}
