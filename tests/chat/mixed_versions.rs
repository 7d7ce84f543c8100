//! A later version of the function has written to the tables: during a rollout both run side by side, and a rollback
//! leaves its rows behind.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::harness::World;

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

/// What a later version keeps in every entry.
fn carry() -> AttributeValue {
    let mode =
        HashMap::from([("write".to_owned(), text("admins")), ("slow".to_owned(), AttributeValue::N("30".into()))]);
    AttributeValue::M(HashMap::from([("mode".to_owned(), AttributeValue::M(mode)), ("new".to_owned(), text("?"))]))
}

/// Writes the entry of a later version behind the `last` one of a room: an unknown kind, without a sender.
async fn writes_entry_of_a_later_version(world: &World, room: &str, last: u64) {
    let newest = format!("{last:016}");
    let known = world.rows("Messages").await.into_iter().find(|row| row["messageId"] == text(&newest)).unwrap();
    let id = format!("{:016}", last + 1);
    let entry = HashMap::from([
        ("roomId".to_owned(), text(room)),
        ("messageId".to_owned(), text(&id)),
        ("id".to_owned(), text(&id)),
        ("kind".to_owned(), text("renamed")),
        ("text".to_owned(), text("The room is called Tea now")),
        ("createdAt".to_owned(), known["createdAt"].clone()),
        ("attempt".to_owned(), text("0")),
        ("ttl".to_owned(), known["ttl"].clone()),
        ("carry".to_owned(), carry()),
    ]);
    world.dynamodb().put_item().table_name("Messages").set_item(Some(entry)).send().await.unwrap();
}

#[tokio::test]
async fn entries_of_unknown_kinds_are_shown_as_system_entries_and_leave_no_hole() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    ana.says("tea", "hi").await;
    writes_entry_of_a_later_version(&world, "tea", 1).await;

    let said = ana.says("tea", "hello").await;
    let page = ana.ask(json!({ "action": "getMessages", "roomId": "tea" })).await;
    let resumed = ana.ask(json!({ "action": "resume", "rooms": { "tea": 1 } })).await;

    assert_eq!(said["seq"], 3);
    let seqs: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| item["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [1, 2, 3]);
    for entry in [&page["items"][1], &resumed["rooms"]["tea"]["items"][0]] {
        assert_eq!((&entry["seq"], &entry["content"]), (&json!(2), &json!("The room is called Tea now")));
        assert_eq!(entry["system"], json!({ "what": "renamed" }));
    }
    assert_eq!(resumed["rooms"]["tea"]["complete"], true);
}

#[tokio::test]
async fn a_room_whose_last_entry_is_of_an_unknown_kind_is_listed() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    ana.says("tea", "hi").await;
    writes_entry_of_a_later_version(&world, "tea", 1).await;

    let rooms = ana.ask(json!({ "action": "listRooms" })).await;

    assert_eq!(rooms["items"][0]["lastMessage"]["content"], "The room is called Tea now");
    assert_eq!(rooms["items"][0]["lastSeq"], 2);
}

#[tokio::test]
async fn every_append_copies_carry_unchanged() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    ana.says("tea", "hi").await;
    writes_entry_of_a_later_version(&world, "tea", 1).await;

    ana.says("tea", "without an id").await;
    ana.ask(json!({ "action": "sendMessage", "roomId": "tea", "content": "with one", "clientMessageId": "1" })).await;
    ana.ask(json!({ "action": "closeRoom", "roomId": "tea" })).await;

    let entries: Vec<_> = world.rows("Messages").await.into_iter().filter(|row| row.contains_key("kind")).collect();
    assert_eq!(entries.len(), 5);
    for entry in entries.iter().filter(|entry| entry["messageId"] != text("0000000000000001")) {
        assert_eq!(entry.get("carry"), Some(&carry()), "{:?}", entry["messageId"]);
    }
}

/// Appends a message as an earlier version does, which copies `carry`, or, before that, writes none.
async fn earlier_version_appends(world: &World, room: &str, last: u64, copies_carry: bool) {
    let newest = format!("{last:016}");
    let mut entry = world.rows("Messages").await.into_iter().find(|row| row["messageId"] == text(&newest)).unwrap();
    let id = text(&format!("{:016}", last + 1));
    entry.extend([("messageId".to_owned(), id.clone()), ("id".to_owned(), id), ("kind".to_owned(), text("message"))]);
    entry.remove("system");
    if !copies_carry {
        entry.remove("carry");
    }
    assert_eq!(entry["roomId"], text(room));
    world.dynamodb().put_item().table_name("Messages").set_item(Some(entry)).send().await.unwrap();
}

#[tokio::test]
async fn the_mode_of_a_room_survives_messages_of_earlier_versions() {
    for copies_carry in [true, false] {
        let world = World::start().await;
        let mut ana = world.connect_to("ana", "tea").await;
        let mut ben = world.connect_to("ben", "tea").await;
        ana.ask(json!({ "action": "setRoomMode", "roomId": "tea", "write": "admins", "slowSeconds": 9 })).await;

        earlier_version_appends(&world, "tea", 1, copies_carry).await;

        let send = json!({ "action": "sendMessage", "roomId": "tea", "content": "x" });
        assert_eq!(ben.is_refused(send).await, (403, "READ_ONLY".to_owned()), "{copies_carry}");
        let set = ana.ask(json!({ "action": "setRoomMode", "roomId": "tea", "write": "members" })).await;
        assert_eq!(set["system"]["mode"], json!({ "write": "members", "slowSeconds": 9 }), "{copies_carry}");
    }
}

#[tokio::test]
async fn entries_of_unknown_kinds_are_read_whatever_their_rows_lack() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    ana.says("tea", "hi").await;
    let known = world.rows("Messages").await.into_iter().find(|row| row["messageId"] == text("0000000000000001"));
    let bare = HashMap::from([
        ("roomId".to_owned(), text("tea")),
        ("messageId".to_owned(), text("0000000000000002")),
        ("kind".to_owned(), text("pinned")),
        ("text".to_owned(), AttributeValue::Bool(true)),
        ("file".to_owned(), text("not a map")),
        ("ttl".to_owned(), known.unwrap()["ttl"].clone()),
    ]);
    world.dynamodb().put_item().table_name("Messages").set_item(Some(bare)).send().await.unwrap();

    let said = ana.says("tea", "hello").await;
    let page = ana.ask(json!({ "action": "getMessages", "roomId": "tea" })).await;

    assert_eq!(said["seq"], 3);
    assert_eq!(page["items"][1]["system"], json!({ "what": "pinned" }));
    assert_eq!(page["items"][2]["content"], "hello");
}
