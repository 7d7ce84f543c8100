//! Private rooms, and the invites into them.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{World, unchecked};

async fn private_room(world: &World) -> String {
    let room = json!({ "userId": "ana", "latitude": 1, "longitude": 1, "roomType": "private" });
    world.post("/rooms", room).await.body["id"].as_str().unwrap().to_owned()
}

async fn invite(world: &World, room: &str, body: Value) -> String {
    let made = world.post(&format!("/rooms/{room}/invites"), body).await;
    assert_eq!(made.status, 201, "{}", made.body);
    made.body["invite"].as_str().unwrap().to_owned()
}

async fn join(world: &World, room: &str, user: &str, invite: Option<&str>) -> (u64, String) {
    let answer = world.post("/rooms/join", json!({ "roomId": room, "userId": user, "invite": invite })).await;
    (answer.status.into(), answer.body["code"].as_str().unwrap_or("OK").to_owned())
}

#[tokio::test]
async fn a_private_room_requires_an_invite_over_http_and_websocket() {
    let world = World::start().await;
    let den = private_room(&world).await;
    let mut ben = world.connect("ben").await;
    let required = (403, "INVITE_REQUIRED".to_owned());
    assert_eq!(ben.is_refused(json!({ "action": "joinRoom", "roomId": den })).await, required);
    assert_eq!(join(&world, &den, "cleo", None).await, required);
    assert_eq!(join(&world, &den, "cleo", Some("guessed")).await, required);
    assert_eq!(world.open(&format!("?userId=ben&roomId={den}")).await.err(), Some(403));

    let made = world.post(&format!("/rooms/{den}/invites"), json!({ "userId": "ana", "maxUses": 2 })).await;
    assert_eq!((made.status, &made.body["maxUses"], &made.body["roomId"]), (201, &json!(2), &json!(den)));
    assert!(made.body["expiresAt"].as_str().unwrap().ends_with('Z'));
    let ticket = made.body["invite"].as_str().unwrap();

    let room = ben.ask(json!({ "action": "joinRoom", "roomId": den, "invite": ticket })).await;
    assert_eq!((&room["type"], &room["participantCount"]), (&json!("room"), &json!(2)));
    // Coming again burns nothing.
    assert_eq!(join(&world, &den, "ben", Some(ticket)).await.0, 200);
    assert_eq!(join(&world, &den, "cleo", Some(ticket)).await.0, 200);
    assert_eq!(join(&world, &den, "dan", Some(ticket)).await, required);
    assert_eq!(join(&world, &den, "cleo", None).await.0, 200);
}

#[tokio::test]
async fn an_invite_expires_and_can_be_revoked() {
    let world = World::start().await;
    let den = private_room(&world).await;
    let required = (403, "INVITE_REQUIRED".to_owned());

    let short = invite(&world, &den, json!({ "userId": "ana", "expiresInSeconds": 60, "maxUses": 9 })).await;
    let long = invite(&world, &den, json!({ "userId": "ana", "maxUses": 9 })).await;
    let elsewhere = private_room(&world).await;
    assert_eq!(join(&world, &elsewhere, "ben", Some(&long)).await, required);
    world.time_passes(61);
    assert_eq!(join(&world, &den, "ben", Some(&short)).await, required);
    assert_eq!(join(&world, &den, "ben", Some(&long)).await.0, 200);

    let path = format!("/rooms/{den}/invites/{long}");
    assert_eq!(world.delete(&format!("{path}?userId=ben")).await.refusal(), (403, "FORBIDDEN", ""));
    assert_eq!(world.delete(&format!("{path}?userId=ana")).await.status, 200);
    assert_eq!(world.delete(&format!("{path}?userId=ana")).await.status, 200);
    assert_eq!(join(&world, &den, "cleo", Some(&long)).await, required);
}

#[tokio::test]
async fn the_creator_of_a_private_room_can_rejoin() {
    let world = World::start().await;
    let den = private_room(&world).await;
    world.post("/rooms/leave", json!({ "roomId": den, "userId": "ana" })).await;

    assert_eq!(join(&world, &den, "ana", None).await.0, 200);
    let room = world.get(&format!("/rooms/{den}?userId=ana")).await.body;
    assert_eq!(room["members"][0]["role"], "owner");
}

#[tokio::test]
async fn a_single_use_invite_admits_one_of_many_concurrent_joins() {
    let world = World::start().await;
    let den = private_room(&world).await;
    let ticket = invite(&world, &den, json!({ "userId": "ana" })).await;

    let users: Vec<_> = (0..12).map(|number| format!("user-{number}")).collect();
    let outcomes = join_all(users.iter().map(|user| join(&world, &den, user, Some(&ticket)))).await;

    assert_eq!(outcomes.iter().filter(|(status, _)| *status == 200).count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|(_, code)| code == "INVITE_REQUIRED").count(), 11, "{outcomes:?}");
    assert_eq!(world.member_count(&den).await, 2);
}

#[tokio::test]
async fn a_full_room_uses_no_invite() {
    let world = World::start().await;
    let room = json!({ "userId": "ana", "latitude": 1, "longitude": 1, "roomType": "private", "maxParticipants": 2 });
    let den = world.post("/rooms", room).await.body["id"].as_str().unwrap().to_owned();
    let ticket = invite(&world, &den, json!({ "userId": "ana", "maxUses": 2 })).await;
    assert_eq!(join(&world, &den, "cleo", Some(&ticket)).await.0, 200);

    assert_eq!(join(&world, &den, "ben", Some(&ticket)).await, (409, "ROOM_FULL".to_owned()));
    world.post("/rooms/leave", json!({ "roomId": den, "userId": "cleo" })).await;
    assert_eq!(join(&world, &den, "ben", Some(&ticket)).await.0, 200);
}

#[tokio::test]
async fn only_moderators_create_invites() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let den = private_room(&world).await;
    let ticket = invite(&world, &den, json!({ "userId": "ana", "maxUses": 2 })).await;
    join(&world, &den, "ben", Some(&ticket)).await;
    let path = format!("/rooms/{den}/invites");

    assert_eq!(world.post(&path, json!({ "userId": "ben" })).await.refusal(), (403, "FORBIDDEN", ""));
    assert_eq!(world.post(&path, json!({ "userId": "eve" })).await.refusal(), (403, "FORBIDDEN", ""));
    ana.ask(json!({ "action": "setRole", "roomId": den, "userId": "ben", "role": "admin" })).await;
    assert_eq!(world.post(&path, json!({ "userId": "ben" })).await.status, 201);
    let nowhere = world.post("/rooms/nowhere/invites", json!({ "userId": "ana" })).await;
    assert_eq!(nowhere.refusal(), (404, "ROOM_NOT_FOUND", ""));
    for (body, field) in [
        (json!({ "userId": "ana", "maxUses": 0 }), "maxUses"),
        (json!({ "userId": "ana", "maxUses": "two" }), "maxUses"),
        (json!({ "userId": "ana", "expiresInSeconds": -1 }), "expiresInSeconds"),
        (json!({ "maxUses": 1 }), "userId"),
    ] {
        assert_eq!(world.post(&path, unchecked(body)).await.refusal(), (400, "INVALID_FIELD", field));
    }
    world.post("/rooms/close", json!({ "roomId": den, "userId": "ana" })).await;
    assert_eq!(world.post(&path, json!({ "userId": "ana" })).await.refusal(), (410, "ROOM_CLOSED", ""));
}

#[tokio::test]
async fn an_invite_ends_with_the_membership_of_who_made_it() {
    let world = World::start().await;
    let den = private_room(&world).await;
    let first = invite(&world, &den, json!({ "userId": "ana", "maxUses": 9 })).await;
    assert_eq!(join(&world, &den, "ben", Some(&first)).await.0, 200);
    let mut ana = world.connect("ana").await;
    ana.ask(json!({ "action": "setRole", "roomId": den, "userId": "ben", "role": "admin" })).await;
    let bens = invite(&world, &den, json!({ "userId": "ben", "maxUses": 9 })).await;
    assert_eq!(join(&world, &den, "cleo", Some(&bens)).await.0, 200);

    assert_eq!(ana.ask(json!({ "action": "removeMember", "roomId": den, "userId": "ben" })).await["type"], "ack");

    let required = (403, "INVITE_REQUIRED".to_owned());
    assert_eq!(join(&world, &den, "ben", Some(&bens)).await, required);
    assert_eq!(join(&world, &den, "dan", Some(&bens)).await, required);
    // Nor does it come back with who made it.
    assert_eq!(join(&world, &den, "ben", Some(&first)).await.0, 200);
    assert_eq!(join(&world, &den, "dan", Some(&bens)).await, required);
    assert_eq!(join(&world, &den, "dan", Some(&first)).await.0, 200);
}

#[tokio::test]
async fn moderators_list_the_invites_that_can_be_used_and_revoke_them() {
    let world = World::start().await;
    let den = private_room(&world).await;
    let codes = [
        invite(&world, &den, json!({ "userId": "ana", "maxUses": 2 })).await,
        invite(&world, &den, json!({ "userId": "ana" })).await,
    ];
    invite(&world, &den, json!({ "userId": "ana", "expiresInSeconds": 1 })).await;
    world.time_passes(2);
    assert_eq!(join(&world, &den, "ben", Some(&codes[0])).await.0, 200);
    let mut ana = world.connect("ana").await;
    let listed = |answer: &Value| -> Vec<(String, u64)> {
        let items = answer["items"].as_array().unwrap_or_else(|| panic!("{answer}")).iter();
        let mut items: Vec<_> = items
            .map(|item| (item["invite"].as_str().unwrap().to_owned(), item["usesLeft"].as_u64().unwrap()))
            .collect();
        items.sort();
        items
    };
    let mut expected = vec![(codes[0].clone(), 1), (codes[1].clone(), 1)];
    expected.sort();

    let answer = ana.ask(json!({ "action": "listInvites", "roomId": den })).await;

    assert_eq!((&answer["type"], listed(&answer)), (&json!("invites"), expected.clone()));
    assert_eq!(answer["items"][0]["createdBy"], "ana");
    let over_http = world.get(&format!("/rooms/{den}/invites?userId=ana")).await;
    assert_eq!((over_http.status, listed(&over_http.body)), (200, expected));
    assert_eq!(world.get(&format!("/rooms/{den}/invites?userId=ben")).await.status, 403);
    let mut ben = world.connect("ben").await;
    let revoke = json!({ "action": "revokeInvite", "roomId": den, "invite": codes[0] });
    assert_eq!(ben.is_refused(revoke.clone()).await, (403, "FORBIDDEN".to_owned()));
    assert_eq!(ana.ask(revoke).await, json!({ "type": "ack", "action": "revokeInvite", "roomId": den }));
    assert_eq!(join(&world, &den, "dan", Some(&codes[0])).await, (403, "INVITE_REQUIRED".to_owned()));
    let rest = ana.ask(json!({ "action": "listInvites", "roomId": den })).await;
    assert_eq!(listed(&rest), [(codes[1].clone(), 1)]);
}
