//! The code and the documents agree.

// Helpers of tests, which fail by panicking.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use switchboard::actions::{Action, HttpRoute, websocket_routes};
use switchboard::error::Error;
use switchboard::metrics::Metric;
use switchboard::schema;
use switchboard::tables::{self, Table};

const README: &str = include_str!("../README.md");
/// The protocol reference, for authors of clients.
const PROTOCOL: &str = include_str!("../src/wire/README.md");
/// Deployment, operations and configuration.
const OPERATION: &str = include_str!("../terraform/README.md");

/// What to do when an alarm starts, and how to recover.
const RUNBOOK: &str = include_str!("../terraform/RUNBOOK.md");

/// The text of a section of a document, up to the next heading of the same level.
fn section(document: &'static str, heading: &str) -> &'static str {
    let below = document.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_default();
    below.split("\n## ").next().unwrap_or_default()
}

#[test]
fn the_readme_has_at_most_200_lines() {
    assert!(README.lines().count() <= 200, "{} lines", README.lines().count());
}

#[test]
fn the_protocol_names_every_action_alias_and_route() {
    for action in Action::ALL {
        for name in [&[action.key()], action.aliases()].concat() {
            assert!(PROTOCOL.contains(&format!("`{name}`")), "{name}");
        }
    }
    for route in HttpRoute::ALL {
        assert!(PROTOCOL.contains(&format!("| `{}` |", route.key())), "{}", route.key());
    }
}

#[test]
fn the_protocol_names_every_action_once_in_its_table() {
    let listed = rows_of("action | also").map(|row| row[0].trim_matches('`'));
    assert_eq!(sorted(listed), sorted(Action::ALL.iter().map(|action| action.key())));
}

#[test]
fn the_protocol_has_notes_of_existing_actions_only() {
    let noted = sorted(rows_of("action | notes").map(|row| row[0].trim_matches('`')));
    assert!(!noted.is_empty() && noted.windows(2).all(|pair| pair[0] != pair[1]), "{noted:?}");
    for name in noted {
        assert!(Action::ALL.iter().any(|action| action.key() == name), "{name}");
    }
}

#[test]
fn the_protocol_has_an_example_of_every_action() {
    let examples = examples();
    let actions: BTreeSet<_> = examples.iter().filter_map(|example| example.frame["action"].as_str()).collect();
    for action in Action::ALL {
        assert!(actions.contains(action.key()), "no example of the action {}", action.key());
    }
    for action in actions {
        assert!(Action::named(action).is_some(), "an example of {action}, which is not an action");
    }
}

#[test]
fn the_protocol_has_an_example_and_a_row_of_every_frame() {
    let examples = examples();
    let frames = frames_of_the_code();
    let rows = rows_of("frame").map(|row| row[0].trim_matches('`'));
    assert_eq!(sorted(rows), sorted(frames.keys().map(String::as_str)));
    for (name, is_http_only) in &frames {
        // An HTTP body has no `type`: its example has a label.
        let is_meant =
            |example: &&Example| if *is_http_only { example.label == *name } else { example.frame["type"] == **name };
        let found: Vec<_> = examples.iter().filter(is_meant).collect();
        assert!(!found.is_empty(), "no example of the frame {name}");
    }
    for Example { frame, .. } in examples.iter().filter(|example| example.label != "event") {
        let is_known = |name: &str| frames.contains_key(name);
        assert!(
            frame["type"].as_str().is_none_or(is_known),
            "an example of a frame that the code does not send: {frame}"
        );
    }
}

#[test]
fn the_protocol_documents_every_error_with_status_advice_and_retry() {
    let rows: Vec<_> = rows_of("code").filter(|row| row[1].parse::<u16>().is_ok()).collect();
    let documented = rows.iter().map(|row| format!("{} {}", row[1], row[0].trim_matches('`')));
    let declared: BTreeSet<_> = Error::KINDS.iter().map(|(status, code)| format!("{status} {code}")).collect();
    assert_eq!(sorted(documented), declared.into_iter().collect::<Vec<_>>());
    for row in rows {
        assert!(row.len() == 5 && row[2..].iter().all(|cell| !cell.is_empty()), "{row:?}");
    }
}

/// A JSON object in a code block of the protocol.
struct Example {
    /// The word after `json` at the start of the block, if any.
    label: String,
    frame: Value,
}

/// All examples of the protocol. A block has one object or several.
fn examples() -> Vec<Example> {
    let blocks = PROTOCOL.split("\n```json").skip(1).filter_map(|block| block.split("\n```").next());
    let examples = blocks.flat_map(|block| {
        let (label, text) = block.split_once('\n').unwrap_or_default();
        serde_json::Deserializer::from_str(text).into_iter().map(move |frame| {
            assert!(frame.is_ok(), "an example is not JSON: {text}");
            Example { label: label.trim().to_owned(), frame: frame.unwrap_or_default() }
        })
    });
    examples.collect()
}

/// The rows of the tables whose first column has this heading, cell by cell.
fn rows_of(heading: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let start = format!("\n| {heading} |");
    let tables: Vec<_> = PROTOCOL.split(start.as_str()).skip(1).collect();
    let lines = tables.into_iter().flat_map(|table| table.lines().skip(2).take_while(|line| line.starts_with('|')));
    lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
}

fn sorted<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

/// The type of every frame, and whether it is only the body of HTTP responses, according to its doc comment.
fn frames_of_the_code() -> BTreeMap<String, bool> {
    let frames = schema::frames();
    let alternatives = frames.as_value()["oneOf"].as_array().unwrap();
    let named = |frame: &Value| {
        let about = frame["description"].as_str().unwrap_or_default();
        (frame["properties"]["type"]["const"].as_str().unwrap().to_owned(), about.contains("Over HTTP only"))
    };
    alternatives.iter().map(named).collect()
}

#[test]
fn the_configuration_names_every_table_and_its_variable() {
    for table in tables::ALL {
        let row = format!("| `{}` | `{}` |", table.variable, table.default_name);
        assert!(OPERATION.contains(&row), "{row}");
    }
}

#[test]
fn the_operations_name_every_metric_and_its_unit() {
    let rows = OPERATION.lines().filter(|line| line.starts_with("| `") && line.contains("` | Count |"));
    assert_eq!(rows.count(), Metric::ALL.iter().filter(|metric| metric.unit() == "Count").count());
    for metric in Metric::ALL {
        let unit =
            if metric.is_by_route() { format!("{}, by `route`", metric.unit()) } else { metric.unit().to_owned() };
        assert!(OPERATION.contains(&format!("| `{}` | {unit} |", metric.name())), "{}", metric.name());
    }
}

#[test]
fn the_runbook_has_an_entry_for_every_alarm_and_for_no_other() {
    let alarms = [
        include_str!("../terraform/modules/observability/alarms.tf"),
        include_str!("../terraform/modules/observability/computed_alarms.tf"),
    ];
    let alarms = alarms.iter().flat_map(|file| file.lines());
    let alarms = alarms.filter_map(|line| line.strip_prefix("    ")?.strip_suffix(" = {"));
    let mut declared: Vec<_> = alarms.filter(|name| !name.starts_with(' ')).collect();
    assert!(declared.len() >= 15, "the alarms are not found: {declared:?}");
    // Two that are not in a list, and that of the events, which is made with the bus.
    declared.extend(["schedule-stopped", "sends-too-slow", "events-behind"]);
    let entries: Vec<_> = section(RUNBOOK, "Alarms").split("\n### ").skip(1).collect();
    for entry in &entries {
        for part in ["- **Means**: ", "- **Look**: ", "- **Do**: "] {
            assert_eq!(entry.matches(part).count(), 1, "{part}: {entry}");
        }
    }
    assert_eq!(sorted(entries.iter().filter_map(|entry| entry.lines().next())), sorted(declared.into_iter()));
}

#[test]
fn the_wscat_version_is_the_same_everywhere() {
    let program = include_str!("../src/local/console/banner.rs");
    let version = "npx -y wscat@6.1.0";
    assert!(README.contains(version) && program.contains(version));
    let installed_to_test = include_str!("smoke/package.json");
    assert!(installed_to_test.contains("\"wscat\": \"6.1.0\""));
}

#[test]
fn terraform_sets_every_variable_that_the_configuration_names_and_no_other() {
    let rows = section(OPERATION, "Configuration").lines();
    let cells = rows.filter_map(|line| line.strip_prefix('|')?.split('|').next());
    let named = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(|name| is_variable(name));
    // Lambda sets these itself.
    let is_of_lambda = |name: &str| name == "AWS_REGION" || name.starts_with("AWS_LAMBDA_");
    let mut named: Vec<_> = named.filter(|name| !is_of_lambda(name)).collect();
    let terraform = include_str!("../terraform/main.tf").lines().filter_map(|line| line.split_once(" = "));
    let mut set: Vec<_> = terraform.map(|(name, _)| name.trim()).filter(|name| is_variable(name)).collect();
    // The variables of the tables come from the contract.
    set.extend(tables::ALL.iter().map(|table| table.variable));
    named.sort_unstable();
    set.sort_unstable();
    assert_eq!(named, set);
}

#[test]
fn saved_queries_use_only_fields_of_the_log_lines() {
    // Each step of a query is a string on its own line.
    let steps = include_str!("../terraform/modules/observability/queries.tf").lines();
    let steps = steps.filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\","));
    let mut asked = 0;
    for step in steps {
        let fields: Vec<_> = match step.split_once(' ') {
            Some(("filter", test)) => {
                let tests = test.split(" and ").flat_map(|test| test.split(" or "));
                tests.filter_map(|test| test.split(' ').next()).filter(|field| !field.starts_with('@')).collect()
            }
            Some(("fields", list)) => list.split(", ").filter(|field| !field.starts_with('@')).collect(),
            _ => continue,
        };
        for field in fields {
            asked += 1;
            assert!(field == "message" || section(OPERATION, "Operations").contains(&format!("`{field}`")), "{field}");
        }
    }
    assert!(asked > 10);
}

fn is_variable(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') && !name.is_empty()
}

#[test]
fn every_terraform_module_is_described_and_has_at_most_13_variables() {
    let terraform = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("terraform");
    let modules = std::fs::read_dir(terraform.join("modules")).unwrap().map(|entry| entry.unwrap().path());
    for module in modules.chain([terraform]) {
        let read = |name: &str| std::fs::read_to_string(module.join(name)).unwrap();
        let variables = read("variables.tf");
        let count = variables.lines().filter(|line| line.starts_with("variable ")).count();
        let described = variables.lines().filter(|line| line.starts_with("  description = ")).count();
        assert!(count <= 13, "{}: {count} variables", module.display());
        assert_eq!(described, count, "{}: not every variable is described", module.display());
        assert!(read("README.md").starts_with("# "), "{}", module.display());
    }
}

#[test]
fn the_local_bucket_allows_the_same_cors_headers_as_a_deployed_one() {
    let allowed = format!("allowed_headers = {:?}", switchboard::local::S3_CORS_HEADERS);
    assert!(include_str!("../terraform/modules/uploads/main.tf").contains(&allowed), "{allowed}");
}

/// The declarations that Terraform reads. `UPDATE=1 cargo test --test contract` rewrites the file.
const CONTRACT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/terraform/contract.auto.tfvars.json");

#[test]
fn terraform_has_the_routes_tables_and_metrics_that_the_code_declares() {
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
fn a_changed_key_is_reported_as_data_loss() {
    let table = |key: &str, index_key: &str| {
        json!({ "LOGS_TABLE": { "name": "Logs", "partition_key": key, "sort_key": "seq", "ttl": "ttl",
            "indexes": { "byDay": { "partition_key": index_key, "sort_key": "seq", "includes": [] } } } })
    };
    let found = losses(&table("roomId", "day"), &table("room", "day"));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("LOGS_TABLE") && found[0].contains("everything in it"), "{found:?}");
    let found = losses(&table("roomId", "day"), &table("roomId", "week"));
    assert!(found.len() == 1 && found[0].contains("byDay") && found[0].contains("finds nothing"), "{found:?}");
    let found = losses(&table("roomId", "day"), &json!({}));
    assert!(found.len() == 1 && found[0].contains("everything in it"), "{found:?}");
    assert!(losses(&json!({}), &table("roomId", "day")).is_empty());
    assert!(losses(&table("roomId", "day"), &table("roomId", "day")).is_empty());
}

/// The code's side of the contract.
fn declared() -> Value {
    let websocket: Map<_, _> =
        websocket_routes().map(|(key, answers)| (key.to_owned(), json!({ "answers": answers }))).collect();
    let authorization = |route: &HttpRoute| if route.is_for_backends() { "AWS_IAM" } else { "NONE" };
    let http: Map<_, _> = HttpRoute::ALL
        .iter()
        .map(|route| (route.key().to_owned(), json!({ "authorization": authorization(route) })))
        .collect();
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
    let stream = tables::STREAMED.iter().find(|(streamed, _)| streamed.variable == table.variable);
    json!({ "name": table.default_name, "partition_key": table.partition_key, "sort_key": table.sort_key,
        "ttl": tables::TTL, "indexes": indexes, "stream": stream.map(|(_, view)| view.name()) })
}

/// The data that a deployment loses when its tables change from `before` to `after`: a key cannot change in place.
fn losses(before: &Value, after: &Value) -> Vec<String> {
    let mut losses = Vec::new();
    for (variable, old) in before.as_object().into_iter().flatten() {
        let new = &after[variable];
        for part in ["name", "partition_key", "sort_key"] {
            if old[part] != new[part] {
                losses.push(format!(
                    "{variable}: {part} changed from {} to {}. Terraform would delete the table with everything in it \
                     and create an empty one once protect=false. Add a table under a new variable, migrate the rows, \
                     then remove the old one by editing {CONTRACT} by hand.",
                    old[part], new[part]
                ));
                break;
            }
        }
        for (name, old) in old["indexes"].as_object().into_iter().flatten() {
            let new = &new["indexes"][name];
            if !new.is_null() && old != new {
                losses.push(format!(
                    "{variable}: index {name} changed from {old} to {new}. Terraform would delete the index and \
                     backfill another: until then a query finds nothing. Add an index under a new name, and remove \
                     the old one when nothing queries it any more."
                ));
            }
        }
    }
    losses
}
