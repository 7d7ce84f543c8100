//! Verifies that the documents generated from the code are up to date. `UPDATE=1 cargo test --test schema` rewrites
//! them.

// Helpers of tests, which fail by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod asyncapi;
mod openapi;
mod reference;
mod schemas;
mod typescript;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use switchboard::schema::{actions, http_routes};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The expected content of every generated file, by its path in the repository.
fn generated() -> Vec<(PathBuf, String)> {
    let json = |document: &Value| format!("{document:#}\n");
    let mut files = vec![
        (PathBuf::from("tests/schema/asyncapi.json"), json(&asyncapi::document())),
        (PathBuf::from("tests/schema/openapi.json"), json(&openapi::document())),
        (PathBuf::from("src/client/wire.d.ts"), typescript::declarations()),
        (PathBuf::from("src/wire/README.md"), reference::updated(&repository().join("src/wire/README.md"))),
    ];
    for (name, schema) in schemas::requests() {
        files.push((format!("tests/schema/requests/{name}.json").into(), json(&schema)));
    }
    for (name, schema) in schemas::frames() {
        files.push((format!("tests/schema/frames/{name}.json").into(), json(&schema)));
    }
    for (name, schema) in schemas::events() {
        files.push((format!("tests/schema/events/{name}.json").into(), json(&schema)));
    }
    files
}

#[test]
fn every_generated_file_equals_what_the_code_declares() {
    for (path, content) in generated() {
        let file = repository().join(&path);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, content).unwrap();
            continue;
        }
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            written == content,
            "{} differs from the code; UPDATE=1 cargo test --test schema rewrites it",
            path.display()
        );
    }
}

#[test]
fn no_schema_is_left_of_what_the_code_no_longer_declares() {
    let declared: BTreeSet<_> = generated().into_iter().map(|(path, _)| path).collect();
    for folder in ["tests/schema/requests", "tests/schema/frames", "tests/schema/events"] {
        for entry in std::fs::read_dir(repository().join(folder)).unwrap() {
            let path = Path::new(folder).join(entry.unwrap().file_name());
            assert!(declared.contains(&path), "{} belongs to no action, frame or event; delete it", path.display());
        }
    }
}

#[test]
fn every_action_and_route_has_a_schema_and_is_in_its_document() {
    let asyncapi = asyncapi::document();
    for action in actions() {
        assert!(action.request.as_value()["type"] == "object", "{} has no schema", action.key);
        assert!(asyncapi["operations"][action.key].is_object(), "{} is not in the AsyncAPI document", action.key);
    }
    let openapi = openapi::document();
    for route in http_routes() {
        let (method, path) = route.key.split_once(' ').unwrap();
        let operation = &openapi["paths"][path][method.to_lowercase()];
        assert!(operation.is_object(), "{} is not in the OpenAPI document", route.key);
        assert!(operation["responses"][route.status.unwrap().to_string()].is_object(), "{}", route.key);
    }
    let frames = schemas::frames();
    for operation in actions().iter().chain(&http_routes()) {
        for answer in operation.answers {
            assert!(frames.contains_key(*answer), "{} answers {answer}, which has no schema", operation.key);
        }
    }
}
