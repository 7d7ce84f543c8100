//! Checks the guarantees under faults.
//!
//! Clients chat at random, from a seed, while sockets break, function processes crash, events are repeated, and
//! requests to DynamoDB and posts fail in every way. Each client records what it sent and received. Then the faults
//! end, all clients reconnect, and the records are compared with the log:
//!
//! 1. every acknowledged message is in the log exactly once, at the position of its acknowledgement;
//! 2. no position and no client message id occurs twice;
//! 3. all readers see the same log, without gaps from the first position;
//! 4. each member's view after its last resume equals the log;
//! 5. no client received or read anything of a room of which it was not a member;
//! 6. a message without acknowledgement is either complete or absent;
//! 7. no row is left of a connection that answered 410.
//!
//! `cargo test --release --test consistency -- --seed 1 --seeds 200`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checks;
mod client;
#[path = "../harness/mod.rs"]
mod harness;
mod record;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use switchboard::local::faults::{Faults, Plan};
use switchboard::local::{Options, Stack};

use client::Client;
use record::{Clock, Record};

/// Checks the guarantees under faults.
#[derive(Parser)]
struct Arguments {
    /// The first seed
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of seeds, one after the other
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Number of clients
    #[arg(long, default_value_t = 50)]
    clients: usize,
    /// Number of operations of each client
    #[arg(long, default_value_t = 12)]
    operations: usize,
}

/// The rooms. Each client is a member of some of them.
pub const ROOMS: [&str; 4] = ["tea", "coffee", "cocoa", "water"];

fn plan() -> Plan {
    Plan {
        store_unprocessed: 20,
        function_killed_before: 5,
        function_killed_after: 10,
        event_late: 100,
        store_throttled: 10,
        transaction_conflict: 50,
        store_answer_lost: 10,
        post_gone: 5,
        post_throttled: 20,
        post_failed: 10,
        post_hanging: 1,
        function_killed: 15,
        event_repeated: 30,
        disconnect_lost: 300,
        socket_dropped: 30,
        post_gone_but_delivered: 5,
        clock_skew_ms: 2_000,
        index_lag_ms: 300,
        ..Plan::default()
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let started = Instant::now();
    let (mut operations, mut violations) = (0, 0);
    for seed in arguments.seed..arguments.seed + arguments.seeds {
        let outcome = runtime.block_on(run(seed, arguments.clients, arguments.operations));
        operations += outcome.operations;
        violations += outcome.violations.len();
        println!("seed {seed}: {}", outcome.summary);
        for violation in &outcome.violations {
            println!("  VIOLATED {violation}");
        }
    }
    println!(
        "{} seeds, {operations} operations, {violations} violations, {:.0} s",
        arguments.seeds,
        started.elapsed().as_secs_f64()
    );
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Outcome {
    operations: usize,
    summary: String,
    violations: Vec<String>,
}

async fn run(seed: u64, clients: usize, operations: usize) -> Outcome {
    let faults = Faults::seeded(seed);
    let options = Options::on_free_ports(env!("CARGO_BIN_EXE_bootstrap").into(), Arc::new(|_| {}));
    let stack = Stack::start(Options {
        faults: faults.clone(),
        environment: vec![("LIMITS".to_owned(), "off".to_owned())],
        ..options
    })
    .await
    .unwrap();
    let url = stack.urls().websocket.clone();
    for room in ROOMS {
        client::create_room(&url, room).await;
    }

    // The clients chat while faults are injected.
    let clock = Arc::new(Clock::default());
    faults.follow(plan());
    // After 700 ms, connections are old enough that a 410 removes them.
    let aging = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        stack.clock().advance(Duration::from_secs(40));
        std::future::pending::<()>().await;
    };
    let chat = futures_util::future::join_all((0..clients).map(|number| {
        let client = Client::new(number, seed, url.clone(), Arc::clone(&clock));
        tokio::spawn(client.chats(operations))
    }));
    let finished = tokio::select! {
        finished = chat => finished,
        () = aging => unreachable!("the clock never returns"),
    };
    faults.follow(Plan::default());

    // All clients reconnect and read the history.
    stack.clock().advance(Duration::from_secs(60));
    let clients = finished.into_iter().map(Result::unwrap);
    let recovered = futures_util::future::join_all(clients.map(|client| tokio::spawn(client.recovers())))
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect::<Vec<_>>();
    let logs = checks::logs(&stack).await;
    let _host = client::message_all_connections(&url, &recovered).await;

    let records: Vec<&Record> = recovered.iter().map(|client| &client.record).collect();
    let mut violations = checks::check_records(&records, &logs);
    violations.extend(checks::check_rows(&stack).await);
    let acked = records.iter().flat_map(|record| &record.sent).filter(|sent| sent.acked.is_some()).count();
    let sent: usize = records.iter().map(|record| record.sent.len()).sum();
    let summary = format!(
        "{acked} of {sent} messages acknowledged, {} in the logs, {} function processes",
        logs.values().map(std::collections::BTreeMap::len).sum::<usize>(),
        stack.function_processes_started()
    );
    Outcome { operations: records.iter().map(|record| record.operations).sum(), summary, violations }
}
