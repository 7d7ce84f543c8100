//! WebSocket handshakes.

use serde_json::json;

use crate::support::{Raw, World, accepted, request};

/// API Gateway developer guide, "Manage connected users and client apps: $connect and $disconnect routes".
#[tokio::test]
async fn a_handshake_waits_for_connect() {
    let mut world = World::start().await;
    let handshake = world.opens("", &[]);

    let connect = world.invoked().await;
    assert_eq!(world.stack().open_connections(), [""; 0]);
    assert!(!handshake.is_finished());
    connect.answers(accepted());

    let _client = handshake.await.unwrap().unwrap();
    assert_eq!(world.stack().open_connections().len(), 1);
}

/// API Gateway developer guide, "Manage connected users and client apps: $connect and $disconnect routes".
#[tokio::test]
async fn every_status_from_200_to_299_accepts_a_connection() {
    let mut world = World::start().await;
    let mut clients = Vec::new();
    for status in [200, 201, 204, 299] {
        let handshake = world.opens("", &[]);
        world.invoked().await.answers(json!({ "statusCode": status }));
        clients.push(handshake.await.unwrap().unwrap_or_else(|_| panic!("{status} rejects the handshake")));
    }
    assert_eq!(world.stack().open_connections().len(), clients.len());
}

/// dherault/serverless-offline#1301 on GitHub, which compares; our notes.
#[tokio::test]
async fn handshake_fails_with_the_status_that_connect_returned() {
    let mut world = World::start().await;
    for status in [302, 400, 401, 403, 429, 500, 503] {
        let handshake = world.opens("", &[]);
        world.invoked().await.answers(json!({ "statusCode": status, "body": "no" }));
        assert_eq!(handshake.await.unwrap().err(), Some(status));
    }
    assert!(world.stack().open_connections().is_empty());
}

/// serverless/serverless-websockets-plugin#13 on GitHub; our notes.
#[tokio::test]
async fn handshake_fails_with_502_when_the_function_fails() {
    let mut world = World::start().await;

    let handshake = world.opens("", &[]);
    world.invoked().await.fails();
    assert_eq!(handshake.await.unwrap().err(), Some(502));

    let handshake = world.opens("", &[]);
    world.invoked().await.crashes();
    assert_eq!(handshake.await.unwrap().err(), Some(502));

    let handshake = world.opens("", &[]);
    world.invoked().await.answers_with_text("no JSON");
    assert_eq!(handshake.await.unwrap().err(), Some(502));

    for informational in [100, 101, 199] {
        let handshake = world.opens("", &[]);
        world.invoked().await.answers(json!({ "statusCode": informational }));
        assert_eq!(handshake.await.unwrap().err(), Some(502));
    }
}

/// Our notes.
#[tokio::test]
async fn a_get_without_upgrade_is_answered_426() {
    let mut world = World::start().await;
    let url = world.urls().websocket.replace("ws://", "http://");

    for path in ["", "/", "/anything", "/../other", "?a=1"] {
        assert_eq!(request("GET", &format!("{url}{path}"), &[], b"").await.status, 426, "{path}");
    }
    assert_eq!(request("GET", &format!("{url}/anything"), &UPGRADE, b"").await.status, 403);
    assert_eq!(request("POST", &format!("{url}/anything"), &[], b"").await.status, 403);

    world.has_invoked_nothing_else();
}

/// API Gateway developer guide, "Set up a $connect route that requires a WebSocket subprotocol".
#[tokio::test]
async fn a_subprotocol_is_echoed_only_if_connect_echoes_it() {
    let mut world = World::start().await;
    let offer = [("sec-websocket-protocol", "chat, superchat")];

    let handshake = world.opens("", &offer);
    let connect = world.invoked().await;
    assert_eq!(connect.event["headers"]["Sec-WebSocket-Protocol"], "chat, superchat");
    connect.answers(json!({ "statusCode": 200, "headers": { "Sec-WebSocket-Protocol": "superchat" } }));
    let (_client, headers) = handshake.await.unwrap().unwrap();
    assert_eq!(headers["sec-websocket-protocol"], "superchat");

    // A WebSocket client, like a browser, fails without the subprotocol, so this request is plain HTTP.
    let url = world.urls().websocket.replace("ws://", "http://");
    let response = tokio::spawn(async move { request("GET", &url, &UPGRADE, b"").await });
    world.invoked().await.answers(accepted());
    let answer = response.await.unwrap();
    assert_eq!((answer.status, answer.optional_header("sec-websocket-protocol")), (101, None));
}

/// RFC 6455, 11.3.4: the header may be given more than once. Our notes.
#[tokio::test]
async fn subprotocols_may_be_offered_on_several_lines() {
    let mut world = World::start().await;

    let handshake = world.opens("", &[("sec-websocket-protocol", "chat"), ("sec-websocket-protocol", "superchat")]);
    let connect = world.invoked().await;
    assert_eq!(connect.event["headers"]["Sec-WebSocket-Protocol"], "superchat");
    assert_eq!(connect.event["multiValueHeaders"]["Sec-WebSocket-Protocol"], json!(["chat", "superchat"]));
    connect.answers(json!({ "statusCode": 200, "headers": { "sec-websocket-protocol": "chat" } }));

    let (_client, headers) = handshake.await.unwrap().unwrap();
    assert_eq!(headers["sec-websocket-protocol"], "chat");
}

/// RFC 6455, 1.3, and captures of handshakes: `Sec-WebSocket-Protocol`.
#[tokio::test]
async fn handshake_headers_have_their_usual_case() {
    let mut world = World::start().await;
    let mut raw = Raw::connect(&world.urls().websocket).await;

    raw.sends_handshake("/dev").await;
    let answer = json!({ "statusCode": 200, "headers": { "sec-websocket-protocol": "chat" } });
    world.invoked().await.answers(answer);

    let head = raw.reads_head().await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    for line in ["\r\nSec-WebSocket-Protocol: chat\r\n", "\r\nSec-WebSocket-Accept: ", "\r\nUpgrade: websocket\r\n"] {
        assert!(head.contains(line), "{line:?} is missing in {head}");
    }
}

const UPGRADE: [(&str, &str); 5] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-protocol", "chat"),
];
