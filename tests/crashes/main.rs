//! Checks the promises at every crash point.
//!
//! Each request of the catalogue and each background event runs again and again in fresh rooms. Each time the function
//! process is killed before or after one of its requests to AWS, or the response to that is lost, or it is held back
//! while somebody is removed or banned, the room is closed, or the same event comes twice. Then the world goes on: the
//! client repeats its request, the event is repeated, the sweep runs. In the end:
//!
//! 1. nobody hears, sends, reads or uploads what was appended after their removal was answered;
//! 2. no acknowledged message is lost or doubled;
//! 3. a room's `participantCount` equals its member rows;
//! 4. everybody who is still in the room was told, or learns it by `resume`;
//! 5. the member rows of a closed room have a `ttl`;
//! 6. the repeat is answered.
//!
//! `cargo test --test crashes -- --all`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod case;
mod checks;
mod client;
#[path = "../harness/mod.rs"]
mod harness;
mod scenarios;

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use switchboard::local::Options;
use switchboard::local::faults::{Faults, Moment};

use case::{Case, Mode, Stage};
use harness::World;

/// No invocation makes more requests.
const MOST_REQUESTS: u32 = 60;
/// The routes of the small size.
const FEW: [&str; 4] = ["sendMessage", "joinRoom", "markRead", "POST /rooms/join"];

/// Checks the promises at every crash point.
#[derive(Parser)]
struct Arguments {
    /// Every route, in every mode
    #[arg(long)]
    all: bool,
    /// Only these routes, in every mode
    #[arg(long)]
    route: Vec<String>,
    /// Show every case
    #[arg(long)]
    verbose: bool,
}

impl Arguments {
    /// The routes and modes.
    fn selection(&self) -> Vec<(&'static str, Vec<Mode>)> {
        let routes = scenarios::routes().into_iter();
        if self.all {
            return routes.map(|route| (route, Mode::ALL.to_vec())).collect();
        }
        if !self.route.is_empty() {
            let chosen = routes.filter(|route| self.route.iter().any(|name| name == route));
            return chosen.map(|route| (route, Mode::ALL.to_vec())).collect();
        }
        routes.filter(|route| FEW.contains(route)).map(|route| (route, vec![Mode::Killed(Moment::After)])).collect()
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let started = Instant::now();
    let mut total = Totals::default();
    for (route, modes) in arguments.selection() {
        runtime.block_on(check_route(route, &modes, arguments.verbose, &mut total));
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{} cases, {} violations, {seconds:.0} s", total.cases, total.violations);
    if total.violations == 0 && total.cases > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Default)]
struct Totals {
    cases: u32,
    violations: usize,
}

/// All cases of a route, on a stack of their own.
async fn check_route(route: &'static str, modes: &[Mode], verbose: bool, total: &mut Totals) {
    let faults = Faults::default();
    let world = World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await;
    let tables = world.dynamodb();
    let stage = Stage { world, faults, tables };
    let mut probe = Case::new(&stage, route, 0).await;
    if scenarios::prepare(&mut probe, route).await.is_none() {
        println!("VIOLATED {route}: no scenario: add one to tests/crashes/scenarios.rs");
        total.violations += 1;
        return;
    }
    let (mut number, before) = (0, total.violations);
    for &mode in modes {
        for request in 1..=MOST_REQUESTS {
            number += 1;
            let mut case = Case::new(&stage, route, number).await;
            let Some(what) = case.run(mode, request).await else {
                for violation in &case.seen.violations {
                    println!("VIOLATED {route}, {mode:?}: {violation}");
                    total.violations += 1;
                }
                break;
            };
            let violations = checks::of(&mut case, mode).await;
            total.cases += 1;
            total.violations += violations.len();
            if verbose {
                println!("{route}, request {request} ({what}), {mode:?}");
            }
            for violation in violations {
                println!("VIOLATED {route}, request {request} ({what}), {mode:?}: {violation}");
            }
        }
    }
    println!("{route}: {} cases, {} violations", number - modes.len() as u32, total.violations - before);
}
