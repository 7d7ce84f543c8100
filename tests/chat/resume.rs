//! Coming back, and getting what was missed.

use std::collections::BTreeSet;

use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use switchboard::local::Options;
use switchboard::local::faults::{Faults, Latency, Plan};

use crate::harness::{User, World, unchecked, with_aliases};

async fn resume(user: &mut User, rooms: Value) -> Value {
    let answer = user.ask(json!({ "action": "resume", "rooms": rooms })).await;
    assert_eq!(answer["type"], "resumed", "{answer}");
    answer["rooms"].clone()
}

fn seqs(room: &Value) -> Vec<u64> {
    room["items"].as_array().unwrap().iter().map(|item| item["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn resume_returns_missed_messages_in_order_and_resubscribes() {
    let world = World::start().await;
    let mut ben = world.connect("ben").await;
    let tea = ben.creates_room(&["ana"]).await;
    for number in 1..=5 {
        ben.says(&tea, &format!("{number}")).await;
    }
    // Opened for another room: it hears this one from the resume on.
    let mut ana = world.connect_to("ana", "coffee").await;

    let rooms = resume(&mut ana, json!({ &tea: 2 })).await;

    assert_eq!(seqs(&rooms[&tea]), [3, 4, 5]);
    assert_eq!(rooms[&tea]["items"][0]["content"], "3");
    assert_eq!((&rooms[&tea]["complete"], &rooms[&tea]["lastSeq"]), (&json!(true), &json!(5)));
    assert!(rooms[&tea].get("nextAfter").is_none() && rooms[&tea].get("reset").is_none());
    ben.says(&tea, "6").await;
    assert_eq!(ana.hears("message").await["seq"], 6);
    assert_eq!(seqs(&resume(&mut ana, json!({ &tea: 6 })).await[&tea]), [0u64; 0]);
}

#[tokio::test]
async fn direct_conversations_and_the_lobby_can_be_resumed() {
    let world = World::start().await;
    let mut ben = world.connect("ben").await;
    let sent = ben.ask(json!({ "action": "sendMessage", "recipientId": "ana", "content": "psst" })).await;
    ben.ask(with_aliases(json!({ "action": "sendMessage", "data": "all" }))).await;
    let dm = sent["roomId"].as_str().unwrap();
    let mut ana = world.connect_to("ana", "tea").await;

    let rooms = resume(&mut ana, json!({ dm: 0, "lobby": 0 })).await;

    assert_eq!(rooms[dm]["items"], json!([sent]));
    assert_eq!(rooms["lobby"]["items"][0]["content"], "all");
    ben.ask(with_aliases(json!({ "action": "sendMessage", "data": "again" }))).await;
    assert_eq!(ana.hears("message").await["content"], "again");
}

#[tokio::test]
async fn resume_refuses_rooms_individually() {
    let world = World::start().await;
    let mut ben = world.connect("ben").await;
    let tea = ben.creates_room(&[]).await;
    let dm = ben.ask(json!({ "action": "sendMessage", "recipientId": "cleo", "content": "x" })).await["roomId"].clone();
    let mut ana = world.connect_to("ana", "mine").await;
    ana.says("mine", "hi").await;

    let rooms = resume(&mut ana, json!({ &tea: 0, "nowhere": 0, dm.as_str().unwrap(): 0, "mine": 0 })).await;

    assert_eq!((&rooms[&tea]["error"]["status"], &rooms[&tea]["error"]["code"]), (&json!(403), &json!("NOT_A_MEMBER")));
    assert_eq!(rooms["nowhere"]["error"]["code"], "ROOM_NOT_FOUND");
    assert_eq!(rooms[dm.as_str().unwrap()]["error"]["code"], "NOT_A_MEMBER");
    assert_eq!(seqs(&rooms["mine"]), [1]);
    ben.says(&tea, "not for ana").await;
    ana.hears_nothing().await;
}

#[tokio::test]
async fn a_long_absence_is_paginated_fairly_among_rooms() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "one").await;
    let mut ana = {
        ana.ask(json!({ "action": "ping" })).await;
        world.connect_to("ana", "two").await;
        ana
    };
    let content = "x".repeat(5_000);
    for room in ["one", "two"] {
        for _ in 0..8 {
            ana.says(room, &content).await;
        }
    }

    let (mut cursors, mut frames) = (json!({ "one": 0, "two": 0 }), 0);
    let mut found = [Vec::new(), Vec::new()];
    loop {
        let rooms = resume(&mut ana, cursors.clone()).await;
        assert!(rooms.to_string().len() < 32 * 1024);
        frames += 1;
        let mut all = true;
        for (room, found) in ["one", "two"].into_iter().zip(&mut found) {
            let got = seqs(&rooms[room]);
            if frames == 1 {
                assert!(got.len() >= 2, "not fair: {room} got {got:?}");
            }
            found.extend(got);
            if rooms[room]["complete"] == false {
                cursors[room] = rooms[room]["nextAfter"].clone();
                assert_eq!(cursors[room].as_u64(), found.last().copied());
                all = false;
            } else {
                cursors[room] = rooms[room]["lastSeq"].clone();
            }
        }
        if all {
            break;
        }
    }
    assert_eq!(found, [(1..=8).collect::<Vec<_>>(), (1..=8).collect()]);
}

#[tokio::test]
async fn a_cursor_before_the_oldest_message_is_reset() {
    let world = World::with(&[("MESSAGE_TTL_DAYS", "1")]).await;
    let mut ana = world.connect_to("ana", "tea").await;
    for _ in 0..3 {
        ana.says("tea", "old").await;
    }
    world.time_passes(20 * 3600);
    let mut ana = world.connect_to("ana", "tea").await;
    ana.says("tea", "new").await;
    world.time_passes(5 * 3600);
    let mut ana = world.connect_to("ana", "tea").await;

    let old = resume(&mut ana, json!({ "tea": 1 })).await["tea"].clone();
    assert_eq!((&old["reset"], &old["oldestSeq"], seqs(&old)), (&json!(true), &json!(4), vec![4]));
    let edge = resume(&mut ana, json!({ "tea": 3 })).await["tea"].clone();
    assert!(edge.get("reset").is_none() && edge["complete"] == true && seqs(&edge) == [4]);

    // Then all has expired, and the log goes on far above.
    world.time_passes(2 * 86_400);
    let mut ana = world.connect_to("ana", "tea").await;
    let seen = resume(&mut ana, json!({ "tea": 4 })).await["tea"].clone();
    assert!(seen.get("reset").is_none() && seen["complete"] == true, "{seen}");
    let missed = resume(&mut ana, json!({ "tea": 2 })).await["tea"].clone();
    assert_eq!((&missed["reset"], &missed["complete"]), (&json!(true), &json!(true)));
    let next = ana.says("tea", "much later").await["seq"].clone();
    assert_eq!(missed["oldestSeq"], next);
    assert_eq!(resume(&mut ana, json!({ "tea": 4 })).await["tea"]["reset"], true);
}

#[tokio::test]
async fn messages_during_a_resume_are_answered_or_delivered() {
    let world = World::start().await;
    let mut ben = world.connect("ben").await;
    let tea = ben.creates_room(&["ana"]).await;
    for round in 0..5u64 {
        let mut ana = world.connect_to("ana", "coffee").await;
        let talk = async {
            for _ in 0..4 {
                ben.says(&tea, "hi").await;
            }
        };

        let ((), rooms) = join(talk, resume(&mut ana, json!({ &tea: round * 4 }))).await;

        let mut got: BTreeSet<_> = seqs(&rooms[&tea]).into_iter().collect();
        while got.len() < 4 {
            got.insert(ana.hears("message").await["seq"].as_u64().unwrap());
        }
        assert_eq!(got, (round * 4 + 1..=round * 4 + 4).collect());
    }
}

#[tokio::test]
async fn messages_during_a_resume_cause_no_false_reset() {
    let faults = Faults::default();
    let world = World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await;
    let mut ben = world.connect_to("ben", "tea").await;
    let mut devices = join_all((0..8).map(|_| world.connect_to("ana", "tea"))).await;
    // The reads of a resume are answered at different times.
    let store_latency = Latency { median_ms: 8.0, sigma: 1.5 };
    faults.follow(Plan { store_latency, ..Plan::default() });

    for number in 0..30 {
        let resuming = devices.iter_mut().map(|device| resume(device, json!({ "tea": number })));
        let (_, answers) = join(ben.says("tea", "hi"), join_all(resuming)).await;

        for rooms in answers {
            assert!(rooms["tea"].get("reset").is_none(), "{rooms}");
        }
    }
}

#[tokio::test]
async fn at_most_50_rooms_are_resumed_at_once() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let many = |count: usize| (0..count).map(|room| (format!("room-{room}"), json!(0))).collect::<Value>();

    for rooms in [many(51), json!([]), json!({ "tea": -1 }), json!({ "tea": "one" }), json!({ "": 1 }), json!(null)] {
        let refused = ana.is_refused(unchecked(json!({ "action": "resume", "rooms": rooms }))).await;
        assert_eq!(refused, (400, "INVALID_FIELD".to_owned()));
    }
    assert_eq!(resume(&mut ana, json!({})).await, json!({}));
    assert_eq!(resume(&mut ana, many(2)).await.as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn a_cursor_above_the_end_of_the_log_is_reset() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    for content in ["one", "two", "three"] {
        ana.says("tea", content).await;
    }

    let resumed = resume(&mut ana, json!({ "tea": 500, "lobby": 7 })).await;

    let tea = &resumed["tea"];
    assert_eq!((&tea["reset"], &tea["oldestSeq"], &tea["lastSeq"]), (&json!(true), &json!(1), &json!(3)));
    assert_eq!((&tea["complete"], tea["items"].as_array().map(Vec::len)), (&json!(true), Some(3)));
    assert_eq!(resumed["lobby"]["reset"], true);
    let current = resume(&mut ana, json!({ "tea": 3 })).await;
    assert!(current["tea"].get("reset").is_none_or(|reset| *reset == json!(false)), "{current}");
}
