//! What the recorder tells, by tracing events: each is a function here, and a row of `OBSERVE.md`.

/// Defines a function per event. Where nobody listens, calling one is a look at a flag.
macro_rules! events {
    ($(
        $level:ident $target:literal $name:literal $message:literal
        fn $function:ident($($field:ident: $type:ty),* $(,)?);
    )*) => {
        $(pub(crate) fn $function($($field: $type),*) {
            tracing::event!(name: $name, target: $target, tracing::Level::$level, $($field,)* $message);
        })*

        /// Name, target, level and fields of every event.
        #[cfg(test)]
        const EVENTS: &[(&str, &str, &str, &[&str])] =
            &[$(($name, $target, stringify!($level), &[$(stringify!($field)),*])),*];
    };
}

events! {
    DEBUG "millstream::record" "record.written" "outcomes were written"
    fn record_written(outcomes: u64, packs: usize, took_us: u64);

    ERROR "millstream::record" "record.rejected" "set aside in millstream_rejected"
    fn record_rejected(queue: &str, entry: &str, job: &str, reason: &str);

    DEBUG "millstream::record" "record.lag" "measured what waits for a recorder"
    fn record_lag(queue: &str, outcomes: u64, limit: u64, oldest_ms: u64);

    WARN "millstream::record" "record.behind" "half of the outcomes that may wait for a recorder do"
    fn record_behind(queue: &str, outcomes: u64, limit: u64);

    INFO "millstream::record" "record.caught_up" "less than half of the outcomes that may wait for a recorder do"
    fn record_caught_up(queue: &str, outcomes: u64, limit: u64);

    DEBUG "millstream::retention" "retention.pruned" "deleted what was too old"
    fn retention_pruned(jobs: u64, rejected: u64, outbox_rejected: u64, statistics: u64, took_us: u64);

    DEBUG "millstream::statistics" "statistics.folded" "folded statistics"
    fn statistics_folded(rows: usize);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::EVENTS;

    const DOCUMENT: &str = include_str!("../OBSERVE.md");

    /// The rows of the table whose header starts with `header`, each with its first `columns` cells.
    fn rows(header: &str, columns: usize) -> Vec<Vec<&'static str>> {
        let table = DOCUMENT.lines().skip_while(|line| !line.starts_with(header)).skip(2);
        let rows = table.take_while(|line| line.starts_with('|'));
        rows.map(|line| line.trim_matches('|').split('|').map(str::trim).take(columns).collect()).collect()
    }

    #[test]
    fn the_document_lists_exactly_the_events_that_are_told() {
        let told: Vec<Vec<String>> = EVENTS
            .iter()
            .map(|(name, target, level, fields)| {
                let fields: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
                vec![format!("`{name}`"), format!("`{target}`"), (*level).to_owned(), fields.join(" ")]
            })
            .collect();
        assert_eq!(rows("| event |", 4), told);
    }

    #[test]
    fn the_document_explains_exactly_the_fields_that_events_have() {
        let used: BTreeSet<&str> = rows("| event |", 4).iter().flat_map(|row| row[3].split_whitespace()).collect();
        let explained: BTreeSet<&str> = rows("| field |", 1).into_iter().map(|row| row[0]).collect();
        assert_eq!(explained, used);
    }
}
