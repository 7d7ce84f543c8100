//! The flags of `cargo run` that select another function.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::support::{Invocations, PROBE, PROBE_ADDRESS, accepted, open, soon, with_body};

#[tokio::test]
async fn any_function_runs_behind_the_gateway_with_scaled_time() {
    let (mut invocations, address) = Invocations::start().await;
    let mut program = Command::new(env!("CARGO_BIN_EXE_local"))
        .args(["--json", "--http-port", "0", "--websocket-port", "0", "--dynamodb-port", "0", "--s3-port", "0"])
        .args(["--lambda-port", "0"])
        .args(["--function", &format!("python3 '{PROBE}'"), "--concurrency", "1", "--throttle", "--time-scale", "29"])
        .env(PROBE_ADDRESS, address)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(program.stdout.take().unwrap());
    soon("the program did not start", stdout.read_line(&mut line)).await.unwrap();
    let urls: Value = serde_json::from_str(&line).unwrap();

    let mut client = loop {
        let handshake = open(urls["websocket"].as_str().unwrap(), &[]);
        invocations.next().await.answers(accepted());
        // The first process may take longer than the timeout of 29 s, which is 1 s at this scale.
        if let Ok((client, _)) = handshake.await.unwrap() {
            break client;
        }
    };
    client.asks_for("ping").await;
    let slow = invocations.next().await;
    client.asks_for("ping").await;
    assert!(client.hears_error().await.contains("Internal server error"), "the second request was not throttled");
    assert!(client.hears_error().await.contains("Endpoint request timed out"));
    slow.answers(with_body("late response"));
}
