//! Saying something in a room.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{World, unchecked};

#[tokio::test]
async fn a_message_reaches_the_others_in_the_room() {
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
async fn times_are_utc_with_milliseconds_from_the_event() {
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
async fn a_message_can_reply_to_another() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    ana.says("tea", "who?").await;

    let answer = json!({ "action": "sendMessage", "roomId": "tea", "content": "me", "replyTo": 1 });
    assert_eq!(ben.ask(answer).await["replyTo"], 1);
    ana.hears("message").await;

    for (seq, refusal) in [(json!(3), 404), (json!(0), 404), (json!("first"), 400), (json!(-1), 400)] {
        let frame = json!({ "action": "sendMessage", "roomId": "tea", "content": "?", "replyTo": seq });
        assert_eq!(ben.is_refused(unchecked(frame)).await.0, refusal, "{seq}");
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
async fn only_members_send_messages() {
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
async fn a_sender_cannot_impersonate_another_user() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut eve = world.connect_to("eve", "tea").await;

    let frame =
        json!({ "action": "sendMessage", "roomId": "tea", "content": "hi", "userId": "ana", "userName": "ana" });
    eve.ask(unchecked(frame)).await;

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

    for content in ["x".repeat(16 * 1024 + 1), "é".repeat(8 * 1024 + 1)] {
        let frame = json!({ "action": "sendMessage", "roomId": "tea", "content": content });
        assert_eq!(ana.is_refused(frame).await, (413, "TOO_LARGE".to_owned()));
    }
    let refused = ana.is_refused(json!({ "action": "sendMessage", "roomId": "tea", "content": "" })).await;
    assert_eq!(refused, (400, "INVALID_FIELD".to_owned()));
    assert_eq!(world.rows("Messages").await.len(), 2);
}

#[tokio::test]
async fn a_message_fits_a_page_of_history_to_the_byte() {
    // A page has 32 KB, of which 1 KB is for what surrounds its items; an item takes a comma.
    const ITEM_BYTES: usize = 31 * 1024 - 1;
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    // A quote takes two bytes in JSON.
    let frame = |quotes: usize| json!({ "action": "sendMessage", "roomId": "tea", "content": "\"".repeat(quotes) });
    let sent = ana.ask(frame(1)).await;
    // Any position of the log has room: `seq` has up to 16 digits, of which this one has one.
    let without_content = sent.to_string().len() + 15 - 2;

    let largest = (ITEM_BYTES - without_content) / 2;
    let accepted = ana.ask(frame(largest)).await;
    let refused = ana.is_refused(frame(largest + 1)).await;

    assert_eq!(accepted["seq"], 2, "{accepted:.200}");
    assert_eq!(refused, (413, "TOO_LARGE".to_owned()));
    let page = ana.ask(json!({ "action": "getMessages", "roomId": "tea", "after": 1 })).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn data_is_an_object_of_at_most_1_kb_that_comes_back_as_it_was_sent() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    let frame = |data: &str| {
        format!(r#"{{"action":"sendMessage","roomId":"tea","content":"hi","requestId":"1","data":{data}}}"#)
    };
    let of_bytes = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));

    // Of numbers that no table holds, of nested parts, and of white space between the parts nothing is lost or counted.
    let data = r#"{"n":123456789012345678901234567890,"tiny":1e-300,"deep":[{"q":"a } \" b"},null]}"#;
    ana.send(frame(&data.replace(',', " ,\n\t "))).await;
    let heard = ben.hears("message").await;
    let sent: Value = serde_json::from_str(data).unwrap();
    assert_eq!(heard["data"], sent);
    let history = ben.ask(json!({ "action": "getMessages", "roomId": "tea" })).await;
    assert_eq!(history["items"][0]["data"], sent);

    ana.send(frame(&of_bytes(1024))).await;
    assert_eq!(ben.hears("message").await["data"]["a"].as_str().unwrap().len(), 1016);
    ana.clears_received();
    for refused in [of_bytes(1025), "[1]".to_owned(), "7".to_owned()] {
        ana.send(unchecked(frame(&refused))).await;
        let answer = loop {
            let answer = ana.hears_anything().await;
            if answer["type"] == "error" {
                break answer;
            }
        };
        let field = if refused.starts_with('{') { "data" } else { "content" };
        assert_eq!((&answer["status"], &answer["field"]), (&json!(400), &json!(field)), "{refused:.20} {answer}");
    }
}

#[tokio::test]
async fn fifty_concurrent_senders_write_a_dense_log() {
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
async fn a_thousand_concurrent_messages_are_all_written() {
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
async fn a_message_sent_right_after_a_join_succeeds() {
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
async fn a_log_whose_end_has_expired_continues_far_above_it() {
    let world = World::with(&[("MESSAGE_TTL_DAYS", "1")]).await;
    let mut ana = world.connect_to("ana", "tea").await;
    ana.says("tea", "first").await;
    world.time_passes(2 * 86_400);
    let mut ana = world.connect_to("ana", "tea").await;

    assert_eq!(ana.says("tea", "much later").await["seq"], 100_001);

    let history = ana.ask(json!({ "action": "getMessages", "roomId": "tea" })).await;
    assert_eq!(history["items"].as_array().unwrap().len(), 1);
}
