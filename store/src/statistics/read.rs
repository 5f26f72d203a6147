//! Reading statistics in slices of bounded size.
//!
//! Folding moves rows, but never across an hour: each slice is of whole hours and read by one statement, so no run is seen
//! twice or missed.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use millstream_queue::State;

use super::{
    Bucket, Sketch, Statistics,
    fold::minutes_begin,
    stored::{HOUR, MINUTE, StoredRow, floor},
};
use crate::{Error, fit, schema::millstream_statistics as statistics, sql_types::Time};

/// Most buckets from the beginning to the end.
const BUCKETS: i64 = 10_000;
/// Most buckets in an answer, each of one kind and queue.
const ROWS: usize = 100_000;
/// Hours of a slice where minutes are folded.
const DAY: i64 = 24;

/// What is asked for, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    /// Length of a bucket in seconds.
    bucket: i64,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
}

type Buckets = BTreeMap<(DateTime<Utc>, String, String), Bucket>;

pub(super) async fn answer(asked: Statistics, now: DateTime<Utc>) -> Result<Vec<Bucket>, Error> {
    let span = span(&asked, now)?;
    let mut buckets = Buckets::new();
    let mut from = span.since;
    while let Some(place) = next(&asked, from, span.until).await? {
        let (begin, end) = slice(place, from, span.until, minutes_begin(now));
        for row in rows(&asked, begin, end).await? {
            add(&mut buckets, &row, span.bucket)?;
        }
        if buckets.len() > ROWS {
            let reason = format!("more than {ROWS} rows: name a kind or a queue, or ask for longer buckets");
            return Err(refused("statistics", reason));
        }
        from = end;
    }
    Ok(buckets.into_values().collect())
}

fn span(asked: &Statistics, now: DateTime<Utc>) -> Result<Span, Error> {
    let seconds = i64::try_from(asked.bucket.as_secs()).unwrap_or(i64::MAX);
    let is_fit = asked.bucket.subsec_nanos() == 0
        && seconds > 0
        && (seconds % HOUR == 0 || (seconds % MINUTE == 0 && HOUR % seconds == 0));
    if !is_fit {
        let reason = format!(
            "{:?} is no length of a bucket: take minutes that divide an hour (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30), or \
             whole hours",
            asked.bucket
        );
        return Err(refused("bucket", reason));
    }
    let until = asked.until.unwrap_or(now);
    let since = asked.since.unwrap_or_else(|| until - TimeDelta::days(1));
    let (since, last) = (floor(since, seconds), floor(until, seconds));
    let until = if last < until { last + TimeDelta::seconds(seconds.min(MAX_SECONDS)) } else { last };
    let buckets = until.signed_duration_since(since).num_seconds() / seconds;
    if buckets > BUCKETS {
        let reason =
            format!("{buckets} from {since} to {until}: at most {BUCKETS}, so take longer ones or a shorter time");
        return Err(refused("bucket", reason));
    }
    // Beyond these, times no longer sort on SQLite.
    Ok(Span { bucket: seconds, since: fit::time(since), until: fit::time(until) })
}

/// Longer than all times that a database holds, and still no overflow.
const MAX_SECONDS: i64 = 10_000 * 366 * 86_400;

fn refused(parameter: &str, reason: String) -> Error {
    Error::List { parameter: parameter.to_owned(), reason }
}

/// The span of one statement around a place where there is something: a day where there are only hours, an hour where there
/// are minutes.
fn slice(
    place: DateTime<Utc>,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    minutes_begin: DateTime<Utc>,
) -> (DateTime<Utc>, DateTime<Utc>) {
    let hour = floor(place, HOUR);
    let day = hour + TimeDelta::hours(DAY);
    let end = if day <= minutes_begin { day } else { hour + TimeDelta::hours(1) };
    (hour.max(from), end.min(until))
}

/// The first bucket at or after `from`, so that empty years cost nothing.
async fn next(asked: &Statistics, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Error> {
    let kind = asked.kind.clone();
    let first: Option<Time> = with_conn!(&asked.store, read conn: Db => {
        let mut query = statistics::table
            .select(statistics::bucket)
            .filter(statistics::bucket.ge(Time(from)))
            .filter(statistics::bucket.lt(Time(until)))
            .into_boxed::<Db>();
        if let Some(kind) = kind {
            query = query.filter(statistics::kind.eq(kind));
        }
        query.order(statistics::bucket).first(conn).await.optional()
    })?;
    Ok(first.map(|time| time.0))
}

async fn rows(asked: &Statistics, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Vec<StoredRow>, Error> {
    let (kind, queue, state) = (asked.kind.clone(), asked.queue.clone(), asked.state);
    with_conn!(&asked.store, read conn: Db => {
        let mut query = statistics::table
            .select(StoredRow::as_select())
            .filter(statistics::bucket.ge(Time(from)))
            .filter(statistics::bucket.lt(Time(to)))
            .into_boxed::<Db>();
        if let Some(kind) = kind {
            query = query.filter(statistics::kind.eq(kind));
        }
        if let Some(queue) = queue {
            query = query.filter(statistics::queue.eq(queue));
        }
        if let Some(state) = state {
            query = query.filter(statistics::state.eq(state.as_str()));
        }
        query.load(conn).await
    })
}

fn add(buckets: &mut Buckets, row: &StoredRow, seconds: i64) -> Result<(), Error> {
    let unknown = |_| Error::Row { id: row.id.0, value: format!("the state {:?}", row.state) };
    let state: State = row.state.parse().map_err(unknown)?;
    let (waits, run_times) = row.sketches()?;
    let start = floor(row.bucket.0, seconds);
    let bucket = buckets.entry((start, row.kind.clone(), row.queue.clone())).or_insert_with(|| Bucket {
        start,
        kind: row.kind.clone(),
        queue: row.queue.clone(),
        wait: Sketch::default(),
        run_time: Sketch::default(),
        counts: [0; State::ALL.len()],
    });
    bucket.counts[state as usize] += row.runs.unsigned_abs();
    bucket.wait.merge(&waits);
    bucket.run_time.merge(&run_times);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(hour * HOUR, 0).expect("in range")
    }

    #[test]
    fn slices_begin_and_end_at_hours_within_the_span() {
        let (since, until) = (hour(10) + TimeDelta::minutes(7), hour(60) + TimeDelta::minutes(30));
        let around = |place| slice(place, since, until, hour(58));
        assert_eq!(around(since + TimeDelta::minutes(2)), (since, hour(34)));
        assert_eq!(around(hour(34) + TimeDelta::minutes(59)), (hour(34), hour(58)));
        assert_eq!(around(hour(35)), (hour(35), hour(36)));
        assert_eq!(around(hour(60) + TimeDelta::minutes(1)), (hour(60), until));
    }
}
