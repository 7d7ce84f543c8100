//! API Gateway's size limits and timeouts.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use serde_json::json;
use switchboard::local::Options;

use crate::support::{Client, Invocation, Raw, World, accepted, nothing, with_body};

const KB: usize = 1024;

/// A stack whose timeouts are shortened by this factor.
async fn with_time_scale(factor: u32) -> World {
    World::with(|options| Options { time_scale: NonZeroU32::new(factor).unwrap(), ..options }).await
}

/// The event type, the status code and the reason of a disconnect event.
fn disconnect_fields(disconnect: &Invocation) -> (&str, u64, &str) {
    (
        disconnect.context("eventType").as_str().unwrap(),
        disconnect.context("disconnectStatusCode").as_u64().unwrap(),
        disconnect.context("disconnectReason").as_str().unwrap(),
    )
}

/// API Gateway developer guide, "Quotas for configuring and running a WebSocket in API Gateway": frame size.
#[tokio::test]
async fn a_frame_above_32_kb_closes_the_connection_with_1009() {
    let mut world = World::start().await;
    let mut client = world.connect().await;

    client.sends(&"x".repeat(32 * KB)).await;
    let message = world.invoked().await;
    assert_eq!(message.event["body"].as_str().unwrap().len(), 32 * KB);
    message.answers(nothing());

    client.sends(&"x".repeat(32 * KB + 1)).await;
    assert_eq!(client.is_closed().await.0, 1009);
    let disconnect = world.invoked().await;
    assert_eq!(disconnect_fields(&disconnect).1, 1009);
    disconnect.answers(accepted());

    let client = world.connect().await;
    assert_eq!(client.close_code_while_sending(&"x".repeat(20_000 * KB)).await, 1009);
    assert_eq!(disconnect_fields(&world.invoked().await).1, 1009);
}

/// RFC 6455, 7.1.1: the server closes the connection first, and a client waits for that.
#[tokio::test]
async fn a_client_is_told_of_a_protocol_error_while_it_still_sends() {
    let mut world = World::start().await;
    let continued = [0x80, 0x80, 0, 0, 0, 0].as_slice();
    let no_utf8 = [0x81, 0x81, 0, 0, 0, 0, 0xff].as_slice();
    let too_long = [&[0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &[0; 60_000]].concat();
    for (frame, code) in [(continued, 1002_u16), (no_utf8, 1007), (&too_long, 1009)] {
        let mut raw = Raw::connect(&world.urls().websocket).await;
        raw.sends_handshake("/dev").await;
        world.invoked().await.answers(accepted());
        raw.reads_head().await;

        raw.sends_bytes(frame).await;
        let started = Instant::now();
        let last = raw.reads_to_the_end().await;

        // A close frame that starts with the code, then end of stream, although this side stays open.
        assert_eq!((last[0], &last[2..4]), (0x88, code.to_be_bytes().as_slice()));
        assert!(started.elapsed() < Duration::from_millis(1500), "{code}: {:?}", started.elapsed());
        // Data sent after the close frame does not reset the connection.
        raw.sends_bytes(&[0; 10_000]).await;
        assert_eq!(disconnect_fields(&world.invoked().await).1, u64::from(code));
    }
}

/// API Gateway developer guide, "Quotas for configuring and running a WebSocket in API Gateway": message payload size.
#[tokio::test]
async fn a_message_above_128_kb_in_fragments_closes_the_connection_with_1009() {
    let mut world = World::start().await;
    let mut client = world.connect().await;

    client.sends_in_frames(&[32 * KB; 4]).await;
    let message = world.invoked().await;
    assert_eq!(message.event["body"].as_str().unwrap().len(), 128 * KB);
    message.answers(nothing());

    client.sends_in_frames(&[32 * KB, 32 * KB, 32 * KB, 32 * KB, 1]).await;
    assert_eq!(client.is_closed().await.0, 1009);
    assert_eq!(disconnect_fields(&world.invoked().await).1, 1009);
}

/// API Gateway developer guide, "Binary media types for WebSocket APIs in API Gateway".
#[tokio::test]
async fn a_binary_frame_closes_the_connection_with_1003() {
    let mut world = World::start().await;
    let mut client = world.connect().await;

    client.sends_binary().await;

    assert_eq!(client.is_closed().await.0, 1003);
    assert_eq!(disconnect_fields(&world.invoked().await).1, 1003);
}

/// API Gateway developer guide, "Quotas for configuring and running a WebSocket in API Gateway": idle connection
/// timeout.
#[tokio::test]
async fn ten_minutes_without_data_frames_close_with_1001_despite_pings() {
    let mut world = with_time_scale(600).await;
    let mut client = connect_with_retries(&mut world).await;
    let started = Instant::now();

    let closed = loop {
        if let Some(closed) = client.pings().await {
            break closed;
        }
    };

    assert_eq!(closed, (1001, "Going away".to_owned()));
    // Ten minutes are 1 s at this scale, minus the delay before this clock started. Two hours would be 12 s.
    assert!((750..10_000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    assert_eq!(disconnect_fields(&world.invoked().await), ("DISCONNECT", 1001, "Going away"));
}

/// API Gateway developer guide, "Quotas for configuring and running a WebSocket in API Gateway": idle connection
/// timeout.
#[tokio::test]
async fn ten_minutes_without_reading_close_the_connection() {
    let mut world = with_time_scale(200).await;
    let slow = connect_with_retries(&mut world).await;
    let id = world.stack().open_connections().remove(0);

    assert_eq!(world.fills_the_buffer_of(&id).await.0, 429);
    let started = Instant::now();

    assert_eq!(disconnect_fields(&world.invoked().await), ("DISCONNECT", 1001, "Going away"));
    // Two hours would be 36 s at this scale.
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    drop(slow);
}

/// API Gateway developer guide, "Quotas for configuring and running a WebSocket in API Gateway": idle connection
/// timeout.
#[tokio::test]
async fn data_frames_keep_a_connection_open() {
    let mut world = with_time_scale(200).await;
    let mut client = connect_with_retries(&mut world).await;

    // Ten minutes are 3 s at this scale.
    let mut ticks = tokio::time::interval(Duration::from_millis(250));
    for _ in 0..20 {
        ticks.tick().await;
        client.asks_for("ping").await;
        world.invoked().await.answers(accepted());
    }

    assert_eq!(world.stack().open_connections().len(), 1);
}

/// API Gateway developer guide, "Quotas for configuring and running a WebSocket in API Gateway": connection duration.
#[tokio::test]
async fn two_hours_close_a_connection_with_1001_despite_traffic() {
    let mut world = with_time_scale(1200).await;
    let mut client = connect_with_retries(&mut world).await;
    let id = world.stack().open_connections().remove(0);
    let started = Instant::now();

    let connections = world.connections();
    let posts = async {
        // Four posts in ten minutes at this scale.
        let mut ticks = tokio::time::interval(Duration::from_millis(125));
        loop {
            ticks.tick().await;
            let _ = connections.post_to_connection().connection_id(&id).data(b"tick".to_vec().into()).send().await;
        }
    };
    let closed = tokio::select! {
        closed = client.is_closed() => closed,
        () = posts => unreachable!("the posts never end"),
    };

    assert_eq!(closed, (1001, "Going away".to_owned()));
    assert!(started.elapsed() > Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(disconnect_fields(&world.invoked().await), ("DISCONNECT", 1001, "Going away"));
}

/// An accepted client. Retries, because the first handshakes may exceed the shortened timeout of 29 s.
async fn connect_with_retries(world: &mut World) -> Client {
    loop {
        let handshake = world.opens("", &[]);
        world.invoked().await.answers(nothing());
        match handshake.await.unwrap() {
            Ok((client, _)) => return client,
            Err(status) => assert_eq!(status, 504),
        }
    }
}

/// API Gateway developer guide, "Quotas for configuring and running a WebSocket in API Gateway": integration timeout.
/// Our notes.
#[tokio::test]
async fn a_message_times_out_after_29_seconds_and_the_connection_stays_open() {
    let mut world = with_time_scale(29).await;
    let mut client = connect_with_retries(&mut world).await;

    let started = Instant::now();
    client.asks_for("ping").await;
    let slow = world.invoked().await;
    let expected = r#"{"message": "Endpoint request timed out", "connectionId":"...", "requestId":"..."}"#;
    assert_eq!(client.hears_error().await, expected);
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());

    slow.answers(with_body("late response"));
    // On a busy machine the next response may time out as well.
    loop {
        client.asks_for("ping").await;
        world.invoked().await.answers(with_body("timely response"));
        let frame = client.hears().await;
        if frame == "timely response" {
            break;
        }
        assert!(frame.contains("Endpoint request timed out"), "{frame}");
    }
}

/// API Gateway developer guide, "Quotas for configuring and running a WebSocket in API Gateway": length of the URL.
#[tokio::test]
async fn a_url_may_have_4096_characters() {
    let mut world = World::start().await;
    let query = format!("?q={}", "x".repeat(4096 - "/dev?q=".len()));

    let handshake = world.opens(&query, &[]);
    world.invoked().await.answers(json!({ "statusCode": 200 }));
    let _client = handshake.await.unwrap().unwrap();

    assert_eq!(world.opens(&format!("{query}x"), &[]).await.unwrap().err(), Some(414));
    world.has_invoked_nothing_else();
}
