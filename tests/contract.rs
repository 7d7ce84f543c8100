//! The code and the documents agree.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use switchboard::domain::{CloseReason, RoomId};
use switchboard::error::Error;
use switchboard::metrics::Metric;
use switchboard::routes::Route;
use switchboard::store::tables::{self, Table};
use switchboard::wire::Frame;

const README: &str = include_str!("../README.md");

/// What stands below a heading of the README, down to the next one.
fn section(heading: &str) -> &'static str {
    let below = README.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_default();
    below.split("\n## ").next().unwrap_or_default()
}

#[test]
fn the_readme_names_every_route_and_alias() {
    let gateways_own = [Route::Connect, Route::Disconnect, Route::Default];
    for route in Route::ALL.iter().filter(|route| !gateways_own.contains(route)) {
        for name in [&[route.key()], route.aliases()].concat() {
            assert!(README.contains(&format!("`{name}`")), "{name}");
        }
    }
}

#[test]
fn the_readme_names_every_action_once_in_its_table() {
    let rows = section(CLIENTS).lines().filter_map(|line| line.strip_prefix("| `"));
    let rows = rows.filter_map(|row| row.split('`').next());
    let rows: Vec<_> = rows.filter(|name| Route::of_action(name).is_some()).collect();
    let mut actions: Vec<_> = Route::actions().map(Route::key).collect();
    // Frames of the same names have rows in another table.
    actions.extend(["hello", "typing"]);
    let (mut listed, mut declared) = (rows, actions);
    listed.sort_unstable();
    declared.sort_unstable();
    assert_eq!(listed, declared);
}

#[test]
fn the_readme_has_an_example_of_every_action() {
    let examples = examples();
    let actions: BTreeSet<_> = examples.iter().filter_map(|example| example.frame["action"].as_str()).collect();
    for route in Route::actions() {
        assert!(actions.contains(route.key()), "no example of the action {}", route.key());
    }
    for action in actions {
        assert!(Route::of_action(action).is_some(), "an example of {action}, which is no action");
    }
}

#[test]
fn the_readme_has_an_example_and_a_row_of_every_frame() {
    let examples = examples();
    let frames = frames_of_the_code();
    let rows = rows_of("frame").map(|row| row[0].trim_matches('`'));
    assert_eq!(
        sorted(rows),
        sorted(frames.iter().filter(|frame| !frame.is_http_only).map(|frame| frame.name.as_str()))
    );
    for Declared { name, is_http_only } in &frames {
        // A body has no `type`: its example is labelled.
        let is_meant =
            |example: &&Example| if *is_http_only { example.label == *name } else { example.frame["type"] == **name };
        let found: Vec<_> = examples.iter().filter(is_meant).collect();
        assert!(!found.is_empty(), "no example of the frame {name}");
    }
    for Example { frame, .. } in &examples {
        let known = |name: &str| frames.iter().any(|frame| frame.name == name);
        assert!(frame["type"].as_str().is_none_or(known), "an example of what the code does not send: {frame}");
    }
    // The names are made as the code's own are.
    let sent = Frame::RoomClosed { room_id: RoomId::lobby(), reason: CloseReason::Closed.as_str(), user_id: None };
    assert_eq!(serde_json::to_value(sent).unwrap()["type"], "room-closed");
    assert!(frames.iter().any(|frame| frame.name == "room-closed"));
}

#[test]
fn the_readme_says_of_every_error_what_to_do() {
    let rows: Vec<_> = rows_of("code").filter(|row| row[1].parse::<u16>().is_ok()).collect();
    let documented = rows.iter().map(|row| format!("{} {}", row[1], row[0].trim_matches('`')));
    let declared: BTreeSet<_> = Error::KINDS.iter().map(|(status, code)| format!("{status} {code}")).collect();
    assert_eq!(sorted(documented), declared.into_iter().collect::<Vec<_>>());
    for row in rows {
        assert!(row.len() == 5 && row[2..].iter().all(|cell| !cell.is_empty()), "{row:?}");
    }
}

/// The section for those who write clients.
const CLIENTS: &str = "Write a client";

/// A JSON object in a block of the README.
struct Example {
    /// What stands behind `json` where the block begins.
    label: String,
    frame: Value,
}

/// All examples for those who write clients. A block holds one object or several.
fn examples() -> Vec<Example> {
    let blocks = section(CLIENTS).split("\n```json").skip(1).filter_map(|block| block.split("\n```").next());
    let examples = blocks.flat_map(|block| {
        let (label, text) = block.split_once('\n').unwrap_or_default();
        serde_json::Deserializer::from_str(text).into_iter().map(move |frame| {
            assert!(frame.is_ok(), "an example is no JSON: {text}");
            Example { label: label.trim().to_owned(), frame: frame.unwrap_or_default() }
        })
    });
    examples.collect()
}

/// The rows of the tables whose first column has this heading, cell by cell.
fn rows_of(heading: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let start = format!("\n| {heading} |");
    let tables: Vec<_> = section(CLIENTS).split(start.as_str()).skip(1).collect();
    let lines = tables.into_iter().flat_map(|table| table.lines().skip(2).take_while(|line| line.starts_with('|')));
    lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
}

fn sorted<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

/// A frame as `src/wire/frames.rs` declares it.
struct Declared {
    /// Its `type` on the wire.
    name: String,
    /// Whether it is the body of HTTP answers alone, as its doc comment says.
    is_http_only: bool,
}

/// Every variant of `Frame`. No value lists them, so the source is read: a new one is found without being added
/// anywhere.
fn frames_of_the_code() -> Vec<Declared> {
    let source = include_str!("../src/wire/frames.rs");
    let body =
        source.split("\npub enum Frame {\n").nth(1).and_then(|rest| rest.split("\n}\n").next()).unwrap_or_default();
    let mut frames = Vec::new();
    let mut doc = String::new();
    for line in body.lines().filter_map(|line| line.strip_prefix("    ")) {
        if let Some(comment) = line.strip_prefix("///") {
            doc.push_str(comment);
        } else if line.starts_with(char::is_uppercase) {
            let name = line.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default();
            let is_http_only = std::mem::take(&mut doc).contains("HTTP alone");
            frames.push(Declared { name: kebab(name), is_http_only });
        } else {
            doc.clear();
        }
    }
    assert!(frames.len() >= 19, "the variants of Frame are not found any more");
    frames
}

/// `RoomClosed` as `room-closed`.
fn kebab(name: &str) -> String {
    let words = name.chars().enumerate().map(|(at, letter)| {
        let dash = if at > 0 && letter.is_uppercase() { "-" } else { "" };
        format!("{dash}{}", letter.to_ascii_lowercase())
    });
    words.collect()
}

#[test]
fn the_readme_names_every_table_and_its_variable() {
    for table in tables::ALL {
        assert!(README.contains(&format!("| `{}` | `{}` |", table.variable, table.default_name)), "{}", table.variable);
    }
}

#[test]
fn the_readme_names_every_metric_and_its_unit() {
    let rows = README.lines().filter(|line| line.starts_with("| `") && line.contains("` | Count |"));
    assert_eq!(rows.count(), Metric::ALL.iter().filter(|metric| metric.unit() == "Count").count());
    for metric in Metric::ALL {
        let unit =
            if metric.is_by_route() { format!("{}, by `route`", metric.unit()) } else { metric.unit().to_owned() };
        assert!(README.contains(&format!("| `{}` | {unit} |", metric.name())), "{}", metric.name());
    }
}

#[test]
fn what_a_person_copies_is_the_same_everywhere() {
    let program = include_str!("../src/local/console/banner.rs");
    let version = "npx -y wscat@6.1.0";
    assert!(README.contains(version) && program.contains(version));
    let installed_to_test = include_str!("smoke/package.json");
    assert!(installed_to_test.contains("\"wscat\": \"6.1.0\""));
}

#[test]
fn terraform_sets_every_variable_that_the_readme_names_and_no_other() {
    let cells = section("Configuration").lines().filter_map(|line| line.strip_prefix('|')?.split('|').next());
    let named = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(|name| is_variable(name));
    // Lambda sets some by itself.
    let mut named: Vec<_> = named.filter(|name| !["AWS_REGION", "AWS_LAMBDA_FUNCTION_NAME"].contains(name)).collect();
    let terraform = include_str!("../terraform/main.tf").lines().filter_map(|line| line.split_once(" = "));
    let mut set: Vec<_> = terraform.map(|(name, _)| name.trim()).filter(|name| is_variable(name)).collect();
    // Those of the tables come from the contract.
    set.extend(tables::ALL.iter().map(|table| table.variable));
    named.sort_unstable();
    set.sort_unstable();
    assert_eq!(named, set);
}

#[test]
fn the_saved_queries_ask_for_what_the_lines_of_log_hold() {
    let steps = include_str!("../terraform/modules/observability/queries.tf").lines();
    let steps = steps.filter_map(|line| line.split_once(" = \"")).flat_map(|(_, query)| query.split(" | "));
    let mut asked = 0;
    for step in steps {
        let fields: Vec<_> = match step.split_once(' ') {
            Some(("filter", test)) => test.split(" and ").filter_map(|test| test.split(' ').next()).collect(),
            Some(("fields", list)) => list.split(", ").filter(|field| !field.starts_with('@')).collect(),
            _ => continue,
        };
        for field in fields {
            asked += 1;
            assert!(field == "message" || section("Operations").contains(&format!("`{field}`")), "{field}");
        }
    }
    assert!(asked > 10);
}

fn is_variable(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') && !name.is_empty()
}

#[test]
fn every_module_says_what_it_is_and_asks_for_at_most_ten_things() {
    let terraform = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("terraform");
    let modules = std::fs::read_dir(terraform.join("modules")).unwrap().map(|entry| entry.unwrap().path());
    for module in modules.chain([terraform]) {
        let read = |name: &str| std::fs::read_to_string(module.join(name)).unwrap();
        let variables = read("variables.tf");
        let count = variables.lines().filter(|line| line.starts_with("variable ")).count();
        let described = variables.lines().filter(|line| line.starts_with("  description = ")).count();
        assert!(count <= 10, "{}: {count} variables", module.display());
        assert_eq!(described, count, "{}: not every variable is described", module.display());
        assert!(read("README.md").starts_with("# "), "{}", module.display());
    }
}

#[test]
fn pages_may_send_the_same_headers_to_the_local_bucket_and_to_a_deployed_one() {
    let allowed = format!("allowed_headers = {:?}", switchboard::local::PAGE_HEADERS);
    assert!(include_str!("../terraform/modules/uploads/main.tf").contains(&allowed), "{allowed}");
}

/// What Terraform reads. `UPDATE=1 cargo test --test contract` rewrites it.
const CONTRACT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/terraform/contract.auto.tfvars.json");

#[test]
fn terraform_makes_the_routes_tables_and_metrics_that_the_code_declares() {
    let declared = declared();
    let written: Value = serde_json::from_str(&std::fs::read_to_string(CONTRACT).unwrap()).unwrap();
    let losses = losses(&written["contract"]["tables"], &declared["contract"]["tables"]);
    assert!(losses.is_empty(), "{}", losses.join("\n"));

    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(CONTRACT, format!("{declared:#}\n")).unwrap();
        return;
    }
    assert!(written == declared, "{CONTRACT} is behind the code; UPDATE=1 cargo test --test contract rewrites it");
}

#[test]
fn a_change_of_a_key_is_told_as_what_it_does_to_the_data() {
    let table = |key: &str, index_key: &str| {
        json!({ "LOGS_TABLE": { "name": "Logs", "partition_key": key, "sort_key": "seq", "ttl": "ttl",
            "indexes": { "byDay": { "partition_key": index_key, "sort_key": "seq", "includes": [] } } } })
    };
    let told = losses(&table("roomId", "day"), &table("room", "day"));
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("LOGS_TABLE") && told[0].contains("everything in it"), "{told:?}");
    let told = losses(&table("roomId", "day"), &table("roomId", "week"));
    assert!(told.len() == 1 && told[0].contains("byDay") && told[0].contains("finds nothing"), "{told:?}");
    let told = losses(&table("roomId", "day"), &json!({}));
    assert!(told.len() == 1 && told[0].contains("everything in it"), "{told:?}");
    assert!(losses(&json!({}), &table("roomId", "day")).is_empty());
    assert!(losses(&table("roomId", "day"), &table("roomId", "day")).is_empty());
}

/// The code's side of the contract.
fn declared() -> Value {
    let websocket = Route::ALL.iter().filter(|route| route.is_websocket());
    let keys = websocket.flat_map(|route| route.gateway_keys().map(move |key| (key, route.has_route_response())));
    let websocket: Map<_, _> = keys.map(|(key, answers)| (key.to_owned(), json!({ "answers": answers }))).collect();
    let http: Vec<_> = Route::ALL.iter().filter(|route| route.is_http()).map(|route| route.key()).collect();
    let tables: Map<_, _> = tables::ALL.iter().map(|table| (table.variable.to_owned(), table_of(table))).collect();
    let metrics: Map<_, _> = Metric::ALL
        .iter()
        .map(|metric| {
            let dimensions: &[_] = if metric.is_by_route() { &["route"] } else { &[] };
            (metric.name().to_owned(), json!({ "unit": metric.unit(), "dimensions": dimensions }))
        })
        .collect();
    json!({ "contract": { "websocket_routes": websocket, "http_routes": http, "tables": tables, "metrics": metrics } })
}

fn table_of(table: &Table) -> Value {
    let indexes: Map<_, _> = table
        .indexes
        .iter()
        .map(|index| {
            let keys = json!({ "partition_key": index.partition_key, "sort_key": index.sort_key,
                "includes": index.includes });
            (index.name.to_owned(), keys)
        })
        .collect();
    json!({ "name": table.default_name, "partition_key": table.partition_key, "sort_key": table.sort_key,
        "ttl": table.ttl, "indexes": indexes })
}

/// What becomes of the data of a deployment when its tables are made as `after` says: a key cannot be changed in place.
fn losses(before: &Value, after: &Value) -> Vec<String> {
    let mut losses = Vec::new();
    for (variable, old) in before.as_object().into_iter().flatten() {
        let new = &after[variable];
        for part in ["name", "partition_key", "sort_key"] {
            if old[part] != new[part] {
                losses.push(format!(
                    "{variable}: its {part} was {} and is {}. Terraform deletes the table with everything in it and makes \
                     an empty one, as soon as protect=false lets it. Add a table under a new variable and move the rows, then take the old one away by \
                     editing {CONTRACT} by hand.",
                    old[part], new[part]
                ));
                break;
            }
        }
        for (name, old) in old["indexes"].as_object().into_iter().flatten() {
            let new = &new["indexes"][name];
            if !new.is_null() && old != new {
                losses.push(format!(
                    "{variable}: its index {name} was {old} and is {new}. Terraform deletes the index and fills another: \
                     until then whoever asks it finds nothing. Add an index under a new name, and take the old one away \
                     when nothing asks it any more."
                ));
            }
        }
    }
    losses
}
