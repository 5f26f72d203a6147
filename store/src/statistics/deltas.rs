//! What one batch of the recorder adds to the statistics.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use millstream_queue::State;

use super::{
    Sketch,
    stored::{MINUTE, StoredRow, floor},
};
use crate::sql_types::{Id, Time};

/// A run as statistics see it.
pub(crate) struct Run<'r> {
    pub(crate) kind: &'r str,
    pub(crate) queue: &'r str,
    pub(crate) state: State,
    /// When it could start.
    pub(crate) ready_at: DateTime<Utc>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) finished_at: DateTime<Utc>,
}

#[derive(Default)]
struct Sum {
    runs: i64,
    waits: Sketch,
    run_times: Sketch,
}

/// The rows that count these runs, each in the minute in which it ended; in one order, whoever writes them.
pub(crate) fn deltas<'r>(runs: impl Iterator<Item = Run<'r>>) -> Vec<StoredRow> {
    let mut sums: HashMap<(DateTime<Utc>, &str, &str, &str), Sum> = HashMap::new();
    for run in runs {
        let key = (floor(run.finished_at, MINUTE), run.kind, run.queue, run.state.as_str());
        let sum = sums.entry(key).or_default();
        sum.runs += 1;
        if let Some(started_at) = run.started_at {
            sum.waits.add(between(run.ready_at, started_at));
            sum.run_times.add(between(started_at, run.finished_at));
        }
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_unstable_by_key(|(key, _)| *key);
    let row = |((bucket, kind, queue, state), sum): ((_, &str, &str, &str), Sum)| StoredRow {
        id: Id::new(),
        kind: kind.to_owned(),
        queue: queue.to_owned(),
        state: state.to_owned(),
        seconds: MINUTE,
        bucket: Time(bucket),
        runs: sum.runs,
        waits: sum.waits.to_bytes(),
        run_times: sum.run_times.to_bytes(),
        folded: false,
    };
    sums.into_iter().map(row).collect()
}

/// Nothing where clocks disagree.
fn between(earlier: DateTime<Utc>, later: DateTime<Utc>) -> Duration {
    later.signed_duration_since(earlier).max(TimeDelta::zero()).to_std().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(millis).expect("in range")
    }

    fn run(state: State, started: Option<i64>, finished: i64) -> Run<'static> {
        let started_at = started.map(at);
        Run { kind: "k", queue: "q", state, ready_at: at(1000), started_at, finished_at: at(finished) }
    }

    #[test]
    fn runs_are_counted_by_state_in_the_minute_of_their_end() {
        let runs = [
            run(State::Completed, Some(1500), 2000),
            run(State::Completed, Some(59_000), 60_000),
            run(State::Completed, Some(500), 59_999), // the clocks disagree: no wait
            run(State::Expired, None, 1000),
        ];
        let rows = deltas(runs.into_iter());
        let told: Vec<_> = rows.iter().map(|row| (row.bucket.0, row.state.as_str(), row.runs)).collect();
        assert_eq!(told, [(at(0), "completed", 2), (at(0), "expired", 1), (at(60_000), "completed", 1)]);
        let sketch = |bytes| Sketch::from_bytes(bytes).expect("a sketch");
        assert!(sketch(&rows[0].waits).quantile(0.0) < Some(Duration::from_micros(1)));
        assert_eq!((sketch(&rows[0].run_times).count(), sketch(&rows[1].run_times).count()), (2, 0));
    }
}
