//! Talking to one other user.

use serde_json::json;

use crate::harness::{World, unchecked, with_aliases};

#[tokio::test]
async fn a_direct_message_reaches_all_devices_of_both_users() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut anas_laptop = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    // Opened for one room, and reached by direct messages all the same.
    let mut bens_tablet = world.connect_to("ben", "tea").await;
    let mut eve = world.connect("eve").await;

    let copy = ana.ask(json!({ "action": "sendMessage", "recipientId": "ben", "content": "psst" })).await;

    assert_eq!(copy["type"], "message");
    assert!(copy["roomId"].as_str().unwrap().starts_with("dm-"));
    assert_eq!(ben.hears("message").await, copy);
    assert_eq!(bens_tablet.hears("message").await, copy);
    assert_eq!(anas_laptop.hears("message").await, copy);
    eve.hears_nothing().await;
    ana.hears_nothing().await;
}

#[tokio::test]
async fn both_users_share_one_conversation_and_history() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    ana.ask(json!({ "action": "sendMessage", "recipientId": "ben", "content": "one" })).await;
    let second = ben.ask(json!({ "action": "sendMessage", "targetId": "ana", "content": "two" })).await;
    assert_eq!(second["seq"], 2);

    let by_ana = ana.ask(json!({ "action": "getMessages", "targetId": "ben" })).await;
    let by_ben = ben.ask(json!({ "action": "getMessages", "recipientId": "ana" })).await;
    let by_room = ben.ask(json!({ "action": "getMessages", "roomId": second["roomId"] })).await;

    assert_eq!(by_ana, by_ben);
    assert_eq!(by_ana, by_room);
    let contents: Vec<_> = by_ana["items"].as_array().unwrap().iter().map(|item| &item["content"]).collect();
    assert_eq!(contents, ["one", "two"]);
}

#[tokio::test]
async fn both_users_can_address_the_conversation_by_its_id() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let first = ana.ask(json!({ "action": "sendMessage", "recipientId": "ben", "content": "one" })).await;
    let room = ben.hears("message").await["roomId"].clone();
    assert_eq!(room, first["roomId"]);

    ben.ask(json!({ "action": "sendMessage", "roomId": room, "content": "two" })).await;

    assert_eq!(ana.hears("message").await["content"], "two");
    let info = ana.ask(json!({ "action": "roomInfo", "roomId": room })).await;
    assert_eq!((&info["participantCount"], &info["onlineCount"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn nobody_else_can_address_join_or_read_a_direct_conversation() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let mut eve = world.connect("eve").await;
    let room =
        ana.ask(json!({ "action": "sendMessage", "recipientId": "ben", "content": "us" })).await["roomId"].clone();
    ben.hears("message").await;

    for action in ["sendMessage", "getMessages", "joinRoom", "leaveRoom", "roomInfo", "typingIndicator"] {
        let refused = eve.is_refused(unchecked(json!({ "action": action, "roomId": room, "content": "me too" }))).await;
        assert_eq!(refused, (403, "NOT_A_MEMBER".to_owned()), "{action}");
        // The answer does not tell whether two users have ever talked.
        let frame = json!({ "action": action, "roomId": "dm-unheard-of", "content": "?" });
        let refused = eve.is_refused(unchecked(frame)).await;
        assert_eq!(refused, (403, "NOT_A_MEMBER".to_owned()), "{action}");
    }
    assert_eq!(world.open(&format!("?userId=eve&roomId={}", room.as_str().unwrap())).await.err(), Some(403));
    assert_eq!(world.open("?userId=eve&roomId=dm-made-up").await.err(), Some(403));
    ana.hears_nothing().await;
    ben.hears_nothing().await;
}

#[tokio::test]
async fn a_target_id_is_a_user_whatever_rooms_there_are() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    let mut tea = world.connect("tea").await;

    let secret = ana.ask(json!({ "action": "sendMessage", "targetId": "tea", "content": "a secret" })).await;

    assert!(secret["roomId"].as_str().unwrap().starts_with("dm-"));
    assert_eq!(tea.hears("message").await, secret);
    let answer = json!({ "action": "sendMessage", "targetId": secret["roomId"], "content": "an answer" });
    assert_eq!(tea.ask(answer).await["seq"], 2);
    assert_eq!(ana.hears("message").await["content"], "an answer");
    let to_all = ana.ask(json!({ "action": "sendMessage", "targetId": "lobby", "content": "all" })).await;
    assert_eq!(to_all["roomId"], "lobby");
    ben.hears_nothing().await;
}

#[tokio::test]
async fn a_message_to_oneself_reaches_the_other_devices_once() {
    let world = World::start().await;
    let mut phone = world.connect("ana").await;
    let mut laptop = world.connect("ana").await;

    let note = phone.ask(json!({ "action": "sendMessage", "recipientId": "ana", "content": "milk" })).await;

    assert_eq!(laptop.hears("message").await, note);
    laptop.hears_nothing().await;
    phone.hears_nothing().await;
}

#[tokio::test]
async fn a_direct_message_to_an_offline_user_is_stored() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    ana.ask(json!({ "action": "sendMessage", "recipientId": "ben", "content": "later" })).await;

    let mut ben = world.connect("ben").await;
    let history = ben.ask(json!({ "action": "getMessages", "targetId": "ana", "limit": 10 })).await;

    assert_eq!(history["items"][0]["content"], "later");
}

#[tokio::test]
async fn a_frame_with_two_targets_is_refused() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    for targets in [
        json!({ "roomId": "tea", "recipientId": "ben" }),
        json!({ "chatRoomId": "tea", "targetId": "ben" }),
        json!({ "roomId": "tea", "chatRoomId": "coffee" }),
        json!({ "recipientId": "ben", "targetId": "eve" }),
    ] {
        let mut frame = targets;
        frame["action"] = json!("sendMessage");
        frame["content"] = json!("hm");
        assert_eq!(ana.is_refused(unchecked(frame)).await, (400, "AMBIGUOUS_TARGET".to_owned()));
    }
    let twice = json!({ "action": "sendMessage", "roomId": "tea", "chatRoomId": "tea", "content": "fine" });
    assert_eq!(ana.ask(with_aliases(twice)).await["type"], "message");
}
