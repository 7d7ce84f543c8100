//! The code and the documents agree.

use switchboard::routes::Route;
use switchboard::store::tables;

const README: &str = include_str!("../README.md");

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
    let rows = README.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|row| row.split('`').next());
    let rows: Vec<_> = rows.filter(|name| Route::of_action(name).is_some()).collect();
    let mut actions: Vec<_> = Route::actions().map(Route::key).collect();
    // The frame of the same name has a row in the next table.
    actions.push("typing");
    let (mut listed, mut declared) = (rows, actions);
    listed.sort_unstable();
    declared.sort_unstable();
    assert_eq!(listed, declared);
}

#[test]
fn the_readme_names_every_table_and_its_variable() {
    for table in tables::ALL {
        assert!(README.contains(&format!("| `{}` | `{}` |", table.variable, table.default_name)), "{}", table.variable);
    }
}

#[test]
fn what_a_person_copies_is_the_same_everywhere() {
    let program = include_str!("../src/bin/local.rs");
    let version = "npx -y wscat@6.1.0";
    assert!(README.contains(version) && program.contains(version));
    let installed_to_test = include_str!("smoke/package.json");
    assert!(installed_to_test.contains("\"wscat\": \"6.1.0\""));
}
