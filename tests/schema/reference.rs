//! The tables of the protocol reference, `src/wire/README.md`: the text between `<!-- generated: NAME -->` and
//! `<!-- end -->`.

use std::path::Path;

use serde_json::Value;
use switchboard::schema::{Operation, actions, http_routes};

use super::schemas;

/// The reference, with its generated parts from the code.
pub fn updated(path: &Path) -> String {
    let mut text = std::fs::read_to_string(path).unwrap();
    for (name, table) in [("actions", actions_table()), ("http", http_table()), ("frames", frames_table())] {
        let (begin, end) = (format!("<!-- generated: {name} -->\n"), "<!-- end -->");
        let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("the reference has no part {name}"));
        let (_, after) = rest.split_once(end).expect("a generated part has no end");
        text = format!("{before}{begin}\n{table}\n{end}{after}");
    }
    text
}

fn actions_table() -> String {
    let header = "| action | also | fields | for | answer | what it does |";
    let mut rows = vec![header.to_owned(), "|---|---|---|---|---|---|".to_owned()];
    for action in actions() {
        rows.push(format!(
            "| `{}` | {} | {} | {} | {} | {} |",
            action.key,
            quoted(action.aliases.iter().copied()),
            fields(&schemas::fields(&action), &[]),
            action.access,
            answers(&action),
            action.about.trim()
        ));
    }
    rows.join("\n")
}

fn http_table() -> String {
    let mut rows = vec!["| route | fields | for | answer | what it does |".to_owned(), "|---|---|---|---|---|".into()];
    for route in http_routes() {
        rows.push(format!(
            "| `{}` | {} | {} | {} {} | {} |",
            route.key,
            fields(&schemas::fields(&route), &["recipientId", "targetId"]),
            route.access,
            route.status.unwrap(),
            answers(&route),
            route.about.trim()
        ));
    }
    rows.join("\n")
}

fn frames_table() -> String {
    let mut rows = vec!["| frame | fields | meaning |".to_owned(), "|---|---|---|".into()];
    for (name, schema) in schemas::frames() {
        let about = schema["description"].as_str().unwrap_or_default();
        rows.push(format!("| `{name}` | {} | {about} |", fields(&schema, &["type", "requestId"])));
    }
    rows.join("\n")
}

fn answers(operation: &Operation) -> String {
    let answers = quoted(operation.answers.iter().copied());
    if answers.is_empty() { "none".to_owned() } else { answers }
}

/// The fields of a schema; `?` marks optional ones.
fn fields(schema: &Value, left_out: &[&str]) -> String {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let properties = schema["properties"].as_object().unwrap().keys().filter(|name| !left_out.contains(&name.as_str()));
    let mark = |name: &String| if required.iter().any(|required| required == name) { "" } else { "?" };
    properties.map(|name| format!("`{name}`{}", mark(name))).collect::<Vec<_>>().join(", ")
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
