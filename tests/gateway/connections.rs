//! The `@connections` API: posting to a connection, inspecting it and deleting it.

use std::fmt::Debug;
use std::time::Duration;

use aws_sdk_apigatewaymanagement::Config;
use aws_sdk_apigatewaymanagement::config::timeout::TimeoutConfig;
use aws_sdk_apigatewaymanagement::error::SdkError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde_json::json;
use switchboard::local::clients;
use switchboard::local::faults::Plan;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::support::{World, accepted, nothing, request, soon, with_body};

const KB: usize = 1024;

/// The status and the error type of a rejected request.
pub fn refusal<T: Debug, E: Debug>(outcome: Result<T, SdkError<E, HttpResponse>>) -> (u16, String) {
    let refused = outcome.expect_err("the request was accepted");
    let response = refused.raw_response().expect("the error has no HTTP response");
    (response.status().as_u16(), response.headers().get("x-amzn-errortype").unwrap_or_default().to_owned())
}

fn gone() -> (u16, String) {
    (410, "GoneException".to_owned())
}

impl World {
    /// Posts to a client that does not read until a post is rejected. Returns the status and the error type.
    pub async fn fills_the_buffer_of(&self, id: &str) -> (u16, String) {
        let refused = async {
            loop {
                if let Err(refused) = self.posts(id, &vec![b'x'; 32 * KB]).await {
                    return refused;
                }
            }
        };
        soon("no post was rejected", refused).await
    }

    async fn posts(&self, id: &str, body: &[u8]) -> Result<(), (u16, String)> {
        let post = self.connections().post_to_connection().connection_id(id).data(body.to_vec().into());
        post.send().await.map(drop).map_err(|error| refusal::<(), _>(Err(error)))
    }
}

/// API Gateway developer guide, "Use @connections commands in your backend service". An SDK percent-encodes the id.
#[tokio::test]
async fn a_post_is_delivered_unchanged() {
    let mut world = World::start().await;
    let mut client = world.connect().await;
    let mut other = world.connect().await;

    world.posts(&client.id, "tea ☕".as_bytes()).await.unwrap();

    assert_eq!(client.hears().await, "tea ☕");
    assert_eq!(other.pings().await, None);
}

/// AWS Knowledge Center, on "410 GoneException" of a WebSocket API: "before the connection was established".
#[tokio::test]
async fn a_post_before_connect_has_returned_is_answered_410() {
    let mut world = World::start().await;
    let handshake = world.opens("", &[]);
    let connect = world.invoked().await;
    let id = connect.context("connectionId").as_str().unwrap().to_owned();

    assert_eq!(world.posts(&id, b"early").await, Err(gone()));

    connect.answers(accepted());
    let (mut client, _) = handshake.await.unwrap().unwrap();
    world.posts(&id, b"in time").await.unwrap();
    assert_eq!(client.hears().await, "in time");
}

/// API Gateway Management API reference, "PostToConnection": `PayloadTooLargeException`. The size: "Quotas for
/// configuring and running a WebSocket in API Gateway".
#[tokio::test]
async fn a_post_of_128_kb_is_delivered_and_a_longer_one_is_answered_413() {
    let mut world = World::start().await;
    let mut client = world.connect().await;

    world.posts(&client.id, &vec![b'x'; 128 * KB]).await.unwrap();
    assert_eq!(client.hears().await.len(), 128 * KB);

    for size in [128 * KB + 1, 128 * KB + 2, 1024 * KB] {
        let refused = world.posts(&client.id, &vec![b'x'; size]).await.unwrap_err();
        assert_eq!(refused, (413, "PayloadTooLargeException".to_owned()));
        assert_eq!(world.posts("L0SM9cOFvHcCIhw=", &vec![b'x'; size]).await, Err(gone()));
    }
    assert_eq!(client.pings().await, None);
}

/// API Gateway Management API reference, "GetConnection".
#[tokio::test]
async fn get_connection_returns_identity_connected_at_and_last_active_at() {
    let mut world = World::start().await;
    let handshake = world.opens("", &[("user-agent", "probe/1")]);
    let connect = world.invoked().await;
    let id = connect.context("connectionId").as_str().unwrap().to_owned();
    let connected_at = connect.context("connectedAt").as_i64().unwrap();
    connect.answers(accepted());
    let (mut client, _) = handshake.await.unwrap().unwrap();
    world.stack().clock().advance(Duration::from_secs(60));
    client.asks_for("ping").await;
    world.invoked().await.answers(nothing());

    let known = world.connections().get_connection().connection_id(&id).send().await.unwrap();
    assert_eq!(known.connected_at().unwrap().to_millis().unwrap(), connected_at);
    assert!(known.last_active_at().unwrap().to_millis().unwrap() >= connected_at + 60_000);
    let identity = known.identity().unwrap();
    assert_eq!((identity.source_ip(), identity.user_agent()), (Some("127.0.0.1"), Some("probe/1")));

    let id = id.replace('=', "%3D");
    let url = format!("{}/@connections/{id}", world.urls().connections);
    let known = world.signs("execute-api").request("GET", &url, &[], b"").await;
    let known: serde_json::Value = serde_json::from_slice(&known.bytes).unwrap();
    assert!(OffsetDateTime::parse(known["connectedAt"].as_str().unwrap(), &Rfc3339).is_ok(), "{known}");
}

/// API Gateway Management API reference, "DeleteConnection"; the event: boto/boto3#3789 on GitHub.
#[tokio::test]
async fn a_delete_is_answered_204_and_causes_a_disconnect_event() {
    let mut world = World::start().await;
    let mut client = world.connect().await;

    let url = format!("{}/@connections/{}", world.urls().connections, client.id.replace('=', "%3D"));
    let signing = world.signs("execute-api");
    assert_eq!(signing.request("DELETE", &url, &[], b"").await.status, 204);

    assert_eq!(client.is_closed().await.0, 1000);
    let gone = world.invoked().await;
    assert_eq!(gone.context("connectionId"), &client.id);
    assert_eq!((gone.context("eventType"), gone.context("disconnectStatusCode")), (&json!("DISCONNECT"), &json!(1000)));
    assert_eq!(gone.context("disconnectReason"), "Connection Closed Normally");
    gone.answers(accepted());

    let slow = world.connect().await;
    world.fills_the_buffer_of(&slow.id).await;
    let url = url.replace(&client.id[..15], &slow.id[..15]);
    assert_eq!(signing.request("DELETE", &url, &[], b"").await.status, 204);
    let gone = world.invoked().await;
    assert_eq!((gone.context("connectionId"), gone.context("disconnectStatusCode")), (&json!(slow.id), &json!(1000)));
}

/// AWS Knowledge Center, on "410 GoneException" of a WebSocket API: "terminated, or the connection doesn't exist
/// anymore".
#[tokio::test]
async fn a_closed_or_unknown_connection_is_answered_410() {
    let mut world = World::start().await;
    let client = world.connect().await;
    let left = client.id.clone();
    client.closes(None).await;
    world.invoked().await.answers(accepted());
    let mut deleted = world.connect().await;
    world.connections().delete_connection().connection_id(&deleted.id).send().await.unwrap();
    deleted.is_closed().await;

    for id in [&left, &deleted.id, "L0SM9cOFvHcCIhw="] {
        assert_eq!(world.posts(id, b"hello?").await, Err(gone()), "{id}");
        assert_eq!(refusal(world.connections().get_connection().connection_id(id).send().await), gone(), "{id}");
        assert_eq!(refusal(world.connections().delete_connection().connection_id(id).send().await), gone(), "{id}");
    }
}

/// dherault/serverless-offline#749, localstack/localstack#4694 on GitHub: "the connection ID must still be of a valid
/// format".
#[tokio::test]
async fn an_invalid_connection_id_is_answered_400() {
    let world = World::start().await;
    let signing = world.signs("execute-api");

    for id in ["AAAA", "cjy8i76bx002884le6n17d49b", "L0SM9cOFvHcCIhwx", "L0SM9cOFvHcCIh==", "L0SM9cOFvHcC.hw="] {
        let url = format!("{}/%40connections/{}", world.urls().connections, id.replace('=', "%3D"));
        for method in ["POST", "GET", "DELETE"] {
            let answer = signing.request(method, &url, &[], b"").await;
            assert_eq!(
                (answer.status, answer.optional_header("x-amzn-errortype")),
                (400, Some("BadRequestException")),
                "{id}"
            );
            assert_eq!(answer.text(), format!(r#"{{"message":"Invalid connectionId: {id}"}}"#));
        }
    }
}

/// API Gateway Management API reference, "PostToConnection": `LimitExceededException`, "the WebSocket client side
/// buffer is full".
#[tokio::test]
async fn a_client_that_does_not_read_is_answered_429_when_its_buffer_is_full() {
    let mut world = World::start().await;
    let mut slow = world.connect().await;

    assert_eq!(world.fills_the_buffer_of(&slow.id).await, (429, "LimitExceededException".to_owned()));

    // Neither its own frames nor other connections are blocked.
    slow.asks_for("ping").await;
    world.invoked().await.answers(nothing());
    let mut other = world.connect().await;
    world.posts(&other.id, b"not for you").await.unwrap();
    assert_eq!(other.hears().await, "not for you");
}

/// API Gateway developer guide, "Use @connections commands in your backend service".
#[tokio::test]
async fn another_stage_is_answered_403() {
    let mut world = World::start().await;
    let client = world.connect().await;
    let other_stage =
        clients::connections(&world.urls().connections.replace("/dev", "/prod"), world.stack().access_key()).unwrap();

    let posted = other_stage.post_to_connection().connection_id(&client.id).data(b"x".to_vec().into()).send().await;

    assert_eq!(refusal(posted), (403, "ForbiddenException".to_owned()));
}

/// API Gateway developer guide, "Use @connections commands in your backend service": signed.
#[tokio::test]
async fn an_unsigned_request_is_answered_403() {
    let mut world = World::start().await;
    let mut client = world.connect().await;
    let url = format!("{}/@connections/{}", world.urls().connections, client.id.replace('=', "%3D"));

    for method in ["POST", "GET", "DELETE"] {
        let refused = request(method, &url, &[], b"").await;
        assert_eq!(refused.status, 403, "{method}");
        assert_eq!(
            refused.optional_header("x-amzn-errortype"),
            Some("MissingAuthenticationTokenException"),
            "{method}"
        );
    }
    assert_eq!(client.pings().await, None);
}

/// Our notes: a peer that has just died.
#[tokio::test]
async fn a_post_can_hang_and_delays_nothing_else() {
    let (faults, mut world) = World::with_faults().await;
    let dead = world.connect().await;
    let mut other = world.connect().await;

    faults.follow(Plan { post_hanging: 1000, post_hanging_connections: vec![dead.id.clone()], ..Plan::default() });
    let timeouts = TimeoutConfig::builder().operation_timeout(Duration::from_secs(1)).build();
    let post = world.connections().post_to_connection().connection_id(&dead.id).data(b"x".to_vec().into());
    let post = post.customize().config_override(Config::builder().timeout_config(timeouts)).send();
    let meanwhile = async {
        other.asks_for("ping").await;
        world.invoked().await.answers(with_body("pong"));
        let response = other.hears().await;
        world.posts(&other.id, b"a post").await.unwrap();
        (response, other.hears().await)
    };

    let (posted, frames) = tokio::join!(post, meanwhile);

    assert_eq!(frames, ("pong".to_owned(), "a post".to_owned()));
    assert!(matches!(posted, Err(SdkError::TimeoutError(_))), "{posted:?}");
}

/// Our notes.
#[tokio::test]
async fn a_410_can_be_injected_for_a_live_connection() {
    let (faults, mut world) = World::with_faults().await;
    let mut client = world.connect().await;

    faults.follow(Plan { post_gone: 1000, ..Plan::default() });
    assert_eq!(world.posts(&client.id, b"x").await, Err(gone()));
    faults.follow(Plan::default());

    assert_eq!(client.pings().await, None);
    world.posts(&client.id, b"still open").await.unwrap();
    assert_eq!(client.hears().await, "still open");
}

/// Our notes.
#[tokio::test]
async fn a_post_can_be_answered_410_and_delivered() {
    let (faults, mut world) = World::with_faults().await;
    let mut client = world.connect().await;

    faults.follow(Plan { post_gone_but_delivered: 1000, ..Plan::default() });

    assert_eq!(world.posts(&client.id, b"delivered").await, Err(gone()));
    assert_eq!(client.hears().await, "delivered");
}
