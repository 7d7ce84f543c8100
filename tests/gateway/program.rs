//! Another function behind `cargo run`, by its flags.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::support::{Invocations, PROBE, PROBE_ASKS, accepted, open, said, soon};

#[tokio::test]
async fn any_function_runs_behind_the_gateway_with_scaled_time() {
    let (mut invocations, asks) = Invocations::begin().await;
    let mut program = Command::new(env!("CARGO_BIN_EXE_local"))
        .args(["--json", "--http-port", "0", "--websocket-port", "0", "--dynamodb-port", "0", "--s3-port", "0"])
        .args(["--lambda-port", "0"])
        .args(["--function", &format!("python3 '{PROBE}'"), "--concurrency", "1", "--throttle", "--time-scale", "29"])
        .env(PROBE_ASKS, asks)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(program.stdout.take().unwrap());
    soon("it does not start", stdout.read_line(&mut line)).await.unwrap();
    let urls: Value = serde_json::from_str(&line).unwrap();

    let mut client = loop {
        let handshake = open(urls["websocket"].as_str().unwrap(), &[]);
        invocations.next().await.answers(accepted());
        // The first process may need more than the second that 29 are here.
        if let Ok((client, _)) = handshake.await.unwrap() {
            break client;
        }
    };
    client.asks_for("ping").await;
    let slow = invocations.next().await;
    client.asks_for("ping").await;
    assert!(client.is_told().await.contains("Internal server error"), "it is not refused");
    assert!(client.is_told().await.contains("Endpoint request timed out"));
    slow.answers(said("too late"));
}
