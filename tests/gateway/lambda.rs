//! Lambda: the Runtime API, the lifecycle of function processes, and retries.

use std::time::Duration;

use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};
use switchboard::local::Options;
use switchboard::local::faults::Plan;

use crate::support::{PROBE, World, accepted, request, with_body};

/// Lambda developer guide, "Using the Lambda runtime API for custom runtimes": next invocation.
#[tokio::test]
async fn an_event_comes_with_its_id_deadline_function_and_trace() {
    let mut world = World::with(|options| Options { timeout: Duration::from_secs(7), ..options }).await;
    let before = world.stack().clock().now().as_millis();
    let _handshake = world.opens("", &[]);
    let connect = world.invoked().await;
    let after = world.stack().clock().now().as_millis();

    let header = |name: &str| {
        let found = connect.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).unwrap_or_else(|| panic!("{name} is missing in {:?}", connect.headers))
    };
    assert_eq!(header("Lambda-Runtime-Aws-Request-Id").len(), 36);
    let deadline: i64 = header("Lambda-Runtime-Deadline-Ms").parse().unwrap();
    assert!((before + 7_000..=after + 7_000).contains(&deadline));
    assert!(header("Lambda-Runtime-Invoked-Function-Arn").starts_with("arn:aws:lambda:"));
    assert!(header("Lambda-Runtime-Trace-Id").starts_with("Root="));
}

/// Lambda developer guide, "Using the Lambda runtime API for custom runtimes": invocation response, invocation error.
#[tokio::test]
async fn responses_and_errors_are_accepted_with_202() {
    let mut world = World::start().await;
    let mut client = world.connect().await;

    client.asks_for("ping").await;
    let first = world.invoked().await;
    assert_eq!(first.previous_status, Some(202), "the response to $connect");
    first.fails();
    client.hears_error().await;

    client.asks_for("ping").await;
    assert_eq!(world.invoked().await.previous_status, Some(202), "the error");
}

/// Lambda developer guide, "Using the Lambda runtime API for custom runtimes": 400.
#[tokio::test]
async fn a_response_to_an_unknown_event_is_refused() {
    let mut world = World::start().await;
    let mut client = world.connect().await;

    client.asks_for("ping").await;
    world.invoked().await.answers_another("00000000-0000-0000-0000-000000000000");

    let again = world.invoked().await;
    assert_eq!(again.previous_status, Some(400));
    again.answers(with_body("second response"));
    assert_eq!(client.hears().await, "second response");
}

/// Lambda developer guide, "Understanding Lambda function scaling".
#[tokio::test]
async fn a_process_has_one_event_at_a_time_and_is_used_again() {
    let mut world = World::start().await;
    let mut client = world.connect().await;
    let mut processes = Vec::new();
    let mut pending = Vec::new();
    for _ in 0..3 {
        client.asks_for("ping").await;
        let invocation = world.invoked().await;
        assert!(!processes.contains(&invocation.process));
        processes.push(invocation.process);
        pending.push(invocation);
    }
    for invocation in pending {
        invocation.answers(with_body("done"));
        assert_eq!(client.hears().await, "done");
    }

    client.asks_for("ping").await;

    assert!(processes.contains(&world.invoked().await.process));
    assert_eq!(world.stack().function_processes_started(), 3);
}

/// Lambda developer guide, "Configure Lambda function timeout", "Understanding the Lambda execution environment
/// lifecycle".
#[tokio::test]
async fn a_process_is_killed_after_the_deadline_of_its_event() {
    let mut world = World::with(|options| Options { timeout: Duration::from_secs(1), ..options }).await;
    let mut client = world.connect().await;

    client.asks_for("ping").await;
    let slow = world.invoked().await;
    let killed = slow.process;
    slow.waits_to_be_killed().await;

    assert!(client.hears_error().await.contains("Internal server error"));
    client.asks_for("ping").await;
    let next = world.invoked().await;
    assert_ne!(next.process, killed);
    next.answers(with_body("still open"));
    assert_eq!(client.hears().await, "still open");
}

/// Lambda developer guide, "Understanding the Lambda execution environment lifecycle": the Init phase.
#[tokio::test]
async fn initialisation_does_not_count_as_event_time() {
    let slow = ["sh", "-c", r#"sleep 3; exec python3 "$0""#, PROBE].map(Into::into);
    let change = |options| Options { timeout: Duration::from_secs(2), function: slow.into(), ..options };
    let mut world = World::with(change).await;

    let handshake = world.opens("", &[]);
    world.invoked().await.answers(accepted());

    assert!(handshake.await.unwrap().is_ok());
}

/// Lambda developer guide, "Understanding the Lambda execution environment lifecycle".
#[tokio::test]
async fn a_process_that_has_ended_is_replaced() {
    let mut world = World::start().await;
    let mut client = world.connect().await;

    client.asks_for("ping").await;
    let first = world.invoked().await;
    let crashed = first.process;
    first.crashes();
    client.hears_error().await;

    client.asks_for("ping").await;
    assert_ne!(world.invoked().await.process, crashed);
}

/// Our notes, and the own tests of the crate lambda_runtime. As long as panics unwind,
/// which they do in development builds; in deployed ones a panic ends the process.
#[tokio::test]
async fn a_panic_is_an_error_and_the_process_goes_on() {
    // The function is this test itself, in a separate process.
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        return panics_on_demand().await;
    }
    let this = ["--exact", "lambda::a_panic_is_an_error_and_the_process_goes_on", "--nocapture"].map(Into::into);
    let function = [vec![std::env::current_exe().unwrap().into()], this.into()].concat();
    let world = World::with(|options| Options { function, ..options }).await;
    let (mut client, _) = world.opens("", &[]).await.unwrap().unwrap();

    client.sends("process id").await;
    let process = client.hears().await;
    client.sends("panic").await;
    assert!(client.hears_error().await.contains("Internal server error"));
    client.sends("process id").await;

    assert_eq!(client.hears().await, process);
}

/// A function that uses `lambda_runtime`, like the real one. It responds with its process id.
async fn panics_on_demand() {
    let function = lambda_runtime::service_fn(async |event: LambdaEvent<Value>| {
        assert_ne!(event.payload["body"], "panic");
        Ok::<_, lambda_runtime::Error>(with_body(&std::process::id().to_string()))
    });
    lambda_runtime::run(function).await.unwrap();
}

/// Lambda developer guide, "Lambda quotas": invocation payload.
#[tokio::test]
async fn payloads_above_6_mb_are_errors() {
    let mut world = World::start().await;
    let body = vec![b'x'; 7_000_000];
    let mut client = world.connect().await;

    let text = [("content-type", "text/plain")];
    let answer = request("POST", &format!("{}/rooms", world.urls().http), &text, &body).await;
    assert_eq!(answer.status, 500);
    let invoked = world.signs("lambda").request("POST", &invocations(&world), &[], &body).await;
    assert_eq!((invoked.status, invoked.optional_header("x-amzn-errortype")), (413, Some("RequestTooLargeException")));
    world.has_invoked_nothing_else();

    client.asks_for("ping").await;
    world.invoked().await.answers(with_body(std::str::from_utf8(&body).unwrap()));
    assert!(client.hears_error().await.contains("Internal server error"));
    assert_eq!(world.invoked().await.previous_status, Some(413));
}

/// Lambda developer guide, "Understanding the Lambda execution environment lifecycle".
#[tokio::test]
async fn a_function_that_crashes_on_an_event_does_not_block_others() {
    let mut world = World::start().await;
    let mut other = world.connect().await;
    let mut crashing = world.connect().await;
    let health = format!("{}/health", world.urls().http);

    for round in 0..4 {
        let response = tokio::spawn({
            let health = health.clone();
            async move { request("GET", &health, &[], b"").await }
        });
        world.invoked().await.crashes();
        assert_eq!(response.await.unwrap().status, 500);
        let handshake = world.opens("", &[]);
        world.invoked().await.crashes();
        assert_eq!(handshake.await.unwrap().err(), Some(502));
        crashing.asks_for("ping").await;
        world.invoked().await.crashes();
        assert!(crashing.hears_error().await.contains("Internal server error"));

        let text = format!("round {round}");
        let post = world.connections().post_to_connection().connection_id(&other.id).data(text.as_bytes().into());
        post.send().await.unwrap();
        assert_eq!(other.hears().await, text);
        world.connections().get_connection().connection_id(&other.id).send().await.unwrap();
    }

    other.asks_for("ping").await;
    world.invoked().await.answers(with_body("still working"));
    assert_eq!(other.hears().await, "still working");
    assert_eq!(world.stack().function_processes_started(), 4 * 3 + 1);
}

/// Lambda developer guide, "Understanding the Lambda execution environment lifecycle": failures during the Init phase.
#[tokio::test]
async fn a_function_that_fails_to_start_is_started_once_per_call() {
    let broken = tempfile::tempdir().unwrap();
    let command = r#"[ ! -e "$BROKEN" ] || exit 1; exec python3 "$0""#;
    let mut world = World::with(|mut options| {
        options.environment.push(("BROKEN".to_owned(), broken.path().join("broken").display().to_string()));
        Options { function: ["sh", "-c", command, PROBE].map(Into::into).into(), ..options }
    })
    .await;
    let mut client = world.connect().await;
    client.asks_for("ping").await;
    let last = world.invoked().await;
    std::fs::write(broken.path().join("broken"), "").unwrap();
    last.crashes();
    client.hears_error().await;

    let health = format!("{}/health", world.urls().http);
    assert_eq!(request("GET", &health, &[], b"").await.status, 500);
    assert_eq!(world.opens("", &[]).await.unwrap().err(), Some(502));
    client.asks_for("ping").await;
    assert!(client.hears_error().await.contains("Internal server error"));
    world.stack().send_event(json!({ "detail-type": "probe" })).await;
    let post = world.connections().post_to_connection().connection_id(&client.id).data(b"posted".to_vec().into());
    post.send().await.unwrap();
    assert_eq!(client.hears().await, "posted");
    assert_eq!(world.stack().function_processes_started(), 1 + 3 + 3);

    std::fs::remove_file(broken.path().join("broken")).unwrap();
    client.asks_for("ping").await;
    world.invoked().await.answers(with_body("recovered"));
    assert_eq!(client.hears().await, "recovered");
}

/// Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation".
#[tokio::test]
async fn an_asynchronous_event_is_retried_twice() {
    let mut world = World::start().await;
    let event = json!({ "detail-type": "probe" });

    let (stack, invocations) = world.split();
    let tries = async {
        for _ in 0..3 {
            let invocation = invocations.next().await;
            assert_eq!(invocation.event, event);
            invocation.fails();
        }
    };
    tokio::join!(stack.send_event(event.clone()), tries);
    world.has_invoked_nothing_else();
}

/// Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation": at least once.
#[tokio::test]
async fn an_asynchronous_event_may_be_delivered_twice() {
    let (faults, mut world) = World::with_faults().await;
    let event = json!({ "detail-type": "probe" });

    faults.follow(Plan { event_repeated: 1000, ..Plan::default() });
    let (stack, invocations) = world.split();
    let times = async {
        for _ in 0..2 {
            let invocation = invocations.next().await;
            assert_eq!(invocation.event, event);
            invocation.answers(accepted());
        }
    };
    tokio::join!(stack.send_event(event.clone()), times);
    world.has_invoked_nothing_else();
}

/// Lambda developer guide, "How Lambda handles errors and retries with asynchronous invocation": throttled events wait.
#[tokio::test]
async fn an_asynchronous_event_waits_when_the_function_is_throttled() {
    let mut world = World::with(|options| Options { concurrency: 1, throttles: true, ..options }).await;
    let mut client = world.connect().await;
    client.asks_for("ping").await;
    let first = world.invoked().await;

    let (stack, invocations) = world.split();
    let waits = stack.send_event(json!({ "detail-type": "probe" }));
    let others = async {
        client.asks_for("ping").await;
        assert!(client.hears_error().await.contains("Internal server error"));
        first.answers(with_body("done"));
        assert_eq!(client.hears().await, "done");
        client.asks_for("ping").await;
        let second = invocations.next().await;
        assert_eq!(second.event["detail-type"], "probe");
        second.answers(accepted());
    };
    tokio::join!(waits, others);
}

/// The URL at which the function of the stack is invoked.
fn invocations(world: &World) -> String {
    format!("{}/2015-03-31/functions/switchboard/invocations", world.urls().lambda)
}

/// Lambda API reference, "Invoke": `RequestResponse`, `FunctionError`.
#[tokio::test]
async fn a_synchronous_invocation_returns_the_response() {
    let mut world = World::start().await;
    let url = invocations(&world);
    for fails in [false, true] {
        let (url, signing) = (url.clone(), world.signs("lambda"));
        let response = tokio::spawn(async move { signing.request("POST", &url, &[], br#"{"n":1}"#).await });
        let invocation = world.invoked().await;
        assert_eq!(invocation.event, json!({ "n": 1 }));
        match fails {
            false => invocation.answers(with_body("done")),
            true => invocation.fails(),
        }

        let answer = response.await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.optional_header("x-amz-function-error").is_some(), fails, "{}", answer.text());
        assert_eq!(answer.text().contains("done"), !fails, "{}", answer.text());
    }
}

/// Lambda API reference, "Invoke": `Event`.
#[tokio::test]
async fn an_asynchronous_invocation_is_accepted_with_202() {
    let mut world = World::start().await;

    let asynchronous = [("x-amz-invocation-type", "Event")];
    let response = world.signs("lambda").request("POST", &invocations(&world), &asynchronous, br#"{"n":2}"#).await;

    assert_eq!((response.status, response.text()), (202, ""));
    let invocation = world.invoked().await;
    assert_eq!(invocation.event, json!({ "n": 2 }));
    invocation.answers(accepted());
}

/// Lambda API reference, "Invoke": `ResourceNotFoundException`, `InvalidRequestContentException`.
#[tokio::test]
async fn an_invalid_invocation_is_refused() {
    let world = World::start().await;
    let url = invocations(&world);

    let signing = world.signs("lambda");
    let unknown = signing.request("POST", &url.replace("switchboard", "another"), &[], b"{}").await;
    let no_json = signing.request("POST", &url, &[], b"hello").await;
    let unsigned = request("POST", &url, &[], b"{}").await;

    assert_eq!((unknown.status, unknown.optional_header("x-amzn-errortype")), (404, Some("ResourceNotFoundException")));
    assert_eq!(unsigned.status, 403);
    assert_eq!(
        (no_json.status, no_json.optional_header("x-amzn-errortype")),
        (400, Some("InvalidRequestContentException"))
    );
}
