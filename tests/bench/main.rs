//! Benchmarks: instructions, requests, capacity units, frames and bytes, and time where nothing can be counted.
//!
//! `scripts/bench` builds the function and runs this. Each group is a module with a function `figures`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod burst;
mod cold;
mod cost;
mod crowd;
mod fanout;
#[path = "../harness/mod.rs"]
mod harness;
mod process;
mod sample;
mod table;
mod valgrind;
mod warm;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use switchboard::local::open_files;
use tokio::runtime::Runtime;

use table::{Figure, HEAD};

/// The name of a group, and the function that measures it for the Lambda function at a path.
type Group = (&'static str, fn(&Path) -> Vec<Figure>);

const GROUPS: &[Group] = &[
    ("cold", |function| on_threads(cold::figures(function))),
    ("warm", |function| on_threads(warm::figures(function))),
    ("fanout", |function| on_threads(fanout::figures(function))),
    ("cost", |function| on_threads(cost::figures(function))),
    ("burst", |function| on_threads(burst::figures(function))),
    ("sample", |function| on_threads(sample::figures(function))),
];

/// Runs the benchmarks and prints a table of the figures.
#[derive(Parser)]
struct Arguments {
    /// The function, built as for a deployment
    #[arg(long, value_name = "FILE")]
    function: PathBuf,
    /// Runs only this group; can be repeated
    #[arg(long, value_name = "GROUP", value_parser = GROUPS.iter().map(|(name, _)| *name).collect::<Vec<_>>())]
    only: Vec<String>,
    /// Writes the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    open_files::raise_limit();
    let mut arguments = std::env::args().skip(1);
    if arguments.next().is_some_and(|argument| argument == crowd::AS_CROWD) {
        crowd::run(&arguments.next().expect("a crowd needs a URL"));
        return ExitCode::SUCCESS;
    }
    let arguments = Arguments::parse();
    let wanted = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == name);
    println!("{HEAD}");
    let mut all: Vec<Figure> = Vec::new();
    for (_, figures) in GROUPS.iter().filter(|(name, _)| wanted(name)) {
        for figure in figures(&arguments.function) {
            println!("{figure}");
            all.push(figure);
        }
    }
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_vec_pretty(&all).unwrap()).unwrap();
    }
    if all.iter().all(|figure| figure.holds != Some(false)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn on_threads<T>(work: impl Future<Output = T>) -> T {
    Runtime::new().unwrap().block_on(work)
}
