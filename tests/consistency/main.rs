//! Checks the guarantees under faults.
//!
//! Clients chat at random, from a seed, while sockets break, function processes crash, events are repeated, indexes
//! lag, and requests to DynamoDB and posts fail or are slow in every way. They also edit, delete, react and pin, remove
//! and ban each other, invite, block and mention, set their read marks, upload files, and change the mode of a room.
//! Each client records what it sent and received. Then the faults end, all clients reconnect, and the records are
//! compared with each other and with the tables. The model knows nothing of the function's code. What is compared:
//!
//! 1. every acknowledged message is in the log exactly once, at the position of its acknowledgement;
//! 2. no position and no id of a client occurs twice;
//! 3. all readers see the same log, without gaps from the first position, and a message with one `rev` in one state;
//! 4. each member's view after its last resume equals the log, though it trusts each `lastSeq`;
//! 5. nobody hears, reads, sends, joins or moderates who certainly may not, and nobody is refused who certainly may;
//! 6. a message without acknowledgement is either complete or absent;
//! 7. no row is left of a connection that answered 410, and rooms count their members;
//! 8. changes are dense, each is made once, and every reader who follows them shows what they come to;
//! 9. the counts of reactions are as many as have reacted;
//! 10. after a deletion was answered no answer has the content, and in the end no frame, row or line of the log;
//! 11. a session that has ended hears nothing and is granted nothing;
//! 12. direct messages of the blocked are refused;
//! 13. a room that is made again has nothing of the earlier one;
//! 14. no message is in the log behind a mode of the room that forbids it, no mode is lost, and the muted do not write;
//! 15. a message mentions those who are there and have not blocked its author;
//! 16. `unreads` counts what the log has behind the read mark, without own and deleted messages, and the mark is kept;
//! 17. a file is told of once, by nobody who has left before the upload, and is gone with its message;
//! 18. each entry, change, join, leave and ban is on the event bus, entries and changes of a room in their order, and
//!     nothing that is not in the tables.
//!
//! `cargo test --release --test consistency -- --seed 1 --seeds 200`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checks;
mod client;
#[path = "../harness/mod.rs"]
mod harness;
mod place;
mod record;
mod run;
mod scenes;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;

use run::Size;

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
    #[arg(long, default_value_t = 24)]
    clients: usize,
    /// Number of operations of each client
    #[arg(long, default_value_t = 50)]
    operations: usize,
    /// Number of races of a removal with a request, and of a change of the mode with a message
    #[arg(long, default_value_t = 4)]
    races: u32,
    /// The function of the release before: it handles a part of the requests, is replaced, and replaces the new one for
    /// a while
    #[arg(long, value_name = "PROGRAM")]
    before: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Arguments { seed, seeds, clients, operations, races, before } = Arguments::parse();
    let size = Size { clients, operations, races, before };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let started = Instant::now();
    let (mut operations, mut violations) = (0, 0);
    for seed in seed..seed + seeds {
        let outcome = runtime.block_on(run::seed(seed, &size));
        operations += outcome.operations;
        violations += outcome.violations.len();
        println!("seed {seed}: {}", outcome.summary);
        for violation in &outcome.violations {
            println!("  VIOLATED {violation}");
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{seeds} seeds, {operations} operations, {violations} violations, {seconds:.0} s");
    if violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
