//! Generates the table of tests in the documentation of the local stack.

use std::path::Path;

const README: &str = "src/local/README.md";
const BEGIN: &str = "| behavior | source |\n|---|---|\n";
const CHECKS: [(&str, &str); 9] = [
    ("Handshakes", include_str!("handshakes.rs")),
    ("Frames of a WebSocket", include_str!("frames.rs")),
    ("Limits", include_str!("limits.rs")),
    ("`@connections`", include_str!("connections.rs")),
    ("HTTP API", include_str!("http_api.rs")),
    ("Lambda", include_str!("lambda.rs")),
    ("DynamoDB and S3", include_str!("stores.rs")),
    ("Streams and events", include_str!("events.rs")),
    ("Signatures", include_str!("signatures.rs")),
];

/// A row for each test of a file: its name, and the source that its doc comment names.
fn rows(source: &str) -> String {
    let mut documentation = Vec::new();
    let mut is_test = false;
    let mut rows = String::new();
    for line in source.lines() {
        if let Some(line) = line.strip_prefix("/// ") {
            documentation.push(line);
        } else if line == "#[tokio::test]" {
            is_test = true;
        } else {
            if let Some(name) = line.strip_prefix("async fn ").and_then(|line| line.strip_suffix("() {"))
                && is_test
            {
                assert!(!documentation.is_empty(), "{name} has no source in its doc comment");
                rows.push_str(&format!("| {} | {} |\n", name.replace('_', " "), documentation.join(" ")));
            }
            documentation.clear();
            is_test = false;
        }
    }
    rows
}

/// Compares the table with the tests. `UPDATE=1 cargo test --test gateway matrix` rewrites it.
#[test]
fn the_readme_lists_exactly_these_checks() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(README);
    let current = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = current.split_once("\n### ").unwrap();
    let (_, after) = rest.split_once("\n## ").unwrap();
    let tables = CHECKS.map(|(title, source)| format!("### {title}\n\n{BEGIN}{}\n", rows(source))).concat();
    let declared = format!("{before}\n{tables}## {after}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &declared).unwrap();
        return;
    }
    assert!(
        current == declared,
        "{README} differs from the tests; rewrite it with: UPDATE=1 cargo test --test gateway matrix"
    );
}
