//! Rules of the source: layered imports, documented public items, and limits for lines and functions.

// Helpers of tests, which fail by panicking.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The modules of the Lambda, from the bottom up. A module imports only modules of lower layers, and its own parts.
const LAYERS: &[&[&str]] = &[
    &["domain"],
    &["actions", "error", "tables"],
    &["metrics", "config", "wire"],
    &["log", "aws", "auth", "file_links"],
    &["store", "files", "bus", "review"],
    &["delivery"],
    &["event"],
    &["context"],
    &["access"],
    &["handlers", "schema"],
    &["router"],
    &["local"],
];
/// Longest line, in characters. Addresses are exempt.
const MAX_COLUMNS: usize = 120;
/// Most lines of a function of the Lambda.
const MAX_FUNCTION_LINES: usize = 40;

struct Source {
    path: PathBuf,
    /// The top module that the file belongs to.
    module: String,
    /// Without unit tests.
    lines: Vec<String>,
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

/// The library's source.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let source = |path: PathBuf| {
        let inside = path.strip_prefix(&root).unwrap();
        let module = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("\n#[cfg(test)]\n").next().unwrap();
        Source { lines: code.lines().map(str::to_owned).collect(), module, path }
    };
    let sources: Vec<_> = files_below(&root).into_iter().map(source).collect();
    assert!(sources.len() > 80, "the source is not found");
    sources.into_iter().filter(|source| !["lib", "main", "bin"].contains(&source.module.as_str())).collect()
}

/// The modules that each module imports.
fn imports(sources: &[Source]) -> BTreeMap<&str, BTreeSet<String>> {
    let mut imports: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for source in sources {
        let imported = imports.entry(&source.module).or_default();
        for line in source.lines.iter().filter(|line| !line.trim_start().starts_with("//")) {
            for path in line.split("crate::").skip(1) {
                let module = path.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next().unwrap();
                if !module.is_empty() && module != source.module {
                    imported.insert(module.to_owned());
                }
            }
        }
    }
    imports
}

#[test]
fn imports_point_from_higher_layers_to_lower_ones() {
    let sources = sources();
    let layer = |module: &str| LAYERS.iter().position(|layer| layer.contains(&module));
    for (module, imported) in imports(&sources) {
        let own = layer(module).unwrap_or_else(|| panic!("{module} is in no layer"));
        for other in imported {
            let below = layer(&other).unwrap_or_else(|| panic!("{other} is in no layer"));
            assert!(below <= own && other != "local", "{module} imports {other} of a higher layer");
        }
    }
}

#[test]
fn no_two_modules_import_each_other() {
    let sources = sources();
    let imports = imports(&sources);
    for (module, imported) in &imports {
        for other in imported {
            let back = imports.get(other.as_str()).is_some_and(|imported| imported.contains(*module));
            assert!(!back, "{module} and {other} import each other");
        }
    }
}

#[test]
fn layers_import_only_the_crates_that_are_theirs() {
    let forbidden = [
        ("domain", &["aws_", "lambda_runtime", "tokio"][..]),
        ("wire", &["aws_", "lambda_runtime"]),
        ("handlers", &["aws_", "lambda_runtime", "serde_json"]),
        ("access", &["aws_", "lambda_runtime", "serde_json"]),
        ("config", &["aws_", "lambda_runtime"]),
    ];
    for source in sources() {
        for (module, crates) in forbidden.iter().filter(|(module, _)| *module == source.module) {
            for line in source.lines.iter().filter(|line| line.trim_start().starts_with("use ")) {
                let imported = line.trim_start().trim_start_matches("use ");
                assert!(!crates.iter().any(|name| imported.starts_with(name)), "{module}: {line}");
            }
        }
    }
}

#[test]
fn every_public_item_is_documented() {
    let kinds = ["fn", "async fn", "const fn", "struct", "enum", "trait", "const", "type"];
    for Source { path, lines, .. } in sources() {
        for (at, line) in lines.iter().enumerate() {
            let Some(item) = line.trim_start().strip_prefix("pub ") else { continue };
            let is_item = kinds.iter().any(|kind| item.starts_with(&format!("{kind} ")));
            if !is_item || line.contains('$') {
                continue;
            }
            let above = lines[..at].iter().rev().map(|line| line.trim_start());
            let before = above.into_iter().find(|line| !line.starts_with("#[") && !line.ends_with(")]"));
            let is_documented = before.is_some_and(|line| line.starts_with("///"));
            assert!(is_documented, "{}:{}: {line}", path.display(), at + 1);
        }
    }
}

#[test]
fn lines_have_at_most_120_characters() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in [files_below(&root.join("src")), files_below(&root.join("tests"))].concat() {
        for (at, line) in std::fs::read_to_string(&path).unwrap().lines().enumerate() {
            let is_short = line.chars().count() <= MAX_COLUMNS || line.contains("https://");
            assert!(is_short, "{}:{}: {line}", path.display(), at + 1);
        }
    }
}

#[test]
fn functions_of_the_lambda_have_at_most_40_lines() {
    for Source { path, lines, module } in sources() {
        if module == "local" {
            continue;
        }
        let mut start: Option<(usize, String)> = None;
        for (at, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let is_function = ["fn ", "async fn ", "const fn "].iter().any(|kind| {
                let item = line.trim_start().trim_start_matches("pub ").trim_start_matches("pub(super) ");
                item.starts_with(kind)
            });
            if start.is_none() && is_function && !line.ends_with(';') {
                start = Some((at, format!("{}}}", " ".repeat(indent))));
            }
            if let Some((begin, end)) = &start
                && (*line == *end || (at == *begin && line.ends_with('}')))
            {
                let length = at - begin + 1;
                assert!(length <= MAX_FUNCTION_LINES, "{}:{}: {length} lines", path.display(), begin + 1);
                start = None;
            }
        }
    }
}
