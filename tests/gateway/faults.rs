//! Fault injection: each fault by itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use switchboard::local::clients;
use switchboard::local::faults::{HoldAtRequest, KillAtRequest, Latency, Moment, Outcome, Plan};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::connections::refusal;
use crate::support::{BUCKET, Invocation, World, accepted, with_body};

fn milliseconds(time: &Value) -> i64 {
    let parsed = |text| OffsetDateTime::parse(text, &Rfc3339).unwrap().unix_timestamp() * 1000;
    time.as_i64().unwrap_or_else(|| parsed(time.as_str().unwrap()))
}

#[tokio::test]
async fn events_have_a_skewed_time_under_clock_skew() {
    let (faults, mut world) = World::with_faults().await;
    let hour = 3_600_000;
    let client = world.connect().await;
    faults.follow(Plan { clock_skew_ms: hour, seed: Some(1), ..Plan::default() });

    client.closes(None).await;
    let disconnect = world.invoked().await;
    let (http, _) = world.serves(("GET", "/health"), &[], b"", accepted()).await;
    world.uploads("leaf").await;
    let uploaded = world.invoked().await;
    let (stack, invocations) = world.split();
    let scheduled = async {
        let invocation = invocations.next().await;
        let event = invocation.event.clone();
        invocation.answers(accepted());
        event
    };
    let ((), scheduled) = tokio::join!(stack.fire_schedule(), scheduled);

    let now = stack.clock().now().as_millis();
    for (what, time) in [
        ("WebSocket", disconnect.context("requestTimeEpoch")),
        ("HTTP", &http["requestContext"]["timeEpoch"]),
        ("S3", &uploaded.event["Records"][0]["eventTime"]),
        ("schedule", &scheduled["time"]),
    ] {
        let skew = (milliseconds(time) - now).abs();
        assert!((60_000..=i64::from(hour) + 60_000).contains(&skew), "{what}: {time} is off by {skew} ms");
    }
}

#[tokio::test]
async fn a_socket_can_break_on_a_frame() {
    let (faults, mut world) = World::with_faults().await;
    let mut client = world.connect().await;

    faults.follow(Plan { socket_dropped: 1000, ..Plan::default() });
    client.asks_for("ping").await;

    let disconnect = world.invoked().await;
    assert_eq!(disconnect.context("disconnectStatusCode"), 1006);
    assert!(world.stack().open_connections().is_empty());
}

#[tokio::test]
async fn a_function_can_be_killed_before_its_event() {
    let (faults, mut world) = World::with_faults().await;
    let mut client = world.connect().await;

    faults.follow(Plan { function_killed_before: 1000, ..Plan::default() });
    client.asks_for("ping").await;

    assert!(client.hears_error().await.contains("Internal server error"));
    world.has_invoked_nothing_else();
}

#[tokio::test]
async fn a_function_can_be_killed_during_its_event() {
    let (faults, mut world) = World::with_faults().await;
    let mut client = world.connect().await;

    // The function never responds.
    faults.follow(Plan { function_killed: 1000, ..Plan::default() });
    client.asks_for("ping").await;

    assert!(client.hears_error().await.contains("Internal server error"));
    assert!(world.stack().function_processes().is_empty());
}

#[tokio::test]
async fn a_function_can_be_killed_after_its_event() {
    let (faults, mut world) = World::with_faults().await;
    let mut client = world.connect().await;

    faults.follow(Plan { function_killed_after: 1000, ..Plan::default() });
    client.asks_for("ping").await;
    world.invoked().await.answers(with_body("done"));

    assert!(client.hears_error().await.contains("Internal server error"));
    assert!(world.stack().function_processes().is_empty());
}

#[tokio::test]
async fn the_function_timeout_can_be_shortened() {
    let (faults, mut world) = World::with_faults().await;
    let mut client = world.connect().await;

    faults.follow(Plan { function_timeout_ms: 2_000, ..Plan::default() });
    client.asks_for("ping").await;

    world.invoked().await.waits_to_be_killed().await;
    assert!(client.hears_error().await.contains("Internal server error"));
}

#[tokio::test]
async fn posts_can_fail_and_be_throttled() {
    let (faults, mut world) = World::with_faults().await;
    let mut client = world.connect().await;
    let post = || world.connections().post_to_connection().connection_id(&client.id).data(b"x".to_vec().into()).send();

    faults.follow(Plan { post_failed: 1000, ..Plan::default() });
    assert_eq!(refusal(post().await), (500, "InternalServerException".to_owned()));
    faults.follow(Plan { post_throttled: 1000, ..Plan::default() });
    assert_eq!(refusal(post().await), (429, "LimitExceededException".to_owned()));
    faults.follow(Plan::default());
    post().await.unwrap();

    assert_eq!(client.hears().await, "x");
    assert_eq!(client.pings().await, None, "more frames arrived than were posted");
}

#[tokio::test]
async fn a_dynamodb_response_can_be_lost_after_the_write() {
    use aws_sdk_dynamodb::types::AttributeValue;
    let (faults, world) = World::with_faults().await;
    let id = || AttributeValue::S("a connection".to_owned());
    let client = world.dynamodb();

    faults.follow(Plan { store_answer_lost: 1000, ..Plan::default() });
    client.put_item().table_name("Connections").item("connectionId", id()).send().await.unwrap_err();

    faults.follow(Plan::default());
    let got = client.get_item().table_name("Connections").key("connectionId", id()).send().await.unwrap();
    assert_eq!(got.item.unwrap()["connectionId"], id());
}

#[tokio::test]
async fn latency_can_be_injected_for_stores_and_posts() {
    let (faults, mut world) = World::with_faults().await;
    let mut client = world.connect().await;
    let long = Latency { median_ms: 300.0, sigma: 0.0 };
    let at_least =
        |started: Instant| assert!(started.elapsed() >= Duration::from_millis(295), "{:?}", started.elapsed());

    faults.follow(Plan { store_latency: long, ..Plan::default() });
    let started = Instant::now();
    world.dynamodb().scan().table_name("Connections").send().await.unwrap();
    at_least(started);

    faults.follow(Plan { file_latency: long, ..Plan::default() });
    let started = Instant::now();
    world.s3().head_bucket().bucket(BUCKET).send().await.unwrap();
    at_least(started);

    faults.follow(Plan { post_latency: long, ..Plan::default() });
    let started = Instant::now();
    let post = world.connections().post_to_connection().connection_id(&client.id).data(b"x".to_vec().into());
    post.send().await.unwrap();
    at_least(started);
    assert_eq!(client.hears().await, "x");
}

#[tokio::test]
async fn the_same_seed_injects_the_same_faults() {
    let (faults, mut world) = World::with_faults().await;
    let client = world.connect().await;
    let mut rounds = Vec::new();
    for seed in [7, 7, 8] {
        faults.follow(Plan { seed: Some(seed), post_failed: 500, ..Plan::default() });
        let mut failed = Vec::new();
        for _ in 0..30 {
            let post = world.connections().post_to_connection().connection_id(&client.id).data(b"x".to_vec().into());
            failed.push(post.send().await.is_err());
        }
        rounds.push(failed);
    }

    assert_eq!(rounds[0], rounds[1]);
    assert_ne!(rounds[0], rounds[2]);
}

#[tokio::test]
async fn an_invalid_batch_is_refused_also_under_faults() {
    let (faults, world) = World::with_faults().await;
    faults.follow(Plan { store_unprocessed: 1000, ..Plan::default() });
    for body in [json!([]), json!(7), json!({ "RequestItems": { "Connections": 5 } }), json!({ "RequestItems": {} })] {
        let headers =
            [("content-type", "application/x-amz-json-1.0"), ("x-amz-target", "DynamoDB_20120810.BatchWriteItem")];
        let body = body.to_string();
        let signing = world.signs("dynamodb");
        let answer = signing.request("POST", &world.urls().dynamodb, &headers, body.as_bytes()).await;
        assert!(!answer.text().contains("Signature"), "{}", answer.text());
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    }
}

/// A DynamoDB client with the access key of the process of an invocation.
fn dynamodb_of(world: &World, invocation: &Invocation) -> aws_sdk_dynamodb::Client {
    clients::dynamodb(&world.urls().dynamodb, &invocation.key.parse().unwrap()).unwrap()
}

async fn writes(client: &aws_sdk_dynamodb::Client, id: &str) -> bool {
    use aws_sdk_dynamodb::types::AttributeValue;
    let put = client.put_item().table_name("Connections").item("connectionId", AttributeValue::S(id.to_owned()));
    put.send().await.is_ok()
}

async fn stored_ids(world: &World) -> Vec<String> {
    let rows = world.dynamodb().scan().table_name("Connections").send().await.unwrap();
    let mut ids: Vec<_> = rows.items().iter().map(|row| row["connectionId"].as_s().unwrap().clone()).collect();
    ids.sort();
    ids
}

/// A plan that kills the process at the second request of a `ping`.
fn kill_at_second(moment: Moment) -> Plan {
    let kill = KillAtRequest { route: "ping".to_owned(), request: 2, moment };
    Plan { kill_at_request: Some(kill), ..Plan::default() }
}

#[tokio::test]
async fn a_function_can_be_killed_before_and_after_a_request() {
    for (moment, rows) in [(Moment::Before, vec!["one"]), (Moment::After, vec!["one", "two"])] {
        let (faults, mut world) = World::with_faults().await;
        let mut client = world.connect().await;
        faults.follow(kill_at_second(moment));
        client.asks_for("other").await;
        let other = world.invoked().await;
        assert!(writes(&dynamodb_of(&world, &other), "one").await && writes(&dynamodb_of(&world, &other), "one").await);
        other.answers(with_body("done"));
        assert_eq!(client.hears().await, "done");

        client.asks_for("ping").await;
        let ping = world.invoked().await;
        let tables = dynamodb_of(&world, &ping);
        assert!(writes(&tables, "one").await);
        let second = tokio::spawn(async move { writes(&tables, "two").await });

        ping.waits_to_be_killed().await;
        let struck = faults.requests().killed().await;
        assert_eq!(struck, Outcome::Struck("dynamodb PutItem CONNECTIONS_TABLE".to_owned()));
        assert!(client.hears_error().await.contains("Internal server error"));
        assert_eq!(stored_ids(&world).await, rows, "{moment:?}");
        second.abort();
    }
}

#[tokio::test]
async fn the_response_to_a_single_request_can_be_lost() {
    let (faults, mut world) = World::with_faults().await;
    let mut client = world.connect().await;
    faults.follow(kill_at_second(Moment::AnswerLost));

    client.asks_for("ping").await;
    let ping = world.invoked().await;
    let tables = dynamodb_of(&world, &ping);
    world.stack().take_store_calls();
    let answered = [writes(&tables, "one").await, writes(&tables, "two").await, writes(&tables, "three").await];
    ping.answers(with_body("done"));

    assert_eq!(answered, [true; 3]);
    assert_eq!(world.stack().take_store_calls().len(), 4, "the client must retry the request whose response was lost");
    assert_eq!(client.hears().await, "done");
    assert_eq!(stored_ids(&world).await, ["one", "three", "two"]);
}

#[tokio::test]
async fn an_invocation_with_fewer_requests_is_not_killed() {
    let (faults, mut world) = World::with_faults().await;
    let mut client = world.connect().await;
    faults.follow(kill_at_second(Moment::Before));

    client.asks_for("ping").await;
    let ping = world.invoked().await;
    assert!(writes(&dynamodb_of(&world, &ping), "one").await);
    ping.answers(with_body("done"));

    assert_eq!(client.hears().await, "done");
    assert_eq!(faults.requests().killed().await, Outcome::NotReached(1));
}

#[tokio::test]
async fn the_response_to_a_single_request_can_be_delayed() {
    let (faults, mut world) = World::with_faults().await;
    let mut client = world.connect().await;
    let hold = HoldAtRequest { route: "ping".to_owned(), request: 1, before: false };
    faults.follow(Plan { hold_at_request: Some(hold), ..Plan::default() });

    client.asks_for("ping").await;
    let ping = world.invoked().await;
    let tables = dynamodb_of(&world, &ping);
    let held = tokio::spawn(async move { writes(&tables, "one").await });
    assert_eq!(faults.requests().held().await, Outcome::Struck("dynamodb PutItem CONNECTIONS_TABLE".to_owned()));
    while stored_ids(&world).await.is_empty() {}
    assert!(!held.is_finished());
    faults.requests().release();

    assert!(held.await.unwrap());
    ping.answers(with_body("done"));
    assert_eq!(client.hears().await, "done");
}

#[test]
fn a_plan_names_requests_from_one() {
    let plan =
        |request: u32| json!({ "killAtRequest": { "route": "ping", "request": request, "moment": "answerLost" } });
    assert_eq!(Plan::parse(plan(2).to_string().as_bytes()).unwrap(), kill_at_second(Moment::AnswerLost));
    let refused = Plan::parse(plan(0).to_string().as_bytes()).unwrap_err();
    assert!(refused.to_string().contains("requests count from 1"), "{refused}");
}

/// The users of a room, according to the index.
async fn users_in_index(world: &World) -> Vec<String> {
    use aws_sdk_dynamodb::types::AttributeValue;
    let query = world.dynamodb().query().table_name("Members").index_name("byRoom");
    let query = query.key_condition_expression("roomId = :room");
    let found = query.expression_attribute_values(":room", AttributeValue::S("tea".to_owned())).send().await.unwrap();
    assert_eq!(usize::try_from(found.count()).unwrap(), found.items().len());
    found.items().iter().map(|row| row["userId"].as_s().unwrap().clone()).collect()
}

#[tokio::test]
async fn an_index_can_lag_behind_its_table() {
    use aws_sdk_dynamodb::types::AttributeValue;
    let (faults, world) = World::with_faults().await;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = |user: &str| {
        let put = world.dynamodb().put_item().table_name("Members").item("userId", text(user));
        put.item("roomId", text("tea")).send()
    };
    put("ana").await.unwrap();
    faults.follow(Plan { index_lag_ms: 3_000, ..Plan::default() });

    put("ben").await.unwrap();
    let write_time = Instant::now();

    assert_eq!(users_in_index(&world).await, ["ana"]);
    let rows = world.dynamodb().scan().table_name("Members").send().await.unwrap();
    assert_eq!(rows.count(), 2, "the table itself must not lag");
    while users_in_index(&world).await != ["ana", "ben"] {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(write_time.elapsed() >= Duration::from_millis(2_900), "{:?}", write_time.elapsed());
}
