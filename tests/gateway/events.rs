//! The streams of the tables, and the event bus.

use serde_json::{Value, json};
use switchboard::local::{BusOptions, Options};

use crate::support::{Answer, World, request};

const HEADERS: [(&str, &str); 2] =
    [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "AWSEvents.PutEvents")];

/// A stack with streams and a bus.
async fn world() -> World {
    World::with(|options| Options { bus: Some(BusOptions::default()), ..options }).await
}

/// Rows of the table of messages.
async fn writes(world: &World, ids: std::ops::Range<u32>) {
    use aws_sdk_dynamodb::types::AttributeValue::S;
    for id in ids {
        let put = world.dynamodb().put_item().table_name("Messages").item("roomId", S("tea".to_owned()));
        put.item("messageId", S(format!("{id:03}"))).send().await.unwrap();
    }
}

/// The sort keys of the records of an event.
fn ids(event: &Value) -> Vec<&str> {
    let records = event["Records"].as_array().unwrap().iter();
    records.map(|record| record["dynamodb"]["Keys"]["messageId"]["S"].as_str().unwrap()).collect()
}

async fn puts(world: &World, entries: Value) -> Answer {
    let url = format!("{}/", world.urls().events.as_ref().unwrap());
    let body = json!({ "Entries": entries }).to_string();
    world.signs("events").request("POST", &url, &HEADERS, body.as_bytes()).await
}

fn entry(detail: &str) -> Value {
    json!({ "Source": "test", "DetailType": "test", "Detail": detail, "EventBusName": "switchboard" })
}

/// Lambda developer guide, "Using AWS Lambda with Amazon DynamoDB": the example event.
#[tokio::test]
async fn a_record_of_a_stream_has_its_table_its_row_and_its_sequence_number() {
    let mut world = world().await;
    writes(&world, 1..2).await;

    let invocation = world.invoked().await;

    let record = &invocation.event["Records"][0];
    assert_eq!((&record["eventSource"], &record["eventName"]), (&json!("aws:dynamodb"), &json!("INSERT")));
    let arn = record["eventSourceARN"].as_str().unwrap();
    assert!(arn.starts_with("arn:aws:dynamodb:us-east-1:000000000000:table/Messages/stream/"), "{arn}");
    let row = json!({ "roomId": { "S": "tea" }, "messageId": { "S": "001" } });
    let Value::Object(stream) = &record["dynamodb"] else { panic!("{record}") };
    assert_eq!((&stream["Keys"], &stream["NewImage"], stream.get("OldImage")), (&row, &row, None));
    assert_eq!(stream["StreamViewType"], "NEW_IMAGE");
    assert!(stream["SequenceNumber"].as_str().unwrap().len() >= 21);
    assert!(stream["ApproximateCreationDateTime"].is_number());
}

/// Lambda developer guide, "Using AWS Lambda with Amazon DynamoDB": `BisectBatchOnFunctionError`.
#[tokio::test]
async fn a_batch_that_fails_is_split_and_retried_until_it_is_handled() {
    let mut world = world().await;
    // The next records are written while this one is handled, so that they come in one batch.
    writes(&world, 0..1).await;
    let first = world.invoked().await;
    writes(&world, 1..5).await;
    first.answers(Value::Null);

    let all = world.invoked().await;
    assert_eq!(ids(&all.event), ["001", "002", "003", "004"]);
    all.fails();
    let half = world.invoked().await;
    assert_eq!(ids(&half.event), ["001", "002"]);
    half.crashes();
    let single = world.invoked().await;
    assert_eq!(ids(&single.event), ["001"]);
    single.answers(json!({ "batchItemFailures": [] }));
    assert_eq!(ids(&world.invoked().await.event), ["002", "003", "004"]);
}

/// Lambda developer guide, "Configuring partial batch response with DynamoDB and Lambda".
#[tokio::test]
async fn a_batch_is_retried_from_the_first_record_that_the_function_names() {
    let mut world = world().await;
    writes(&world, 0..1).await;
    let first = world.invoked().await;
    writes(&world, 1..5).await;
    first.answers(Value::Null);

    let all = world.invoked().await;
    let number = |place: usize| all.event["Records"][place]["dynamodb"]["SequenceNumber"].clone();
    let failures = json!([{ "itemIdentifier": number(3) }, { "itemIdentifier": number(2) }]);
    all.answers(json!({ "batchItemFailures": failures }));

    let rest = world.invoked().await;
    assert_eq!(ids(&rest.event), ["003", "004"]);
    // A record that is not in the batch fails all of it.
    rest.answers(json!({ "batchItemFailures": [{ "itemIdentifier": "" }] }));
    let again = world.invoked().await;
    assert_eq!(ids(&again.event), ["003", "004"]);
    again.answers(json!({}));
    world.stack().events_put().await;
    world.has_invoked_nothing_else();
}

/// EventBridge API reference, "PutEvents".
#[tokio::test]
async fn the_bus_takes_signed_events_and_refuses_single_ones_that_are_malformed() {
    let world = world().await;
    let answer = puts(&world, json!([entry("{\"a\":1}"), entry("no JSON"), entry("[]"), entry("{\"b\":2}")])).await;

    assert_eq!((answer.status, &answer.body["FailedEntryCount"]), (200, &json!(2)));
    let codes = |entry: &Value| entry.get("ErrorCode").cloned().unwrap_or_default();
    let codes: Vec<_> = answer.body["Entries"].as_array().unwrap().iter().map(codes).collect();
    assert_eq!(codes, [Value::Null, json!("MalformedDetail"), json!("MalformedDetail"), Value::Null]);
    let events = world.stack().bus().unwrap().events();
    let shown: Vec<_> =
        events.iter().map(|event| (&event["detail-type"], &event["source"], &event["detail"])).collect();
    let test = json!("test");
    assert_eq!(shown, [(&test, &test, &json!({ "a": 1 })), (&test, &test, &json!({ "b": 2 }))]);
    let url = format!("{}/", world.urls().events.as_ref().unwrap());
    let unsigned = request("POST", &url, &HEADERS, b"{}").await;
    assert_eq!((unsigned.status, &unsigned.body["__type"]), (400, &json!("MissingAuthenticationTokenException")));
    let shown = request("GET", &url, &[], b"").await;
    assert_eq!((shown.status, shown.body.as_array().map(Vec::len)), (200, Some(2)));
}

/// EventBridge API reference, "PutEvents": 1 to 10 entries; EventBridge user guide, "Calculating PutEvents event entry
/// size".
#[tokio::test]
async fn the_bus_takes_at_most_ten_events_and_256_kb_in_a_request() {
    let world = world().await;
    let many = |count: usize, detail: &str| Value::Array(vec![entry(detail); count]);
    let large = json!({ "text": "x".repeat(100_000) }).to_string();

    assert_eq!(puts(&world, many(10, "{}")).await.status, 200);
    assert_eq!(puts(&world, many(2, &large)).await.status, 200);
    for refused in [many(0, "{}"), many(11, "{}"), many(3, &large)] {
        let answer = puts(&world, refused).await;
        assert_eq!((answer.status, &answer.body["__type"]), (400, &json!("ValidationException")));
    }
}
