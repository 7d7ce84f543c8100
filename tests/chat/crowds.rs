//! Many users who join and leave one room at the same time.

use futures_util::future::join_all;
use serde_json::{Value, json};
use switchboard::local::Options;
use switchboard::local::faults::{Faults, Plan};

use crate::harness::{User, World};

/// A room whose participants are counted in rows of their own, with its creator and the user whose join made it so.
async fn busy_room(world: &World, faults: &Faults) -> (String, User, User) {
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ana.creates_room(&[]).await;
    faults.follow(Plan { transaction_conflict: 1000, ..Plan::default() });
    let is_busy = async {
        while world.rows_with_flag("ChatRooms", "countSpread").await == 0 {
            tokio::task::yield_now().await;
        }
        faults.follow(Plan::default());
    };
    let (room, ()) = tokio::join!(ben.ask(json!({ "action": "joinRoom", "roomId": tea })), is_busy);
    assert_eq!(room["participantCount"], 2);
    (tea, ana, ben)
}

async fn world_with(faults: &Faults) -> World {
    World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await
}

async fn count(user: &mut User, room: &str) -> Value {
    user.ask(json!({ "action": "roomInfo", "roomId": room })).await["participantCount"].clone()
}

#[tokio::test]
async fn the_participants_of_a_busy_room_are_counted_exactly() {
    let faults = Faults::default();
    let world = world_with(&faults).await;
    let (tea, mut ana, mut ben) = busy_room(&world, &faults).await;

    let mut crowd = join_all((0..20).map(|number| {
        let (world, tea) = (&world, &tea);
        async move { world.connect(&format!("user-{number}")).await.joined(tea).await }
    }))
    .await;
    assert_eq!(count(&mut ana, &tea).await, 22);

    for user in &mut crowd[..5] {
        user.ask(json!({ "action": "leaveRoom", "roomId": tea })).await;
    }
    ben.ask(json!({ "action": "leaveRoom", "roomId": tea })).await;
    ana.ask(json!({ "action": "removeMember", "roomId": tea, "userId": "user-5" })).await;
    ana.ask(json!({ "action": "banMember", "roomId": tea, "userId": "user-6" })).await;
    ben.ask(json!({ "action": "joinRoom", "roomId": tea })).await;

    assert_eq!(count(&mut ana, &tea).await, 15);
    assert_eq!(world.member_count(&tea).await, 15);
    let rooms = ana.ask(json!({ "action": "listRooms" })).await;
    assert_eq!(rooms["items"][0]["participantCount"], 15);
}

#[tokio::test]
async fn a_busy_room_takes_no_members_once_it_is_closed_and_its_counts_end_with_it() {
    let faults = Faults::default();
    let world = world_with(&faults).await;
    let (tea, mut ana, _ben) = busy_room(&world, &faults).await;
    ana.ask(json!({ "action": "closeRoom", "roomId": tea })).await;

    let mut cleo = world.connect("cleo").await;
    let refused = cleo.is_refused(json!({ "action": "joinRoom", "roomId": tea })).await;

    assert_eq!(refused, (410, "ROOM_CLOSED".to_owned()));
    assert_eq!(count(&mut ana, &tea).await, 2);
    let counters: Vec<_> = world.rows("Members").await;
    let counters: Vec<_> = counters.iter().filter(|row| row.contains_key("participants")).collect();
    assert!(!counters.is_empty() && counters.iter().all(|row| row.contains_key("ttl")), "{counters:?}");
}

#[tokio::test]
async fn a_room_with_a_limit_stays_within_it_in_a_crowd() {
    let faults = Faults::default();
    let world = world_with(&faults).await;
    let mut ana = world.connect("ana").await;
    let room = ana.ask(json!({ "action": "createRoom", "maxParticipants": 5 })).await;
    let tea = room["roomId"].as_str().unwrap().to_owned();
    faults.follow(Plan { transaction_conflict: 500, ..Plan::default() });

    let joins = join_all((0..12).map(|number| {
        let (world, tea) = (&world, &tea);
        async move {
            let mut user = world.connect(&format!("user-{number}")).await;
            user.ask(json!({ "action": "joinRoom", "roomId": tea })).await
        }
    }))
    .await;

    let (joined, refused): (Vec<_>, Vec<_>) = joins.iter().partition(|answer| answer["type"] == "room");
    assert_eq!((joined.len(), refused.len()), (4, 8));
    assert!(refused.iter().all(|answer| answer["code"] == "ROOM_FULL"), "{refused:?}");
    assert_eq!(world.rows_with_flag("ChatRooms", "countSpread").await, 0);
}
