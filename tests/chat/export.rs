//! Exports of what a user wrote.

use axum::body::Bytes;
use serde_json::{Value, json};
use switchboard::local::Options;
use switchboard::local::faults::{Faults, KillAtRequest, Moment, Outcome, Plan};

use crate::harness::{World, soon};

const EXPORT: &str = "/admin/users/ana/export";

/// Waits until an export is done. Returns it, and its lines.
async fn is_exported(world: &World, id: &Value) -> (Value, Vec<Value>) {
    let path = format!("/admin/users/ana/exports/{}", id.as_str().unwrap());
    world.logs(|line| line["message"] == "an export is done" && line["export_id"] == *id).await;
    let export = world.admin("GET", &path, Value::Null).await.body;
    assert_eq!(export["status"], "done", "{export}");
    let mut lines = Vec::new();
    for url in export["urls"].as_array().unwrap() {
        let part = world.fetch("GET", url.as_str().unwrap(), &[], Bytes::new()).await;
        assert_eq!(part.status, 200, "{}", part.text());
        lines.extend(part.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    (export, lines)
}

fn of_type<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["type"] == kind).collect()
}

#[tokio::test]
async fn an_export_has_what_the_user_can_read_of_their_own() {
    let world = World::start().await;
    let (mut ana, mut ben) = (world.connect("ana").await, world.connect("ben").await);
    let tea = ana.creates_room(&["ben"]).await;
    for number in 0..205 {
        ana.says(&tea, &format!("message {number}")).await;
    }
    let of_ben = ben.says(&tea, "hello").await["seq"].clone();
    ana.ask(json!({ "action": "react", "roomId": tea, "seq": of_ben, "emoji": "👍" })).await;
    ana.ask(json!({ "action": "editMessage", "roomId": tea, "seq": 2, "content": "edited" })).await;
    ana.ask(json!({ "action": "deleteMessage", "roomId": tea, "seq": 3 })).await;
    ana.ask(json!({ "action": "setNotify", "roomId": tea, "level": "mentions" })).await;
    ana.ask(json!({ "action": "markRead", "roomId": tea, "seq": 7 })).await;
    ana.ask(json!({ "action": "blockUser", "userId": "eli" })).await;
    ana.ask(json!({ "action": "sendMessage", "recipientId": "ben", "content": "for you" })).await;
    ana.ask(json!({ "action": "sendMessage", "roomId": "lobby", "content": "everybody" })).await;
    let cake = ben.creates_room(&["ana"]).await;
    ana.says(&cake, "from a room that she is put out of").await;
    ben.ask(json!({ "action": "removeMember", "roomId": cake, "userId": "ana" })).await;

    let begun = world.admin("POST", EXPORT, Value::Null).await;
    assert_eq!((begun.status, &begun.body["status"]), (202, &json!("running")), "{}", begun.body);
    let (export, lines) = is_exported(&world, &begun.body["exportId"]).await;

    let mut read = Vec::new();
    let mut after = json!(0);
    while !after.is_null() {
        let page = json!({ "action": "getMessages", "roomId": tea, "after": after, "limit": 100 });
        let page = ana.ask(page).await;
        read.extend(page["items"].as_array().unwrap().iter().filter(|item| item["userId"] == "ana").cloned());
        after = page["nextAfter"].clone();
    }
    read.retain(|item| item["deleted"].is_null());
    let messages = of_type(&lines, "message");
    let is_in_tea = |line: &&&Value| line["roomId"] == tea.as_str();
    let in_tea: Vec<_> = messages.iter().filter(is_in_tea).map(|line| (*line).clone()).collect();
    assert_eq!(in_tea.len(), 204);
    assert_eq!(in_tea, read);
    let others: Vec<_> = messages.iter().filter(|line| !is_in_tea(line)).map(|line| &line["content"]).collect();
    assert_eq!(others, ["for you", "from a room that she is put out of", "everybody"]);
    assert_eq!(of_type(&lines, "blocked"), [&json!({ "type": "blocked", "userId": "eli" })]);
    let reacted = json!({ "type": "reacted", "roomId": tea, "seq": of_ben, "emojis": ["👍"] });
    assert_eq!(of_type(&lines, "reacted"), [&reacted]);
    let memberships = of_type(&lines, "membership");
    let own = memberships.iter().find(|line| line["roomId"] == tea.as_str()).unwrap();
    assert_eq!((&own["role"], &own["isMember"], &own["notify"]), (&json!("owner"), &json!(true), &json!("mentions")));
    assert_eq!(own["lastReadSeq"], 7);
    assert_eq!(export["lines"], json!({ "blocked": 1, "membership": memberships.len(), "message": 207, "reacted": 1 }));
    // Nothing of others.
    assert!(!lines.iter().any(|line| line["content"] == "hello"));
    // Exports go with the user, and after a week.
    let again = world.admin("POST", EXPORT, Value::Null).await;
    is_exported(&world, &again.body["exportId"]).await;
    world.time_passes(7 * 86_400 + 60);
    world.applies_lifecycle().await;
    assert!(!world.objects("switchboard-uploads").await.iter().any(|key| key.starts_with("exports/")));
}

#[tokio::test]
async fn an_export_that_a_crash_cuts_off_is_finished_once() {
    for request in [1, 3, 5] {
        let faults = Faults::default();
        let world = World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await;
        let mut ana = world.connect("ana").await;
        let tea = ana.creates_room(&[]).await;
        for text in ["one", "two"] {
            ana.says(&tea, text).await;
        }
        let kill = KillAtRequest { route: "export".to_owned(), request, moment: Moment::After };
        faults.follow(Plan { kill_at_request: Some(kill), ..Plan::default() });
        let key = format!("export {request}").replace(' ', "-");
        let begun = world.admin_with_key(&key, "POST", EXPORT, Value::Null).await;
        let outcome = soon("an export begins", faults.requests().killed()).await;
        assert!(matches!(outcome, Outcome::Struck(_)), "{outcome:?}");
        faults.follow(Plan::default());
        // A repeat is the same export.
        world.loses_answer(&key).await;
        let repeated = world.admin_with_key(&key, "POST", EXPORT, Value::Null).await;
        assert_eq!(repeated.body["exportId"], begun.body["exportId"]);

        world.time_passes(61);
        world.runs_sweep().await;

        let (_, lines) = is_exported(&world, &begun.body["exportId"]).await;
        let texts: Vec<_> = of_type(&lines, "message").iter().map(|line| line["content"].clone()).collect();
        assert_eq!(texts, ["one", "two"], "killed at {request}");
    }
}

#[tokio::test]
async fn an_export_that_there_is_not_has_no_address() {
    let world = World::start().await;

    let answer = world.admin("GET", "/admin/users/ana/exports/nothing", Value::Null).await;

    assert_eq!(answer.body, json!({ "userId": "ana", "exportId": "nothing", "status": "none", "lines": {} }));
}
