//! Rooms on the map.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use crate::harness::World;

const EARTH_RADIUS_METRES: f64 = 6_371_008.8;

/// What is written down here on purpose once more: the haversine formula, as the contract gives it.
fn distance(one: (f64, f64), other: (f64, f64)) -> f64 {
    let half_chord = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
    let cosines = one.0.to_radians().cos() * other.0.to_radians().cos();
    let haversine = half_chord(one.0, other.0) + cosines * half_chord(one.1, other.1);
    2.0 * EARTH_RADIUS_METRES * haversine.sqrt().min(1.0).asin()
}

/// All that a search finds, page by page.
async fn found(world: &World, query: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let answer = world.get(&format!("/rooms?{query}{cursor}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        found.extend(answer.body["rooms"].as_array().unwrap().iter().cloned());
        match answer.body["nextCursor"].as_str() {
            Some(next) => {
                let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
                cursor = format!("&cursor={next}");
            }
            None => return found,
        }
    }
}

fn ids(rooms: &[Value]) -> Vec<&str> {
    rooms.iter().map(|room| room["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_room_is_created_and_found_with_its_distance() {
    let world = World::start().await;

    let made = world
        .post(
            "/rooms",
            json!({
                "userId": "user123",
                "latitude": 37.7749,
                "longitude": -122.4194,
                "roadName": "Main Street",
                "roomType": "public",
                "maxParticipants": 15
            }),
        )
        .await;

    assert_eq!(made.status, 201);
    let id = made.body["id"].as_str().unwrap();
    let last_activity = made.body["lastActivity"].as_i64().unwrap();
    assert!(last_activity > 1_700_000_000_000, "epoch milliseconds");
    assert_eq!(made.body["members"][0]["role"], "owner");
    let mut expected = json!({
        "id": id,
        "roomId": id,
        "chatRoomId": id,
        "roomType": "public",
        "status": "active",
        "creator": "user123",
        "createdAt": made.body["createdAt"],
        "lastActivity": last_activity,
        "autoClose": true,
        "maxParticipants": 15,
        "participantCount": 1,
        "location": { "latitude": 37.7749, "longitude": -122.4194 },
        "roadName": "Main Street",
        "radius": 1000,
        "epoch": "0",
        "lastSeq": 0,
        "onlineCount": 0,
        "participants": ["user123"],
        "members": made.body["members"],
    });
    assert_eq!(made.body, expected);

    let near = world.get("/rooms?latitude=37.7749&longitude=-122.4194&roomType=public").await;
    for absent in ["members", "lastSeq", "onlineCount"] {
        expected.as_object_mut().unwrap().remove(absent);
    }
    expected["distance"] = json!(0);
    assert_eq!(near.body, json!({ "rooms": [expected] }));
    assert_eq!(world.get(&format!("/rooms/{id}?userId=user123")).await.body, made.body);
}

#[tokio::test]
async fn nearness_depends_on_the_search_radius_and_the_rooms_radius() {
    let world = World::start().await;
    let metres_north = |metres: f64| 48.0 + (metres / EARTH_RADIUS_METRES).to_degrees();
    let post = |name: &'static str, metres: f64, radius: Option<f64>| {
        let world = &world;
        async move {
            let mut room =
                json!({ "userId": "ana", "roomName": name, "latitude": metres_north(metres), "longitude": 11.0 });
            if let Some(radius) = radius {
                room["radius"] = json!(radius);
            }
            assert_eq!(world.post("/rooms", room).await.status, 201);
        }
    };
    post("next door", 100.0, Some(1.0)).await;
    post("down the road", 4_900.0, None).await;
    post("far, and heard of far", 9_900.0, Some(10_000.0)).await;
    post("far", 9_000.0, None).await;
    post("very far", 49_000.0, None).await;
    post("too far", 51_000.0, None).await;

    for (query, expected) in [
        ("", vec!["next door", "down the road", "far, and heard of far"]),
        ("&radius=500", vec!["next door", "far, and heard of far"]),
        ("&radius=0", vec!["far, and heard of far"]),
        ("&radius=50000", vec!["next door", "down the road", "far", "far, and heard of far", "very far"]),
    ] {
        let rooms = found(&world, &format!("latitude=48&longitude=11{query}")).await;
        let names: Vec<_> = rooms.iter().map(|room| room["roomName"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{query}");
    }
    let rooms = found(&world, "latitude=48&longitude=11&radius=50000&limit=2").await;
    assert_eq!(rooms.len(), 5);
    assert!((rooms[1]["distance"].as_f64().unwrap() - 4_900.0).abs() < 0.001);
}

#[tokio::test]
async fn only_active_rooms_are_found_and_private_ones_by_members() {
    let world = World::start().await;
    let open = world.posts_room("ana", 10.0, 20.0).await;
    let closed = world.posts_room("ana", 10.0, 20.0).await;
    let hidden = json!({ "userId": "ana", "latitude": 10, "longitude": 20, "roomType": "private" });
    let hidden = world.post("/rooms", hidden).await.body["id"].as_str().unwrap().to_owned();
    assert_eq!(world.post("/rooms/close", json!({ "roomId": closed, "userId": "ana" })).await.status, 200);

    let both = BTreeSet::from([open.as_str(), &hidden]);
    let seen = found(&world, "latitude=10&longitude=20&userId=ana").await;
    assert_eq!(ids(&seen).into_iter().collect::<BTreeSet<_>>(), both);
    for (query, expected) in [
        ("", vec![&open]),
        ("&userId=ben", vec![&open]),
        ("&userId=ana&roomType=private", vec![&hidden]),
        ("&userId=ben&roomType=private", vec![]),
        ("&userId=ana&roomType=public", vec![&open]),
    ] {
        assert_eq!(ids(&found(&world, &format!("latitude=10&longitude=20{query}")).await), expected, "{query}");
    }
}

#[tokio::test]
async fn a_search_reads_few_cells_however_many_rooms_exist() {
    let world = World::start().await;
    for step in 0..30 {
        world.posts_room(&format!("user-{step}"), 50.0 + f64::from(step) / 100.0, 8.0).await;
    }
    for radius in ["0", "5000", "50000"] {
        world.take_store_calls();
        let answer = world.get(&format!("/rooms?latitude=50.1&longitude=8&radius={radius}&limit=100")).await;
        let calls = world.take_store_calls();

        let rooms = answer.body["rooms"].as_array().unwrap();
        assert!((1..=20).contains(&rooms.len()));
        // Those of the search, and one for the participants of each room on the page.
        assert!(calls.len() <= 19 + rooms.len(), "{} requests for {radius}", calls.len());
        let queries = calls.iter().filter(|call| call.operation == "Query");
        assert!(queries.clone().all(|call| call.read_units <= 4.0), "{calls:?}");
        assert!(calls.iter().all(|call| ["Query", "BatchGetItem"].contains(&call.operation.as_str())), "{calls:?}");
        assert!(calls.iter().all(|call| call.write_units == 0.0));
    }
}

/// Against all rooms, one by one.
#[tokio::test]
async fn a_search_is_exact_anywhere_on_earth() {
    const ROOMS: usize = 2_000;
    const SEARCHES: usize = 500;

    let world = World::start().await;
    let mut dice = fastrand::Rng::with_seed(20_261_121);
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        rooms.push((somewhere(&mut dice), [1.0, 500.0, 1_000.0, 10_000.0][dice.usize(..4)]));
    }
    let posted: Vec<_> = stream::iter(rooms.into_iter().enumerate())
        .map(|(number, (place, radius))| {
            let world = &world;
            async move {
                let user = format!("user-{number}");
                let room = json!({ "userId": user, "latitude": place.0, "longitude": place.1, "radius": radius });
                let made = world.post("/rooms", room).await;
                assert_eq!(made.status, 201, "{}", made.body);
                (made.body["id"].as_str().unwrap().to_owned(), (place, radius))
            }
        })
        .buffer_unordered(16)
        .collect()
        .await;
    let rooms: BTreeMap<String, ((f64, f64), f64)> = posted.into_iter().collect();
    assert_eq!(rooms.len(), ROOMS);

    let searches: Vec<_> = (0..SEARCHES)
        .map(|_| (somewhere(&mut dice), [0.0_f64, 300.0, 5_000.0, 20_000.0, 50_000.0][dice.usize(..5)]))
        .collect();
    let total: usize = stream::iter(searches)
        .map(|(place, radius)| {
            let (world, rooms) = (&world, &rooms);
            async move {
                let mut expected: Vec<_> = rooms
                    .iter()
                    .map(|(id, (at, own))| (distance(place, *at), radius.max(*own), id.as_str()))
                    .filter(|(distance, reach, _)| distance <= reach)
                    .collect();
                expected.sort_by(|one, other| one.0.total_cmp(&other.0));
                let query = format!("latitude={}&longitude={}&radius={radius}&limit=100", place.0, place.1);
                let found = found(world, &query).await;
                let all = expected.iter().map(|(_, _, id)| *id).collect::<BTreeSet<_>>();
                assert_eq!(ids(&found).into_iter().collect::<BTreeSet<_>>(), all, "{query}");
                assert_eq!(found.len(), expected.len(), "{query}");
                for (room, (in_turn, ..)) in found.iter().zip(&expected) {
                    let own = distance(place, rooms[room["id"].as_str().unwrap()].0);
                    // Those that are equally far, such as two at a pole, come in any order.
                    assert!((own - in_turn).abs() < 1e-6, "{query}: {room} comes too early or too late");
                    assert!((room["distance"].as_f64().unwrap() - own).abs() < 1e-6, "{query}: {room}");
                }
                found.len()
            }
        })
        .buffer_unordered(8)
        .fold(0, |all, found| async move { all + found })
        .await;
    assert!(total > 10 * SEARCHES, "hardly anything was near: {total}");
}

#[tokio::test]
async fn a_user_has_5_rooms_at_a_place_and_an_idle_one_goes_first() {
    let world = World::start().await;
    let mut rooms = Vec::new();
    for _ in 0..5 {
        rooms.push(world.posts_room("ana", 10.0, 20.0).await);
    }
    let sixth = json!({ "userId": "ana", "latitude": 10.001, "longitude": 20.001 });

    assert_eq!(world.post("/rooms", sixth.clone()).await.refusal(), (409, "PLACE_FULL", ""));
    // Elsewhere there is place, and others have theirs here.
    world.posts_room("ana", 12.0, 20.0).await;
    world.posts_room("ben", 10.0, 20.0).await;
    world.time_passes(700);
    let mut ana = world.connect("ana").await;
    ana.says(&rooms[0], "not idle").await;
    assert_eq!(world.post("/rooms", sixth).await.status, 201);

    let closed = ana.hears("room-closed").await;
    assert_eq!((&closed["roomId"], &closed["reason"]), (&json!(rooms[1]), &json!("idle")));
    ana.hears_nothing().await;
}

#[tokio::test]
async fn a_place_has_200_rooms() {
    let world = World::start().await;
    let mut idle = world.posts_room("ana", 10.0, 20.0).await;
    let table = world.dynamodb();
    let mut row = world.rows("ChatRooms").await.pop().unwrap();
    for number in 1..200 {
        for (name, value) in [("id", format!("room-{number}")), ("creator", format!("user-{number}"))] {
            row.insert(name.to_owned(), AttributeValue::S(value));
        }
        table.put_item().table_name("ChatRooms").set_item(Some(row.clone())).send().await.unwrap();
    }

    let ben = json!({ "userId": "ben", "latitude": 10.0, "longitude": 20.0 });
    assert_eq!(world.post("/rooms", ben).await.refusal(), (409, "PLACE_FULL", ""));
    world.time_passes(700);
    // Ana has an idle one there.
    idle = format!("/rooms/{idle}?userId=ana");
    world.posts_room("ana", 10.0, 20.0).await;
    assert_eq!(world.get(&idle).await.body["status"], "closed");
}

/// In one of a few dozen crowded places, most of them awkward: within a kilometre of a pole or of the 180th meridian,
/// on the equator, where cells meet; or a little way off.
fn somewhere(dice: &mut fastrand::Rng) -> (f64, f64) {
    let spread = [0.0, 0.005, 0.05, 0.4][dice.usize(..4)];
    let mut near = |degrees: f64| degrees + spread * (2.0 * dice.f64() - 1.0);
    let (latitude, longitude) = (near(0.0), near(0.0));
    let around = |degrees: f64| (degrees + 540.0).rem_euclid(360.0) - 180.0;
    let place = 7.0 * f64::from(dice.u8(..8));
    match dice.usize(..9) {
        0 => (90.0 - latitude.abs(), around(360.0 * dice.f64())),
        1 => (-90.0 + latitude.abs(), around(360.0 * dice.f64())),
        2..=3 => (place + latitude, around(180.0 + longitude)),
        4 => (-place + latitude, around(180.0 + longitude)),
        5..=6 => (latitude, place + longitude),
        _ => (52.5 + latitude, 13.4 + place + longitude),
    }
}
