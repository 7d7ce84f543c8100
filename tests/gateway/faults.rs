//! What can be made to fail does, each by itself.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use switchboard::local::faults::{Latency, Plan};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::connections::refusal;
use crate::support::{BUCKET, World, accepted, said};

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
    let (stack, invocations) = world.apart();
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
        let wrong_by = (milliseconds(time) - now).abs();
        assert!((60_000..=i64::from(hour) + 60_000).contains(&wrong_by), "{what}: {time} is wrong by {wrong_by} ms");
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

    assert!(client.is_told().await.contains("Internal server error"));
    world.has_invoked_nothing_else();
}

#[tokio::test]
async fn a_function_can_be_killed_during_its_event() {
    let (faults, mut world) = World::with_faults().await;
    let mut client = world.connect().await;

    // It never answers.
    faults.follow(Plan { function_killed: 1000, ..Plan::default() });
    client.asks_for("ping").await;

    assert!(client.is_told().await.contains("Internal server error"));
    assert!(world.stack().function_processes().is_empty());
}

#[tokio::test]
async fn a_function_can_be_killed_after_its_event() {
    let (faults, mut world) = World::with_faults().await;
    let mut client = world.connect().await;

    faults.follow(Plan { function_killed_after: 1000, ..Plan::default() });
    client.asks_for("ping").await;
    world.invoked().await.answers(said("done"));

    assert!(client.is_told().await.contains("Internal server error"));
    assert!(world.stack().function_processes().is_empty());
}

#[tokio::test]
async fn the_function_timeout_can_be_shortened() {
    let (faults, mut world) = World::with_faults().await;
    let mut client = world.connect().await;

    faults.follow(Plan { function_timeout_ms: 2_000, ..Plan::default() });
    client.asks_for("ping").await;

    world.invoked().await.waits_to_be_killed().await;
    assert!(client.is_told().await.contains("Internal server error"));
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
    assert_eq!(client.pings().await, None, "more was heard than was posted");
}

#[tokio::test]
async fn an_answer_of_dynamodb_can_be_lost_after_the_write() {
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
    let at_least = |begun: Instant| assert!(begun.elapsed() >= Duration::from_millis(295), "{:?}", begun.elapsed());

    faults.follow(Plan { store_latency: long, ..Plan::default() });
    let begun = Instant::now();
    world.dynamodb().scan().table_name("Connections").send().await.unwrap();
    at_least(begun);

    faults.follow(Plan { file_latency: long, ..Plan::default() });
    let begun = Instant::now();
    world.s3().head_bucket().bucket(BUCKET).send().await.unwrap();
    at_least(begun);

    faults.follow(Plan { post_latency: long, ..Plan::default() });
    let begun = Instant::now();
    let post = world.connections().post_to_connection().connection_id(&client.id).data(b"x".to_vec().into());
    post.send().await.unwrap();
    at_least(begun);
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
