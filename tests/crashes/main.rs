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
mod perform;
mod scenarios;

use std::pin::pin;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use futures_util::stream::{self, StreamExt};
use switchboard::local::Options;
use switchboard::local::faults::{Faults, Moment};

use case::{Case, Mode, Stage};
use harness::World;

/// No invocation makes more requests.
const MOST_REQUESTS: u32 = 60;
/// Each has a stack of its own.
const ROUTES_AT_ONCE: usize = 2;
/// The routes of the small size.
const FEW: [&str; 4] = ["joinRoom", "closeRoom", "removeMember", "sendMessage"];

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
    let mut total = Report::default();
    runtime.block_on(async {
        total.add(every_route_has_a_scenario().await);
        let routes = stream::iter(arguments.selection());
        let reports = routes.map(|(route, modes)| check_route(route, modes, arguments.verbose));
        let mut reports = pin!(reports.buffered(ROUTES_AT_ONCE));
        while let Some(report) = reports.next().await {
            print!("{}", report.text);
            total.add(report);
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    println!("{} cases, {} violations, {seconds:.0} s", total.cases, total.violations);
    if total.violations == 0 && total.cases > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The outcome of the cases of a route.
#[derive(Default)]
struct Report {
    cases: u32,
    violations: usize,
    text: String,
}

impl Report {
    fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.violations += other.violations;
    }

    fn violated(&mut self, what: &str) {
        self.violations += 1;
        self.text.push_str(&format!("VIOLATED {what}\n"));
    }
}

async fn stage() -> Stage {
    let faults = Faults::default();
    let world = World::changed(&[], |options| Options { faults: faults.clone(), ..options }).await;
    let tables = world.dynamodb();
    Stage { world, faults, tables }
}

/// Also the routes that are not selected.
async fn every_route_has_a_scenario() -> Report {
    let stage = stage().await;
    let mut case = Case::new(&stage, "ping", 0).await;
    let mut report = Report::default();
    for route in scenarios::routes() {
        if scenarios::prepare(&mut case, route).await.is_none() {
            report.violated(&format!("{route} has no scenario: add one to tests/crashes/scenarios.rs"));
        }
    }
    print!("{}", report.text);
    report
}

/// All cases of a route, on a stack of their own.
async fn check_route(route: &'static str, modes: Vec<Mode>, verbose: bool) -> Report {
    let stage = stage().await;
    let mut report = Report::default();
    let mut number = 0;
    for mode in modes {
        for request in 1..=MOST_REQUESTS {
            number += 1;
            let mut case = Case::new(&stage, route, number).await;
            let Some(what) = case.run(mode, request).await else {
                for violation in &case.seen.violations {
                    report.violated(&format!("{route}, {mode:?}: {violation}"));
                }
                break;
            };
            report.cases += 1;
            if verbose {
                report.text.push_str(&format!("{route}, request {request} ({what}), {mode:?}\n"));
            }
            for violation in checks::of(&mut case, mode).await {
                report.violated(&format!("{route}, request {request} ({what}), {mode:?}: {violation}"));
            }
        }
    }
    report.text.push_str(&format!("{route}: {} cases, {} violations\n", report.cases, report.violations));
    report
}
