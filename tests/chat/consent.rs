//! Invitations, requests of strangers, and blocks.

use serde_json::{Value, json};

use crate::harness::{User, World};

/// A world in which users are asked.
async fn asking() -> World {
    World::with(&[("ADD_MEMBERS", "invite")]).await
}

fn about(action: &str, room: &str) -> Value {
    json!({ "action": action, "roomId": room })
}

fn to(user: &str, content: &str) -> Value {
    json!({ "action": "sendMessage", "recipientId": user, "content": content })
}

async fn add(user: &mut User, room: &str, members: &[&str]) -> Value {
    let answer = user.ask(json!({ "action": "addMembers", "roomId": room, "members": members })).await;
    assert_eq!(answer["type"], "added", "{answer}");
    answer
}

async fn list(user: &mut User) -> Value {
    user.ask(json!({ "action": "listRooms" })).await
}

/// A private room of Ana's.
async fn den(ana: &mut User, members: &[&str]) -> String {
    let frame = json!({ "action": "createRoom", "roomName": "Den", "roomType": "private", "members": members });
    ana.ask(frame).await["roomId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_invited_user_is_no_member_until_they_join() {
    let world = asking().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;

    let den = den(&mut ana, &["ben", "cleo"]).await;

    let invited = ben.hears("invited").await;
    let expected = json!({ "type": "invited", "roomId": den, "roomName": "Den", "by": "ana", "at": invited["at"] });
    assert_eq!(invited, expected);
    let room = ana.ask(about("roomInfo", &den)).await;
    assert_eq!((&room["participantCount"], room["participants"].as_array().unwrap().len()), (&json!(1), 1));
    ana.says(&den, "anybody?").await;
    let not_a_member = (403, "NOT_A_MEMBER".to_owned());
    assert_eq!(ben.is_refused(about("getMessages", &den)).await, not_a_member);
    ben.hears_nothing().await;
    let listed = list(&mut ben).await;
    assert_eq!(listed["items"], json!([]));
    let waiting = json!([{ "roomId": den, "roomName": "Den", "by": "ana", "at": invited["at"] }]);
    assert_eq!(listed["invitations"], waiting);

    // Without a code.
    assert_eq!(ben.ask(about("joinRoom", &den)).await["participantCount"], 2);
    assert_eq!(ana.hears("joined").await["userId"], "ben");
    assert!(list(&mut ben).await.get("invitations").is_none());
    ben.ask(about("leaveRoom", &den)).await;
    assert_eq!(ben.is_refused(about("joinRoom", &den)).await, (403, "INVITE_REQUIRED".to_owned()));
    // Cleo was offline.
    let mut cleo = world.connect("cleo").await;
    assert_eq!(list(&mut cleo).await["invitations"][0]["roomId"], json!(den));
}

#[tokio::test]
async fn an_invitation_is_declined_withdrawn_or_ends_with_the_inviter() {
    let world = asking().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let den = den(&mut ana, &["ben"]).await;
    let required = (403, "INVITE_REQUIRED".to_owned());

    assert_eq!(ben.ask(about("declineInvite", &den)).await["type"], "ack");
    assert_eq!(ben.is_refused(about("joinRoom", &den)).await, required);
    assert_eq!(ben.ask(about("declineInvite", &den)).await["type"], "ack");

    assert_eq!(add(&mut ana, &den, &["ben"]).await["invited"], json!(["ben"]));
    let remove = json!({ "action": "removeMember", "roomId": den, "userId": "ben" });
    assert_eq!(ana.ask(remove.clone()).await["type"], "ack");
    assert_eq!(ben.is_refused(about("joinRoom", &den)).await, required);
    assert_eq!(ana.is_refused(remove).await, (404, "USER_NOT_FOUND".to_owned()));

    add(&mut ana, &den, &["ben"]).await;
    ana.ask(about("leaveRoom", &den)).await;
    assert_eq!(ben.is_refused(about("joinRoom", &den)).await, required);
    // Coming back does not bring it back.
    ana.ask(about("joinRoom", &den)).await;
    assert_eq!(ben.is_refused(about("joinRoom", &den)).await, required);
    assert!(list(&mut ben).await.get("invitations").is_none());
    add(&mut ana, &den, &["ben"]).await;
    world.time_passes(31 * 86_400);
    let mut ben = world.connect("ben").await;
    assert_eq!(ben.is_refused(about("joinRoom", &den)).await, required);
}

#[tokio::test]
async fn an_invitation_is_told_once_and_limited_to_5_of_one_inviter() {
    let world = asking().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let first = ana.creates_room(&["ben"]).await;
    ben.hears("invited").await;
    add(&mut ana, &first, &["ben"]).await;
    ben.hears_nothing().await;
    for _ in 0..4 {
        ana.creates_room(&["ben"]).await;
        ben.hears("invited").await;
    }

    let sixth = ana.creates_room(&["ben"]).await;

    ben.hears_nothing().await;
    let answer = add(&mut ana, &sixth, &["ben", "cleo"]).await;
    assert_eq!(answer["refused"], json!([{ "userId": "ben", "code": "TOO_MANY_INVITATIONS" }]));
    assert_eq!(answer["invited"], json!(["cleo"]));
    // Others still can.
    let mut dora = world.connect("dora").await;
    dora.creates_room(&["ben"]).await;
    assert_eq!(ben.hears("invited").await["by"], "dora");
    ben.ask(about("joinRoom", &first)).await;
    assert_eq!(add(&mut ana, &sixth, &["ben"]).await["refused"][0]["code"], "TOO_MANY_INVITATIONS");
    ben.ask(about("declineInvite", &first)).await;
    assert_eq!(add(&mut ana, &sixth, &["ben"]).await["invited"], json!(["ben"]));
}

#[tokio::test]
async fn moderators_add_members_at_once_where_nobody_is_asked() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ana.creates_room(&[]).await;
    let mut cleo = world.connect("cleo").await.joined(&tea).await;
    ana.ask(json!({ "action": "banMember", "roomId": tea, "userId": "eve" })).await;

    let answer = add(&mut ana, &tea, &["ben", "cleo", "eve", "ana"]).await;

    let refused = json!([{ "userId": "eve", "code": "BANNED" }]);
    let expected =
        json!({ "type": "added", "roomId": tea, "added": ["ben", "cleo"], "invited": [], "refused": refused });
    assert_eq!(answer, expected);
    assert_eq!(ben.hears("joined").await["userId"], "ben");
    assert_eq!(cleo.hears("joined").await["userId"], "ben");
    ana.says(&tea, "welcome").await;
    assert_eq!(ben.hears("message").await["content"], "welcome");
    assert_eq!(ben.is_refused(json!({ "action": "addMembers", "roomId": tea, "members": ["dora"] })).await.0, 403);
    // A repeat changes nothing.
    assert_eq!(add(&mut ana, &tea, &["ben"]).await["added"], json!(["ben"]));
    assert_eq!(ana.ask(about("roomInfo", &tea)).await["participantCount"], 3);
}

#[tokio::test]
async fn rooms_to_which_others_add_a_user_take_none_of_the_users_own_places() {
    let world = World::start().await;
    let mut mallory = world.connect("mallory").await;
    let mut victim = world.connect("victim").await;
    for _ in 0..101 {
        mallory.creates_room(&["victim"]).await;
    }

    // The last one is an invitation only.
    let last = victim.hears("invited").await;
    assert_eq!(last["by"], "mallory");
    for _ in 0..200 {
        victim.creates_room(&[]).await;
    }
    assert_eq!(victim.is_refused(json!({ "action": "createRoom" })).await, (403, "FORBIDDEN".to_owned()));
}

#[tokio::test]
async fn a_first_message_of_a_stranger_is_a_request_until_it_is_answered() {
    let world = asking().await;
    let mut eve = world.open("?userId=eve&username=Eve&format=native").await.unwrap();
    let mut ana = world.connect("ana").await;

    let first = eve.ask(to("ana", "hello?")).await;

    let request = ana.hears("request").await;
    let room = first["roomId"].as_str().unwrap();
    let expected = json!({ "type": "request", "roomId": room, "by": "eve", "userName": "Eve", "at": request["at"] });
    assert_eq!(request, expected);
    eve.ask(to("ana", "still there?")).await;
    eve.send(json!({ "action": "typing", "recipientId": "ana" })).await;
    eve.ask(json!({ "action": "markRead", "roomId": room, "seq": 1 })).await;
    ana.hears_nothing().await;
    let listed = list(&mut ana).await;
    assert_eq!(listed["items"], json!([]));
    assert_eq!(listed["requests"][0]["by"], "eve");
    // She may read it, and nobody sees who is online.
    let history = ana.ask(about("getMessages", room)).await;
    assert_eq!(history["items"].as_array().unwrap().len(), 2);
    for user in [&mut ana, &mut eve] {
        let info = user.ask(about("roomInfo", room)).await;
        assert_eq!((&info["onlineCount"], &info["participants"][0]["online"]), (&json!(0), &json!(false)));
    }

    let answer = json!({ "action": "sendMessage", "roomId": room, "content": "who are you?" });
    assert_eq!(ana.ask(answer).await["seq"], 3);

    assert_eq!(eve.hears("message").await["content"], "who are you?");
    eve.ask(to("ana", "a friend")).await;
    assert_eq!(ana.hears("message").await["content"], "a friend");
    let listed = list(&mut ana).await;
    assert!(listed.get("requests").is_none());
    assert_eq!((&listed["items"][0]["roomId"], &listed["items"][0]["onlineCount"]), (&json!(room), &json!(2)));
    let info = eve.ask(about("roomInfo", room)).await;
    assert_eq!((&info["participantCount"], &info["onlineCount"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn members_of_a_common_room_write_to_each_other_without_a_request() {
    let world = asking().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    ana.hears("joined").await;

    ana.ask(to("ben", "psst")).await;

    assert_eq!(ben.hears("message").await["content"], "psst");
    assert_eq!(list(&mut ben).await["items"].as_array().unwrap().len(), 2);
    // The lobby is no common room.
    let mut cleo = world.connect("cleo").await;
    cleo.ask(to("ben", "hi")).await;
    assert_eq!(ben.hears("request").await["by"], "cleo");
}

#[tokio::test]
async fn a_request_that_is_dismissed_comes_back_with_the_next_message() {
    let world = asking().await;
    let mut eve = world.connect("eve").await;
    let mut ana = world.connect("ana").await;
    let room = eve.ask(to("ana", "hello?")).await["roomId"].as_str().unwrap().to_owned();
    ana.hears("request").await;

    assert_eq!(ana.ask(about("leaveRoom", &room)).await["type"], "ack");

    assert!(list(&mut ana).await.get("requests").is_none());
    eve.ask(to("ana", "hello??")).await;
    assert_eq!(ana.hears("request").await["roomId"], json!(room));
}

#[tokio::test]
async fn a_direct_conversation_is_hidden_until_the_next_message() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let room = ben.ask(to("ana", "one")).await["roomId"].as_str().unwrap().to_owned();
    ana.hears("message").await;

    assert_eq!(
        ana.ask(about("leaveRoom", &room)).await,
        json!({ "type": "ack", "action": "leaveRoom", "roomId": room })
    );

    assert_eq!(list(&mut ana).await["items"], json!([]));
    assert_eq!(list(&mut ben).await["items"].as_array().unwrap().len(), 1);
    ben.ask(to("ana", "two")).await;
    assert_eq!(ana.hears("message").await["content"], "two");
    assert_eq!(list(&mut ana).await["items"][0]["roomId"], json!(room));
}

#[tokio::test]
async fn a_block_refuses_direct_messages_both_ways_and_additions() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut eve = world.connect("eve").await;
    let room = eve.ask(to("ana", "hello")).await["roomId"].as_str().unwrap().to_owned();
    ana.hears("message").await;

    let ack = ana.ask(json!({ "action": "blockUser", "userId": "eve" })).await;

    assert_eq!(ack, json!({ "type": "ack", "action": "blockUser" }));
    let blocked = (403, "BLOCKED".to_owned());
    assert_eq!(eve.is_refused(to("ana", "hello?")).await, blocked);
    assert_eq!(ana.is_refused(to("eve", "no")).await, blocked);
    assert_eq!(eve.is_refused(json!({ "action": "typing", "roomId": room })).await, blocked);
    let file = json!({ "action": "handleFileUpload", "roomId": room, "fileName": "a.png", "contentType": "image/png",
        "size": 1 });
    assert_eq!(eve.is_refused(file).await, blocked);
    assert_eq!(eve.ask(about("roomInfo", &room)).await["onlineCount"], 0);
    let tea = eve.creates_room(&["ana"]).await;
    assert_eq!(eve.ask(about("roomInfo", &tea)).await["participantCount"], 1);
    assert_eq!(add(&mut eve, &tea, &["ana"]).await["refused"], json!([{ "userId": "ana", "code": "BLOCKED" }]));
    ana.hears_nothing().await;
    let listed = ana.ask(json!({ "action": "listBlocked" })).await;
    assert_eq!(listed, json!({ "type": "blocked", "items": ["eve"] }));
    assert_eq!(eve.ask(json!({ "action": "listBlocked" })).await["items"], json!([]));
    let refused = ana.is_refused(json!({ "action": "blockUser", "userId": "ana" })).await;
    assert_eq!(refused, (400, "INVALID_FIELD".to_owned()));

    assert_eq!(ana.ask(json!({ "action": "unblockUser", "userId": "eve" })).await["type"], "ack");
    assert_eq!(eve.ask(to("ana", "thanks")).await["type"], "message");
    assert_eq!(ana.hears("message").await["content"], "thanks");
}

#[tokio::test]
async fn who_is_blocked_does_not_see_who_is_online_and_the_others_do() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&["eve", "ben"]).await;
    let mut eve = world.connect("eve").await;
    let mut ben = world.connect("ben").await;
    ana.ask(json!({ "action": "blockUser", "userId": "eve" })).await;
    ana.goes().await;
    assert_eq!(ben.hears("presence").await["status"], "offline");

    let mut ana = world.connect("ana").await;

    assert_eq!(ben.hears("presence").await["status"], "online");
    ana.says(&tea, "hello").await;
    loop {
        let heard = eve.hears_anything().await;
        assert!(heard["type"] != "presence" || heard["userId"] != "ana", "{heard}");
        if heard["type"] == "message" {
            break;
        }
    }
    for action in ["roomInfo", "joinRoom"] {
        assert_eq!(online(&eve.ask(about(action, &tea)).await), ["ben", "eve"], "{action}");
    }
    assert_eq!(online(&ben.ask(about("roomInfo", &tea)).await), ["ana", "ben", "eve"]);
    assert_eq!(online(&ana.ask(about("roomInfo", &tea)).await), ["ana", "ben", "eve"]);
    assert_eq!(list(&mut eve).await["items"][0]["onlineCount"], 2);
    assert_eq!(list(&mut ben).await["items"][0]["onlineCount"], 3);

    ana.ask(json!({ "action": "unblockUser", "userId": "eve" })).await;
    assert_eq!(online(&eve.ask(about("roomInfo", &tea)).await), ["ana", "ben", "eve"]);
}

/// Who of a room's participants is online.
fn online(room: &Value) -> Vec<&str> {
    let participants = room["participants"].as_array().unwrap().iter();
    participants.filter(|one| one["online"] == true).map(|one| one["userId"].as_str().unwrap()).collect()
}
