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
//! 5. every row that should has a `ttl`;
//! 6. the repeat is answered;
//! 7. where there is an event bus, each entry of the log is on it, in the order of the log.
//!
//! `cargo test --release --test crashes -- --all`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod case;
mod checks;
mod client;
mod generate;
#[path = "../harness/mod.rs"]
mod harness;
mod perform;
mod scenarios;

use std::pin::pin;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use futures_util::stream::{self, StreamExt};
use switchboard::local::faults::{Faults, Moment};
use switchboard::local::{BusOptions, Options};

use case::{Case, Mode, Stage, Who};
use harness::World;
use scenarios::Scenario;

/// No invocation makes more requests.
const MOST_REQUESTS: u32 = 60;
/// Stacks that run at once: the cases wait for each other's processes, and for responses that are held back.
const STACKS: usize = 8;
/// The routes of the small size.
const FEW: [&str; 5] = ["joinRoom", "closeRoom", "removeMember", "sendMessage", "stream"];

/// Checks the promises at every crash point.
#[derive(Parser)]
struct Arguments {
    /// Every route, in every mode
    #[arg(long)]
    all: bool,
    /// Only these routes, in every mode
    #[arg(long)]
    route: Vec<String>,
    /// Only in these modes: `Killed(After)`, `Held(Remove)`
    #[arg(long)]
    mode: Vec<String>,
    /// Show every case
    #[arg(long)]
    verbose: bool,
}

impl Arguments {
    fn requires(&self, scenario: Scenario) -> bool {
        self.route.is_empty() || self.selects(scenario)
    }

    fn selects(&self, scenario: Scenario) -> bool {
        if self.route.is_empty() {
            return self.all || FEW.contains(&scenario.to_string().as_str());
        }
        self.route.iter().any(|name| name == scenario.route)
    }

    fn modes(&self) -> Vec<Mode> {
        if !self.mode.is_empty() {
            return Mode::ALL.into_iter().filter(|mode| self.mode.contains(&format!("{mode:?}"))).collect();
        }
        let is_small = !self.all && self.route.is_empty();
        if is_small { vec![Mode::Killed(Moment::After)] } else { Mode::ALL.to_vec() }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let started = Instant::now();
    let total = runtime.block_on(check(&arguments));
    let seconds = started.elapsed().as_secs_f64();
    println!("{} cases, {} violations, {seconds:.0} s", total.cases, total.violations);
    if total.violations == 0 && total.cases > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn check(arguments: &Arguments) -> Report {
    let mut total = Report::default();
    let mut jobs = Vec::new();
    // Without a choice also of the routes that are not crashed: each must have a request that succeeds.
    let scenarios = Scenario::all().into_iter().filter(|scenario| arguments.requires(*scenario));
    let mut callers = pin!(stream::iter(scenarios).map(caller_of).buffered(STACKS));
    while let Some((scenario, caller)) = callers.next().await {
        match caller {
            Ok(caller) if arguments.selects(scenario) => {
                let modes = arguments.modes().into_iter().filter(|mode| mode.concerns(scenario.route));
                jobs.extend(modes.map(|mode| (scenario, caller, mode)));
            }
            Ok(_) => {}
            Err(refusals) => total.add(Report::of_violation(&format!("{scenario}: no request succeeds: {refusals}"))),
        }
    }
    let reports = stream::iter(jobs).map(|(scenario, caller, mode)| check_mode(scenario, caller, mode));
    let mut reports = pin!(reports.buffered(STACKS));
    while let Some(report) = reports.next().await {
        if arguments.verbose {
            print!("{}", report.cases_text);
        }
        total.add(report);
    }
    total
}

/// The outcome of some cases.
#[derive(Default)]
struct Report {
    cases: u32,
    violations: usize,
    cases_text: String,
    text: String,
}

impl Report {
    fn of_violation(what: &str) -> Self {
        let mut report = Self::default();
        report.violated(what);
        report
    }

    fn add(&mut self, other: Self) {
        print!("{}", other.text);
        self.cases += other.cases;
        self.violations += other.violations;
    }

    fn violated(&mut self, what: &str) {
        self.violations += 1;
        self.text.push_str(&format!("VIOLATED {what}\n"));
    }
}

async fn stage(scenario: Scenario) -> Stage {
    let faults = Faults::default();
    let environment: &[_] = match scenario.requires_tokens() {
        true => &[("AUTH_MODE", "jwt"), ("JWT_SECRET", harness::SECRET), ("ADD_MEMBERS", "direct")],
        false => &[],
    };
    let bus = scenario.requires_bus().then(|| BusOptions { kept: usize::MAX, ..BusOptions::default() });
    let world = World::changed(environment, |options| Options { faults: faults.clone(), bus, ..options }).await;
    let tables = world.dynamodb();
    Stage { world, faults, tables }
}

/// Who may send the request of a scenario: its usual caller, or else the owner of the room.
async fn caller_of(scenario: Scenario) -> (Scenario, Result<Who, String>) {
    let usual = scenario.usual_caller();
    if scenario.is_event() {
        return (scenario, Ok(usual));
    }
    let stage = stage(scenario).await;
    let mut refusals = String::new();
    for (number, caller) in (0..).zip([usual, Who::Host]) {
        match Case::new(&stage, (scenario, caller), number).await.is_refused().await {
            None => return (scenario, Ok(caller)),
            Some(refusal) => refusals.push_str(&refusal.to_string()),
        }
    }
    (scenario, Err(refusals))
}

/// All cases of a scenario in one mode, on a stack of their own.
async fn check_mode(scenario: Scenario, caller: Who, mode: Mode) -> Report {
    let (stage, started) = (stage(scenario).await, Instant::now());
    let mut report = Report::default();
    for request in 1..=MOST_REQUESTS {
        let mut case = Case::new(&stage, (scenario, caller), request).await;
        let Some(what) = case.run(mode, request).await else {
            for violation in &case.seen.violations {
                report.violated(&format!("{scenario}, {mode:?}: {violation}"));
            }
            break;
        };
        report.cases += 1;
        let name = format!("{scenario}, request {request} ({what}), {mode:?}");
        report.cases_text.push_str(&format!("{name}\n"));
        for violation in checks::of(&mut case).await {
            report.violated(&format!("{name}: {violation}"));
        }
    }
    let (cases, violations, seconds) = (report.cases, report.violations, started.elapsed().as_secs_f64());
    report.text.push_str(&format!("{scenario}, {mode:?}: {cases} cases, {violations} violations, {seconds:.0} s\n"));
    report
}
