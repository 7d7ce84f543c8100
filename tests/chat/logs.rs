//! What the person who reads CloudWatch at night finds.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Bytes;
use serde_json::json;
use switchboard::local::Options;
use switchboard::local::faults::{Faults, Latency, Plan};
use switchboard::metrics::Metric;

use crate::harness::{World, token, unchecked};
use crate::uploads::{Upload, announcement};

const NAMESPACE: &str = "Chat/Test";

/// What CloudWatch counts by the log so far. Every line of an invocation is one that it can read.
fn counted(world: &World) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in world.log().iter().filter(|line| line["message"] == "invocation") {
        assert!(line["_aws"]["Timestamp"].as_i64().is_some_and(|epoch_ms| epoch_ms > 1_700_000_000_000), "{line}");
        let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
        let by_route = json!({
            "Namespace": NAMESPACE,
            "Dimensions": [["route"]],
            "Metrics": [{ "Name": "Duration", "Unit": "Milliseconds" }],
        });
        assert_eq!(directives.last(), Some(&by_route), "{line}");
        assert!(line["route"].is_string() && line["Duration"].is_u64(), "{line}");
        assert!(directives.len() <= 2, "{line}");
        for directive in &directives[..directives.len() - 1] {
            let metrics = directive["Metrics"].as_array().unwrap();
            assert_eq!(directive, &json!({ "Namespace": NAMESPACE, "Dimensions": [[]], "Metrics": metrics }));
            assert!(!metrics.is_empty());
            for metric in metrics {
                let name = metric["Name"].as_str().unwrap();
                assert_eq!(metric, &json!({ "Name": name, "Unit": "Count" }));
                *counts.entry(name.to_owned()).or_default() += line[name].as_u64().expect("a number under its name");
            }
        }
    }
    counts
}

#[tokio::test]
async fn each_invocation_logs_one_line_with_user_room_and_status() {
    let world = World::start().await;
    let mut ana = world.connect_to("ana", "tea").await;
    let _ben = world.connect_to("ben", "tea").await;
    ana.says("tea", "hello").await;

    let line = world.logs(|line| line["route"] == "sendMessage").await;

    let wanted = json!({
        "level": "INFO", "message": "invocation", "route": "sendMessage", "room_id": "tea", "user_id": "ana",
        "status": 200, "code": "OK", "recipients": 1, "gone": 0,
    });
    for (name, value) in wanted.as_object().unwrap() {
        assert_eq!(&line[name], value, "{name}");
    }
    assert_eq!(line["connection_id"].as_str().unwrap().len(), 16);
    assert!(line["request_id"].is_string() && line["duration_ms"].is_u64());
    assert!(line["lambda_request_id"].as_str().is_some_and(|id| !id.is_empty()), "{line}");
    assert_ne!(line["lambda_request_id"], line["request_id"]);
    let lines = world.log();
    assert_eq!(lines.iter().filter(|line| line["route"] == "$connect").count(), 2);
    assert_eq!(lines.len(), 3);
}

#[tokio::test]
async fn a_refusal_is_logged_with_its_code() {
    let world = World::start().await;
    let mut eve = world.connect("eve").await;
    eve.is_refused(json!({ "action": "joinRoom", "roomId": "nowhere" })).await;
    assert_eq!(world.open("?userId=%00").await.err(), Some(400));

    let line = world.logs(|line| line["route"] == "joinRoom").await;
    assert_eq!(
        (&line["status"], &line["code"], &line["room_id"]),
        (&json!(404), &json!("ROOM_NOT_FOUND"), &json!("nowhere"))
    );
    let line = world.logs(|line| line["route"] == "$connect" && line["status"] != 200).await;
    assert_eq!((&line["status"], &line["code"]), (&json!(400), &json!("INVALID_FIELD")));
}

#[tokio::test]
async fn metrics_are_counted_once_in_the_line_of_their_invocation() {
    let faults = Faults::default();
    let world =
        World::changed(&[("METRICS_NAMESPACE", NAMESPACE)], |options| Options { faults: faults.clone(), ..options })
            .await;
    let mut ana = world.connect("ana").await;
    let mut ben = world.connect_to("ben", "tea").await;
    let mut cleo = world.connect_to("cleo", "tea").await;
    assert_eq!(world.open("?userId=%00").await.err(), Some(400));

    let made = ana.creates_room(&[]).await;
    world.posts_room("ana", 1.0, 1.0).await;
    let hello = json!({ "action": "sendMessage", "roomId": "tea", "content": "hello", "clientMessageId": "m1" });
    ben.ask(hello.clone()).await;
    assert_eq!(ben.ask(hello).await["duplicate"], true);
    let upload = Upload::of(&ben.ask(announcement("tea", "a.txt", 4)).await);
    assert_eq!(upload.puts(&world, b"good").await, 200);
    cleo.hears("message").await;
    ana.ask(json!({ "action": "closeRoom", "roomId": made })).await;
    ana.is_refused(json!({ "action": "closeRoom", "roomId": made })).await;
    world.has_stale_connection("GONEGONEGONEGO0=", "tea").await;
    world.time_passes(1_860);
    world.runs_sweep().await;
    ben.says("tea", "anybody?").await;
    // It goes on behind the answer, and would be throttled too.
    world.has_called("cleanup", 1).await;
    faults.follow(Plan { store_throttled: 1000, ..Plan::default() });
    assert_eq!(ben.is_refused(json!({ "action": "ping" })).await, (503, "UNAVAILABLE".to_owned()));
    faults.follow(Plan::default());
    ana.closes().await;
    let closed = world.logs(|line| line["route"] == "$disconnect").await;
    let at = &closed["_aws"]["Timestamp"];
    let again = json!({ "routeKey": "$disconnect", "eventType": "DISCONNECT", "requestId": "again",
        "connectionId": closed["connection_id"], "connectedAt": at, "requestTimeEpoch": at });
    world.sends_event(json!({ "requestContext": again, "isBase64Encoded": false })).await;

    let calls = [
        ("$connect", 4),
        ("createRoom", 1),
        ("POST /rooms", 1),
        ("sendMessage", 3),
        ("handleFileUpload", 1),
        ("ObjectCreated", 1),
        ("closeRoom", 2),
        ("schedule", 1),
        ("cleanup", 1),
        ("ping", 1),
        ("$disconnect", 2),
    ];
    for (route, times) in calls {
        world.has_called(route, times).await;
    }
    let wanted = [
        (Metric::ConnectionsOpened, 3),
        (Metric::ConnectionsClosed, 1),
        (Metric::ConnectionsGone, 1),
        (Metric::RoomsOpened, 3),
        (Metric::RoomsClosed, 2),
        (Metric::Messages, 3),
        (Metric::Uploads, 1),
        // Cleo's coming, the message and its repeat, the file to both, the room that closed, the last message, and to
        // both that the stale connection is offline.
        (Metric::Recipients, 9),
        (Metric::Sends, 3),
        (Metric::Failures, 1),
    ];
    assert_eq!(counted(&world), wanted.map(|(metric, count)| (metric.name().to_owned(), count)).into());
    // Nothing was limited or not delivered; there is no bus and no review. The last one is the duration, by route.
    let others = [
        Metric::RateLimited,
        Metric::LimitsFailed,
        Metric::PostsFailed,
        Metric::SendsMissed,
        Metric::Events,
        Metric::ReviewsFailed,
    ];
    assert_eq!(wanted.len() + others.len(), Metric::ALL.len() - 1);
}

#[tokio::test]
async fn a_post_that_fails_is_counted_and_the_sender_is_answered() {
    let faults = Faults::default();
    let world = World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await;
    let mut ana = world.connect_to("ana", "tea").await;
    let mut ben = world.connect_to("ben", "tea").await;
    ana.hears("joined").await;

    faults.follow(Plan { post_failed: 1000, ..Plan::default() });
    ana.says("tea", "nobody hears it").await;
    let failed = world.logs(|line| line["route"] == "sendMessage").await;
    faults.follow(Plan::default());
    ana.says("tea", "ben hears it").await;

    assert_eq!((&failed["status"], &failed["recipients"]), (&json!(200), &json!(0)));
    assert_eq!((&failed["failed"], &failed["PostsFailed"]), (&json!(1), &json!(1)));
    // The alarm on the share of failed posts needs both.
    assert_eq!((&failed["Recipients"], &failed["Sends"]), (&json!(0), &json!(1)));
    assert_eq!(ben.hears("message").await["content"], "ben hears it");
    let delivered = world.logs(|line| line["route"] == "sendMessage" && line["recipients"] == 1).await;
    assert!(delivered["failed"].is_null() && delivered["PostsFailed"].is_null(), "{delivered}");
}

#[tokio::test]
async fn a_send_that_takes_longer_than_a_second_or_fails_misses_the_objective() {
    let faults = Faults::default();
    let world = World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await;
    let mut ana = world.connect_to("ana", "tea").await;
    let _ben = world.connect_to("ben", "tea").await;

    faults.follow(Plan { post_latency: Latency { median_ms: 1_200.0, sigma: 0.0 }, ..Plan::default() });
    ana.says("tea", "slow").await;
    faults.follow(Plan { store_throttled: 1000, ..Plan::default() });
    ana.is_refused(json!({ "action": "sendMessage", "roomId": "tea", "content": "lost" })).await;
    faults.follow(Plan::default());
    ana.says("tea", "fast").await;

    world.has_called("sendMessage", 3).await;
    let lines = world.log();
    let lines: Vec<_> = lines.iter().filter(|line| line["route"] == "sendMessage").collect();
    let missed: Vec<_> = lines.iter().map(|line| line["SendsMissed"].as_u64()).collect();
    assert_eq!(missed, [Some(1), Some(1), None]);
    assert!(lines.iter().all(|line| line["Sends"] == 1));
}

#[tokio::test]
async fn an_invocation_without_effects_reports_its_duration_only() {
    let world = World::start().await;
    assert_eq!(world.get("/health").await.status, 200);

    let line = world.logs(|line| line["route"] == "GET /health").await;

    let metrics = json!([{ "Name": "Duration", "Unit": "Milliseconds" }]);
    let directive = json!({ "Namespace": "Switchboard", "Dimensions": [["route"]], "Metrics": metrics });
    assert_eq!(line["_aws"]["CloudWatchMetrics"], json!([directive]));
    assert!(Metric::ALL.iter().all(|metric| metric.is_by_route() == line.get(metric.name()).is_some()), "{line}");
}

#[tokio::test]
async fn warnings_have_the_request_id() {
    let world = World::start().await;
    world.puts_object("switchboard-uploads", "stray", b"good").await;

    let line = world.logs(|line| line["level"] == "WARN").await;

    let invocation = world.logs(|line| line["route"] == "ObjectCreated").await;
    assert!(line["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{line}");
    assert_eq!(line["request_id"], invocation["request_id"]);
    assert_eq!(line["object_key"], "stray");
}

#[tokio::test]
async fn log_level_error_keeps_the_invocation_lines() {
    let world = World::with(&[("LOG_LEVEL", "error")]).await;
    world.puts_object("switchboard-uploads", "stray", b"good").await;

    world.logs(|line| line["route"] == "ObjectCreated").await;

    assert_eq!(world.log().len(), 1);
}

#[tokio::test]
async fn debug_logs_contain_no_message_content() {
    let world = World::with_tokens_and(&[("LOG_LEVEL", "debug")]).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let [ana, ben] = ["ana", "ben"].map(|user| token(&json!({ "sub": user, "iat": now })));
    let mut anas = world.open(&format!("?token={ana}&roomId=tea")).await.unwrap();
    let mut bens = world.open(&format!("?token={ben}&roomId=tea")).await.unwrap();
    anas.says("tea", "a-secret-word").await;
    anas.ask(json!({ "action": "getMessages", "roomId": "tea" })).await;
    let upload = Upload::of(&anas.ask(announcement("tea", "a-secret-word.txt", 4)).await);
    assert_eq!(upload.puts(&world, b"good").await, 200);
    while bens.hears("message").await["file"].is_null() {}
    let bearer = format!("Bearer {ben}");
    let path = format!("/files/{}", upload.id);
    assert_eq!(world.request("GET", &path, &[("authorization", &bearer)], Bytes::new()).await.status, 307);
    for (route, times) in [("$connect", 2), ("sendMessage", 1), ("ObjectCreated", 1), ("GET /files/{fileId}", 1)] {
        // A line when it begins, and one when it ends.
        world.has_called(route, 2 * times).await;
    }

    let log = world.log();
    let signature = upload.url.split("X-Amz-Signature=").nth(1).unwrap();
    for secret in ["a-secret-word", "X-Amz-", signature, &ana, &ben] {
        assert!(log.iter().all(|line| !line.to_string().contains(secret)), "{secret}");
    }
    assert!(log.iter().all(|line| line["target"].as_str().unwrap().starts_with("switchboard::")));
    assert!(log.iter().all(|line| line["request_id"].is_string()));
    let asked = log.iter().filter(|line| line["level"] == "DEBUG" && line["status"] == 200);
    let asked: BTreeSet<_> =
        asked.map(|line| (line["service"].as_str().unwrap(), line["operation"].as_str().unwrap())).collect();
    for call in [("DynamoDB", "PutItem"), ("S3", "HeadObject"), ("ApiGatewayManagementApi", "PostToConnection")] {
        assert!(asked.contains(&call), "{call:?} is not in {asked:?}");
    }
}

#[tokio::test]
async fn logs_contain_neither_content_nor_tokens() {
    let world = World::with_tokens().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let token = token(&json!({ "sub": "ana", "iat": now }));
    let mut ana = world.open(&format!("?token={token}&roomId=tea")).await.unwrap();
    ana.says("tea", "a-secret-word").await;
    ana.send(unchecked("a-secret-word, and no JSON")).await;
    ana.hears("error").await;
    ana.is_refused(unchecked(json!({ "action": "a-secret-word" }))).await;
    ana.is_refused(unchecked(json!({ "action": "getMessages", "limit": "a-secret-word" }))).await;
    assert_eq!(world.open(&format!("?token={token}x")).await.err(), Some(401));

    let log = serde_json::to_string(&world.log()).unwrap();
    assert!(log.matches("invocation").count() >= 6);
    assert!(!log.contains("a-secret-word") && !log.contains(&token));
}
