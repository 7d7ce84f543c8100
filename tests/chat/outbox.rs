//! Several messages in one frame.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{User, World, unchecked};

/// An outbox for the room `tea`: each id is the content of its message as well.
fn outbox(ids: &[&str]) -> Value {
    let messages: Vec<_> = ids.iter().map(|id| json!({ "content": id, "clientMessageId": id })).collect();
    json!({ "action": "sendMessages", "roomId": "tea", "messages": messages })
}

/// The position of each result, and whether it is a duplicate; or the code.
fn brief(answer: &Value) -> Vec<Value> {
    assert_eq!(answer["type"], "sent", "{answer}");
    let results = answer["results"].as_array().unwrap().iter();
    let one = |result: &Value| match result.get("code") {
        Some(code) => code.clone(),
        None => json!([result["seq"], result.get("duplicate").is_some()]),
    };
    results.map(one).collect()
}

async fn log(user: &mut User) -> Vec<String> {
    let page = user.ask(json!({ "action": "getMessages", "roomId": "tea", "limit": 100 })).await;
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item["content"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_outbox_is_written_and_received_in_its_order() {
    let world = World::start().await;
    let mut phone = world.connect_to("ana", "tea").await;
    let mut laptop = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    phone.hears("joined").await;
    phone.says("tea", "before").await;

    let mut frame = outbox(&["a", "b", "c"]);
    frame["messages"][1] = json!({ "content": "b", "clientMessageId": "b", "replyTo": 1, "data": { "cups": 2 } });
    let sent = phone.ask(frame).await;

    assert_eq!(brief(&sent), [json!([2, false]), json!([3, false]), json!([4, false])]);
    let expected = json!({ "messageId": "0000000000000002", "seq": 2, "createdAt": sent["results"][0]["createdAt"] });
    assert_eq!((&sent["roomId"], &sent["results"][0]), (&json!("tea"), &expected));
    for user in [&mut laptop, &mut ben] {
        assert_eq!(user.hears("message").await["content"], "before");
    }
    for (seq, content) in [(2, "a"), (3, "b"), (4, "c")] {
        let heard = ben.hears("message").await;
        assert_eq!((&heard["seq"], &heard["content"]), (&json!(seq), &json!(content)));
        assert!(heard.get("clientMessageId").is_none(), "{heard}");
        assert_eq!(laptop.hears("message").await["clientMessageId"], content);
        if content == "b" {
            assert_eq!((&heard["replyTo"], &heard["data"]), (&json!(1), &json!({ "cups": 2 })));
        }
    }
    phone.hears_nothing().await;
    assert_eq!(log(&mut ben).await, ["before", "a", "b", "c"]);
}

#[tokio::test]
async fn what_was_sent_before_keeps_its_position() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    let alone = json!({ "action": "sendMessage", "roomId": "tea", "content": "b", "clientMessageId": "b" });
    ana.ask(alone.clone()).await;
    ben.says("tea", "x").await;

    let mixed = ana.ask(outbox(&["a", "b", "c", "d"])).await;
    let again = ana.ask(outbox(&["a", "b", "c", "d"])).await;

    assert_eq!(brief(&mixed), [json!([3, false]), json!([1, true]), json!([4, false]), json!([5, false])]);
    assert_eq!(brief(&again), [json!([3, true]), json!([1, true]), json!([4, true]), json!([5, true])]);
    assert_eq!(again["results"][1], mixed["results"][1]);
    assert_eq!(ana.ask(alone).await["duplicate"], true);
    assert_eq!(log(&mut ben).await, ["b", "x", "a", "c", "d"]);
    // A repeat is published again, in the order of the log.
    let mut heard = Vec::new();
    while heard.len() < 10 {
        heard.push(ben.hears("message").await["seq"].as_u64().unwrap());
    }
    assert_eq!(heard, [1, 1, 3, 4, 5, 1, 3, 4, 5, 1]);
}

#[tokio::test]
async fn an_invalid_outbox_is_refused_as_a_whole() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    ana.says("tea", "before").await;
    let with = |messages: Value| json!({ "action": "sendMessages", "roomId": "tea", "messages": messages });
    let first = json!({ "content": "a", "clientMessageId": "a" });
    let many: Vec<_> = (0..21).map(|id| json!({ "content": "x", "clientMessageId": format!("{id}") })).collect();

    for (frame, status, field, index) in [
        (json!({ "action": "sendMessages", "roomId": "tea" }), 400, json!("messages"), Value::Null),
        (with(json!([])), 400, json!("messages"), Value::Null),
        (with(json!(many)), 400, json!("messages"), Value::Null),
        (with(json!("a")), 400, json!("messages"), Value::Null),
        (with(json!([first, "b"])), 400, json!("messages"), Value::Null),
        (with(json!([first, { "content": "b" }])), 400, json!("clientMessageId"), json!(1)),
        (with(json!([first, { "clientMessageId": "b" }])), 400, json!("content"), json!(1)),
        (with(json!([first, { "content": "b", "clientMessageId": "a" }])), 400, json!("clientMessageId"), json!(1)),
        (with(json!([first, { "content": "b", "clientMessageId": "b", "replyTo": 2 }])), 404, Value::Null, json!(1)),
        (with(json!([{ "content": "é".repeat(8193), "clientMessageId": "b" }, first])), 413, Value::Null, json!(0)),
    ] {
        let refused = ana.ask(unchecked(frame.clone())).await;
        let found = (&refused["status"], &refused["field"], &refused["index"]);
        assert_eq!(found, (&json!(status), &field, &index), "{frame:.200} was answered {refused}");
    }

    assert_eq!(log(&mut ana).await, ["before"]);
}

#[tokio::test]
async fn an_outbox_with_a_used_id_for_other_content_is_refused_as_a_whole() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    ana.ask(outbox(&["a", "b"])).await;

    let mut frame = outbox(&["new", "a", "b"]);
    frame["messages"][2]["content"] = json!("other");
    let refused = ana.ask(frame).await;

    assert_eq!((&refused["status"], &refused["code"]), (&json!(409), &json!("IDEMPOTENCY_MISMATCH")));
    assert_eq!(refused["index"], 2);
    assert_eq!(log(&mut ana).await, ["a", "b"]);
}

#[tokio::test]
async fn concurrent_outboxes_stay_together() {
    let world = World::start().await;
    let mut users = world.crowd("tea", 6).await;
    let ids = ["1", "2", "3", "4", "5"];

    let sent = join_all(users.iter_mut().map(|user| async {
        let first = user.ask(outbox(&ids)).await;
        user.says("tea", "between").await;
        // The same frame once more, as after a lost answer.
        assert_eq!(user.ask(outbox(&ids)).await["results"][0]["seq"], first["results"][0]["seq"]);
        brief(&first)
    }))
    .await;

    for results in &sent {
        let first = results[0][0].as_u64().unwrap();
        let expected: Vec<_> = (first..first + 5).map(|seq| json!([seq, false])).collect();
        assert_eq!(*results, expected);
    }
    let log = log(&mut users[0]).await;
    assert_eq!((log.len(), log.iter().filter(|content| *content == "between").count()), (36, 6));
}

#[tokio::test]
async fn the_same_outbox_on_two_connections_is_written_once() {
    let world = World::start().await;
    let mut devices = join_all((0..4).map(|_| world.connect_to("ana", "tea"))).await;

    let sent = join_all(devices.iter_mut().map(|device| device.ask(outbox(&["a", "b", "c"])))).await;

    let seqs: Vec<_> = sent[0]["results"].as_array().unwrap().iter().map(|result| result["seq"].clone()).collect();
    assert_eq!(seqs, [1, 2, 3]);
    for (place, answer) in sent.iter().enumerate() {
        for (result, seq) in answer["results"].as_array().unwrap().iter().zip(&seqs) {
            assert_eq!(result["seq"], *seq, "device {place} was answered {answer}");
        }
    }
    assert_eq!(sent.iter().filter(|answer| answer["results"][0].get("duplicate").is_none()).count(), 1);
    assert_eq!(log(&mut devices[0]).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_closed_room_answers_by_place_if_some_were_sent_before() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    ana.ask(outbox(&["b"])).await;
    ana.ask(json!({ "action": "closeRoom", "roomId": "tea" })).await;

    let sent = ana.ask(outbox(&["a", "b"])).await;
    assert_eq!(brief(&sent), [json!("ROOM_CLOSED"), json!([1, true])]);
    assert_eq!(sent["results"][0]["status"], 410);
    assert_eq!(ana.is_refused(outbox(&["c", "d"])).await, (410, "ROOM_CLOSED".to_owned()));
}

#[tokio::test]
async fn an_outbox_goes_to_any_target() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let mut eve = world.connect("eve").await;
    world.connect_to("cho", "tea").await.closes().await;
    let messages = json!([{ "content": "a", "clientMessageId": "a" }, { "content": "b", "clientMessageId": "b" }]);

    for target in [json!({ "recipientId": "ben" }), json!({ "roomId": "lobby" })] {
        let mut frame = json!({ "action": "sendMessages", "messages": messages });
        frame.as_object_mut().unwrap().extend(target.as_object().unwrap().clone());
        assert_eq!(brief(&ana.ask(frame).await), [json!([1, false]), json!([2, false])]);
        for content in ["a", "b"] {
            assert_eq!(ben.hears("message").await["content"], content);
        }
    }

    for content in ["a", "b"] {
        let heard = eve.hears("message").await;
        assert_eq!((&heard["roomId"], &heard["content"]), (&json!("lobby"), &json!(content)));
    }
    eve.hears_nothing().await;
    assert_eq!(eve.is_refused(outbox(&["a"])).await, (403, "NOT_A_MEMBER".to_owned()));
}

#[tokio::test]
async fn a_large_outbox_is_received_in_its_order() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    let content = |number: usize| format!("{number} {}", "x".repeat(1450));
    let messages: Vec<_> =
        (1..=20).map(|number| json!({ "content": content(number), "clientMessageId": format!("m{number}") })).collect();

    // As frames they do not fit together.
    let sent = ana.ask(json!({ "action": "sendMessages", "roomId": "tea", "messages": messages })).await;

    assert_eq!(brief(&sent).len(), 20);
    for number in 1..=20 {
        let heard = ben.hears("message").await;
        assert_eq!((&heard["seq"], &heard["content"]), (&json!(number), &json!(content(number))));
    }
    assert_eq!(world.rows("Messages").await.len(), 40);
}

#[tokio::test]
async fn a_message_sent_right_before_the_connection_closes_is_written_once_by_its_retry() {
    let world = World::start().await;
    world.connect_to("ana", "tea").await.closes().await;
    for round in 0..10 {
        let id = format!("m{round}");
        let send = json!({ "action": "sendMessage", "roomId": "tea", "content": id, "clientMessageId": id });
        let mut hasty = world.connect_to("ana", "tea").await;
        hasty.send(send.clone()).await;
        hasty.closes().await;

        // Nobody knows whether it arrived before the end of the connection: an outbox sends it again.
        let mut ana = world.connect_to("ana", "tea").await;
        let sent = ana.ask(send).await;

        let page = ana.ask(json!({ "action": "getMessages", "roomId": "tea" })).await;
        let written =
            page["items"].as_array().unwrap().iter().filter(|item| item["content"] == *id).collect::<Vec<_>>();
        assert_eq!((written.len(), &written[0]["seq"]), (1, &sent["seq"]));
        ana.closes().await;
    }
}
