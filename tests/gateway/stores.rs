//! DynamoDB and S3: consumed capacity, pagination, presigned uploads, event notifications and errors.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, ConsumedCapacity, Get, KeySchemaElement, KeyType,
    KeysAndAttributes, Put, PutRequest, ReturnConsumedCapacity, ScalarAttributeType, TransactGetItem,
    TransactWriteItem, WriteRequest,
};
use aws_sdk_s3::presigning::PresigningConfig;
use futures_util::future::join_all;
use serde_json::Value;
use switchboard::local::Options;
use switchboard::local::faults::Plan;

use crate::support::{BUCKET, World, accepted, request};

const TABLE: &str = "Probe";
const TOTAL: ReturnConsumedCapacity = ReturnConsumedCapacity::Total;

type Row = HashMap<String, AttributeValue>;

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn key(number: usize) -> Row {
    HashMap::from([("shelf".to_owned(), text("tea")), ("number".to_owned(), text(&format!("{number:03}")))])
}

/// A row of about this many bytes.
fn row(number: usize, bytes: usize) -> Row {
    let mut row = key(number);
    row.insert("filling".to_owned(), text(&"x".repeat(bytes)));
    row
}

/// A table with this many rows of about this many bytes each, all with the same partition key.
async fn table(world: &World, rows: usize, bytes: usize) -> Client {
    let client = world.dynamodb();
    let mut create = client.create_table().table_name(TABLE).billing_mode(BillingMode::PayPerRequest);
    for (name, kind) in [("shelf", KeyType::Hash), ("number", KeyType::Range)] {
        let definition = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        create = create.attribute_definitions(definition.build().unwrap());
        create = create.key_schema(KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap());
    }
    create.send().await.unwrap();
    for number in 0..rows {
        client.put_item().table_name(TABLE).set_item(Some(row(number, bytes))).send().await.unwrap();
    }
    world.stack().take_store_calls();
    client
}

fn all(client: &Client) -> QueryFluentBuilder {
    let query = client.query().table_name(TABLE).return_consumed_capacity(TOTAL);
    query.key_condition_expression("shelf = :shelf").expression_attribute_values(":shelf", text("tea"))
}

fn units(consumed: &[ConsumedCapacity]) -> f64 {
    consumed.iter().map(|consumed| consumed.capacity_units().unwrap()).sum()
}

async fn units_of(query: QueryFluentBuilder) -> f64 {
    units(&[query.send().await.unwrap().consumed_capacity.unwrap()])
}

/// DynamoDB developer guide, "DynamoDB read and write operations": `Query`.
#[tokio::test]
async fn a_query_is_charged_per_4_kb_and_half_of_that_if_eventually_consistent() {
    let world = World::start().await;
    let client = table(&world, 5, 1000).await;

    assert_eq!(units_of(all(&client).consistent_read(true)).await, 2.0);
    assert_eq!(units_of(all(&client)).await, 1.0);
}

/// DynamoDB developer guide, "DynamoDB read and write operations": `BatchGetItem`.
#[tokio::test]
async fn a_batch_is_charged_per_row() {
    let world = World::start().await;
    let client = table(&world, 5, 1000).await;

    for (consistent, charged) in [(true, 5.0), (false, 2.5)] {
        let keys = (0..5).map(key).collect();
        let keys = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(consistent).build().unwrap();
        let got = client.batch_get_item().request_items(TABLE, keys).return_consumed_capacity(TOTAL);
        assert_eq!(units(got.send().await.unwrap().consumed_capacity()), charged);
    }
}

/// DynamoDB developer guide, "DynamoDB read and write operations": filters and projections change nothing.
#[tokio::test]
async fn filtered_and_unprojected_data_is_charged() {
    let world = World::start().await;
    let client = table(&world, 5, 1000).await;

    let filtered = all(&client).consistent_read(true).filter_expression("filling = :nothing");
    let filtered = filtered.expression_attribute_values(":nothing", text("nothing")).send().await.unwrap();
    let projected = all(&client).consistent_read(true).projection_expression("shelf").send().await.unwrap();

    assert_eq!((filtered.items().len(), projected.items().len()), (0, 5));
    assert!(projected.items().iter().all(|row| row.len() == 1));
    assert_eq!(units(&[filtered.consumed_capacity.unwrap()]), 2.0);
    assert_eq!(units(&[projected.consumed_capacity.unwrap()]), 2.0);
}

/// DynamoDB developer guide, "DynamoDB read and write operations": a condition that is false. No answer tells of it;
/// what the stack counts does.
#[tokio::test]
async fn a_write_is_charged_when_its_condition_fails() {
    let world = World::start().await;
    let client = table(&world, 1, 10).await;
    let put = |number: usize| {
        let put = Put::builder().table_name(TABLE).set_item(Some(row(number, 10)));
        TransactWriteItem::builder()
            .put(put.condition_expression("attribute_not_exists(shelf)").build().unwrap())
            .build()
    };

    let again = client.put_item().table_name(TABLE).set_item(Some(row(0, 10)));
    let again = again.condition_expression("attribute_not_exists(shelf)").send().await.unwrap_err();
    let both = client.transact_write_items().transact_items(put(0)).transact_items(put(1)).send().await.unwrap_err();

    assert!(again.as_service_error().unwrap().is_conditional_check_failed_exception());
    assert!(both.as_service_error().unwrap().is_transaction_canceled_exception());
    let charged: Vec<_> = world.stack().take_store_calls().iter().map(|call| call.write_units).collect();
    assert_eq!(charged, [1.0, 4.0]);
}

/// DynamoDB developer guide, "Amazon DynamoDB Transactions: How it works": two reads or writes for each.
#[tokio::test]
async fn a_transaction_is_charged_twice() {
    let world = World::start().await;
    let client = table(&world, 0, 0).await;
    let puts = (0..2).map(|number| {
        let put = Put::builder().table_name(TABLE).set_item(Some(row(number, 10))).build().unwrap();
        TransactWriteItem::builder().put(put).build()
    });
    let gets = (0..2).map(|number| {
        let get = Get::builder().table_name(TABLE).set_key(Some(key(number))).build().unwrap();
        TransactGetItem::builder().get(get).build()
    });

    let put = client.transact_write_items().set_transact_items(Some(puts.collect())).return_consumed_capacity(TOTAL);
    assert_eq!(units(put.send().await.unwrap().consumed_capacity()), 4.0);
    let got = client.transact_get_items().set_transact_items(Some(gets.collect())).return_consumed_capacity(TOTAL);
    assert_eq!(units(got.send().await.unwrap().consumed_capacity()), 4.0);
}

/// DynamoDB developer guide, "Paginating table query results in DynamoDB".
#[tokio::test]
async fn a_page_ends_at_a_megabyte() {
    let world = World::start().await;
    let client = table(&world, 25, 100_000).await;

    let first = all(&client).send().await.unwrap();
    let next = all(&client).set_exclusive_start_key(first.last_evaluated_key.clone()).send().await.unwrap();

    // The row that reaches the limit may be included or not.
    assert!((10..=11).contains(&first.items().len()), "{}", first.items().len());
    assert_eq!(first.last_evaluated_key.as_ref(), Some(&key(first.items().len() - 1)));
    assert_eq!(next.items()[0]["number"], key(first.items().len())["number"]);
}

/// DynamoDB developer guide, "Working with expired items".
#[tokio::test]
async fn an_expired_row_is_returned_until_ttl_deletes_it() {
    let world = World::start().await;
    let client = world.dynamodb();
    let expired = HashMap::from([
        ("connectionId".to_owned(), text("an old one")),
        ("ttl".to_owned(), AttributeValue::N("1000000000".to_owned())),
    ]);

    client.put_item().table_name("Connections").set_item(Some(expired.clone())).send().await.unwrap();

    let got = client.get_item().table_name("Connections").key("connectionId", text("an old one")).send().await.unwrap();
    assert_eq!(got.item, Some(expired));
}

/// DynamoDB API reference, "BatchWriteItem": `UnprocessedItems`.
#[tokio::test]
async fn a_batch_can_return_unprocessed_rows() {
    let (faults, world) = World::with_faults().await;
    let client = table(&world, 0, 0).await;
    let write = |number| {
        let put = PutRequest::builder().set_item(Some(row(number, 10))).build().unwrap();
        WriteRequest::builder().put_request(put).build()
    };

    faults.follow(Plan { store_unprocessed: 1000, ..Plan::default() });
    let batch = client.batch_write_item().request_items(TABLE, vec![write(0), write(1)]).send().await.unwrap();

    assert_eq!(batch.unprocessed_items.unwrap()[TABLE], [write(1)]);
    let stored = all(&client).send().await.unwrap();
    assert_eq!(stored.items(), [row(0, 10)]);
}

/// S3 user guide, "Event message structure": the key is encoded as in a form.
#[tokio::test]
async fn object_keys_in_events_are_form_encoded() {
    let mut world = World::start().await;

    world.uploads("shelf/green tea+mint ü.txt").await;

    let invocation = world.invoked().await;
    let record = &invocation.event["Records"][0];
    assert_eq!(record["eventName"], "ObjectCreated:Put");
    assert_eq!(record["s3"]["object"]["key"], "shelf/green+tea%2Bmint+%C3%BC.txt");
    invocation.answers(accepted());
}

/// S3 user guide, "Amazon S3 Event Notifications": at least once; "Event message structure": in any order.
#[tokio::test]
async fn bucket_events_can_be_repeated_and_out_of_order() {
    let (faults, mut world) = World::with_faults().await;

    faults.follow(Plan { event_repeated: 1000, ..Plan::default() });
    world.uploads("repeated").await;
    for _ in 0..2 {
        let invocation = world.invoked().await;
        assert_eq!(key_in(&invocation.event), "repeated");
        invocation.answers(accepted());
    }

    faults.follow(Plan { event_late: 1000, seed: Some(1), ..Plan::default() });
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
    join_all(keys.map(|key| world.uploads(key))).await;
    let (mut received, mut sequence) = (Vec::new(), Vec::new());
    for _ in keys {
        let invocation = world.invoked().await;
        received.push(key_in(&invocation.event).to_owned());
        sequence.push(invocation.event["Records"][0]["s3"]["object"]["sequencer"].as_str().unwrap().to_owned());
        invocation.answers(accepted());
    }
    assert!(!sequence.is_sorted(), "{sequence:?}");
    received.sort();
    assert_eq!(received, keys);
}

fn key_in(event: &Value) -> &str {
    event["Records"][0]["s3"]["object"]["key"].as_str().unwrap()
}

/// S3 API reference, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)": signed headers; S3
/// user guide, "How to prevent object overwrites with conditional writes".
#[tokio::test]
async fn a_presigned_upload_enforces_length_type_and_if_none_match() {
    let world = World::start().await;
    let signed = world.s3().put_object().bucket(BUCKET).key("leaf").content_length(3).content_type("text/plain");
    let an_hour = PresigningConfig::expires_in(Duration::from_secs(3600)).unwrap();
    let signed = signed.if_none_match("*").presigned(an_hour).await.unwrap();
    let upload = async |headers: &[(&str, &str)], body: &[u8]| request("PUT", signed.uri(), headers, body).await.status;
    let (plain, first) = (("content-type", "text/plain"), ("if-none-match", "*"));

    assert_eq!(upload(&[plain, first], b"four").await, 403, "another length");
    assert_eq!(upload(&[("content-type", "text/html"), first], b"tea").await, 403, "another type");
    assert_eq!(upload(&[plain], b"tea").await, 403, "without if-none-match");
    assert_eq!(upload(&[plain, first], b"tea").await, 200);
    assert_eq!(upload(&[plain, first], b"mud").await, 412, "an existing object");
}

/// S3 API reference, "Error responses": the elements of an error; `NoSuchBucket`, `NoSuchKey`.
#[tokio::test]
async fn s3_errors_have_code_message_and_request_id() {
    let world = World::start().await;
    let signing = world.signs("s3");
    for (method, path, code, message) in [
        ("GET", format!("{BUCKET}/nothing"), "NoSuchKey", "The specified key does not exist."),
        ("GET", "no-such-bucket/leaf".to_owned(), "NoSuchBucket", "The specified bucket does not exist"),
        ("PUT", "no-such-bucket/leaf".to_owned(), "NoSuchBucket", "The specified bucket does not exist"),
        ("DELETE", "no-such-bucket/leaf".to_owned(), "NoSuchBucket", "The specified bucket does not exist"),
        ("GET", "no-such-bucket".to_owned(), "NoSuchBucket", "The specified bucket does not exist"),
    ] {
        let answer = signing.request(method, &format!("{}/{path}", world.urls().s3), &[], b"").await;

        let id = answer.optional_header("x-amz-request-id").unwrap_or_default().to_owned();
        assert_eq!((answer.status, id.len()), (404, 16), "{method} {path}: {}", answer.text());
        for element in [
            format!("<Code>{code}</Code>"),
            format!("<Message>{message}</Message>"),
            format!("<RequestId>{id}</RequestId>"),
            format!("<HostId>{}</HostId>", answer.optional_header("x-amz-id-2").unwrap()),
        ] {
            assert!(answer.text().contains(&element), "{element} is missing in {}", answer.text());
        }
    }
}

/// S3 user guide, "Using cross-origin resource sharing (CORS)", "Troubleshooting CORS": 403; our notes: 400 without an
/// origin.
#[tokio::test]
async fn s3_cors_allows_downloads_and_uploads_from_allowed_origins() {
    let origins = vec!["https://a.example".to_owned()];
    let world = World::with(|options| Options { cors_origins: origins, ..options }).await;
    let url = world.presigns_download("leaf", Duration::from_secs(60)).await;
    let ask = async |headers: &[(&str, &str)]| request("OPTIONS", &url, headers, b"").await;
    let (ours, method) = (("origin", "https://a.example"), "access-control-request-method");

    for allowed in ["GET", "PUT", "HEAD"] {
        let answer = ask(&[ours, (method, allowed), ("access-control-request-headers", "content-type")]).await;
        assert_eq!(
            (answer.status, answer.optional_header("access-control-allow-origin")),
            (200, Some("https://a.example"))
        );
        assert_eq!(answer.optional_header("access-control-allow-headers"), Some("content-type"));
    }
    for refused in [[ours, (method, "DELETE")], [("origin", "https://b.example"), (method, "GET")]] {
        let answer = ask(&refused).await;
        assert_eq!((answer.status, answer.optional_header("access-control-allow-origin")), (403, None), "{refused:?}");
        assert!(answer.text().contains("<Code>AccessForbidden</Code>"), "{}", answer.text());
    }
    let answer = ask(&[(method, "GET")]).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("<Message>Insufficient information. Origin request header needed.</Message>"));
}
