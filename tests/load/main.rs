//! Load test of the local stack: thousands of sockets, each of which receives a broadcast, and the memory of a socket.
//!
//! The stack is the program `local` with a minimal function; the clients are in this process. Times are informative:
//! only memory has a goal.
//!
//! `cargo test --release --test load`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod crowd;
mod function;
#[path = "../harness/mod.rs"]
mod harness;
mod stack;

use std::cell::Cell;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use switchboard::local::open_files;

use crowd::{Client, Posts, broadcast};
use stack::Stack;

/// Goal: memory of the stack's process per idle socket.
const GOAL_BYTES: u64 = 40_000;
/// Sockets before the measurement, which warm up the stack.
const FIRST: usize = 64;
/// Open files of a process besides the sockets.
const OTHER_FILES: u64 = 256;
/// Timeout of every step.
const PATIENCE: Duration = Duration::from_secs(300);

/// Connects many clients to a stack, and broadcasts to them.
#[derive(Parser)]
struct Arguments {
    /// Number of sockets
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u64).range(2 * FIRST as u64..=20_000))]
    sockets: u64,
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|argument| argument == function::ARGUMENT) {
        return function::serve();
    }
    let Arguments { sockets } = Arguments::parse();
    let (limit, needed) = (open_files::raise_limit(), sockets + OTHER_FILES);
    if limit < needed {
        eprintln!(
            "{sockets} sockets need {needed} open files, and the limit of a process is {limit}: \
             raise the limit (ulimit -Hn), or use fewer with --sockets"
        );
        return ExitCode::FAILURE;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let sockets = usize::try_from(sockets).unwrap();
    match runtime.block_on(async { tokio::time::timeout(PATIENCE, run(sockets)).await }) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(_) => {
            eprintln!("not all frames arrived within {PATIENCE:?}; {} has the stack's log", stack::LOG);
            ExitCode::FAILURE
        }
    }
}

/// Whether the memory meets its goal. Any other failure panics.
async fn run(sockets: usize) -> bool {
    let stack = Stack::start().await;
    let posts = Posts::new(&stack.urls.connections, &stack.access_key);

    let started = Instant::now();
    let mut crowd = Client::open_many(&stack.urls.websocket, FIRST).await;
    let before = stack.memory_bytes();
    crowd.extend(Client::open_many(&stack.urls.websocket, sockets - FIRST).await);
    let with_all = stack.memory_bytes();
    println!("{sockets} sockets are open after {:.1?}", started.elapsed());
    let each =
        before.zip(with_all).map(|(before, with_all)| with_all.saturating_sub(before) / (sockets - FIRST) as u64);
    match each {
        Some(each) => println!(
            "an idle socket takes {:.1} KB of the stack's memory (goal: below {} KB)",
            kb(each),
            kb(GOAL_BYTES)
        ),
        None => println!("the stack's memory is unknown: this machine has no /proc"),
    }

    crowd::fetch_ids(&mut crowd).await;
    let started = Instant::now();
    broadcast(&posts, &mut crowd, "hello").await;
    println!("all of them received a broadcast after {:.1?}", started.elapsed());

    let mut crashing = Client::open(&stack.urls.websocket).await;
    let is_done = Cell::new(false);
    let crashes = async {
        let mut crashes = 0;
        while !is_done.get() {
            crashing.crashes_the_function().await;
            crashes += 1;
        }
        crashes
    };
    let started = Instant::now();
    let broadcasts = async {
        broadcast(&posts, &mut crowd, "hello again").await;
        let mut new_client = Client::open(&stack.urls.websocket).await;
        new_client.fetches_its_id().await;
        is_done.set(true);
        started.elapsed()
    };
    let (crashes, elapsed) = tokio::join!(crashes, broadcasts);
    println!("they received another one, and a new client a response, after {elapsed:.1?}, during {crashes} crashes");
    each.is_none_or(|each| each < GOAL_BYTES)
}

fn kb(bytes: u64) -> f64 {
    bytes as f64 / 1000.0
}
