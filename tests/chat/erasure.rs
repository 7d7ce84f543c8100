//! The erasure of users: nothing that they wrote, nor their names, is found anywhere.

use serde_json::{Value, json};
use switchboard::local::Options;
use switchboard::local::faults::{Faults, KillAtRequest, Moment, Outcome, Plan};
use switchboard::tables;

use crate::harness::{User, World, soon, time_of};
use crate::uploads::{Upload, announcement};

/// In everything that Ana writes, and in her names.
const MARK: &str = "quokka";
/// After that the second pass begins.
const SECOND_PASS_SECONDS: u64 = 61;

const ERASE: &str = "/admin/users/ana/erase";

/// Ana, whose names have the mark.
async fn ana(world: &World) -> User {
    let query = format!("?userId=ana&username={MARK}-name&userIcon=https://{MARK}.example&format=native");
    world.open(&query).await.unwrap()
}

fn marked(text: &str) -> String {
    format!("{MARK} {text}")
}

/// Every row of every table that has the mark in it.
async fn marked_rows(world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for table in tables::ALL {
        let rows = world.rows(table.default_name).await;
        let rows = rows.iter().map(|row| format!("{}: {row:?}", table.default_name));
        found.extend(rows.filter(|row| row.contains(MARK)));
    }
    found
}

/// Waits for the end of the first pass and of the second one, `times` times in this world.
async fn is_erased(world: &World, times: usize) -> Value {
    world.has_logged(times, |line| line["message"] == "the first pass of an erasure is done").await;
    world.time_passes(SECOND_PASS_SECONDS);
    world.runs_sweep().await;
    is_done(world, times).await
}

async fn is_done(world: &World, times: usize) -> Value {
    world.has_logged(times, |line| line["message"] == "a user is erased").await;
    let answer = world.admin("GET", "/admin/users/ana/erasure", Value::Null).await;
    assert_eq!(answer.body["status"], "done", "{}", answer.body);
    answer.body
}

#[tokio::test]
async fn the_words_and_names_of_an_erased_user_are_found_nowhere() {
    let world = World::start().await;
    let (mut ana, mut ben) = (ana(&world).await, world.connect("ben").await);
    let tea = ana.creates_room(&["ben"]).await;
    let say = |room: &str, text: &str| {
        let text = marked(text);
        json!({ "action": "sendMessage", "roomId": room, "content": text, "clientMessageId": text })
    };
    // Messages, one with all that there can be, one that is edited and one that is deleted already.
    let mut full = say(&tea, "hello");
    full["data"] = json!({ "animal": MARK });
    full["mentions"] = json!(["ben"]);
    ana.ask(full).await;
    let edited = ana.ask(say(&tea, "edited")).await;
    ana.ask(json!({ "action": "editMessage", "roomId": tea, "seq": edited["seq"], "content": marked("new") })).await;
    let deleted = ana.ask(say(&tea, "deleted")).await;
    ana.ask(json!({ "action": "deleteMessage", "roomId": tea, "seq": deleted["seq"], "reason": marked("why") })).await;
    // Of others: a reaction of hers, her reason for a deletion, reports by her and of her.
    let of_ben = ben.says(&tea, "hello").await["seq"].clone();
    ana.ask(json!({ "action": "react", "roomId": tea, "seq": of_ben, "emoji": MARK })).await;
    let other = ben.says(&tea, "mention").await["seq"].clone();
    ana.ask(json!({ "action": "deleteMessage", "roomId": tea, "seq": other, "reason": marked("because") })).await;
    ana.ask(json!({ "action": "reportMessage", "roomId": tea, "seq": of_ben, "reason": marked("spam") })).await;
    ben.ask(json!({ "action": "reportMessage", "roomId": tea, "seq": 1, "reason": "spam" })).await;
    ben.ask(json!({ "action": "sendMessage", "roomId": tea, "content": "Ana?", "mentions": ["ana"] })).await;
    ana.ask(json!({ "action": "setRoomMode", "roomId": tea, "slowSeconds": 0 })).await;
    ana.ask(json!({ "action": "banMember", "roomId": tea, "userId": "dan" })).await;
    ana.ask(json!({ "action": "blockUser", "userId": "eli" })).await;
    let invite = world.post(&format!("/rooms/{tea}/invites"), json!({ "userId": "ana" })).await;
    assert_eq!(invite.status, 201);
    // A file, and one whose message is deleted already.
    for name in ["kept", "gone"] {
        let file = announcement(&tea, &format!("{MARK}-{name}.png"), 8);
        let upload = Upload::of(&ana.ask(file).await);
        assert_eq!(upload.puts(&world, b"\x89PNG\r\n\x1a\n").await, 200);
        let sent = loop {
            let heard = ana.hears("message").await;
            if heard["file"]["fileId"] == upload.id {
                break heard;
            }
        };
        if name == "gone" {
            ana.ask(json!({ "action": "deleteMessage", "roomId": tea, "seq": sent["seq"] })).await;
        }
    }
    // A conversation, the lobby, rooms that she left, was removed from and only was put into, and one where a backend
    // wrote as her.
    ana.ask(json!({ "action": "sendMessage", "recipientId": "ben", "content": marked("for you") })).await;
    ana.ask(say("lobby", "everybody")).await;
    let [left, removed, added, foreign] = [
        ben.creates_room(&[]).await,
        ben.creates_room(&[]).await,
        ben.creates_room(&["ana"]).await,
        ben.creates_room(&[]).await,
    ];
    for room in [&left, &removed] {
        ana.ask(json!({ "action": "joinRoom", "roomId": room })).await;
    }
    for room in [&left, &removed, &added] {
        ana.ask(say(room, "in another room")).await;
    }
    ana.ask(json!({ "action": "leaveRoom", "roomId": left })).await;
    for room in [&removed, &added] {
        ben.ask(json!({ "action": "removeMember", "roomId": room, "userId": "ana" })).await;
    }
    let posted = json!({ "as": "ana", "userName": marked("bot"), "rooms": [foreign], "content": marked("posted") });
    assert_eq!(world.admin("POST", "/admin/messages", posted).await.body["results"][0]["seq"], 1);
    assert!(marked_rows(&world).await.len() > 20);
    // An export has all of it once more.
    let export = world.admin("POST", "/admin/users/ana/export", Value::Null).await.body["exportId"].clone();
    world.logs(|line| line["message"] == "an export is done" && line["export_id"] == export).await;
    ben.clears_received();

    let begun = world.admin("POST", ERASE, Value::Null).await;
    assert_eq!((begun.status, &begun.body["status"]), (202, &json!("running")), "{}", begun.body);
    let erasure = is_erased(&world, 1).await;

    assert_eq!(marked_rows(&world).await, Vec::<String>::new());
    let objects = world.objects("switchboard-uploads").await;
    assert_eq!(objects, Vec::<String>::new());
    let expected = json!({
        "messages": 9, "files": 1, "reactions": 1, "mentions": 1, "memberships": 4, "invites": 1, "blocks": 1,
        "exports": 1, "reports": 2, "acts": 2
    });
    let erased = &erasure["erased"];
    for (kind, count) in expected.as_object().unwrap() {
        assert!(erased[kind].as_u64() >= count.as_u64(), "{kind}: {erased}");
    }
    assert!(time_of(&erasure["finishedAt"]) > time_of(&erasure["startedAt"]));
    // Her places are there, and what others wrote.
    let page = ben.ask(json!({ "action": "getMessages", "roomId": tea })).await;
    let items = page["items"].as_array().unwrap();
    let seqs: Vec<_> = items.iter().map(|item| item["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>());
    assert_eq!((&items[0]["deleted"]["by"], &items[0]["userName"]), (&json!("ana"), &json!("ana")));
    assert!(items.iter().any(|item| item["content"] == "hello" && item["userId"] == "ben"), "{page}");
    let log = world.log();
    assert!(!log.iter().any(|line| line.to_string().contains(MARK)), "{log:?}");
}

#[tokio::test]
async fn the_others_hear_of_an_erasure_as_of_deletions_and_the_user_is_out() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ana.creates_room(&[]).await;
    ben.ask(json!({ "action": "joinRoom", "roomId": tea })).await;
    for text in ["one", "two"] {
        ana.says(&tea, text).await;
    }
    let of_ben = ben.says(&tea, "three").await["seq"].clone();
    ana.ask(json!({ "action": "react", "roomId": tea, "seq": of_ben, "emoji": "👍" })).await;
    assert_eq!(ben.hears("reactions").await["by"]["on"], true);
    ben.clears_received();

    assert_eq!(world.admin("POST", ERASE, Value::Null).await.status, 202);

    assert!(ana.is_closed().await.is_some());
    let deleted = ben.hears("deleted").await;
    assert_eq!((&deleted["seqs"], &deleted["deletedBy"]), (&json!([1, 2]), &json!("ana")));
    let reactions = ben.hears("reactions").await;
    assert_eq!((&reactions["counts"], &reactions["by"]["on"]), (&json!({}), &json!(false)));
    assert_eq!(world.open("?userId=ana").await.err(), Some(403));
    is_erased(&world, 1).await;
    let room = ben.ask(json!({ "action": "roomInfo", "roomId": tea })).await;
    assert_eq!((&room["participantCount"], &room["lastSeq"]), (&json!(1), &json!(3)));
    // Once more: there is nothing left.
    assert_eq!(world.admin("POST", ERASE, Value::Null).await.body["status"], "running");
    assert_eq!(is_erased(&world, 2).await["erased"], json!({}));
}

#[tokio::test]
async fn an_erasure_that_nobody_goes_on_with_is_found_by_the_sweep() {
    let faults = Faults::default();
    let world = World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await;
    let none = json!({ "userId": "ana", "status": "none", "erased": {} });
    assert_eq!(world.admin("GET", "/admin/users/ana/erasure", Value::Null).await.body, none);
    // Each time the process dies at another one of its requests.
    for (number, request) in (1..).zip([1, 4, 12, 20]) {
        let lifts_block = json!({ "blockUntil": "2020-01-01T00:00:00Z" });
        world.admin("POST", "/admin/users/ana/disconnect", lifts_block).await;
        let mut ana = ana(&world).await;
        let room = ana.creates_room(&[]).await;
        ana.says(&room, &marked("hello")).await;
        let kill = KillAtRequest { route: "erase".to_owned(), request, moment: Moment::After };
        faults.follow(Plan { kill_at_request: Some(kill), ..Plan::default() });

        assert_eq!(world.admin("POST", ERASE, Value::Null).await.body["status"], "running");
        let outcome = soon("an erasure begins", faults.requests().killed()).await;
        assert!(matches!(outcome, Outcome::Struck(_)), "{outcome:?}");
        faults.follow(Plan::default());
        world.time_passes(SECOND_PASS_SECONDS);
        world.runs_sweep().await;

        is_done(&world, number).await;
        assert_eq!(marked_rows(&world).await, Vec::<String>::new(), "killed at {request}");
    }
}

#[tokio::test]
async fn the_chat_itself_is_not_erased() {
    let world = World::start().await;
    let answer = world.admin("POST", "/admin/users/switchboard/erase", Value::Null).await;
    assert_eq!(answer.refusal(), (400, "INVALID_FIELD", "userId"));
}

#[tokio::test]
async fn the_invitations_of_an_erased_user_end() {
    let world = World::with(&[("ADD_MEMBERS", "invite")]).await;
    let mut ben = world.connect("ben").await;
    let tea = ben.creates_room(&[]).await;
    let invited = ben.ask(json!({ "action": "addMembers", "roomId": tea, "members": ["ana"] })).await;
    assert_eq!(invited["invited"], json!(["ana"]));
    assert_eq!(world.rows("Pending").await.len(), 1);

    world.admin("POST", ERASE, Value::Null).await;
    let erasure = is_erased(&world, 1).await;

    assert_eq!(world.rows("Pending").await.len(), 0);
    assert_eq!(erasure["erased"]["invitations"], 1);
}
