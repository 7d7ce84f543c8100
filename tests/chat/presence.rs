//! Who is there.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{User, World, time_of};

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
async fn presence_ends_by_itself_two_hours_and_ten_minutes_after_the_connection_opened() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&["ben"]).await;

    let ben = world.connect("ben").await;
    let online = ana.hears("presence").await;
    ben.closes().await;
    let offline = ana.hears("presence").await;

    let lasts_ms = time_of(&online["until"]).millis_since(time_of(&online["at"]));
    // In whole seconds.
    assert!((7_799_000..=7_800_000).contains(&lasts_ms), "{online}");
    assert_eq!((brief(&offline), offline.get("until")), (json!([tea, "ben", "offline"]), None));
    assert!(time_of(&offline["at"]) >= time_of(&online["at"]));
}

#[tokio::test]
async fn presence_is_renewed_when_a_later_connection_remains() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&["ben"]).await;
    let phone = world.connect("ben").await;
    let first = ana.hears("presence").await;
    world.time_passes(5_400);
    let laptop = world.connect("ben").await;
    ana.hears_nothing().await;

    phone.closes().await;

    // Otherwise ben would seem offline when the phone's connection would have ended.
    let renewed = ana.hears("presence").await;
    assert_eq!(brief(&renewed), json!([tea, "ben", "online"]));
    assert!(time_of(&renewed["until"]).millis_since(time_of(&first["until"])) >= 5_400_000);
    laptop.closes().await;
    assert_eq!(brief(&ana.hears("presence").await), json!([tea, "ben", "offline"]));
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
