//! Search in a room.

use serde_json::{Value, json};
use switchboard::local::StoreCall;

use crate::harness::World;

fn search(text: &str, more: Value) -> Value {
    let mut frame = json!({ "action": "searchMessages", "roomId": "tea", "text": text });
    frame.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    frame
}

fn seqs(answer: &Value) -> Vec<u64> {
    let items = answer["items"].as_array().unwrap_or_else(|| panic!("{answer}"));
    items.iter().map(|item| item["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_search_finds_messages_whatever_their_case_and_accents_the_newest_first() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    for content in ["An Éclair", "nothing", "two eclairs", "ÉCLAIRS, please", "tea"] {
        ana.says("tea", content).await;
    }
    ben.says("tea", "no eclair for me").await;

    assert_eq!(seqs(&ben.ask(search("eclair", json!({}))).await), [6, 4, 3, 1]);
    assert_eq!(seqs(&ben.ask(search("éclairs", json!({}))).await), [4, 3]);
    assert_eq!(seqs(&ben.ask(search("eclair", json!({ "from": "ben" }))).await), [6]);
    assert_eq!(seqs(&ben.ask(search("eclair", json!({ "before": 6, "after": 1 }))).await), [4, 3]);
    let first = ben.ask(search("eclair", json!({ "limit": 2 }))).await;
    assert_eq!((seqs(&first), &first["hasMore"], &first["nextBefore"]), (vec![6, 4], &json!(true), &json!(4)));
    let rest = ben.ask(search("eclair", json!({ "before": 4 }))).await;
    assert_eq!((seqs(&rest), &rest["hasMore"], rest.get("nextBefore")), (vec![3, 1], &json!(false), None));
    let over_http = world.get("/rooms/tea/search?userId=ben&text=eclair&limit=1").await;
    assert_eq!((over_http.status, seqs(&over_http.body)), (200, vec![6]));
}

#[tokio::test]
async fn a_search_shows_what_messages_say_now_and_nothing_that_was_deleted_or_has_expired() {
    let world = World::with(&[("MESSAGE_TTL_DAYS", "1")]).await;
    let mut ana = world.connect_to("ana", "tea").await;
    ana.says("tea", "old cake").await;
    world.time_passes(86_401);
    let mut ana = world.connect_to("ana", "tea").await;
    let first = ana.says("tea", "cake one").await["seq"].as_u64().unwrap();
    ana.says("tea", "cake two").await;
    ana.says("tea", "bread").await;
    ana.ask(json!({ "action": "deleteMessage", "roomId": "tea", "seq": first })).await;
    let edit = json!({
        "action": "editMessage", "roomId": "tea", "seq": first + 2, "content": "cake three", "version": 0
    });
    ana.ask(edit).await;

    assert_eq!(seqs(&ana.ask(search("cake", json!({}))).await), [first + 2, first + 1]);
    assert_eq!(seqs(&ana.ask(search("bread", json!({}))).await), Vec::<u64>::new());
}

#[tokio::test]
async fn only_members_search_and_only_for_a_text() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut zoe = world.connect("zoe").await;

    assert_eq!(zoe.is_refused(search("tea", json!({}))).await, (403, "NOT_A_MEMBER".to_owned()));
    let blank = crate::harness::unchecked(search("  ", json!({})));
    assert_eq!(ana.is_refused(blank).await, (400, "INVALID_FIELD".to_owned()));
    let long = crate::harness::unchecked(search(&"x".repeat(201), json!({})));
    assert_eq!(ana.is_refused(long).await, (400, "INVALID_FIELD".to_owned()));
}

#[tokio::test]
async fn a_search_through_large_messages_reads_about_100_units_and_is_continued() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    ana.says("tea", "the needle").await;
    for _ in 0..60 {
        ana.says("tea", &"hay ".repeat(4000)).await;
    }
    world.take_store_calls();

    let (mut pages, mut before) = (0, json!(null));
    let found = loop {
        let answer = ana.ask(search("needle", json!({ "before": before }))).await;
        let units: f64 = world.take_store_calls().iter().map(|call: &StoreCall| call.read_units).sum();
        assert!(units <= 130.0, "{units}");
        pages += 1;
        if answer["hasMore"] == false {
            break seqs(&answer);
        }
        before = answer["nextBefore"].clone();
    };

    assert_eq!(found, [1]);
    assert!(pages > 1 && pages < 10, "{pages}");
}

#[tokio::test]
async fn a_search_passes_over_a_gap_in_the_log() {
    let world = World::with(&[("MESSAGE_TTL_DAYS", "1")]).await;
    let mut ana = world.connect_to("ana", "tea").await;
    for _ in 0..3 {
        ana.says("tea", "cake").await;
    }
    world.time_passes(86_401);
    let mut ana = world.connect_to("ana", "tea").await;
    let seq = ana.says("tea", "cake").await["seq"].as_u64().unwrap();
    assert!(seq > 100_000);

    let answer = ana.ask(search("cake", json!({}))).await;

    assert_eq!((seqs(&answer), &answer["hasMore"]), (vec![seq], &json!(false)));
}
