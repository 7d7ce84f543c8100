//! Saying something in a room.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::World;

#[tokio::test]
async fn the_others_in_a_room_hear_what_is_said() {
    let world = World::start().await;
    let mut ana =
        world.open("?userId=ana&roomId=tea&username=Ana&userIcon=a.png&userColor=red&format=native").await.unwrap();
    let mut ben = world.connect_to("ben", "tea").await;

    let copy = ana.ask(json!({ "action": "sendMessage", "roomId": "tea", "content": "hello" })).await;

    let expected = json!({
        "type": "message", "roomId": "tea", "messageId": "0000000000000001", "seq": 1,
        "userId": "ana", "userName": "Ana", "userIcon": "a.png", "userColor": "red",
        "content": "hello", "createdAt": copy["createdAt"],
    });
    assert_eq!(copy, expected);
    assert_eq!(ben.hears("message").await, expected);
}

#[tokio::test]
async fn a_time_on_the_wire_is_utc_with_milliseconds_and_the_events_own() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;

    let first = ana.says("tea", "now").await["createdAt"].as_str().unwrap().to_owned();
    world.time_passes(3_600);
    let second = ana.says("tea", "later").await["createdAt"].as_str().unwrap().to_owned();

    assert_eq!(first.len(), "2026-01-02T03:04:05.678Z".len());
    assert!(first.ends_with('Z') && first.as_bytes()[19] == b'.');
    assert!(first[..13] < second[..13], "{first} {second}");
}

#[tokio::test]
async fn a_user_with_two_devices_gets_each_message_on_both() {
    let world = World::start().await;
    let mut phone = world.connect("ana").await;
    let mut laptop = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ben.creates_room(&["ana"]).await;

    ben.says(&tea, "to both").await;
    assert_eq!(phone.hears("message").await["content"], "to both");
    assert_eq!(laptop.hears("message").await["content"], "to both");

    phone.says(&tea, "from one").await;
    assert_eq!(laptop.hears("message").await["content"], "from one");
    assert_eq!(ben.hears("message").await["content"], "from one");
}

#[tokio::test]
async fn a_message_without_a_target_goes_to_the_room_joined_last() {
    let world = World::start().await;
    let mut ben = world.connect_to("ben", "coffee").await;
    let mut ana = world.connect_to("ana", "tea").await;
    ana.ask(json!({ "action": "joinRoom", "roomId": "coffee" })).await;

    let copy = ana.ask(json!({ "action": "sendMessage", "content": "here" })).await;

    assert_eq!(copy["roomId"], "coffee");
    assert_eq!(ben.hears("message").await["content"], "here");
    let mut eve = world.connect("eve").await;
    let refused = eve.is_refused(json!({ "action": "sendMessage", "content": "where?" })).await;
    assert_eq!(refused, (400, "TARGET_REQUIRED".to_owned()));
}

#[tokio::test]
async fn a_message_may_answer_another() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    ana.says("tea", "who?").await;

    let answer = json!({ "action": "sendMessage", "roomId": "tea", "content": "me", "replyTo": 1 });
    assert_eq!(ben.ask(answer).await["replyTo"], 1);
    ana.hears("message").await;

    for (seq, refusal) in [(json!(3), 404), (json!(0), 404), (json!("first"), 400), (json!(-1), 400)] {
        let frame = json!({ "action": "sendMessage", "roomId": "tea", "content": "?", "replyTo": seq });
        assert_eq!(ben.is_refused(frame).await.0, refusal, "{seq}");
    }
}

#[tokio::test]
async fn a_broadcast_reaches_all_members_of_a_room() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ana.creates_room(&["ben"]).await;

    let copy = ana.ask(json!({ "action": "broadcastMessage", "roomId": tea, "content": "all" })).await;

    assert_eq!(copy["type"], "message");
    assert_eq!(ben.hears("message").await["content"], "all");
}

#[tokio::test]
async fn nobody_speaks_in_a_room_that_they_are_not_in() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut eve = world.connect("eve").await;

    let refused = eve.is_refused(json!({ "action": "sendMessage", "roomId": "tea", "content": "boo" })).await;
    assert_eq!(refused, (403, "NOT_A_MEMBER".to_owned()));
    let refused = eve.is_refused(json!({ "action": "sendMessage", "roomId": "coffee", "content": "boo" })).await;
    assert_eq!(refused, (404, "ROOM_NOT_FOUND".to_owned()));

    ana.hears_nothing().await;
    assert!(world.rows("Messages").await.is_empty());
}

#[tokio::test]
async fn a_sender_cannot_pass_for_somebody_else() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut eve = world.connect_to("eve", "tea").await;

    eve.ask(json!({ "action": "sendMessage", "roomId": "tea", "content": "hi", "userId": "ana", "userName": "ana" }))
        .await;

    let heard = ana.hears("message").await;
    // A name can be anybody's where no token vouches for one; the user cannot.
    assert_eq!((&heard["userId"], &heard["userName"]), (&json!("eve"), &json!("ana")));
}

#[tokio::test]
async fn content_has_1_byte_to_16_kb_and_its_frame_fits_32_kb() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;

    assert_eq!(ana.says("tea", &"x".repeat(16 * 1024)).await["seq"], 1);
    // As bytes, not as characters.
    assert_eq!(ana.says("tea", &"é".repeat(8 * 1024)).await["seq"], 2);

    let too_long = ["x".repeat(16 * 1024 + 1), "é".repeat(8 * 1024 + 1), "\"".repeat(15 * 1024 + 900)];
    for content in too_long {
        let frame = json!({ "action": "sendMessage", "roomId": "tea", "content": content });
        if frame.to_string().len() < 32 * 1024 {
            assert_eq!(ana.is_refused(frame).await, (413, "TOO_LARGE".to_owned()));
        }
    }
    let refused = ana.is_refused(json!({ "action": "sendMessage", "roomId": "tea", "content": "" })).await;
    assert_eq!(refused, (400, "INVALID_FIELD".to_owned()));
    assert_eq!(world.rows("Messages").await.len(), 2);
}

#[tokio::test]
async fn fifty_connections_at_once_write_one_log_without_a_hole() {
    let world = World::start().await;
    let mut users = world.crowd("tea", 50).await;

    let answers = join_all(
        users
            .iter_mut()
            .enumerate()
            .map(|(number, user)| async move { user.says("tea", &format!("from {number}")).await }),
    )
    .await;

    let seqs: BTreeSet<_> = answers.iter().map(|answer| answer["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=50).collect());

    let history = users[0].ask(json!({ "action": "getMessages", "roomId": "tea" })).await;
    let log: Vec<Value> = history["items"].as_array().unwrap().clone();
    assert_eq!(log.iter().map(|item| item["seq"].as_u64().unwrap()).collect::<Vec<_>>(), (1..=50).collect::<Vec<_>>());
    assert!(log.windows(2).all(|two| two[0]["createdAt"].as_str() <= two[1]["createdAt"].as_str()));
    for user in &mut users {
        assert_eq!(user.ask(json!({ "action": "getMessages", "roomId": "tea" })).await["items"], json!(log));
    }
    // Everybody hears all but the own one, which came as the answer.
    for (user, answer) in users.iter_mut().zip(&answers) {
        let mut heard: BTreeSet<_> = [answer["seq"].as_u64().unwrap()].into();
        while heard.len() < 50 {
            let message = user.hears("message").await;
            assert!(heard.insert(message["seq"].as_u64().unwrap()), "heard twice: {message}");
        }
    }
}

#[tokio::test]
async fn fifty_connections_with_twenty_messages_each_write_a_thousand() {
    let world = World::start().await;
    let mut users = join_all((0..50).map(|number| {
        let (world, user) = (&world, format!("user-{number}"));
        async move { world.connect_to(&user, "tea").await }
    }))
    .await;

    let answers = join_all(users.iter_mut().enumerate().map(|(number, user)| async move {
        let mut answers = Vec::new();
        for message in 0..20 {
            answers.push(user.says("tea", &format!("{number}/{message}")).await);
        }
        answers
    }))
    .await;

    let said: BTreeMap<_, _> = answers
        .iter()
        .enumerate()
        .flat_map(|(number, answers)| {
            answers.iter().enumerate().map(move |(message, answer)| (number, message, answer))
        })
        .map(|(number, message, answer)| {
            assert_eq!(answer["content"], format!("{number}/{message}"));
            (answer["seq"].as_u64().unwrap(), answer["content"].clone())
        })
        .collect();
    assert_eq!(said.keys().copied().collect::<Vec<_>>(), (1..=1000).collect::<Vec<_>>());
    let mut log = BTreeMap::new();
    let mut after = json!(0);
    while !after.is_null() {
        let page =
            users[0].ask(json!({ "action": "getMessages", "roomId": "tea", "after": after, "limit": 100 })).await;
        for item in page["items"].as_array().unwrap() {
            log.insert(item["seq"].as_u64().unwrap(), item["content"].clone());
        }
        after = page["nextAfter"].clone();
    }
    assert_eq!(log, said);
}

#[tokio::test]
async fn a_join_and_a_message_in_one_breath_both_succeed() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    for round in 0..10 {
        let mut ben = world.connect(&format!("ben-{round}")).await;

        ben.send(json!({ "action": "joinRoom", "roomId": "tea", "requestId": "join" })).await;
        ben.send(json!({ "action": "sendMessage", "roomId": "tea", "content": "hi", "requestId": "say" })).await;

        assert_eq!(ben.hears("message").await["content"], "hi");
        assert_eq!(ana.hears("message").await["userId"], format!("ben-{round}"));
    }
}

#[tokio::test]
async fn a_log_goes_on_far_above_its_end_when_that_has_expired() {
    let world = World::with(&[("MESSAGE_TTL_DAYS", "1")]).await;
    let mut ana = world.connect_to("ana", "tea").await;
    ana.says("tea", "first").await;
    world.time_passes(2 * 86_400);
    let mut ana = world.connect_to("ana", "tea").await;

    assert_eq!(ana.says("tea", "much later").await["seq"], 100_001);

    let history = ana.ask(json!({ "action": "getMessages", "roomId": "tea" })).await;
    assert_eq!(history["items"].as_array().unwrap().len(), 1);
}
