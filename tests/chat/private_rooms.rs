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
    let room = json!({ "userId": "ana", "latitude": 1, "longitude": 1, "roomType": "private", "maxParticipants": 1 });
    let den = world.post("/rooms", room).await.body["id"].as_str().unwrap().to_owned();
    let ticket = invite(&world, &den, json!({ "userId": "ana" })).await;

    assert_eq!(join(&world, &den, "ben", Some(&ticket)).await, (409, "ROOM_FULL".to_owned()));
    world.post("/rooms/leave", json!({ "roomId": den, "userId": "ana" })).await;
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
