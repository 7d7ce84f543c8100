//! Looking after a room.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use switchboard::local::Options;
use switchboard::local::faults::{Faults, HoldAtRequest, Outcome, Plan};

use crate::harness::{User, World, token, unchecked};

/// Ana's room with Ben and Cleo in it, all live.
async fn room_of_three(world: &World) -> (String, User, User, User) {
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let mut cleo = world.connect("cleo").await;
    let tea = ana.creates_room(&["ben", "cleo"]).await;
    ben.hears("joined").await;
    cleo.hears("joined").await;
    (tea, ana, ben, cleo)
}

fn about(action: &str, room: &str, user: &str) -> Value {
    json!({ "action": action, "roomId": room, "userId": user })
}

#[tokio::test]
async fn a_removed_member_is_told_unsubscribed_and_may_rejoin() {
    let world = World::start().await;
    let (tea, mut ana, mut ben, mut cleo) = room_of_three(&world).await;
    let mut tablet = world.connect("ben").await;

    let ack = ana.ask(about("removeMember", &tea, "ben")).await;

    assert_eq!(ack, json!({ "type": "ack", "action": "removeMember", "roomId": tea }));
    let told = json!({ "type": "left", "roomId": tea, "userId": "ben", "reason": "removed" });
    for user in [&mut ben, &mut tablet, &mut cleo] {
        assert_eq!(user.hears("left").await, told);
    }
    ana.says(&tea, "quiet now").await;
    ben.hears_nothing().await;
    tablet.hears_nothing().await;
    let refused = ben.is_refused(json!({ "action": "sendMessage", "roomId": tea, "content": "why?" })).await;
    assert_eq!(refused, (403, "NOT_A_MEMBER".to_owned()));
    // A repeat of the request is answered like the first.
    assert_eq!(ana.ask(about("removeMember", &tea, "ben")).await["type"], "ack");
    assert_eq!(ana.is_refused(about("removeMember", &tea, "eve")).await, (404, "USER_NOT_FOUND".to_owned()));
    let room = ben.ask(json!({ "action": "joinRoom", "roomId": tea })).await;
    assert_eq!(room["participantCount"], 3);
}

#[tokio::test]
async fn an_interrupted_removal_is_finished_by_its_retry() {
    let world = World::start().await;
    let (tea, mut ana, mut ben, _cleo) = room_of_three(&world).await;
    world.loses_membership("ben", &tea).await;
    assert_eq!(ben.says(&tea, "still here").await["type"], "message");

    assert_eq!(ana.is_refused(about("removeMember", &tea, "ben")).await, (404, "USER_NOT_FOUND".to_owned()));

    let refused = ben.is_refused(json!({ "action": "sendMessage", "roomId": tea, "content": "?" })).await;
    assert_eq!(refused, (403, "NOT_A_MEMBER".to_owned()));
}

/// A subscription can outlive a membership: when a process dies between the two, or is slow to write the subscription.
async fn subscription_outlives(world: &World, room: &str, user: &str, ends: impl Future<Output = Value>) {
    let channel = AttributeValue::S(format!("room#{room}"));
    let user = AttributeValue::S(user.to_owned());
    let rows = world.rows("Subscriptions").await;
    let is_of_user = |row: &&HashMap<String, AttributeValue>| {
        row.get("channel") == Some(&channel) && row.get("userId") == Some(&user)
    };
    let row = rows.iter().find(is_of_user).unwrap().clone();
    assert_eq!(ends.await["type"], "ack");
    world.dynamodb().put_item().table_name("Subscriptions").set_item(Some(row)).send().await.unwrap();
}

#[tokio::test]
async fn a_subscription_that_outlives_the_membership_is_worth_nothing() {
    for action in ["removeMember", "banMember"] {
        let world = World::start().await;
        let (tea, mut ana, mut ben, mut cleo) = room_of_three(&world).await;

        subscription_outlives(&world, &tea, "ben", ana.ask(about(action, &tea, "ben"))).await;

        for user in [&mut ben, &mut cleo] {
            assert_eq!(user.hears("left").await["userId"], "ben", "{action}");
        }
        ana.says(&tea, "quiet now").await;
        assert_eq!(cleo.hears("message").await["content"], "quiet now", "{action}");
        ben.hears_nothing().await;
        for ask in [
            json!({ "action": "sendMessage", "roomId": tea, "content": "?" }),
            json!({ "action": "getMessages", "roomId": tea }),
            json!({ "action": "handleFileUpload", "roomId": tea, "fileName": "a.png", "contentType": "image/png",
                "size": 1 }),
        ] {
            assert_eq!(ben.is_refused(ask).await, (403, "NOT_A_MEMBER".to_owned()), "{action}");
        }
        ben.send(json!({ "action": "typingIndicator", "roomId": tea })).await;
        cleo.hears_nothing().await;
    }
}

/// Cleo sends `frame`; the response to the first read of it is held until she has been removed and some time has
/// passed. Returns what she hears.
async fn is_removed_while_it_is_read(action: &str, frame: impl FnOnce(&str) -> Value) -> Value {
    let faults = Faults::default();
    let world = World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await;
    let (tea, mut ana, _ben, mut cleo) = room_of_three(&world).await;
    ana.says(&tea, "before").await;
    cleo.hears("message").await;
    let hold = HoldAtRequest { route: action.to_owned(), request: 1, before: false };
    faults.follow(Plan { hold_at_request: Some(hold), ..Plan::default() });

    cleo.send(frame(&tea)).await;
    assert!(matches!(faults.requests().held().await, Outcome::Struck(_)));
    assert_eq!(ana.ask(about("removeMember", &tea, "cleo")).await["type"], "ack");
    ana.says(&tea, "after").await;
    // Longer than a membership that was read is relied on.
    tokio::time::sleep(Duration::from_millis(300)).await;
    faults.requests().release();
    loop {
        let heard = cleo.hears_anything().await;
        if !["left", "message", "presence"].contains(&heard["type"].as_str().unwrap())
            || heard.get("requestId").is_some()
        {
            let log = ana.ask(json!({ "action": "getMessages", "roomId": tea })).await["items"].clone();
            return json!({ "heard": heard, "room": tea, "log": log });
        }
    }
}

#[tokio::test]
async fn a_message_whose_sender_is_removed_before_it_is_written_is_refused() {
    let send = |tea: &str| json!({ "action": "sendMessage", "roomId": tea, "content": "late", "requestId": "r" });

    let outcome = is_removed_while_it_is_read("sendMessage", send).await;

    assert_eq!(outcome["heard"]["code"], "NOT_A_MEMBER");
    let log: Vec<_> = outcome["log"].as_array().unwrap().iter().map(|item| item["content"].clone()).collect();
    assert_eq!(log, ["before", "after"]);
}

#[tokio::test]
async fn a_member_who_is_removed_before_the_messages_are_read_does_not_read_them() {
    let page = |tea: &str| json!({ "action": "getMessages", "roomId": tea, "requestId": "r" });
    let resume = |tea: &str| json!({ "action": "resume", "rooms": { tea: 0 }, "requestId": "r" });
    let list = |_: &str| json!({ "action": "listRooms", "requestId": "r" });

    let page = is_removed_while_it_is_read("getMessages", page).await;
    let resumed = is_removed_while_it_is_read("resume", resume).await;
    let listed = is_removed_while_it_is_read("listRooms", list).await;

    assert_eq!(page["heard"]["code"], "NOT_A_MEMBER");
    let room = resumed["room"].as_str().unwrap();
    assert_eq!(resumed["heard"]["rooms"][room]["error"]["code"], "NOT_A_MEMBER");
    assert_eq!(listed["heard"]["items"], json!([]));
}

#[tokio::test]
async fn a_repeated_removal_tells_the_room_again_since_the_first_may_have_told_nobody() {
    let world = World::start().await;
    let (tea, mut ana, ben, mut cleo) = room_of_three(&world).await;
    ben.closes().await;
    world.has_called("$disconnect", 1).await;
    ana.ask(about("removeMember", &tea, "ben")).await;
    assert_eq!(cleo.hears("left").await["userId"], "ben");

    assert_eq!(ana.ask(about("removeMember", &tea, "ben")).await["type"], "ack");

    assert_eq!(cleo.hears("left").await["userId"], "ben");
}

#[tokio::test]
async fn who_joins_again_is_heard_although_an_earlier_membership_ended() {
    let world = World::start().await;
    let (tea, mut ana, mut ben, mut cleo) = room_of_three(&world).await;
    subscription_outlives(&world, &tea, "ben", ana.ask(about("removeMember", &tea, "ben"))).await;

    let room = ben.ask(json!({ "action": "joinRoom", "roomId": tea })).await;

    assert_eq!(room["participantCount"], 3);
    ben.says(&tea, "back").await;
    assert_eq!(cleo.hears("message").await["content"], "back");
    ana.says(&tea, "welcome").await;
    assert_eq!(ben.hears("message").await["content"], "welcome");
}

#[tokio::test]
async fn a_later_removal_deletes_the_subscriptions_that_an_earlier_one_left() {
    let world = World::start().await;
    let (tea, mut ana, mut _ben, mut cleo) = room_of_three(&world).await;
    subscription_outlives(&world, &tea, "ben", ana.ask(about("removeMember", &tea, "ben"))).await;
    world.time_passes(61);

    assert_eq!(cleo.ask(json!({ "action": "leaveRoom", "roomId": tea })).await["type"], "ack");

    let left: Vec<_> = world.subscribers(&format!("room#{tea}")).await.into_iter().map(|(_, user)| user).collect();
    assert_eq!(left, ["ana"]);
    let rows = world.rows("Subscriptions").await;
    let gone = rows.iter().find(|row| row["connectionId"] == AttributeValue::S("!gone".to_owned())).unwrap();
    assert!(gone.contains_key("u#cleo") && !gone.contains_key("u#ben"), "{gone:?}");
}

#[tokio::test]
async fn a_banned_user_cannot_rejoin_until_unbanned() {
    let world = World::start().await;
    let (tea, mut ana, mut ben, mut cleo) = room_of_three(&world).await;

    assert_eq!(ana.ask(about("banMember", &tea, "ben")).await["type"], "ack");
    let told = json!({ "type": "left", "roomId": tea, "userId": "ben", "reason": "banned" });
    assert_eq!(ben.hears("left").await, told);
    assert_eq!(cleo.hears("left").await, told);
    // Strangers can be banned too, and nobody twice.
    assert_eq!(ana.ask(about("banMember", &tea, "eve")).await["type"], "ack");
    assert_eq!(ana.ask(about("banMember", &tea, "eve")).await["type"], "ack");

    let banned = (403, "BANNED".to_owned());
    assert_eq!(ben.is_refused(json!({ "action": "joinRoom", "roomId": tea })).await, banned);
    assert_eq!(world.open(&format!("?userId=eve&roomId={tea}")).await.err(), Some(403));
    let join = world.post("/rooms/join", json!({ "roomId": tea, "userId": "ben" })).await;
    assert_eq!(join.refusal(), (403, "BANNED", ""));
    let refused = ben.is_refused(json!({ "action": "getMessages", "roomId": tea })).await;
    assert_eq!(refused, (403, "NOT_A_MEMBER".to_owned()));
    // A ban is not lifted by leaving.
    assert_eq!(ben.ask(json!({ "action": "leaveRoom", "roomId": tea })).await["type"], "ack");
    assert_eq!(ben.is_refused(json!({ "action": "joinRoom", "roomId": tea })).await, banned);
    assert_eq!(ben.ask(json!({ "action": "listRooms" })).await["items"], json!([]));
    let mut again = world.connect("ben").await;
    ana.says(&tea, "quiet now").await;
    again.hears_nothing().await;
    let info = ana.ask(json!({ "action": "roomInfo", "roomId": tea })).await;
    assert_eq!((&info["participantCount"], info["participants"].as_array().unwrap().len()), (&json!(2), 2));

    assert_eq!(ana.ask(about("unbanMember", &tea, "ben")).await["type"], "ack");
    assert_eq!(ben.ask(json!({ "action": "joinRoom", "roomId": tea })).await["participantCount"], 3);
}

#[tokio::test]
async fn an_owner_sets_roles_and_the_room_is_told() {
    let world = World::start().await;
    let (tea, mut ana, mut ben, mut cleo) = room_of_three(&world).await;

    let ack = ana.ask(json!({ "action": "setRole", "roomId": tea, "userId": "ben", "role": "admin" })).await;

    assert_eq!(ack, json!({ "type": "ack", "action": "setRole", "roomId": tea }));
    for user in [&mut ben, &mut cleo] {
        let room = user.hears("room").await;
        let roles: Vec<_> =
            room["participants"].as_array().unwrap().iter().map(|one| json!([one["userId"], one["role"]])).collect();
        assert_eq!(json!(roles), json!([["ana", "owner"], ["ben", "admin"], ["cleo", "member"]]));
    }
    assert_eq!(ben.ask(about("removeMember", &tea, "cleo")).await["type"], "ack");
}

#[tokio::test]
async fn moderators_cannot_act_on_equal_or_higher_ranks() {
    let world = World::start().await;
    let (tea, mut ana, mut ben, mut cleo) = room_of_three(&world).await;
    let forbidden = (403, "FORBIDDEN".to_owned());
    let role = |user: &str, role: &str| json!({ "action": "setRole", "roomId": tea, "userId": user, "role": role });

    for action in ["removeMember", "banMember", "unbanMember"] {
        assert_eq!(cleo.is_refused(about(action, &tea, "ben")).await, forbidden, "{action}");
        assert_eq!(ana.is_refused(about(action, "nowhere", "ben")).await, (404, "ROOM_NOT_FOUND".to_owned()));
        assert_eq!(ana.is_refused(about(action, "lobby", "ben")).await, forbidden, "{action}");
    }
    assert_eq!(cleo.is_refused(role("ben", "admin")).await, forbidden);
    assert_eq!(ana.is_refused(role("eve", "admin")).await, (404, "USER_NOT_FOUND".to_owned()));
    assert_eq!(ana.is_refused(unchecked(role("ben", "king"))).await, (400, "INVALID_FIELD".to_owned()));
    assert_eq!(ana.is_refused(role("ana", "member")).await, forbidden);
    ana.ask(role("ben", "admin")).await;
    ana.ask(role("cleo", "admin")).await;
    for target in ["ana", "cleo", "ben"] {
        assert_eq!(ben.is_refused(about("removeMember", &tea, target)).await, forbidden, "{target}");
        assert_eq!(ben.is_refused(about("banMember", &tea, target)).await, forbidden, "{target}");
        assert_eq!(ben.is_refused(role(target, "member")).await, forbidden, "{target}");
    }
    // Another owner does not unseat the creator.
    ana.ask(role("ben", "owner")).await;
    assert_eq!(ben.is_refused(role("ana", "member")).await, forbidden);
    assert_eq!(ben.is_refused(about("banMember", &tea, "ana")).await, forbidden);
    assert_eq!(ben.ask(role("cleo", "member")).await["type"], "ack");
}

/// Connects a user whose token has these roles.
async fn connect_with_roles(world: &World, user: &str, roles: Value) -> User {
    let token = token(&json!({ "sub": user, "iat": 1_700_000_000, "exp": 4_000_000_000_u64, "roles": roles }));
    world.open(&format!("?token={token}")).await.unwrap()
}

#[tokio::test]
async fn an_admin_by_token_moderates_every_room() {
    let world = World::with_tokens_and(&[("ADD_MEMBERS", "direct")]).await;
    let mut ana = connect_with_roles(&world, "ana", json!([])).await;
    let mut root = connect_with_roles(&world, "root", json!(["admin"])).await;
    let tea = ana.creates_room(&["ben"]).await;

    assert_eq!(root.ask(about("removeMember", &tea, "ben")).await["type"], "ack");
    assert_eq!(root.ask(json!({ "action": "closeRoom", "roomId": tea })).await["type"], "ack");
    assert_eq!(ana.hears("room-closed").await["userId"], "root");
}

/// All rows of a user's own partition of `Members`.
async fn own_rows(world: &World, user: &str) -> Vec<HashMap<String, AttributeValue>> {
    let is_own = |row: &HashMap<_, _>| row["userId"] == AttributeValue::S(user.to_owned());
    world.rows("Members").await.into_iter().filter(is_own).collect()
}

#[tokio::test]
async fn bans_of_strangers_leave_nothing_in_the_partition_of_the_banned() {
    let world = World::start().await;
    let (tea, mut ana, _ben, _cleo) = room_of_three(&world).await;

    assert_eq!(ana.ask(about("banMember", &tea, "eve")).await["type"], "ack");
    // Added, and banned before they did anything.
    assert_eq!(ana.ask(about("banMember", &tea, "cleo")).await["type"], "ack");

    assert!(own_rows(&world, "eve").await.is_empty());
    assert!(own_rows(&world, "cleo").await.is_empty());
    assert_eq!(world.open(&format!("?userId=eve&roomId={tea}")).await.err(), Some(403));
    assert_eq!(world.open(&format!("?userId=cleo&roomId={tea}")).await.err(), Some(403));
}

#[tokio::test]
async fn a_banned_creator_is_no_longer_in_charge() {
    let world = World::with_tokens_and(&[("ADD_MEMBERS", "direct")]).await;
    let mut ana = connect_with_roles(&world, "ana", json!([])).await;
    let mut root = connect_with_roles(&world, "root", json!(["admin"])).await;
    let tea = ana.creates_room(&["ben"]).await;

    assert_eq!(root.ask(about("banMember", &tea, "ana")).await["type"], "ack");

    assert_eq!(ana.is_refused(about("removeMember", &tea, "ben")).await, (403, "FORBIDDEN".to_owned()));
    assert_eq!(ana.is_refused(json!({ "action": "joinRoom", "roomId": tea })).await, (403, "BANNED".to_owned()));
    assert_eq!(root.ask(about("unbanMember", &tea, "ana")).await["type"], "ack");
    assert_eq!(ana.ask(about("removeMember", &tea, "ben")).await["type"], "ack");
}

#[tokio::test]
async fn a_ban_of_an_earlier_version_counts_and_is_moved() {
    let world = World::start().await;
    let (tea, mut ana, mut ben, _cleo) = room_of_three(&world).await;
    for action in ["leaveRoom", "joinRoom", "leaveRoom"] {
        ben.ask(json!({ "action": action, "roomId": tea })).await;
    }
    let mut row = own_rows(&world, "ben").await.pop().unwrap();
    row.insert("status".to_owned(), AttributeValue::S("banned".to_owned()));
    row.remove("ttl");
    world.dynamodb().put_item().table_name("Members").set_item(Some(row)).send().await.unwrap();

    for _ in 0..2 {
        assert_eq!(ben.is_refused(json!({ "action": "joinRoom", "roomId": tea })).await, (403, "BANNED".to_owned()));
        let row = own_rows(&world, "ben").await.pop().unwrap();
        assert_eq!(row["status"], AttributeValue::S("left".to_owned()));
    }

    assert_eq!(ana.ask(about("unbanMember", &tea, "ben")).await["type"], "ack");
    assert_eq!(ben.ask(json!({ "action": "joinRoom", "roomId": tea })).await["participantCount"], 3);
}

fn says(room: &str, content: &str) -> Value {
    json!({ "action": "sendMessage", "roomId": room, "content": content })
}

fn muted() -> (u64, String) {
    (403, "MUTED".to_owned())
}

#[tokio::test]
async fn a_muted_member_reads_and_cannot_send_on_any_device() {
    let world = World::start().await;
    let (tea, mut ana, mut ben, mut cleo) = room_of_three(&world).await;
    let kept = json!({ "action": "sendMessage", "roomId": tea, "content": "kept", "clientMessageId": "m1" });
    let first = ben.ask(kept.clone()).await;
    ana.hears("message").await;
    cleo.hears("message").await;

    assert_eq!(ana.ask(about("muteMember", &tea, "ben")).await["type"], "ack");

    let mut tablet = world.connect("ben").await;
    for device in [&mut ben, &mut tablet] {
        assert_eq!(device.is_refused(says(&tea, "let me")).await, muted());
        let outbox = json!({
            "action": "sendMessages", "roomId": tea, "messages": [{ "content": "x", "clientMessageId": "m2" }]
        });
        assert_eq!(device.is_refused(outbox).await, muted());
        let file = json!({
            "action": "handleFileUpload", "roomId": tea, "fileName": "a.txt", "contentType": "text/plain", "size": 1
        });
        assert_eq!(device.is_refused(file).await, muted());
        device.send(json!({ "action": "typing", "roomId": tea })).await;
        let repeat = device.ask(kept.clone()).await;
        assert_eq!((&repeat["seq"], &repeat["duplicate"]), (&first["seq"], &json!(true)), "{repeat}");
    }
    world.has_called("typingIndicator", 2).await;
    cleo.says(&tea, "we hear you not").await;
    while ben.hears("message").await["content"] != "we hear you not" {}
    // A repeat is delivered again; typing is not.
    for _ in 0..2 {
        assert_eq!(cleo.hears_anything().await["content"], "kept");
    }
    cleo.hears_nothing().await;
    // Leaving does not help.
    assert_eq!(ben.ask(json!({ "action": "leaveRoom", "roomId": tea })).await["type"], "ack");
    ben.ask(json!({ "action": "joinRoom", "roomId": tea })).await;
    assert_eq!(ben.is_refused(says(&tea, "back")).await, muted());

    assert_eq!(ana.ask(about("unmuteMember", &tea, "ben")).await["type"], "ack");

    ben.says(&tea, "thank you").await;
    tablet.says(&tea, "from here too").await;
}

#[tokio::test]
async fn a_mute_can_have_an_end() {
    let world = World::start().await;
    let (tea, mut ana, mut ben, _cleo) = room_of_three(&world).await;
    let until = |seconds: i64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let end = switchboard::domain::Timestamp::from_secs(i64::try_from(now.as_secs()).unwrap() + seconds);
        json!({ "action": "muteMember", "roomId": tea, "userId": "ben", "until": end.to_iso() })
    };

    ana.ask(until(600)).await;
    assert_eq!(ben.is_refused(says(&tea, "?")).await, muted());
    world.time_passes(601);
    ben.says(&tea, "over").await;
    ana.ask(until(3_600)).await;
    assert_eq!(ben.is_refused(says(&tea, "?")).await, muted());
    ana.ask(until(0)).await;
    ben.says(&tea, "over again").await;
}

#[tokio::test]
async fn members_of_the_same_role_or_above_cannot_be_muted() {
    let world = World::start().await;
    let (tea, mut ana, mut ben, _cleo) = room_of_three(&world).await;
    assert_eq!(ben.is_refused(about("muteMember", &tea, "cleo")).await, (403, "FORBIDDEN".to_owned()));
    ana.ask(json!({ "action": "setRole", "roomId": tea, "userId": "ben", "role": "admin" })).await;
    assert_eq!(ben.is_refused(about("muteMember", &tea, "ana")).await, (403, "FORBIDDEN".to_owned()));
    assert_eq!(ben.is_refused(about("muteMember", &tea, "eve")).await, (404, "USER_NOT_FOUND".to_owned()));
    assert_eq!(ben.ask(about("muteMember", &tea, "cleo")).await["type"], "ack");
}

#[tokio::test]
async fn a_file_of_a_member_who_was_muted_meanwhile_is_deleted() {
    let world = World::start().await;
    let (tea, mut ana, mut ben, _cleo) = room_of_three(&world).await;
    let announced = ben
        .ask(json!({
            "action": "handleFileUpload", "roomId": tea, "fileName": "a.txt", "contentType": "text/plain", "size": 4
        }))
        .await;
    ana.ask(about("muteMember", &tea, "ben")).await;

    let headers = announced["headers"].as_object().unwrap();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect();
    crate::harness::request("PUT", announced["uploadUrl"].as_str().unwrap(), &headers, b"text").await;
    world.has_called("ObjectCreated", 1).await;

    ana.hears_nothing().await;
    assert_eq!(world.rows("Files").await[0]["status"].as_s().unwrap(), "unwanted");
}

#[tokio::test]
async fn a_reported_message_is_kept_as_it_is() {
    let world = World::start().await;
    let (tea, mut ana, mut ben, _cleo) = room_of_three(&world).await;
    ana.says(&tea, "something bad").await;
    let report = |seq: u64| json!({ "action": "reportMessage", "roomId": tea, "seq": seq, "reason": "it is bad" });

    assert_eq!(ben.ask(report(1)).await, json!({ "type": "ack", "action": "reportMessage", "roomId": tea }));

    let rows = world.rows("Reports").await;
    let text = |name: &str| rows[0][name].as_s().unwrap().as_str();
    assert_eq!((text("roomId"), text("by"), text("reason")), (tea.as_str(), "ben", "it is bad"));
    assert_eq!(text("report"), "0000000000000001#ben");
    let message = rows[0]["message"].as_m().unwrap();
    assert_eq!(
        (message["text"].as_s().unwrap().as_str(), message["userId"].as_s().unwrap().as_str()),
        ("something bad", "ana")
    );
    assert!(rows[0].contains_key("ttl"));
    assert_eq!(ben.is_refused(report(9)).await, (404, "MESSAGE_NOT_FOUND".to_owned()));
    let mut eve = world.connect("eve").await;
    assert_eq!(eve.is_refused(report(1)).await, (403, "NOT_A_MEMBER".to_owned()));
    let reasonless = json!({ "action": "reportMessage", "roomId": tea, "seq": 1, "reason": " " });
    assert_eq!(ben.is_refused(unchecked(reasonless)).await, (400, "INVALID_FIELD".to_owned()));
}

#[tokio::test]
async fn every_act_of_a_moderator_is_recorded_with_who_whom_and_from_where() {
    let world = World::start().await;
    let (tea, mut ana, _ben, _cleo) = room_of_three(&world).await;
    let acts = [
        about("muteMember", &tea, "ben"),
        about("unmuteMember", &tea, "ben"),
        json!({ "action": "setRole", "roomId": tea, "userId": "ben", "role": "admin" }),
        about("removeMember", &tea, "ben"),
        about("banMember", &tea, "cleo"),
        about("unbanMember", &tea, "cleo"),
        json!({ "action": "revokeInvite", "roomId": tea, "invite": "a-code" }),
        json!({ "action": "closeRoom", "roomId": tea }),
    ];

    for act in &acts {
        assert_eq!(ana.ask(act.clone()).await["type"], "ack", "{act}");
    }

    let rows: HashMap<_, _> =
        world.rows("Audit").await.into_iter().map(|row| (row["action"].as_s().unwrap().clone(), row)).collect();
    assert_eq!(rows.len(), acts.len());
    for act in &acts {
        let row = &rows[act["action"].as_str().unwrap()];
        let text = |name: &str| row.get(name).map(|value| value.as_s().unwrap().as_str());
        assert_eq!(
            (text("by"), text("roomId"), text("sourceIp")),
            (Some("ana"), Some(tea.as_str()), Some("127.0.0.1"))
        );
        assert_eq!(text("userId"), act["userId"].as_str());
        assert!(text("at").is_some_and(|at| at.starts_with(text("day").unwrap())), "{row:?}");
        assert!(row.contains_key("ttl"));
    }
    assert_eq!(rows["setRole"]["detail"].as_s().unwrap(), "admin");
    assert_eq!(rows["revokeInvite"]["detail"].as_s().unwrap(), "a-code");
    let refused = world.connect("ben").await.is_refused(about("banMember", &tea, "ana")).await;
    assert_eq!(refused, (403, "FORBIDDEN".to_owned()));
    assert_eq!(world.rows("Audit").await.len(), acts.len());
}

#[tokio::test]
async fn a_mute_ends_with_its_room_and_does_not_count_in_a_later_one_of_the_same_id() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    ana.ask(about("muteMember", "tea", "ben")).await;
    ben.ask(json!({ "action": "leaveRoom", "roomId": "tea" })).await;
    ben.ask(json!({ "action": "joinRoom", "roomId": "tea" })).await;
    let said = json!({ "action": "sendMessage", "roomId": "tea", "content": "hi" });
    assert_eq!(ben.is_refused(said).await, (403, "MUTED".to_owned()));
    ben.ask(json!({ "action": "leaveRoom", "roomId": "tea" })).await;
    ana.ask(json!({ "action": "closeRoom", "roomId": "tea" })).await;
    world.time_passes(31 * 86_400);

    let _eve = world.connect_to("eve", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;

    assert_eq!(ben.says("tea", "hi").await["content"], "hi");
}
