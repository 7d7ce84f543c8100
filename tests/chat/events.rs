//! Events for backends: what is on the bus, in which order, and what webhooks get.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::{Value, json};
use switchboard::local::faults::{Faults, Plan};
use switchboard::local::{BusOptions, Options, Secret};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::harness::{World, soon};
use crate::uploads::{Upload, announcement};

fn of_type<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

/// The types of the events of a room that have this member in their key, and the member, in the order of the bus.
fn log_of(events: &[Value], room: &str, log: &str) -> Vec<(u64, String)> {
    let in_log = |event: &&Value| {
        let kind = event["type"].as_str().unwrap();
        event["key"]["roomId"] == room && kind != "notification.wanted" && kind != "report.created"
    };
    let position = |event: &Value| Some((event["key"][log].as_u64()?, event["type"].as_str()?.to_owned()));
    events.iter().filter(in_log).filter_map(position).collect()
}

/// The first one of each event.
fn without_repeats(events: Vec<Value>) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    events.into_iter().filter(|event| seen.insert(event["id"].as_str().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn entries_and_changes_of_a_room_are_on_the_bus_in_their_order() {
    let world = World::with_events(&[("EVENT_BODIES", "on")]).await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let tea = ana.creates_room(&["ben"]).await;
    let about = |action: &str, more: Value| {
        let mut frame = json!({ "action": action, "roomId": tea });
        frame.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        frame
    };
    let first = ana.says(&tea, "the first").await;
    ben.says(&tea, "the second").await;
    let edited = ana.ask(about("editMessage", json!({ "seq": 1, "version": 0, "content": "the first, edited" }))).await;
    assert_eq!(edited["type"], "edited", "{edited}");
    ben.ask(about("react", json!({ "seq": 1, "emoji": "☕" }))).await;
    ana.ask(about("pinMessage", json!({ "seq": 1 }))).await;
    ana.ask(about("unpinMessage", json!({ "seq": 1 }))).await;
    ana.ask(about("deleteMessage", json!({ "seq": 2 }))).await;
    ana.ask(about("renameRoom", json!({ "roomName": "Tea" }))).await;
    ana.ask(about("closeRoom", json!({}))).await;

    let events = world.events().await;

    let named = |all: &[&str]| (1..).zip(all.iter().map(|name| (*name).to_owned())).collect::<Vec<_>>();
    let entries = ["message.created", "message.created", "room.changed", "room.closed"];
    assert_eq!(log_of(&events, &tea, "seq"), named(&entries));
    let changes = ["message.edited", "message.reacted", "message.pinned", "message.unpinned", "message.deleted"];
    assert_eq!(log_of(&events, &tea, "rev"), named(&changes));
    let created = of_type(&events, "message.created")[0];
    assert_eq!((&created["version"], &created["timestamp"]), (&json!(1), &first["createdAt"]));
    assert_eq!(created["data"]["content"], "the first");
    let edited = &of_type(&events, "message.edited")[0]["data"];
    assert_eq!((&edited["content"], &edited["version"]), (&json!("the first, edited"), &json!(1)));
    let reacted = &of_type(&events, "message.reacted")[0]["data"];
    assert_eq!(reacted["by"], json!({ "userId": "ben", "emoji": "☕", "on": true }));
    assert_eq!(of_type(&events, "message.deleted")[0]["data"]["seqs"], json!([2]));
    assert_eq!(of_type(&events, "room.changed")[0]["data"]["system"]["roomName"], "Tea");
    let closed = json!({ "roomId": tea, "reason": "closed", "userId": "ana" });
    assert_eq!(of_type(&events, "room.closed")[0]["data"], closed);
}

#[tokio::test]
async fn who_joins_leaves_or_is_banned_and_what_is_reported_is_on_the_bus() {
    let world = World::with_events(&[("EVENT_BODIES", "on")]).await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect("ben").await;
    let mut cleo = world.connect("cleo").await;
    let tea = ana.creates_room(&[]).await;
    let about = |action: &str, user: &str| json!({ "action": action, "roomId": tea, "userId": user });
    for user in [&mut ben, &mut cleo] {
        user.ask(json!({ "action": "joinRoom", "roomId": tea })).await;
    }
    ben.says(&tea, "rude").await;
    ben.ask(json!({ "action": "leaveRoom", "roomId": tea })).await;
    ben.ask(json!({ "action": "joinRoom", "roomId": tea })).await;
    cleo.ask(json!({ "action": "reportMessage", "roomId": tea, "seq": 1, "reason": "spam" })).await;
    ana.ask(about("removeMember", "cleo")).await;
    ana.ask(about("banMember", "ben")).await;
    ana.ask(about("unbanMember", "ben")).await;

    let events = world.events().await;

    let members = |kind: &str| {
        let users = of_type(&events, kind).into_iter().map(|event| event["data"]["userId"].as_str().unwrap());
        users.collect::<Vec<_>>()
    };
    let mut joined = members("member.joined");
    joined.sort_unstable();
    assert_eq!(joined, ["ana", "ben", "ben", "cleo"]);
    assert_eq!((members("member.left"), members("member.banned")), (vec!["ben", "cleo", "ben"], vec!["ben"]));
    assert_eq!(of_type(&events, "room.created").len(), 1);
    let reports = of_type(&events, "report.created");
    let report = &reports[0]["data"];
    assert_eq!(
        (&report["by"], &report["reason"], &report["content"]),
        (&json!("cleo"), &json!("spam"), &json!("rude"))
    );
    assert_eq!(reports[0]["key"], json!({ "roomId": tea, "seq": 1 }));
}

#[tokio::test]
async fn events_have_what_users_wrote_only_if_that_is_wanted_and_never_links_or_ids_of_clients() {
    for bodies in ["off", "on"] {
        let world = World::with_events(&[("EVENT_BODIES", bodies)]).await;
        let mut ana = world.connect("ana").await;
        let tea = ana.creates_room(&["ben"]).await;
        let said = json!({ "action": "sendMessage", "roomId": tea, "content": "a secret", "data": { "a": "secret" },
            "clientMessageId": "of-ana-alone", "mentions": ["ben"] });
        ana.ask(said).await;
        let edit = json!({ "action": "editMessage", "roomId": tea, "seq": 1, "version": 0, "content": "secret too" });
        assert_eq!(ana.ask(edit).await["type"], "edited");
        ana.ask(json!({ "action": "reportMessage", "roomId": tea, "seq": 1, "reason": "a secret reason" })).await;
        let upload = Upload::of(&ana.ask(announcement(&tea, "secret.txt", 4)).await);
        upload.puts(&world, b"text").await;
        ana.hears("message").await;

        let events = world.events().await;

        let all = json!(events).to_string();
        assert_eq!(all.contains("secret"), bodies == "on", "{all}");
        assert!(!all.contains("fileUrl") && !all.contains("of-ana-alone"), "{all}");
        let wanted = of_type(&events, "notification.wanted")[0];
        assert_eq!(wanted["data"].get("excerpt"), (bodies == "on").then(|| json!("a secret")).as_ref());
        // The log lines have none of it in any case.
        assert!(world.log().iter().all(|line| !line.to_string().contains("secret")));
    }
}

#[tokio::test]
async fn nothing_is_missing_on_the_bus_when_it_fails_batches_are_repeated_and_processes_die() {
    let faults = Faults::seeded(7);
    let bus = BusOptions { kept: usize::MAX, ..BusOptions::default() };
    let options = |options| Options { faults: faults.clone(), bus: Some(bus), ..options };
    let world = World::changed(&[("EVENT_NOTIFICATIONS", "off")], options).await;
    let mut ana = world.connect("ana").await;
    let rooms = [ana.creates_room(&[]).await, ana.creates_room(&[]).await];
    let plan = Plan {
        bus_failed: 100,
        bus_entry_failed: 50,
        bus_answer_lost: 100,
        stream_repeated: 200,
        function_killed_before: 20,
        function_killed_after: 20,
        ..Plan::default()
    };
    faults.follow(plan);
    for number in 0..60 {
        for room in &rooms {
            let id = format!("{number}");
            let frame = json!({ "action": "sendMessage", "roomId": room, "content": "said", "clientMessageId": id });
            while ana.may_ask(frame.clone()).await.is_none_or(|answer| answer["type"] != "message") {}
            let frame = json!({ "action": "react", "roomId": room, "seq": 1, "emoji": "☕", "on": number % 2 == 0 });
            while ana.may_ask(frame.clone()).await.is_none_or(|answer| answer["type"] != "reactions") {}
        }
    }

    let events = world.events().await;

    assert!(faults.strike_count() > 50, "{}", faults.strike_count());
    let repeats = events.len();
    let events = without_repeats(events);
    assert!(repeats > events.len() + 10);
    for room in &rooms {
        for log in ["seq", "rev"] {
            let positions: Vec<_> = log_of(&events, room, log).into_iter().map(|(position, _)| position).collect();
            assert_eq!(positions, (1..=60).collect::<Vec<_>>(), "{log}");
        }
    }
}

#[tokio::test]
async fn a_message_that_the_bus_refuses_for_what_it_says_holds_nothing_up() {
    let world = World::with_events(&[("EVENT_BODIES", "on")]).await;
    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&[]).await;
    ana.says(&tea, "the first").await;
    // A number that the bus does not parse, and that no request can have.
    let mut row = world.rows("Messages").await.into_iter().find(|row| row.contains_key("text")).unwrap();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    row.insert("messageId".to_owned(), text("0000000000000002"));
    row.insert("data".to_owned(), text(r#"{"count":1e999}"#));
    world.dynamodb().put_item().table_name("Messages").set_item(Some(row)).send().await.unwrap();
    ana.says(&tea, "the third").await;

    let events = world.events().await;

    let created = of_type(&events, "message.created");
    let contents: Vec<_> = created.iter().map(|event| event["data"].get("content").and_then(Value::as_str)).collect();
    assert_eq!(contents, [Some("the first"), None, Some("the third")]);
}

#[tokio::test]
async fn who_has_no_connection_is_notified_as_they_want() {
    let world = World::with_events(&[("EVENT_BODIES", "on")]).await;
    let mut ana = world.connect("ana").await;
    let members = ["ben", "cleo", "dora", "emil", "fred"];
    let tea = ana.creates_room(&members).await;
    for (user, level, until) in [
        ("ben", "all", None),
        ("cleo", "mentions", None),
        ("dora", "none", None),
        ("emil", "all", Some("2999-01-01T00:00:00Z")),
    ] {
        let mut user = world.connect(user).await;
        let frame = json!({ "action": "setNotify", "roomId": tea, "level": level, "mutedUntil": until });
        user.ask(frame).await;
        user.goes().await;
    }
    let mut fred = world.connect("fred").await;
    fred.ask(json!({ "action": "ping" })).await;
    world.has_called("$disconnect", 4).await;

    ana.says(&tea, "to the room").await;
    let mention = json!({ "action": "sendMessage", "roomId": tea, "content": "to some", "mentions": members });
    ana.ask(mention).await;
    let mention = json!({ "action": "sendMessage", "roomId": tea, "content": "to all", "mentionRoom": true });
    ana.ask(mention).await;
    ana.ask(json!({ "action": "sendMessage", "recipientId": "cleo", "content": "hello" })).await;

    let events = world.events().await;

    let mut wanted: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for event in of_type(&events, "notification.wanted") {
        let text = |name: &str| event["data"][name].as_str().unwrap();
        wanted.entry(text("excerpt")).or_default().push((text("userId"), text("cause")));
    }
    wanted.values_mut().for_each(|users| users.sort_unstable());
    let expected = BTreeMap::from([
        ("to the room", vec![("ben", "message")]),
        ("to some", vec![("ben", "mention"), ("cleo", "mention")]),
        ("to all", vec![("ben", "roomMention"), ("cleo", "roomMention")]),
        ("hello", vec![("cleo", "direct")]),
    ]);
    assert_eq!(wanted, expected);
}

#[tokio::test]
async fn nobody_is_notified_of_a_message_of_a_user_whom_they_have_blocked() {
    let world = World::with_events(&[]).await;
    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&["ben", "cleo"]).await;
    let mut ben = world.connect("ben").await;
    ben.ask(json!({ "action": "blockUser", "userId": "ana" })).await;
    ben.goes().await;
    world.has_called("$disconnect", 1).await;

    ana.says(&tea, "to the room").await;

    let events = world.events().await;
    let users: Vec<_> = of_type(&events, "notification.wanted").iter().map(|event| &event["data"]["userId"]).collect();
    assert_eq!(users, ["cleo"]);
}

#[tokio::test]
async fn without_a_bus_there_are_neither_streams_nor_events() {
    let world = World::start().await;
    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&[]).await;
    ana.says(&tea, "to nobody").await;

    let described = world.dynamodb().describe_table().table_name("Messages").send().await.unwrap();

    assert_eq!(described.table.unwrap().stream_specification, None);
    assert!(world.log().iter().all(|line| line["route"] != "stream"));
    assert_eq!(world.urls().events, None);
}

/// What a webhook received.
#[derive(Default)]
struct Received {
    deliveries: Mutex<Vec<(HeaderMap, String)>>,
    changed: Notify,
}

/// Takes nothing at first.
async fn webhook(State(received): State<Arc<Received>>, headers: HeaderMap, body: String) -> StatusCode {
    let mut deliveries = received.deliveries.lock().unwrap();
    deliveries.push((headers, body));
    received.changed.notify_one();
    if deliveries.len() < 3 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
}

#[tokio::test]
async fn a_webhook_gets_each_event_signed_and_again_until_it_takes_it() {
    let received = Arc::<Received>::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let router = Router::new().route("/events", post(webhook)).with_state(Arc::clone(&received));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let secret = Secret::random();
    let bus = BusOptions { webhooks: vec![url], secret: secret.clone(), ..BusOptions::default() };
    let world = World::changed(&[], |options| Options { bus: Some(bus), ..options }).await;
    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&[]).await;

    ana.says(&tea, "hello").await;

    let events = world.events().await;
    let has_all = || {
        let deliveries = received.deliveries.lock().unwrap();
        let ids: BTreeSet<_> = deliveries.iter().skip(2).map(|(headers, _)| headers["webhook-id"].clone()).collect();
        events.iter().all(|event| ids.iter().any(|id| event["id"] == id.to_str().unwrap()))
    };
    let delivered = async {
        while !has_all() {
            received.changed.notified().await;
        }
    };
    soon("the webhook did not get all events", delivered).await;
    for (headers, body) in &*received.deliveries.lock().unwrap() {
        let text = |name: &str| headers[name].to_str().unwrap();
        let signature = secret.sign(text("webhook-id"), text("webhook-timestamp").parse().unwrap(), body);
        assert_eq!(text("webhook-signature"), signature);
        let event: Value = serde_json::from_str(body).unwrap();
        assert_eq!((event["id"].as_str(), text("content-type")), (Some(text("webhook-id")), "application/json"));
    }
}

#[tokio::test]
async fn the_log_line_of_a_batch_counts_the_events() {
    let world = World::with_events(&[]).await;
    let mut ana = world.connect("ana").await;
    let tea = ana.creates_room(&[]).await;
    ana.says(&tea, "a secret").await;

    world.events().await;

    let line = world.logs(|line| line["route"] == "stream" && line["Events"].as_u64() > Some(0)).await;
    assert_eq!((&line["status"], &line["code"]), (&json!(200), &json!("OK")));
}
