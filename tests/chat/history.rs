//! Reading what was said.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{User, World, unchecked};

fn seqs(page: &Value) -> Vec<u64> {
    page["items"].as_array().unwrap().iter().map(|item| item["seq"].as_u64().unwrap()).collect()
}

async fn page(user: &mut User, parameters: Value) -> Value {
    let mut frame = parameters;
    frame["action"] = json!("getMessages");
    frame["roomId"] = json!("tea");
    let page = user.ask(frame).await;
    assert_eq!(page["type"], "messages", "{page}");
    page
}

#[tokio::test]
async fn history_is_paginated_in_both_directions_oldest_first() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    for number in 1..=7 {
        ana.says("tea", &format!("{number}")).await;
    }

    let latest = page(&mut ana, json!({ "limit": 3 })).await;
    assert_eq!((seqs(&latest), &latest["hasMore"], &latest["nextBefore"]), (vec![5, 6, 7], &json!(true), &json!(5)));
    let middle = page(&mut ana, json!({ "limit": 3, "before": latest["nextBefore"] })).await;
    assert_eq!((seqs(&middle), &middle["hasMore"], &middle["nextBefore"]), (vec![2, 3, 4], &json!(true), &json!(2)));
    let first = page(&mut ana, json!({ "limit": 3, "before": middle["nextBefore"] })).await;
    assert_eq!((seqs(&first), &first["hasMore"]), (vec![1], &json!(false)));
    assert!(first.get("nextBefore").is_none() && first.get("nextAfter").is_none());

    let from_start = page(&mut ana, json!({ "limit": 4, "after": 0 })).await;
    assert_eq!((seqs(&from_start), &from_start["nextAfter"]), (vec![1, 2, 3, 4], &json!(4)));
    let exactly = page(&mut ana, json!({ "limit": 3, "after": 4 })).await;
    assert_eq!((seqs(&exactly), &exactly["hasMore"]), (vec![5, 6, 7], &json!(false)));
    let beyond = page(&mut ana, json!({ "after": 7 })).await;
    assert_eq!((seqs(&beyond), &beyond["hasMore"]), (vec![], &json!(false)));
    let nothing = page(&mut ana, json!({ "before": 1 })).await;
    assert_eq!((seqs(&nothing), &nothing["hasMore"]), (vec![], &json!(false)));
    assert_eq!(seqs(&page(&mut ana, json!({ "before": 9007199254740991u64 })).await).len(), 7);
}

#[tokio::test]
async fn a_page_has_50_messages_and_100_at_most() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    for number in 1..=101 {
        ana.says("tea", &format!("{number}")).await;
    }

    assert_eq!(seqs(&page(&mut ana, json!({})).await), (52..=101).collect::<Vec<_>>());
    assert_eq!(seqs(&page(&mut ana, json!({ "limit": 500 })).await), (2..=101).collect::<Vec<_>>());
    for limit in [json!(1e3), json!(1e20), json!(u64::MAX)] {
        assert_eq!(seqs(&page(&mut ana, json!({ "limit": limit })).await).len(), 100);
    }
    for parameters in [
        json!({ "limit": 0 }),
        json!({ "limit": -1 }),
        json!({ "limit": "ten" }),
        json!({ "limit": 1.5 }),
        json!({ "before": 3, "after": 1 }),
        json!({ "before": "three" }),
        json!({ "after": -1 }),
    ] {
        let mut frame = parameters;
        frame["action"] = json!("getMessages");
        frame["roomId"] = json!("tea");
        assert_eq!(ana.is_refused(unchecked(frame)).await, (400, "INVALID_FIELD".to_owned()));
    }
}

#[tokio::test]
async fn a_page_is_cut_at_the_frame_limit_and_has_more() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    for number in 0..5 {
        // One with every character escaped, which doubles it.
        let content = if number == 2 { "\"".repeat(15_000) } else { "x".repeat(12_000) };
        ana.says("tea", &content).await;
    }

    let (mut found, mut before) = (BTreeSet::new(), json!(null));
    loop {
        let page = page(&mut ana, json!({ "before": before })).await;
        assert!(page.to_string().len() <= 32 * 1024);
        assert!(!seqs(&page).is_empty());
        found.extend(seqs(&page));
        if page["hasMore"] == false {
            break;
        }
        assert_eq!(page["nextBefore"].as_u64(), seqs(&page).first().copied());
        before = page["nextBefore"].clone();
    }
    assert_eq!(found, (1..=5).collect());

    let forward = page(&mut ana, json!({ "after": 0 })).await;
    assert_eq!((seqs(&forward), &forward["hasMore"], &forward["nextAfter"]), (vec![1, 2], &json!(true), &json!(2)));
}

#[tokio::test]
async fn expired_messages_are_not_returned() {
    let world = World::with(&[("MESSAGE_TTL_DAYS", "1")]).await;
    let mut ana = world.connect_to("ana", "tea").await;
    ana.says("tea", "yesterday").await;
    world.time_passes(20 * 3600);
    let mut ana = world.connect_to("ana", "tea").await;
    ana.says("tea", "today").await;
    world.time_passes(5 * 3600);
    let mut ana = world.connect_to("ana", "tea").await;

    let all = page(&mut ana, json!({})).await;
    assert_eq!((seqs(&all), &all["hasMore"]), (vec![2], &json!(false)));
    let last = page(&mut ana, json!({ "limit": 1 })).await;
    assert_eq!((seqs(&last), &last["hasMore"]), (vec![2], &json!(false)));
    assert_eq!(seqs(&page(&mut ana, json!({ "after": 0 })).await), [2]);
}

#[tokio::test]
async fn new_members_read_the_whole_history_and_strangers_nothing() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    ana.says("tea", "early").await;
    let mut ben = world.connect("ben").await;

    let refused = ben.is_refused(json!({ "action": "getMessages", "roomId": "tea" })).await;
    assert_eq!(refused, (403, "NOT_A_MEMBER".to_owned()));

    let mut ben = ben.joined("tea").await;
    let history = page(&mut ben, json!({})).await;
    assert_eq!(history["items"][0]["content"], "early");
}
