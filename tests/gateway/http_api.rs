//! The HTTP API: events of payload format 2.0, and responses.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use switchboard::local::Options;

use crate::support::{Raw, World, accepted, request, with_body};

const ROOM: (&str, &str) = ("GET", "/rooms/tea");

/// API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway": payload format
/// version 2.0.
#[tokio::test]
async fn a_request_becomes_an_event_of_payload_format_2() {
    let mut world = World::start().await;
    let before = world.stack().clock().now().as_millis();

    let path = "/rooms/tea%20time/invites?a=1&b=%E2%98%95";
    let headers = [("user-agent", "probe/1"), ("content-type", "application/json")].as_slice();
    let (mut event, _) = world.serves(("POST", path), headers, br#"{"x":1}"#, accepted()).await;

    let context = event["requestContext"].take();
    for name in
        ["host", "content-length", "x-forwarded-for", "x-forwarded-port", "x-forwarded-proto", "x-amzn-trace-id"]
    {
        event["headers"].as_object_mut().unwrap().remove(name);
    }
    assert_eq!(
        event,
        json!({
            "version": "2.0",
            "routeKey": "POST /rooms/{roomId}/invites",
            "rawPath": "/rooms/tea time/invites",
            "rawQueryString": "a=1&b=%E2%98%95",
            "headers": { "user-agent": "probe/1", "content-type": "application/json" },
            "queryStringParameters": { "a": "1", "b": "☕" },
            "pathParameters": { "roomId": "tea time" },
            "body": r#"{"x":1}"#,
            "isBase64Encoded": false,
            "requestContext": null,
        })
    );
    let http = json!({
        "method": "POST",
        "path": "/rooms/tea time/invites",
        "protocol": "HTTP/1.1",
        "sourceIp": "127.0.0.1",
        "userAgent": "probe/1",
    });
    assert_eq!(context["http"], http);
    assert_eq!((&context["routeKey"], &context["stage"]), (&event["routeKey"], &json!("$default")));
    for name in ["apiId", "domainName", "requestId"] {
        assert!(context[name].as_str().is_some_and(|value| !value.is_empty()), "{name}");
    }
    assert!((before..=world.stack().clock().now().as_millis()).contains(&context["timeEpoch"].as_i64().unwrap()));
    let time = context["time"].as_str().unwrap();
    assert!(time.len() == "19/Feb/2024:07:11:42 +0000".len() && time.ends_with(" +0000"), "{time}");
    assert_eq!(context["authorizer"], Value::Null);
}

/// aws/aws-lambda-dotnet#1901, middleapi/standard-server#93 on GitHub, with captures in hotsock/voker#8.
#[tokio::test]
async fn a_route_is_selected_by_the_decoded_path_which_is_cut_at_an_encoded_question_mark() {
    let mut world = World::start().await;

    let answer = request("GET", &format!("{}/rooms/a%2Fb", world.urls().http), &[], b"").await;
    assert_eq!((answer.status, answer.text()), (404, r#"{"message":"Not Found"}"#));
    world.has_invoked_nothing_else();

    for (path, decoded, room) in [
        ("/rooms/a%3Fb?c=%26", "/rooms/a", "a"),
        ("/rooms/%E2%98%95%20%2525", "/rooms/☕ %25", "☕ %25"),
        ("/%72ooms/tea", "/rooms/tea", "tea"),
    ] {
        let (event, _) = world.serves(("GET", path), &[], b"", accepted()).await;
        assert_eq!((&event["rawPath"], &event["requestContext"]["http"]["path"]), (&json!(decoded), &json!(decoded)));
        assert_eq!(
            (&event["routeKey"], &event["pathParameters"]["roomId"]),
            (&json!("GET /rooms/{roomId}"), &json!(room))
        );
        assert_eq!(event["rawQueryString"], path.split_once('?').map_or("", |(_, query)| query));
    }
}

/// An event in the HTTP API part of the API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP
/// APIs in API Gateway"; our notes.
#[tokio::test]
async fn a_request_has_forwarding_headers() {
    let mut world = World::start().await;

    let (event, _) = world.serves(ROOM, &[("x-forwarded-for", "203.0.113.7")], b"", accepted()).await;

    let headers = &event["headers"];
    let port = world.urls().http.rsplit(':').next().unwrap().to_owned();
    assert_eq!(headers["x-forwarded-for"], "203.0.113.7, 127.0.0.1");
    assert_eq!((&headers["x-forwarded-proto"], &headers["x-forwarded-port"]), (&json!("http"), &json!(port)));
    assert!(headers["x-amzn-trace-id"].as_str().unwrap().starts_with("Root=1-"), "{headers}");
    assert_eq!(event["requestContext"]["domainName"], format!("localhost:{port}"));
    let id = event["requestContext"]["requestId"].as_str().unwrap();
    assert!(id.len() == 16 && id.ends_with('='), "{id}");
}

/// API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway".
#[tokio::test]
async fn header_names_are_in_lower_case_and_repeated_values_are_joined_by_commas() {
    let mut world = World::start().await;
    let headers = [("X-Twice", "one"), ("X-Twice", "two"), ("X-Once", "three")].as_slice();

    let (event, _) = world.serves(ROOM, headers, b"", accepted()).await;

    assert_eq!((&event["headers"]["x-twice"], &event["headers"]["x-once"]), (&json!("one,two"), &json!("three")));
    assert_eq!(event["headers"]["X-Twice"], Value::Null);
}

/// API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway".
#[tokio::test]
async fn cookies_are_a_list_of_their_own() {
    let mut world = World::start().await;

    let (event, _) = world.serves(ROOM, &[("cookie", "a=1; b=2")], b"", accepted()).await;

    assert_eq!((&event["cookies"], &event["headers"]["cookie"]), (&json!(["a=1", "b=2"]), &Value::Null));
}

/// API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway".
#[tokio::test]
async fn repeated_query_parameters_are_joined_by_commas() {
    let mut world = World::start().await;

    let (event, _) = world.serves(("GET", "/rooms?a=1&a=2&b"), &[], b"", accepted()).await;

    assert_eq!(event["queryStringParameters"], json!({ "a": "1,2", "b": "" }));
}

/// API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway".
#[tokio::test]
async fn absent_parts_of_a_request_are_absent_in_its_event() {
    let mut world = World::start().await;

    let (event, _) = world.serves(("GET", "/rooms"), &[], b"", accepted()).await;

    for name in ["body", "cookies", "queryStringParameters", "pathParameters"] {
        assert!(event.get(name).is_none(), "{name} is in {event}");
    }
    assert_eq!((&event["rawQueryString"], &event["isBase64Encoded"]), (&json!(""), &json!(false)));
}

/// Measured on AWS in ministackorg/ministack#766 on GitHub; our notes.
#[tokio::test]
async fn a_body_with_a_binary_content_type_is_base64_encoded() {
    let mut world = World::start().await;
    let kinds: [(&'static [(&str, &str)], bool); 10] = [
        (&[], true),
        (&[("content-type", "application/x-www-form-urlencoded")], true),
        (&[("content-type", "application/vnd.api+json")], true),
        (&[("content-type", "image/svg+xml")], true),
        (&[("content-type", "application/octet-stream")], true),
        (&[("content-type", "image/png")], true),
        (&[("content-type", "text/plain; charset=utf-8")], false),
        (&[("content-type", "application/json")], false),
        (&[("content-type", "application/xml")], false),
        (&[("content-type", "application/javascript")], false),
    ];
    for (headers, is_base64) in kinds {
        let (event, _) = world.serves(("POST", "/rooms"), headers, b"tea", accepted()).await;
        let body = if is_base64 { "dGVh" } else { "tea" };
        assert_eq!((&event["body"], &event["isBase64Encoded"]), (&json!(body), &json!(is_base64)), "{headers:?}");
    }
}

/// RFC 9112, "Chunked Transfer Coding". The answer of AWS is not documented.
#[tokio::test]
async fn a_malformed_chunked_body_is_answered_400() {
    let mut world = World::start().await;
    let mut raw = Raw::connect(&world.urls().http).await;

    raw.sends("POST /rooms HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n").await;

    assert!(raw.reads_head().await.starts_with("HTTP/1.1 400 "));
    world.has_invoked_nothing_else();
}

/// API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway": response format.
#[tokio::test]
async fn a_response_object_becomes_the_response() {
    let mut world = World::start().await;

    let answer = json!({
        "statusCode": 201,
        "headers": { "Content-Type": "text/plain", "X-Number": 7, "Content-Length": "99", "Connection": "upgrade" },
        "cookies": ["a=1; Secure", "b=2"],
        "body": "tea",
    });
    let (_, response) = world.serves(ROOM, &[], b"", answer).await;
    assert_eq!((response.status, response.text()), (201, "tea"));
    assert_eq!(
        (response.optional_header("content-type"), response.optional_header("x-number")),
        (Some("text/plain"), Some("7"))
    );
    assert_eq!(response.headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1; Secure", "b=2"]);

    let in_base64 = json!({ "statusCode": 200, "body": "AP8=", "isBase64Encoded": true });
    let (_, response) = world.serves(ROOM, &[], b"", in_base64).await;
    assert_eq!(&response.bytes[..], [0, 255]);
}

/// API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs in API Gateway": response format.
#[tokio::test]
async fn a_response_without_a_status_is_the_body() {
    let mut world = World::start().await;

    let (_, response) = world.serves(ROOM, &[], b"", json!({ "tea": "hot" })).await;

    assert_eq!((response.status, response.text()), (200, r#"{"tea":"hot"}"#));
    assert_eq!(response.optional_header("content-type"), Some("application/json"));
}

/// Our notes.
#[tokio::test]
async fn a_request_without_a_route_is_answered_404() {
    let mut world = World::start().await;
    for (method, path) in
        [("POST", "/"), ("GET", "/nowhere"), ("PUT", "/rooms"), ("GET", "/rooms/"), ("GET", "/rooms/a/b")]
    {
        let answer = request(method, &format!("{}{path}", world.urls().http), &[], b"").await;
        assert_eq!((answer.status, answer.text()), (404, r#"{"message":"Not Found"}"#), "{method} {path}");
        assert_eq!(answer.optional_header("content-type"), Some("application/json"));
    }
    world.has_invoked_nothing_else();
}

/// API Gateway developer guide, "Quotas for configuring and running an HTTP API in API Gateway": maximum integration
/// timeout.
/// The answer as seen in cortexlabs/cortex#1225 and compiler-explorer/explain#19 on GitHub.
#[tokio::test]
async fn a_request_is_answered_503_after_30_seconds() {
    let mut world = World::with(|options| Options { time_scale: NonZeroU32::new(30).unwrap(), ..options }).await;
    let url = format!("{}/health", world.urls().http);
    let started = Instant::now();

    let response = tokio::spawn(async move { request("GET", &url, &[], b"").await });
    let _slow = world.invoked().await;
    let answer = response.await.unwrap();

    assert_eq!((answer.status, answer.text()), (503, r#"{"message":"Service Unavailable"}"#));
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
}

/// Our notes.
#[tokio::test]
async fn a_request_is_answered_500_when_the_function_fails() {
    let mut world = World::start().await;
    let ends: [fn(crate::support::Invocation); 5] = [
        |invocation| invocation.fails(),
        |invocation| invocation.crashes(),
        |invocation| invocation.answers_with_text("no JSON"),
        |invocation| invocation.answers(json!({ "statusCode": 7 })),
        |invocation| invocation.answers(json!({ "statusCode": 101 })),
    ];
    for end in ends {
        let url = format!("{}/health", world.urls().http);
        let response = tokio::spawn(async move { request("GET", &url, &[], b"").await });
        end(world.invoked().await);
        let answer = response.await.unwrap();
        assert_eq!((answer.status, answer.text()), (500, r#"{"message":"Internal Server Error"}"#));
    }
}

const PREFLIGHT: [(&str, &str); 3] = [
    ("origin", "https://a.example"),
    ("access-control-request-method", "POST"),
    ("access-control-request-headers", "content-type"),
];

/// API Gateway developer guide, "Configure CORS for HTTP APIs in API Gateway".
#[tokio::test]
async fn preflights_are_answered_by_the_gateway() {
    let mut world = World::start().await;

    let answer = request("OPTIONS", &format!("{}/rooms", world.urls().http), &PREFLIGHT, b"").await;

    assert_eq!((answer.status, answer.optional_header("access-control-allow-origin")), (204, Some("*")));
    assert!(answer.optional_header("access-control-allow-methods").unwrap().contains("POST"));
    assert!(answer.optional_header("access-control-allow-headers").unwrap().contains("content-type"));
    world.has_invoked_nothing_else();
}

/// API Gateway developer guide, "Configure CORS for HTTP APIs in API Gateway".
#[tokio::test]
async fn cors_headers_of_the_function_are_replaced() {
    let origins = vec!["https://a.example".to_owned()];
    let mut world = World::with(|options| Options { cors_origins: origins, ..options }).await;
    let mut answer = with_body("tea");
    answer["headers"] = json!({ "Access-Control-Allow-Origin": "https://b.example", "Access-Control-Max-Age": "1" });

    let origin: &'static [_] = &[("origin", "https://a.example")];
    let (_, response) = world.serves(ROOM, origin, b"", answer.clone()).await;
    assert_eq!(response.optional_header("access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(response.optional_header("access-control-max-age"), None);

    let (_, response) = world.serves(ROOM, &[("origin", "https://b.example")], b"", answer).await;
    assert_eq!((response.text(), response.optional_header("access-control-allow-origin")), ("tea", None));
}
