//! Rooms that close by themselves, and what is cleaned up on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use switchboard::local::Options;
use switchboard::local::faults::{Faults, Plan};

use crate::harness::World;

const IDLE_SECONDS: u64 = 1_800;

#[tokio::test]
async fn idle_rooms_created_over_http_close_after_half_an_hour() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let idle = world.posts_room("ana", 1.0, 1.0).await;
    let talking = world.posts_room("ana", 1.0, 1.0).await;
    let lasting = ana.creates_room(&[]).await;
    ana.says(&idle, "hello?").await;

    world.time_passes(IDLE_SECONDS - 60);
    ana.says(&talking, "still here").await;
    world.runs_sweep().await;
    ana.hears_nothing().await;
    world.time_passes(120);
    world.runs_sweep().await;

    assert_eq!(ana.hears("room-closed").await, json!({ "type": "room-closed", "roomId": idle, "reason": "idle" }));
    ana.hears_nothing().await;
    let refused = ana.is_refused(json!({ "action": "sendMessage", "roomId": idle, "content": "?" })).await;
    assert_eq!(refused, (410, "ROOM_CLOSED".to_owned()));
    ana.says(&talking, "on and on").await;
    ana.says(&lasting, "and here").await;
    let near = world.get("/rooms?latitude=1&longitude=1").await.body;
    let ids: Vec<_> = near["rooms"].as_array().unwrap().iter().map(|room| room["id"].clone()).collect();
    assert_eq!(ids, [json!(talking)]);
    let history = world.get(&format!("/rooms/{idle}/messages?userId=ana")).await.body;
    assert_eq!(history["items"].as_array().unwrap().len(), 1);

    world.time_passes(IDLE_SECONDS + 60);
    world.runs_sweep().await;
    assert_eq!(ana.hears("room-closed").await["roomId"], json!(talking));
    world.time_passes(IDLE_SECONDS + 60);
    world.runs_sweep().await;
    ana.hears_nothing().await;
}

#[tokio::test]
async fn the_idle_time_is_configurable() {
    let world = World::with(&[("ROOM_IDLE_SECONDS", "60")]).await;
    let mut ana = world.connect("ana").await;
    let room = world.posts_room("ana", 1.0, 1.0).await;

    world.time_passes(62);
    world.runs_sweep().await;

    assert_eq!(ana.hears("room-closed").await["roomId"], json!(room));
}

#[tokio::test]
async fn concurrent_sweeps_are_safe() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let mut rooms = Vec::new();
    for _ in 0..40 {
        // Far from each other: a user has few rooms at one place.
        rooms.push(world.posts_room("ana", f64::from(u32::try_from(rooms.len()).unwrap()), 1.0).await);
    }
    world.time_passes(IDLE_SECONDS + 60);

    tokio::join!(world.runs_sweep(), world.runs_sweep());

    // One sweep may finish what the other is about to tell: then it is told twice.
    let mut closed = BTreeSet::new();
    while closed.len() < rooms.len() {
        closed.insert(ana.hears("room-closed").await["roomId"].as_str().unwrap().to_owned());
    }
    assert_eq!(closed, rooms.into_iter().collect());
    assert!(world.log().iter().filter(|line| line["route"] == "schedule").all(|line| line["status"] == 200));
}

#[tokio::test]
async fn a_sweep_out_of_time_is_continued_by_the_next() {
    let in_a_hurry = |options| Options { timeout: Duration::from_secs(5), ..options };
    let world = World::changed(&[], in_a_hurry).await;
    for number in 0..70 {
        world.posts_room(&format!("user-{number}"), 1.0, 1.0).await;
    }
    world.time_passes(IDLE_SECONDS + 60);

    world.runs_sweep().await;
    let left = world.rows_with("ChatRooms", "status", "active").await;
    assert!(left > 0, "it took no notice of the time");
    while world.rows_with("ChatRooms", "status", "active").await > 0 {
        world.runs_sweep().await;
    }

    let sweeps = world.log().into_iter().filter(|line| line["route"] == "schedule");
    assert!(sweeps.into_iter().all(|line| line["status"] == 200));
}

#[tokio::test]
async fn a_sweep_queries_an_index_and_what_is_unfinished_and_never_scans() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    world.posts_room("ana", 1.0, 1.0).await;
    for _ in 0..20 {
        ana.creates_room(&[]).await;
    }
    world.take_store_calls();

    world.runs_sweep().await;

    let calls = world.take_store_calls();
    // Removals, erasures, exports, and rooms.
    assert_eq!(calls.iter().map(|call| call.operation.as_str()).collect::<Vec<_>>(), ["Query"; 4]);
}

#[tokio::test]
async fn a_sweep_removes_stale_connections() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let room = world.posts_room("ana", 1.0, 1.0).await;
    world.time_passes(IDLE_SECONDS - 10);
    ana.says(&room, "boo").await;
    let ghosts = ["GONEGONEGONEGO1=", "GONEGONEGONEGO2="];
    for ghost in ghosts {
        world.has_stale_connection(ghost, &room).await;
    }
    world.time_passes(60);
    world.runs_sweep().await;

    for ghost in ghosts {
        for table in ["Subscriptions", "Connections"] {
            assert_eq!(world.rows_with(table, "connectionId", ghost).await, 0, "{table}");
        }
    }
    assert_eq!(ana.ask(json!({ "action": "ping" })).await["type"], "pong");
    ana.says(&room, "alone?").await;
}

#[tokio::test]
async fn closing_a_room_unsubscribes_all_connections() {
    let world = World::with(&[("ROOM_IDLE_SECONDS", "1")]).await;
    let mut ana = world.connect("ana").await;
    let room = world.posts_room("ana", 1.0, 1.0).await;
    world.has_stale_connection("GONEGONEGONEGO1=", &room).await;
    world.time_passes(3);
    world.runs_sweep().await;

    ana.hears("room-closed").await;
    assert_eq!(world.rows_with("Subscriptions", "channel", &format!("room#{room}")).await, 0);
}

#[tokio::test]
async fn the_local_stack_runs_the_schedule() {
    let world = World::changed(&[], |options| Options { schedule: Some(Duration::from_millis(50)), ..options }).await;
    let mut ana = world.connect("ana").await;
    world.posts_room("ana", 1.0, 1.0).await;
    world.time_passes(IDLE_SECONDS + 60);

    ana.hears("room-closed").await;
    world.has_called("schedule", 2).await;
}

#[tokio::test]
async fn the_sweep_finishes_a_closing_that_was_cut_off() {
    let faults = Faults::default();
    let world = World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await;
    let mut ana = world.connect_to("ana", "tea").await;
    let _ben = world.connect_to("ben", "tea").await;
    let updates = vec!["UpdateItem".to_owned()];
    faults.follow(Plan { store_throttled: 1000, store_throttled_operations: updates, ..Plan::default() });
    assert_eq!(ana.ask(json!({ "action": "closeRoom", "roomId": "tea" })).await["type"], "ack");
    assert!(faults.strike_count() > 0, "nothing was throttled");
    faults.follow(Plan::default());
    let rows_without_end = async || {
        let members = world.rows("Members").await;
        members.iter().filter(|row| !row.contains_key("ttl")).count()
    };
    assert_eq!(rows_without_end().await, 2);

    world.time_passes(120);
    world.runs_sweep().await;
    assert_eq!(rows_without_end().await, 0);
    world.time_passes(2 * 3600);
    world.runs_sweep().await;

    let rooms = world.rows("ChatRooms").await;
    assert!(rooms.iter().all(|room| !room.contains_key("sweep")), "{rooms:?}");
}
