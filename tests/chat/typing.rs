//! Who is typing.

use serde_json::json;

use crate::harness::{World, time_of, unchecked, with_aliases};

#[tokio::test]
async fn the_others_in_a_room_see_who_is_typing() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    ana.hears("joined").await;

    ana.send(with_aliases(json!({ "action": "typingIndicator", "chatRoomId": "tea" }))).await;

    let heard = ben.hears("typing").await;
    let expected = json!({
        "type": "typing", "roomId": "tea", "userId": "ana", "userName": "ana", "isTyping": true,
        "at": heard["at"], "until": heard["until"],
    });
    assert_eq!(heard, expected);
    ana.hears_nothing().await;
}

#[tokio::test]
async fn a_typing_indicator_ends_after_six_seconds_and_the_newest_counts() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;

    ana.send(json!({ "action": "typing", "roomId": "tea" })).await;
    let begun = ben.hears("typing").await;
    world.time_passes(60);
    ana.send(json!({ "action": "typing", "roomId": "tea", "isTyping": false })).await;
    let stopped = ben.hears("typing").await;

    assert_eq!(time_of(&begun["until"]).millis_since(time_of(&begun["at"])), 6_000);
    assert!((60_000..120_000).contains(&time_of(&stopped["at"]).millis_since(time_of(&begun["at"]))));
    assert!(stopped.get("until").is_none(), "{stopped}");
}

#[tokio::test]
async fn the_others_see_when_somebody_stops_typing() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;

    ana.send(json!({ "action": "typing", "roomId": "tea", "isTyping": false })).await;

    assert_eq!(ben.hears("typing").await["isTyping"], false);
}

#[tokio::test]
async fn typing_is_not_sent_to_the_senders_other_devices() {
    let world = World::start().await;
    let mut phone = world.connect_to("ana", "tea").await;
    let mut laptop = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    phone.hears("joined").await;
    laptop.hears("joined").await;

    phone.send(json!({ "action": "typingIndicator", "roomId": "tea" })).await;

    ben.hears("typing").await;
    laptop.hears_nothing().await;
    phone.hears_nothing().await;
}

#[tokio::test]
async fn typing_in_a_direct_conversation_reaches_the_other_user() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let mut eve = world.connect("eve").await;

    ana.send(json!({ "action": "typingIndicator", "recipientId": "ben" })).await;

    let typing = ben.hears("typing").await;
    assert_eq!(typing["userId"], "ana");
    assert!(typing["roomId"].as_str().unwrap().starts_with("dm-"));
    eve.hears_nothing().await;
}

#[tokio::test]
async fn only_members_send_typing_indicators() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut eve = world.connect("eve").await;

    let refused = eve.is_refused(json!({ "action": "typingIndicator", "roomId": "tea" })).await;
    assert_eq!(refused, (403, "NOT_A_MEMBER".to_owned()));
    let refused = eve.is_refused(json!({ "action": "typingIndicator", "roomId": "coffee" })).await;
    assert_eq!(refused, (404, "ROOM_NOT_FOUND".to_owned()));
    ana.hears_nothing().await;
}

#[tokio::test]
async fn typing_indicators_are_not_stored() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    world.take_store_calls();

    ana.send(json!({ "action": "typingIndicator", "roomId": "tea" })).await;
    ben.hears("typing").await;

    let written: f64 = world.take_store_calls().iter().map(|call| call.write_units).sum();
    assert_eq!(written, 0.0);
    assert!(world.rows("Messages").await.is_empty());
}

/// The names that clients use have routes without a response; every other spelling takes the default route, which has
/// one.
#[tokio::test]
async fn typing_is_not_answered_under_any_alias() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    ana.hears("joined").await;
    for action in ["typingIndicator", "typing", "user-typing", "TypingIndicator", "userTyping", "user_typing"] {
        ana.send(unchecked(json!({ "action": action, "roomId": "tea", "requestId": "1" }))).await;
        assert_eq!(ben.hears("typing").await["userId"], "ana", "{action}");
        ana.hears_nothing().await;
        let refused = ana.ask(unchecked(json!({ "action": action, "roomId": "nowhere" }))).await;
        assert_eq!(refused["code"], "ROOM_NOT_FOUND", "{action}");
    }
}
