//! The table of all checks.

use std::path::Path;

const README: &str = "src/local/README.md";
const BEGIN: &str = "| what holds | from |\n|---|---|\n";
const CHECKS: [(&str, &str); 8] = [
    ("Handshakes", include_str!("handshakes.rs")),
    ("Frames of a WebSocket", include_str!("frames.rs")),
    ("Limits", include_str!("limits.rs")),
    ("`@connections`", include_str!("connections.rs")),
    ("HTTP API", include_str!("http_api.rs")),
    ("Lambda", include_str!("lambda.rs")),
    ("DynamoDB and S3", include_str!("stores.rs")),
    ("Signatures", include_str!("signatures.rs")),
];

/// A row for each check of a file: its name, and what its documentation says.
fn rows(source: &str) -> String {
    let mut documentation = Vec::new();
    let mut rows = String::new();
    for line in source.lines() {
        if let Some(line) = line.strip_prefix("/// ") {
            documentation.push(line);
        } else if let Some(name) = line.strip_prefix("async fn ").and_then(|line| line.strip_suffix("() {")) {
            assert!(!documentation.is_empty(), "{name} does not say where it is from");
            rows.push_str(&format!("| {} | {} |\n", name.replace('_', " "), documentation.join(" ")));
        } else if line != "#[tokio::test]" {
            documentation.clear();
        }
    }
    rows
}

/// `UPDATE=1 cargo test --test gateway matrix` rewrites it.
#[test]
fn the_readme_lists_every_check_and_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(README);
    let written = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = written.split_once("\n### ").unwrap();
    let (_, after) = rest.split_once("\n## ").unwrap();
    let tables = CHECKS.map(|(title, source)| format!("### {title}\n\n{BEGIN}{}\n", rows(source))).concat();
    let declared = format!("{before}\n{tables}## {after}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &declared).unwrap();
        return;
    }
    assert!(
        written == declared,
        "{README} is behind the checks; UPDATE=1 cargo test --test gateway matrix rewrites it"
    );
}
