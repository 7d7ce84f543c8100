//! WebSocket events: their fields, their routes, and the responses.

use serde_json::{Value, json};
use switchboard::local::Options;
use switchboard::local::faults::Plan;

use crate::support::{World, accepted, nothing, with_body};

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

/// The fields of every event's `requestContext`, in alphabetical order.
const CONTEXT: [&str; 13] = [
    "apiId",
    "connectedAt",
    "connectionId",
    "domainName",
    "eventType",
    "extendedRequestId",
    "identity",
    "messageDirection",
    "requestId",
    "requestTime",
    "requestTimeEpoch",
    "routeKey",
    "stage",
];

fn context_and(more: &[&'static str]) -> Vec<&'static str> {
    let mut names = [&CONTEXT, more].concat();
    names.sort_unstable();
    names
}

/// API Gateway developer guide, "WebSocket API mapping template reference for API Gateway"; our notes.
#[tokio::test]
async fn every_event_has_its_connection_in_the_request_context() {
    let mut world = World::start().await;
    let before = world.stack().clock().now().as_millis();
    let handshake = world.opens("", &[("user-agent", "probe/1")]);
    let connect = world.invoked().await;
    let context = connect.event["requestContext"].clone();
    connect.answers(accepted());
    let (mut client, _) = handshake.await.unwrap().unwrap();

    assert_eq!((&context["eventType"], &context["routeKey"]), (&json!("CONNECT"), &json!("$connect")));
    assert_eq!((&context["stage"], &context["messageDirection"]), (&json!("dev"), &json!("IN")));
    assert_eq!(context["identity"], json!({ "sourceIp": "127.0.0.1", "userAgent": "probe/1" }));
    let port = world.urls().websocket.split([':', '/']).nth(4).unwrap();
    assert_eq!(context["domainName"], format!("localhost:{port}"));
    assert!(context["apiId"].as_str().is_some_and(|value| !value.is_empty()));
    let epoch = context["requestTimeEpoch"].as_i64().unwrap();
    assert!((before..=world.stack().clock().now().as_millis()).contains(&epoch));
    assert!((before..=epoch).contains(&context["connectedAt"].as_i64().unwrap()));

    client.sends("hello").await;
    let message = world.invoked().await;
    for name in ["connectionId", "connectedAt", "identity", "stage", "apiId", "domainName"] {
        assert_eq!(message.context(name), &context[name], "{name}");
    }
    assert_ne!(message.context("requestId"), &context["requestId"]);
}

/// API Gateway developer guide, "WebSocket API mapping template reference for API Gateway": `$context.requestTime`.
#[tokio::test]
async fn the_time_of_a_request_is_in_the_common_log_format() {
    let mut world = World::start().await;
    let _handshake = world.opens("", &[]);
    let connect = world.invoked().await;

    let epoch = connect.context("requestTimeEpoch").as_i64().unwrap() / 1000;
    let then = time::OffsetDateTime::from_unix_timestamp(epoch).unwrap();
    let month = &then.month().to_string()[..3];
    let (day, year, hour, minute, second) = (then.day(), then.year(), then.hour(), then.minute(), then.second());
    let expected = format!("{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} +0000");
    assert_eq!(connect.context("requestTime"), &expected);
}

/// API Gateway developer guide, "Use @connections commands in your backend service": `R0oXAdfD0kwCH6w=`.
#[tokio::test]
async fn a_connection_id_is_16_characters_of_base64_ending_in_an_equals_sign() {
    let mut world = World::start().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = world.connect().await.id;
        world.invoked().await.answers(accepted());
        assert!(id.len() == 16 && id.ends_with('=') && !id.ends_with("=="), "{id}");
        assert!(id[..15].bytes().all(|letter| letter.is_ascii_alphanumeric() || b"-_+/".contains(&letter)), "{id}");
        assert!(!ids.contains(&id));
        ids.push(id);
    }
}

/// `$context.requestId` and `$context.extendedRequestId` of events in aws/aws-lambda-runtime-interface-emulator#25 on
/// GitHub: `JKJaXmPLvHcESHA=`.
#[tokio::test]
async fn a_request_id_has_the_form_of_a_connection_id() {
    let mut world = World::start().await;
    let mut client = world.connect().await;
    client.sends("hello").await;
    let message = world.invoked().await;

    for name in ["requestId", "extendedRequestId", "messageId"] {
        let id = message.context(name).as_str().unwrap();
        assert!(id.len() == 16 && id.ends_with('=') && !id.ends_with("=="), "{name}: {id}");
    }
}

/// An event in rails-lambda/lamby#74 on GitHub.
#[tokio::test]
async fn a_client_without_a_user_agent_has_none_in_its_events() {
    let mut world = World::start().await;
    let _handshake = world.opens("", &[]);

    let connect = world.invoked().await;

    assert_eq!(connect.context("identity"), &json!({ "sourceIp": "127.0.0.1" }));
}

/// Events in aws/aws-lambda-runtime-interface-emulator#25 and rails-lambda/lamby#74 on GitHub. The port and the
/// protocol are those of the local gateway.
#[tokio::test]
async fn a_connect_event_has_forwarding_headers_but_no_upgrade_headers() {
    let mut world = World::start().await;
    let _handshake = world.opens("", &[("x-forwarded-for", "203.0.113.7")]);

    let connect = world.invoked().await;

    let headers = &connect.event["headers"];
    let port = world.urls().websocket.split([':', '/']).nth(4).unwrap();
    assert_eq!(headers["X-Forwarded-For"], "203.0.113.7, 127.0.0.1");
    assert_eq!((&headers["X-Forwarded-Proto"], &headers["X-Forwarded-Port"]), (&json!("http"), &json!(port)));
    let trace = headers["X-Amzn-Trace-Id"].as_str().unwrap();
    assert!(trace.starts_with("Root=1-") && trace.len() == "Root=1-60351922-7cd582b44021ba371d4b975b".len(), "{trace}");
    assert_eq!(connect.event["multiValueHeaders"]["X-Forwarded-Port"], json!([port]));
    for name in ["Connection", "Upgrade"] {
        assert_eq!((&headers[name], &connect.event["multiValueHeaders"][name]), (&Value::Null, &Value::Null));
    }
}

/// An event in aws/aws-lambda-runtime-interface-emulator#25 on GitHub; our notes.
#[tokio::test]
async fn a_connect_event_has_headers_and_no_body_and_no_message_id() {
    let mut world = World::start().await;
    let _handshake = world.opens("", &[("x-twice", "one"), ("x-twice", "two")]);
    let connect = world.invoked().await;

    assert_eq!(keys(&connect.event), ["headers", "isBase64Encoded", "multiValueHeaders", "requestContext"]);
    assert_eq!(keys(&connect.event["requestContext"]), CONTEXT);
    assert_eq!(connect.event["headers"]["X-Twice"], "two");
    assert_eq!(connect.event["multiValueHeaders"]["X-Twice"], json!(["one", "two"]));
    assert_eq!(connect.event["isBase64Encoded"], false);
}

/// Our notes.
#[tokio::test]
async fn a_connect_event_has_a_query_only_if_there_is_one() {
    let mut world = World::start().await;
    for (query, single, multi) in [
        ("", Value::Null, Value::Null),
        ("?", Value::Null, Value::Null),
        ("?a=1&b=2", json!({ "a": "1", "b": "2" }), json!({ "a": ["1"], "b": ["2"] })),
        ("?a=1&a=2", json!({ "a": "2" }), json!({ "a": ["1", "2"] })),
        (
            "?name=%E2%98%95+tea&none",
            json!({ "name": "☕ tea", "none": "" }),
            json!({ "name": ["☕ tea"], "none": [""] }),
        ),
    ] {
        let _handshake = world.opens(query, &[]);
        let connect = world.invoked().await;
        assert_eq!(connect.event["queryStringParameters"], single, "{query}");
        assert_eq!(connect.event["multiValueQueryStringParameters"], multi, "{query}");
        connect.answers(json!({ "statusCode": 403 }));
    }
}

/// An event in aws/aws-lambda-runtime-interface-emulator#25 on GitHub. The names that clients usually send, as they
/// usually spell them.
#[tokio::test]
async fn header_names_keep_their_case_in_a_connect_event() {
    let mut world = World::start().await;
    let usual = [
        "Accept-Encoding",
        "Accept-Language",
        "Authorization",
        "Cache-Control",
        "Cookie",
        "DNT",
        "Origin",
        "Pragma",
        "Sec-Fetch-Site",
        "Sec-GPC",
        "Sec-WebSocket-Extensions",
        "User-Agent",
        "X-Forwarded-For",
    ];
    let _handshake = world.opens("", &usual.map(|name| (name, "x")));
    let connect = world.invoked().await;

    for name in usual.into_iter().chain(["Host", "Sec-WebSocket-Key", "Sec-WebSocket-Version"]) {
        assert!(connect.event["headers"][name].is_string(), "{name} is missing in {}", connect.event["headers"]);
    }
}

/// API Gateway developer guide, "Invoke your backend integration with the $default Route and custom routes in API
/// Gateway"; our notes.
#[tokio::test]
async fn a_message_event_has_a_body_and_neither_headers_nor_query() {
    let mut world = World::start().await;
    let mut client = world.connect().await;

    client.sends(r#"{"action":"ping", "x": 1}"#).await;
    let message = world.invoked().await;

    assert_eq!(keys(&message.event), ["body", "isBase64Encoded", "requestContext"]);
    assert_eq!(keys(&message.event["requestContext"]), context_and(&["messageId"]));
    assert_eq!(message.event["body"], r#"{"action":"ping", "x": 1}"#);
    assert_eq!(message.event["isBase64Encoded"], false);
    assert_eq!((message.context("eventType"), message.context("routeKey")), (&json!("MESSAGE"), &json!("ping")));
    assert!(message.context("messageId").as_str().is_some_and(|id| !id.is_empty()));
}

/// Events as captured, of which aws/aws-lambda-runtime-interface-emulator#25 on GitHub is one; our notes.
#[tokio::test]
async fn a_disconnect_event_has_few_headers_and_only_the_host_is_set() {
    let mut world = World::start().await;
    world.connect().await.closes(None).await;

    let gone = world.invoked().await;

    let host = world.urls().websocket.split('/').nth(2).unwrap();
    let headers = json!({ "Host": host, "X-Forwarded-For": "", "x-api-key": "", "x-restapi": "" });
    assert_eq!(gone.event["headers"], headers);
    let headers = json!({ "Host": [host], "X-Forwarded-For": [""], "x-api-key": [""], "x-restapi": [""] });
    assert_eq!(gone.event["multiValueHeaders"], headers);
}

/// The fields: aws/aws-lambda-go#548 on GitHub. Codes and reasons: boto/boto3#3789 on GitHub for 1000; our notes.
#[tokio::test]
async fn a_disconnect_event_has_code_and_reason() {
    let mut world = World::start().await;
    for (frame, code, reason) in [
        (None, 1005, "Client-side close frame status not set"),
        (Some((1000, "")), 1000, ""),
        (Some((4001, "enough")), 4001, "enough"),
    ] {
        let client = world.connect().await;
        client.closes(frame).await;
        let gone = world.invoked().await;
        assert_eq!(keys(&gone.event), ["headers", "isBase64Encoded", "multiValueHeaders", "requestContext"]);
        assert_eq!(keys(&gone.event["requestContext"]), context_and(&["disconnectReason", "disconnectStatusCode"]));
        assert_eq!(
            (gone.context("eventType"), gone.context("routeKey")),
            (&json!("DISCONNECT"), &json!("$disconnect"))
        );
        assert_eq!(
            (gone.context("disconnectStatusCode"), gone.context("disconnectReason")),
            (&json!(code), &json!(reason))
        );
        gone.answers(accepted());
    }

    // The connection is dropped without a close frame.
    drop(world.connect().await);
    assert_eq!(world.invoked().await.context("disconnectStatusCode"), 1006);
}

/// API Gateway developer guide, "Manage connected users and client apps: $connect and $disconnect routes": best effort.
#[tokio::test]
async fn a_disconnect_event_can_be_lost() {
    let (faults, mut world) = World::with_faults().await;
    let client = world.connect().await;

    faults.follow(Plan { disconnect_lost: 1000, ..Plan::default() });
    client.closes(None).await;

    let _other = world.connect().await;
    world.has_invoked_nothing_else();
}

/// Our notes.
#[tokio::test]
async fn frames_of_a_connection_are_handled_concurrently() {
    let mut world = World::start().await;
    let mut client = world.connect().await;

    client.sends("one").await;
    let one = world.invoked().await;
    client.sends("two").await;
    let two = world.invoked().await;
    assert_ne!(one.process, two.process);
    two.answers(with_body("to two"));
    assert_eq!(client.hears().await, "to two");
    one.answers(with_body("to one"));
    assert_eq!(client.hears().await, "to one");
}

/// API Gateway developer guide, "Invoke your backend integration with the $default Route and custom routes in API
/// Gateway".
#[tokio::test]
async fn a_frame_is_routed_by_its_action() {
    let mut world = World::start().await;
    let mut client = world.connect().await;
    for action in ["sendMessage", "joinRoom"] {
        client.asks_for(action).await;
        let message = world.invoked().await;
        assert_eq!(message.context("routeKey"), action);
        message.answers(nothing());
    }
}

/// API Gateway developer guide, "Invoke your backend integration with the $default Route and custom routes in API
/// Gateway".
#[tokio::test]
async fn other_frames_take_the_default_route() {
    let mut world = World::start().await;
    let mut client = world.connect().await;
    for frame in [
        "no JSON",
        "",
        "[]",
        "7",
        "{}",
        r#"{"action":7}"#,
        r#"{"action":"unknownAction"}"#,
        r#"{"action":"sendmessage"}"#,
        r#"{"action":"GET /health"}"#,
    ] {
        client.sends(frame).await;
        let message = world.invoked().await;
        assert_eq!((message.context("routeKey"), &message.event["body"]), (&json!("$default"), &json!(frame)));
        message.answers(nothing());
    }
}

/// aws-samples/simple-websockets-chat-app#24 on GitHub; our notes.
#[tokio::test]
async fn without_a_default_route_other_frames_are_forbidden() {
    let mut world = World::with(|options| Options { has_default_route: false, ..options }).await;
    let mut client = world.connect().await;
    for frame in ["no JSON", "{}", r#"{"action":"unknownAction"}"#, r#"{"action":"$default"}"#] {
        client.sends(frame).await;
        let expected = r#"{"message": "Forbidden", "connectionId":"...", "requestId":"..."}"#;
        assert_eq!(client.hears_error().await, expected);
    }
    client.asks_for("ping").await;
    world.invoked().await.answers(with_body("pong"));
    assert_eq!(client.hears().await, "pong");
}

/// Our notes.
#[tokio::test]
async fn actions_named_connect_and_disconnect_are_messages() {
    let mut world = World::start().await;
    let mut client = world.connect().await;
    for action in ["$connect", "$disconnect"] {
        client.asks_for(action).await;
        let message = world.invoked().await;
        assert_eq!((message.context("routeKey"), message.context("eventType")), (&json!(action), &json!("MESSAGE")));
        message.answers(with_body("not delivered: the route has no response"));
    }
    client.asks_for("ping").await;
    world.invoked().await.answers(with_body("delivered"));
    assert_eq!(client.hears().await, "delivered");
}

/// API Gateway developer guide, "Set up route responses for WebSocket APIs in API Gateway".
#[tokio::test]
async fn a_response_body_is_sent_on_routes_with_a_response() {
    let mut world = World::start().await;
    let mut client = world.connect().await;
    let mut other = world.connect().await;

    client.asks_for("ping").await;
    world.invoked().await.answers(with_body("a response, unchanged"));
    assert_eq!(client.hears().await, "a response, unchanged");

    client.asks_for("ping").await;
    world.invoked().await.answers(json!({ "statusCode": 500, "body": "with any status" }));
    assert_eq!(client.hears().await, "with any status");

    assert_eq!(other.pings().await, None, "another client received a frame");
}

/// serverless/serverless#6816 on GitHub. That 204 means no frame is our own: AWS does not document it.
#[tokio::test]
async fn a_response_without_a_body_is_an_empty_frame_unless_its_status_is_204() {
    let mut world = World::start().await;
    let mut client = world.connect().await;

    for answer in [accepted(), with_body(""), json!({ "statusCode": 200, "body": null })] {
        client.asks_for("ping").await;
        world.invoked().await.answers(answer);
        assert_eq!(client.hears().await, "");
    }
    client.asks_for("ping").await;
    world.invoked().await.answers(nothing());
    client.asks_for("ping").await;
    world.invoked().await.answers(with_body("the next one"));
    assert_eq!(client.hears().await, "the next one");
}

/// Our notes.
#[tokio::test]
async fn a_failing_function_is_reported_and_the_connection_stays_open() {
    let expected = r#"{"message": "Internal server error", "connectionId":"...", "requestId":"..."}"#;
    let mut world = World::start().await;
    let mut client = world.connect().await;

    client.asks_for("ping").await;
    world.invoked().await.fails();
    assert_eq!(client.hears_error().await, expected);

    client.asks_for("ping").await;
    world.invoked().await.crashes();
    assert_eq!(client.hears_error().await, expected);

    client.asks_for("ping").await;
    world.invoked().await.answers_with_text("no JSON");
    assert_eq!(client.hears_error().await, expected);

    client.asks_for("ping").await;
    world.invoked().await.answers(with_body("still open"));
    assert_eq!(client.hears().await, "still open");
}

/// Our notes.
#[tokio::test]
async fn a_throttled_message_is_reported_and_the_connection_stays_open() {
    let mut world = World::with(|options| Options { concurrency: 1, throttles: true, ..options }).await;
    let mut client = world.connect().await;

    client.asks_for("ping").await;
    let first = world.invoked().await;
    client.asks_for("ping").await;
    let expected = r#"{"message": "Internal server error", "connectionId":"...", "requestId":"..."}"#;
    assert_eq!(client.hears_error().await, expected);

    first.answers(with_body("to the first"));
    assert_eq!(client.hears().await, "to the first");
    world.has_invoked_nothing_else();
}
