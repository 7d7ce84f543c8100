//! What it takes: instructions, requests, capacity units, frames and bytes, and time where there is nothing to count.
//!
//! `scripts/bench` builds what is measured, and runs this.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use table::{Figure, Table};

/// Measures, and prints a table of it.
#[derive(Parser)]
struct Arguments {
    /// The function as it is deployed
    #[arg(long, value_name = "FILE")]
    function: PathBuf,
    /// Only this group of figures
    #[arg(long, value_name = "GROUP")]
    only: Option<String>,
    /// Where to leave the figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let figures: Vec<Figure> = Vec::new();
    print!("{}", Table(&figures));
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_vec_pretty(&figures).unwrap()).unwrap();
    }
    if figures.iter().all(|figure| figure.holds != Some(false)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
