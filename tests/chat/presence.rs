//! Who is there.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{User, World};

async fn is_online(asked: &mut User, room: &str, user: &str) -> bool {
    let info = asked.ask(json!({ "action": "roomInfo", "roomId": room })).await;
    let participants = info["participants"].as_array().unwrap().clone();
    participants.iter().any(|other| other["userId"] == user && other["online"] == true)
}

fn brief(presence: &Value) -> Value {
    json!([presence["roomId"], presence["userId"], presence["status"]])
}

#[tokio::test]
async fn presence_is_announced_for_the_first_and_last_connection() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&["ben"]).await;
    assert!(!is_online(&mut ana, &tea, "ben").await);

    let first_tab = world.connect("ben").await;
    let presence = ana.hears("presence").await;
    assert_eq!(brief(&presence), json!([tea, "ben", "online"]));
    assert!(presence["at"].as_str().unwrap().ends_with('Z'));
    assert!(is_online(&mut ana, &tea, "ben").await);

    let second_tab = world.connect("ben").await;
    first_tab.closes().await;
    world.logs(|line| line["route"] == "$disconnect").await;
    ana.hears_nothing().await;
    assert!(is_online(&mut ana, &tea, "ben").await);

    second_tab.closes().await;
    assert_eq!(brief(&ana.hears("presence").await), json!([tea, "ben", "offline"]));
    assert!(!is_online(&mut ana, &tea, "ben").await);
}

#[tokio::test]
async fn concurrent_connections_always_announce_presence() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&["ben"]).await;
    for round in 1..=5 {
        let tabs = join_all((0..4).map(|_| world.connect("ben"))).await;
        assert_eq!(brief(&ana.hears("presence").await), json!([tea, "ben", "online"]));

        join_all(tabs.into_iter().map(User::closes)).await;
        world.has_called("$disconnect", 4 * round).await;
        // States may be repeated.
        while ana.hears("presence").await["status"] != "offline" {}
        assert!(!is_online(&mut ana, &tea, "ben").await);
        ana.clears_received();
    }
}

#[tokio::test]
async fn a_connection_for_one_room_is_present_there_only() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&["ben"]).await;
    let coffee = ana.creates_room(&["ben"]).await;

    let ben = world.connect_to("ben", &tea).await;

    assert_eq!(brief(&ana.hears("presence").await), json!([tea, "ben", "online"]));
    assert!(!is_online(&mut ana, &coffee, "ben").await);
    ben.closes().await;
    assert_eq!(brief(&ana.hears("presence").await), json!([tea, "ben", "offline"]));
    ana.hears_nothing().await;
}

#[tokio::test]
async fn presence_is_not_announced_above_100_connections() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let _others = world.crowd("tea", 100).await;
    ana.ask(json!({ "action": "ping" })).await;
    ana.clears_received();

    let late = world.connect_to("late", "tea").await;
    late.closes().await;
    world.logs(|line| line["route"] == "$disconnect").await;

    ana.hears_nothing().await;
    let info = ana.ask(json!({ "action": "roomInfo", "roomId": "tea" })).await;
    assert_eq!((&info["participantCount"], &info["onlineCount"]), (&json!(102), &json!(101)));
    assert_eq!(info["participants"].as_array().unwrap().len(), 100);
}
