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
            return json!({ "heard": heard, "room": tea, "log": ana.ask(json!({ "action": "getMessages", "roomId": tea })).await["items"] });
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

#[tokio::test]
async fn an_admin_by_token_moderates_every_room() {
    let world = World::with_tokens().await;
    let connect = async |user: &str, roles: Value| {
        let token = token(&json!({ "sub": user, "iat": 1_700_000_000, "exp": 4_000_000_000_u64, "roles": roles }));
        world.open(&format!("?token={token}")).await.unwrap()
    };
    let mut ana = connect("ana", json!([])).await;
    let mut root = connect("root", json!(["admin"])).await;
    let tea = ana.creates_room(&["ben"]).await;

    assert_eq!(root.ask(about("removeMember", &tea, "ben")).await["type"], "ack");
    assert_eq!(root.ask(json!({ "action": "closeRoom", "roomId": tea })).await["type"], "ack");
    assert_eq!(ana.hears("room-closed").await["userId"], "root");
}
