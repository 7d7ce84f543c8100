//! Comparison with a common design: a function in Node.js that scans its table of connections for every message, behind
//! the same gateway.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use aws_sdk_dynamodb::types::AttributeValue;
use switchboard::local::Options;

use crate::table::{Figure, readable};
use crate::world::{ROOM, Row, World, median, region_latency};

const GROUP: &str = "sample";
const MEMBERS: usize = 100;
const MESSAGES: usize = 20;
const COLD_STARTS: usize = 7;
const OTHER_CONNECTIONS: [usize; 3] = [1, 1_000, 10_000];

/// A value for each of the two functions.
struct Both<T> {
    ours: T,
    sample: T,
}

pub async fn figures(function: &Path) -> Vec<Figure> {
    let sample = install();
    let commands = Both { ours: vec![function.into()], sample };
    let mut figures = vec![cold_starts(&commands).await];
    figures.extend(messages(&commands).await);
    figures
}

/// Installs the sample's packages into the build directory, once, and returns its command.
fn install() -> Vec<OsString> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/node");
    let installed = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench-node");
    fs::create_dir_all(&installed).unwrap();
    let lock = |folder: &Path| fs::read(folder.join("node_modules/.installed")).unwrap_or_default();
    let wanted = fs::read(source.join("package-lock.json")).unwrap();
    for file in ["package.json", "package-lock.json", "app.mjs", "runtime.mjs"] {
        fs::copy(source.join(file), installed.join(file)).unwrap();
    }
    if lock(&installed) != wanted {
        let npm = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"])
            .current_dir(&installed)
            .status();
        assert!(npm.expect("the sample needs Node.js 20 or later and its npm").success());
        fs::write(installed.join("node_modules/.installed"), wanted).unwrap();
    }
    vec!["node".into(), installed.join("runtime.mjs").into()]
}

async fn world(command: &[OsString]) -> World {
    let options = |options| Options { function: command.to_vec(), is_own_function: false, concurrency: 1, ..options };
    World::changed(Path::new(&command[0]), options).await
}

/// From the first event, which starts a process, to its response.
async fn cold_starts(commands: &Both<Vec<OsString>>) -> Figure {
    let mut times = Both { ours: Vec::new(), sample: Vec::new() };
    for _ in 0..COLD_STARTS {
        times.ours.push(cold_start(&commands.ours).await);
        times.sample.push(cold_start(&commands.sample).await);
    }
    ratio("cold start", " ms", &Both { ours: median(times.ours), sample: median(times.sample) })
}

async fn cold_start(command: &[OsString]) -> f64 {
    let world = world(command).await;
    let started = Instant::now();
    world.connects("userId=ana").await;
    started.elapsed().as_secs_f64() * 1e3
}

async fn messages(commands: &Both<Vec<OsString>>) -> Vec<Figure> {
    let mut worlds = Both { ours: world(&commands.ours).await, sample: world(&commands.sample).await };
    worlds.ours.grows_to(MEMBERS).await;
    let queries = (0..MEMBERS).map(|number| format!("userId=user-{number}&roomId={ROOM}"));
    worlds.sample.crowd.connects(queries).await;

    let frame = format!(r#"{{"action":"sendMessage","roomId":"{ROOM}","content":"{{}} {}"}}"#, "x".repeat(100));
    for world in [&mut worlds.ours, &mut worlds.sample] {
        world.faults.follow(region_latency());
        world.crowd.sends(&[&frame]).await;
        world.waits_until_idle().await;
    }
    let before = Both { ours: worlds.ours.cpu_ms(), sample: worlds.sample.cpu_ms() };
    let mut times = Both { ours: Vec::new(), sample: Vec::new() };
    for _ in 0..MESSAGES {
        for (world, times) in [(&mut worlds.ours, &mut times.ours), (&mut worlds.sample, &mut times.sample)] {
            let deliveries = world.crowd.sends(&[&frame]).await;
            assert_eq!(deliveries.missing, 0, "a delivery is missing");
            times.push(deliveries.last_ms);
        }
    }
    worlds.ours.waits_until_idle().await;
    worlds.sample.waits_until_idle().await;
    let each = |before: f64, after: f64| (after - before) / MESSAGES as f64;
    let cpu =
        Both { ours: each(before.ours, worlds.ours.cpu_ms()), sample: each(before.sample, worlds.sample.cpu_ms()) };

    let times = Both { ours: median(times.ours), sample: median(times.sample) };
    let mut figures = vec![
        ratio(&format!("function CPU per message to {MEMBERS}"), " ms", &cpu),
        ratio(&format!("time to last delivery, room of {MEMBERS}"), " ms", &times),
    ];
    let mut existing = 0;
    for others in OTHER_CONNECTIONS {
        for world in [&worlds.ours, &worlds.sample] {
            world.write("Connections", (existing..others).map(|number| other_connection(number, None))).await;
        }
        let subscriptions = (existing..others).map(|number| other_connection(number, Some("room#elsewhere")));
        worlds.ours.write("Subscriptions", subscriptions).await;
        existing = others;
        let mut units = Both { ours: 0.0, sample: 0.0 };
        for (world, units) in [(&mut worlds.ours, &mut units.ours), (&mut worlds.sample, &mut units.sample)] {
            world.take_cost();
            world.crowd.sends(&[&frame]).await;
            *units = world.take_cost().reads;
        }
        let others = readable(others as f64);
        figures.push(ratio(&format!("read units per message, {others} connected in another room"), "", &units));
    }
    figures
}

/// The row of a connection in another room.
fn other_connection(number: usize, channel: Option<&str>) -> Row {
    let named = |(name, value): (&str, String)| (name.to_owned(), AttributeValue::S(value));
    let id = ("connectionId", format!("STRANGER{number:07}="));
    let channel = channel.map(|channel| ("channel", channel.to_owned()));
    [id, ("roomId", "elsewhere".to_owned())].into_iter().chain(channel).map(named).collect()
}

fn ratio(what: &str, unit: &str, values: &Both<f64>) -> Figure {
    let Both { ours, sample } = values;
    let name = format!("{what}: sample ({}{unit}) / ours ({}{unit})", readable(*sample), readable(*ours));
    Figure::new(GROUP, name, sample / ours, "")
}
