//! The tables of `OBSERVE.md`, for tests that hold them against the code.

pub(crate) const DOCUMENT: &str = include_str!("../OBSERVE.md");

/// The rows of the tables whose header starts with `header`, each with its first `columns` cells.
pub(crate) fn rows(header: &str, columns: usize) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut lines = DOCUMENT.lines();
    while lines.by_ref().any(|line| line.starts_with(header)) {
        for line in lines.by_ref().skip(1).take_while(|line| line.starts_with('|')) {
            let cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
            rows.push(cells.take(columns).collect());
        }
    }
    rows
}
