//! The table of rules names what is there.

use std::{fs, path::Path};

use millstream_model::protocol::MUTANTS;

const TABLE: &str = include_str!("../src/lib.rs");

/// What stands in backticks in the table.
fn named() -> impl Iterator<Item = &'static str> {
    TABLE.lines().filter(|line| line.starts_with("//! |")).flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn every_test_in_the_table_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut sources = String::new();
    for folder in ["tests/tests", "queue/tests", "store/tests"] {
        read_all(&root.join(folder), &mut sources);
    }
    let tests: Vec<_> = named().filter(|name| name.matches('_').count() > 2).collect();
    assert!(tests.len() > 30, "the table was not found");
    for test in tests {
        assert!(sources.contains(&format!("fn {test}(")), "there is no test {test}");
    }
}

fn read_all(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder of tests") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_all(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&fs::read_to_string(&path).expect("a source"));
        }
    }
}

#[test]
fn every_mutant_stands_in_the_table() {
    let named: Vec<_> = named().collect();
    for (mutant, _) in MUTANTS {
        assert!(named.contains(&format!("{mutant:?}").as_str()), "{mutant:?} is not in the table");
    }
}
