//! Editing, deleting, reacting and pinning, and catching up on it.

use futures_util::future::join_all;
use serde_json::{Value, json};

use switchboard::local::Options;
use switchboard::local::faults::{Faults, HoldAtRequest, Plan};

use crate::harness::{User, World};
use crate::uploads::uploaded;

/// Ana and Ben in a room with two messages of Ana's.
async fn room_of_two(world: &World) -> (User, User) {
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    ana.says("tea", "one").await;
    ana.says("tea", "two").await;
    while ben.hears("message").await["seq"] != 2 {}
    (ana, ben)
}

fn edit(seq: u64, content: &str, version: u64) -> Value {
    json!({ "action": "editMessage", "roomId": "tea", "seq": seq, "content": content, "version": version })
}

fn delete(seqs: &[u64]) -> Value {
    json!({ "action": "deleteMessage", "roomId": "tea", "seqs": seqs })
}

fn react(seq: u64, emoji: &str, on: bool) -> Value {
    json!({ "action": "react", "roomId": "tea", "seq": seq, "emoji": emoji, "on": on })
}

async fn history(user: &mut User) -> Value {
    user.ask(json!({ "action": "getMessages", "roomId": "tea" })).await
}

async fn resumed(user: &mut User, seen: Value) -> Value {
    user.ask(json!({ "action": "resume", "rooms": { "tea": seen } })).await["rooms"]["tea"].clone()
}

#[tokio::test]
async fn an_edit_is_heard_and_is_the_state_of_the_message_from_then_on() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;

    let edited = ana.ask(edit(1, "uno", 0)).await;

    assert_eq!((&edited["rev"], &edited["version"], &edited["content"]), (&json!(1), &json!(1), &json!("uno")));
    assert_eq!((&edited["editedBy"], &edited["messageId"]), (&json!("ana"), &json!("0000000000000001")));
    assert_eq!(ben.hears("edited").await, edited);
    let page = history(&mut ben).await;
    assert_eq!(page["rev"], 1);
    let message = &page["items"][0];
    assert_eq!((&message["content"], &message["version"], &message["rev"]), (&json!("uno"), &json!(1), &json!(1)));
    assert_eq!(message["editedAt"], edited["editedAt"]);
    assert_eq!(page["items"][1].get("version"), None);
}

#[tokio::test]
async fn a_repeated_edit_changes_nothing_and_a_late_one_does_not_undo_a_newer_one() {
    let world = World::start().await;
    let (mut ana, _ben) = room_of_two(&world).await;
    let a = edit(1, "A", 0);
    ana.ask(a.clone()).await;

    let repeat = ana.ask(a.clone()).await;
    assert_eq!((&repeat["unchanged"], &repeat["rev"], &repeat["version"]), (&json!(true), &json!(1), &json!(1)));

    ana.ask(edit(1, "B", 1)).await;
    let late = ana.ask(a).await;
    assert_eq!((&late["code"], &late["status"]), (&json!("VERSION_MISMATCH"), &json!(409)));
    assert_eq!((&late["current"]["content"], &late["current"]["version"]), (&json!("B"), &json!(2)));
    assert_eq!(history(&mut ana).await["items"][0]["content"], "B");
}

#[tokio::test]
async fn an_edit_with_a_client_message_id_is_made_once() {
    let world = World::start().await;
    let (mut ana, _ben) = room_of_two(&world).await;
    let by_id = |content: &str, id: &str| {
        json!({
            "action": "editMessage", "roomId": "tea", "seq": 1, "content": content, "clientMessageId": id
        })
    };
    ana.ask(by_id("A", "e1")).await;
    ana.ask(by_id("B", "e2")).await;

    let late = ana.ask(by_id("A", "e1")).await;

    assert_eq!((&late["unchanged"], &late["content"], &late["version"]), (&json!(true), &json!("B"), &json!(2)));
    let without_either = json!({ "action": "editMessage", "roomId": "tea", "seq": 1, "content": "C" });
    assert_eq!(ana.is_refused(without_either).await, (400, "INVALID_FIELD".to_owned()));
}

#[tokio::test]
async fn only_the_author_edits_and_only_for_a_day() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;

    assert_eq!(ben.is_refused(edit(1, "mine", 0)).await, (403, "FORBIDDEN".to_owned()));
    assert_eq!(ana.is_refused(edit(9, "nothing", 0)).await, (404, "MESSAGE_NOT_FOUND".to_owned()));
    world.time_passes(86_401);
    let mut ana = world.connect_to("ana", "tea").await;
    assert_eq!(ana.is_refused(edit(1, "late", 0)).await, (403, "EDIT_WINDOW_OVER".to_owned()));
}

#[tokio::test]
async fn a_deletion_takes_the_content_everywhere_and_keeps_the_place() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;
    ana.ask(edit(1, "secret words", 0)).await;
    ben.ask(react(1, "👍", true)).await;

    let deleted = ana.ask(json!({ "action": "deleteMessage", "roomId": "tea", "seq": 1, "reason": "typo" })).await;

    assert_eq!((&deleted["seqs"], &deleted["rev"], &deleted["reason"]), (&json!([1]), &json!(3), &json!("typo")));
    assert_eq!(ben.hears("deleted").await, deleted);
    let page = history(&mut ben).await;
    let gone = &page["items"][0];
    assert_eq!((&gone["seq"], &gone["userId"], gone.get("content")), (&json!(1), &json!("ana"), None));
    let by = json!({ "at": deleted["deletedAt"], "by": "ana", "reason": "typo" });
    assert_eq!((&gone["deleted"], gone.get("reactions"), gone.get("version")), (&by, None, None));
    for table in ["Messages", "ChatRooms", "Members"] {
        let rows = format!("{:?}", world.rows(table).await);
        assert!(!rows.contains("secret words"), "{table}");
    }
    assert!(!format!("{:?}", world.log()).contains("secret words"));
    assert_eq!(ana.ask(delete(&[1])).await["type"], "ack");
    for refused in [edit(1, "back", 1), react(1, "👍", true)] {
        assert_eq!(ana.is_refused(refused).await, (404, "MESSAGE_NOT_FOUND".to_owned()));
    }
    let unread = ben.ask(json!({ "action": "listRooms" })).await["items"][0]["unread"].clone();
    assert_eq!(unread, 1);
}

#[tokio::test]
async fn moderators_delete_any_messages_several_at_once_and_members_their_own() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;
    ben.says("tea", "three").await;

    assert_eq!(ben.is_refused(delete(&[1])).await, (403, "FORBIDDEN".to_owned()));
    assert_eq!(ben.is_refused(delete(&[3, 9])).await, (404, "MESSAGE_NOT_FOUND".to_owned()));
    assert_eq!(ben.is_refused(json!({ "action": "deleteMessage", "roomId": "tea" })).await.0, 400);
    let deleted = ana.ask(delete(&[2, 3, 1])).await;

    assert_eq!((&deleted["seqs"], &deleted["rev"]), (&json!([1, 2, 3]), &json!(1)));
    assert!(history(&mut ben).await["items"].as_array().unwrap().iter().all(|item| item.get("content").is_none()));
}

#[tokio::test]
async fn a_late_retry_of_a_deleted_message_is_a_duplicate_that_is_deleted() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let send = json!({ "action": "sendMessage", "roomId": "tea", "content": "x", "clientMessageId": "m1" });
    ana.ask(send.clone()).await;
    ana.ask(delete(&[1])).await;

    let retry = ana.ask(send).await;

    assert_eq!((&retry["seq"], &retry["duplicate"], &retry["deleted"]["by"]), (&json!(1), &json!(true), &json!("ana")));
    assert_eq!(retry.get("content"), None);
}

#[tokio::test]
async fn a_repeated_deletion_of_some_messages_does_not_stand_for_the_others() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;
    ana.ask(delete(&[1, 2])).await;
    let first = ben.hears("deleted").await;
    assert_eq!((&first["seqs"], first.get("unchanged")), (&json!([1, 2]), None));

    assert_eq!(ana.ask(delete(&[1])).await["type"], "ack");

    let again = ben.hears("deleted").await;
    assert_eq!((&again["seqs"], &again["rev"], &again["unchanged"]), (&json!([1]), &first["rev"], &json!(true)));
}

#[tokio::test]
async fn a_deletion_wins_over_edits_that_race_it() {
    let world = World::start().await;
    let (mut ana, _ben) = room_of_two(&world).await;
    let mut tablet = world.connect_to("ana", "tea").await;
    for round in 0..5 {
        let seq = ana.says("tea", "x").await["seq"].as_u64().unwrap();

        let (edited, deleted) = tokio::join!(tablet.ask(edit(seq, "y", 0)), ana.ask(delete(&[seq])));

        assert_eq!(deleted["seqs"], json!([seq]), "round {round}");
        assert!(edited["type"] == "edited" || edited["code"] == "MESSAGE_NOT_FOUND", "{edited}");
        let last = history(&mut ana).await["items"].as_array().unwrap().last().unwrap().clone();
        assert!(last.get("content").is_none() && last.get("deleted").is_some(), "{last}");
    }
}

#[tokio::test]
async fn the_file_of_a_deleted_message_is_gone() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;
    let message = uploaded(&world, &mut ana, &mut ben, "tea", "a.txt", b"12345").await;
    let bucket = "switchboard-uploads";
    assert_eq!(world.objects(bucket).await.len(), 1);

    ana.ask(delete(&[3])).await;

    let get = json!({ "action": "getFile", "fileId": message["file"]["fileId"] });
    assert_eq!(ben.is_refused(get).await, (404, "FILE_NOT_FOUND".to_owned()));
    assert_eq!(world.objects(bucket).await, Vec::<String>::new());
    assert!(!format!("{:?}", world.rows("Messages").await).contains("removals"));
}

#[tokio::test]
async fn a_deletion_takes_the_reactions_with_it_and_is_recorded_if_a_moderator_made_it() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;
    let seq = ben.says("tea", "spam").await["seq"].as_u64().unwrap();
    for user in [&mut ana, &mut ben] {
        user.ask(react(seq, "👍", true)).await;
    }
    let reactions = async || {
        let rows = world.rows("Messages").await;
        rows.iter().filter(|row| row["messageId"].as_s().unwrap().starts_with("rx#")).count()
    };
    assert_eq!(reactions().await, 2);

    ana.ask(delete(&[seq])).await;

    assert_eq!(reactions().await, 0);
    let audit = world.rows("Audit").await;
    let by = audit.iter().find(|row| row["action"].as_s().unwrap() == "deleteMessage").unwrap();
    assert_eq!((by["by"].as_s().unwrap().as_str(), by["detail"].as_s().unwrap().as_str()), ("ana", "3"));
}

#[tokio::test]
async fn reactions_are_a_set_of_each_user() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;

    let first = ben.ask(react(1, "👍", true)).await;
    assert_eq!((&first["counts"], &first["rev"]), (&json!({ "👍": 1 }), &json!(1)));
    assert_eq!(first["by"], json!({ "userId": "ben", "emoji": "👍", "on": true }));
    assert_eq!(ana.hears("reactions").await, first);
    let repeat = ben.ask(react(1, "👍", true)).await;
    assert_eq!((&repeat["unchanged"], &repeat["counts"]), (&json!(true), &json!({ "👍": 1 })));
    ana.ask(react(1, "👍", true)).await;
    ana.ask(react(1, "🎉", true)).await;
    assert_eq!(history(&mut ben).await["items"][0]["reactions"], json!({ "👍": 2, "🎉": 1 }));

    let who = ben.ask(json!({ "action": "getReactions", "roomId": "tea", "seq": 1 })).await;
    assert_eq!(
        who["items"],
        json!([{ "userId": "ana", "emojis": ["🎉", "👍"] }, { "userId": "ben", "emojis": ["👍"] }])
    );
    let only = ben.ask(json!({ "action": "getReactions", "roomId": "tea", "seq": 1, "emoji": "🎉" })).await;
    assert_eq!(only["items"].as_array().unwrap().len(), 1);

    let back = ben.ask(react(1, "👍", false)).await;
    assert_eq!(back["counts"], json!({ "👍": 1, "🎉": 1 }));
    assert_eq!(ben.ask(react(1, "👍", false)).await["unchanged"], true);
    assert_eq!(ana.ask(react(1, "👍", false)).await["counts"], json!({ "🎉": 1 }));
}

#[tokio::test]
async fn a_message_takes_20_kinds_of_reactions() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;
    for kind in 0..20 {
        ana.ask(react(1, &format!("e{kind}"), true)).await;
    }

    assert_eq!(ben.is_refused(react(1, "e20", true)).await, (409, "TOO_MANY_REACTIONS".to_owned()));
    assert_eq!(ben.ask(react(1, "e19", true)).await["counts"]["e19"], 2);
    ana.ask(react(1, "e0", false)).await;
    assert_eq!(ben.ask(react(1, "e20", true)).await["counts"]["e20"], 1);
}

#[tokio::test]
async fn reactions_of_several_users_and_devices_at_once_all_count() {
    let world = World::start().await;
    let (mut ana, _ben) = room_of_two(&world).await;
    let users = ["user-0", "user-0", "user-1", "user-2", "user-3"];
    let mut users = join_all(users.map(|user| world.connect_to(user, "tea"))).await;

    let reacts = async |user: &mut User| {
        // The message is busy: on a slow machine more often than its writers try.
        while user.ask(react(1, "👍", true)).await["code"] == "ROOM_BUSY" {}
    };
    join_all(users.iter_mut().map(reacts)).await;

    assert_eq!(history(&mut ana).await["items"][0]["reactions"], json!({ "👍": 4 }));
}

#[tokio::test]
async fn moderators_pin_messages_and_everybody_sees_the_list() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;
    let about = |action: &str, seq: u64| json!({ "action": action, "roomId": "tea", "seq": seq });
    assert_eq!(ben.is_refused(about("pinMessage", 1)).await, (403, "FORBIDDEN".to_owned()));

    let pinned = ana.ask(about("pinMessage", 1)).await;
    assert_eq!((&pinned["seq"], &pinned["rev"], &pinned["by"]), (&json!(1), &json!(1), &json!("ana")));
    assert_eq!(ben.hears("pinned").await, pinned);
    ana.ask(about("pinMessage", 2)).await;
    assert_eq!(ana.ask(about("pinMessage", 2)).await["unchanged"], true);
    ana.ask(edit(2, "dos", 0)).await;

    let list = json!({ "action": "listPins", "roomId": "tea" });
    let pins = ben.ask(list.clone()).await;
    let shown: Vec<_> = pins["items"].as_array().unwrap().iter().map(|item| item["content"].clone()).collect();
    assert_eq!(shown, ["dos", "one"]);
    assert_eq!(pins["items"][0]["pinned"], true);

    ana.ask(about("unpinMessage", 1)).await;
    assert_eq!(ben.hears("unpinned").await["seq"], 1);
    ana.ask(delete(&[2])).await;
    assert_eq!(ben.ask(list).await["items"], json!([]));
}

#[tokio::test]
async fn a_reconnect_brings_the_changes_that_were_missed_as_they_are_now() {
    let world = World::start().await;
    let (mut ana, ben) = room_of_two(&world).await;
    ben.closes().await;
    ana.ask(edit(1, "uno", 0)).await;
    ana.ask(edit(1, "uno!", 1)).await;
    ana.ask(delete(&[2])).await;
    ana.says("tea", "three").await;
    ana.ask(react(3, "👍", true)).await;
    let mut ben = world.connect_to("ben", "tea").await;

    let answer = resumed(&mut ben, json!({ "seq": 2, "rev": 0 })).await;

    assert_eq!((&answer["rev"], &answer["complete"], answer.get("changesReset")), (&json!(4), &json!(true), None));
    assert_eq!(answer["items"][0]["reactions"], json!({ "👍": 1 }));
    let changes = answer["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2);
    assert_eq!((&changes[0]["content"], &changes[0]["rev"]), (&json!("uno!"), &json!(2)));
    assert_eq!((&changes[1]["seq"], &changes[1]["deleted"]["by"]), (&json!(2), &json!("ana")));
    let nothing_new = resumed(&mut ben, json!({ "seq": 3, "rev": 4 })).await;
    assert_eq!((nothing_new.get("changes"), &nothing_new["rev"]), (None, &json!(4)));
    let as_before = resumed(&mut ben, json!(2)).await;
    assert_eq!((as_before.get("changes"), &as_before["rev"]), (None, &json!(4)));
}

#[tokio::test]
async fn changes_that_are_too_many_or_unknown_are_reset() {
    let world = World::start().await;
    let (mut ana, _ben) = room_of_two(&world).await;
    for number in 0..51 {
        ana.says("tea", &format!("m{number}")).await;
    }
    for seq in 1..=51 {
        ana.ask(edit(seq, "changed", 0)).await;
    }

    let too_many = resumed(&mut ana, json!({ "seq": 53, "rev": 0 })).await;
    assert_eq!((&too_many["changesReset"], too_many.get("changes")), (&json!(true), None));
    let some = resumed(&mut ana, json!({ "seq": 53, "rev": 1 })).await;
    assert_eq!(some["changes"].as_array().unwrap().len(), 50);
    let above = resumed(&mut ana, json!({ "seq": 53, "rev": 99 })).await;
    assert_eq!(above["changesReset"], true);
}

#[tokio::test]
async fn a_reply_shows_the_message_that_it_replies_to_as_it_is_now() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;

    let reply = json!({ "action": "sendMessage", "roomId": "tea", "content": "yes", "replyTo": 1 });
    let sent = ben.ask(reply).await;

    let parent = json!({ "seq": 1, "userId": "ana", "userName": "ana", "excerpt": "one" });
    assert_eq!(sent["parent"], parent);
    assert_eq!(ana.hears("message").await["parent"], parent);
    ana.ask(edit(1, &"u".repeat(200), 0)).await;
    let shown = history(&mut ben).await["items"][2]["parent"].clone();
    assert_eq!(shown["excerpt"], "u".repeat(140));
    ana.ask(delete(&[1])).await;
    let shown = history(&mut ben).await["items"][2]["parent"].clone();
    assert_eq!((&shown["excerpt"], &shown["deleted"]), (&json!(""), &json!(true)));
}

#[tokio::test]
async fn clients_of_other_backends_hear_changes_only_if_they_ask_for_events() {
    let world = World::start().await;
    let (mut ana, _ben) = room_of_two(&world).await;
    let mut old = world.open("?userId=old").await.unwrap().joined("tea").await;
    let mut new = world.open("?userId=new&events=1").await.unwrap().joined("tea").await;

    assert_eq!(old.hears("joined").await["userId"], "new");
    ana.ask(edit(1, "uno", 0)).await;

    assert_eq!(new.hears("edited").await["content"], "uno");
    old.hears_nothing().await;
    assert_eq!(history(&mut old).await["items"][0]["text"], "uno");
}

#[tokio::test]
async fn messages_are_edited_and_deleted_over_http() {
    let world = World::start().await;
    let (_ana, mut ben) = room_of_two(&world).await;
    let path = "/rooms/tea/messages/1";

    let json_body = [("content-type", "application/json")];
    let edit = json!({ "userId": "ana", "content": "uno", "version": 0 });
    let edited = world.request("PATCH", path, &json_body, edit).await;
    assert_eq!((edited.status, &edited.body["version"]), (200, &json!(1)));
    assert_eq!(ben.hears("edited").await["content"], "uno");
    let deleted = world.delete(&format!("{path}?userId=ana")).await;
    assert_eq!((deleted.status, &deleted.body["seqs"]), (200, &json!([1])));
    assert_eq!(ben.hears("deleted").await["seqs"], json!([1]));
}

#[tokio::test]
async fn changes_cost_4_write_units_and_reactions_6() {
    let world = World::start().await;
    let (mut ana, _ben) = room_of_two(&world).await;
    ana.ask(edit(1, "first", 0)).await;
    let cost = |calls: Vec<switchboard::local::StoreCall>| {
        let writes: f64 = calls.iter().map(|call| call.write_units).sum();
        let reads: f64 = calls.iter().map(|call| call.read_units).sum();
        (writes, reads, calls.len())
    };
    world.take_store_calls();
    let about = |action: &str| json!({ "action": action, "roomId": "tea", "seq": 1 });
    for (request, writes) in
        [(edit(1, "second", 1), 4.0), (react(1, "👍", true), 6.0), (about("pinMessage"), 4.0), (delete(&[2]), 4.0)]
    {
        ana.ask(request.clone()).await;

        let cost = cost(world.take_store_calls());
        assert!(cost.0 == writes && cost.1 <= 7.0 && cost.2 <= 7, "{request}: {cost:?}");
    }
}

#[tokio::test]
async fn the_second_change_of_a_room_follows_the_first_when_they_race() {
    let faults = Faults::default();
    let world = World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await;
    for request in 1..=6 {
        let room = format!("tea-{request}");
        let mut ana = world.connect_to("ana", &room).await;
        let mut ben = world.connect_to("ben", &room).await;
        for content in ["one", "two"] {
            ana.says(&room, content).await;
        }
        let hold = HoldAtRequest { route: "react".to_owned(), request, before: false };
        faults.follow(Plan { hold_at_request: Some(hold), ..Plan::default() });

        let first = async {
            faults.requests().held().await;
            let edit = json!({ "action": "editMessage", "roomId": room, "seq": 1, "content": "uno", "version": 0 });
            let edited = ana.ask(edit).await;
            faults.requests().release();
            edited
        };
        let reaction = ben.ask(json!({ "action": "react", "roomId": room, "seq": 2, "emoji": "👍" }));
        let (edited, reacted) = tokio::join!(first, reaction);

        let mut revs = [&edited, &reacted].map(|answer| answer["rev"].as_u64());
        revs.sort_unstable();
        assert_eq!(revs, [Some(1), Some(2)], "request {request}: {edited} {reacted}");
    }
}

#[tokio::test]
async fn a_repeated_change_does_not_pass_for_the_change_that_came_after_it() {
    let world = World::start().await;
    let (mut ana, mut ben) = room_of_two(&world).await;
    let edit = json!({ "action": "editMessage", "roomId": "tea", "seq": 1, "content": "uno", "clientMessageId": "e" });
    ana.ask(edit.clone()).await;
    ana.ask(react(1, "👍", true)).await;
    ana.ask(json!({ "action": "pinMessage", "roomId": "tea", "seq": 1 })).await;
    for change in ["edited", "reactions", "pinned"] {
        assert_eq!(ben.hears(change).await.get("unchanged"), None);
    }

    ana.ask(edit).await;
    ana.ask(react(1, "👍", true)).await;
    let pinned = ana.ask(json!({ "action": "pinMessage", "roomId": "tea", "seq": 1 })).await;

    // All three have the last rev, which was a pin.
    assert_eq!((&pinned["rev"], &pinned["unchanged"]), (&json!(3), &json!(true)));
    for change in ["edited", "reactions", "pinned"] {
        let heard = ben.hears(change).await;
        assert_eq!((&heard["rev"], &heard["unchanged"]), (&json!(3), &json!(true)), "{heard}");
    }
}
