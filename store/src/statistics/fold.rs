//! Folding: many rows of a bucket become one, and minutes become hours, so that the table stays small.
//!
//! Rows of a bucket add up, so that folding changes no answer, and folders that meet only undo each other: what one has deleted
//! another can't delete again.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::{
    Sketch,
    stored::{HOUR, MINUTE, StoredRow, floor},
};
use crate::{
    Data, Error, Store, query,
    schema::millstream_statistics as statistics,
    sql_types::{Id, Time},
};

/// For how long there are minutes.
const MINUTES_KEPT: TimeDelta = TimeDelta::days(2);
/// Most rows that one transaction takes, and of how many buckets.
const ROWS: i64 = 1000;
const BUCKETS: usize = 16;

/// Width and beginning of a bucket, kind, queue and state.
type Key = (i64, DateTime<Utc>, String, String, String);

/// From when on there are minutes.
pub(super) fn minutes_begin(now: DateTime<Utc>) -> DateTime<Utc> {
    floor(now - MINUTES_KEPT, HOUR)
}

/// Folds some of what can be: rows of minutes that are over, and minutes of two days ago. How many rows it took; with
/// none there is nothing left to do.
pub(crate) async fn fold(store: &Store, now: DateTime<Utc>) -> Result<usize, Error> {
    let (this_minute, hours_end) = (floor(now, MINUTE), minutes_begin(now));
    store
        .transaction(async move |tx| {
            let ready = |folded: bool, before: DateTime<Utc>| {
                query!(|conn: Db| {
                    statistics::table
                        .select(StoredRow::as_select())
                        .filter(statistics::seconds.eq(MINUTE))
                        .filter(statistics::folded.eq(folded))
                        .filter(statistics::bucket.lt(Time(before)))
                        .order(statistics::bucket)
                        .limit(ROWS)
                        .load::<StoredRow>(conn)
                        .await
                })
            };
            let mut taken = tx.read(ready(false, this_minute)).await?;
            if taken.is_empty() {
                taken = tx.read(ready(true, hours_end)).await?;
            }
            keep_first_buckets(&mut taken, hours_end);
            if taken.is_empty() {
                return Ok(0);
            }
            let Targets { seconds, buckets, kinds } = Targets::of(&taken, hours_end);
            let settled = tx.read(query!(|conn: Db| {
                statistics::table
                    .select(StoredRow::as_select())
                    .filter(statistics::folded.eq(true))
                    .filter(statistics::seconds.eq_any(seconds))
                    .filter(statistics::bucket.eq_any(buckets))
                    .filter(statistics::kind.eq_any(kinds))
                    .load::<StoredRow>(conn)
                    .await
            }));
            let settled = settled.await?;
            let rows: BTreeMap<Id, StoredRow> = taken.iter().chain(&settled).map(|row| (row.id, row.clone())).collect();
            let merged = merge(rows.values(), hours_end)?;
            let ids: Vec<Id> = rows.into_keys().collect();
            tx.write(query!(|conn: Db| {
                for ids in ids.chunks(500) {
                    diesel::delete(statistics::table.filter(statistics::id.eq_any(ids.to_vec()))).execute(conn).await?;
                }
                for row in merged {
                    diesel::insert_into(statistics::table).values(row).execute(conn).await?;
                }
                Ok::<_, Error>(())
            }))
            .await?;
            Ok(taken.len())
        })
        .await
}

/// Deletes the oldest statistics of times before `end`. How many rows.
pub(crate) async fn forget(store: &Store, end: DateTime<Utc>, batch: u16) -> Result<u64, Error> {
    let delete = query!(|conn: Db| {
        let old = statistics::table.filter(statistics::bucket.lt(Time(end))).order(statistics::bucket);
        let ids: Vec<Id> = old.select(statistics::id).limit(batch.into()).load(conn).await?;
        diesel::delete(statistics::table.filter(statistics::id.eq_any(ids))).execute(conn).await
    });
    Ok(store.write(delete).await? as u64)
}

/// The bucket that a row belongs to in the end.
fn target(row: &StoredRow, hours_end: DateTime<Utc>) -> Key {
    let seconds = if row.bucket.0 < hours_end { HOUR } else { row.seconds };
    (seconds, floor(row.bucket.0, seconds), row.kind.clone(), row.queue.clone(), row.state.clone())
}

/// Cuts the rows, which are in the order of their buckets, behind a bounded number of targets.
fn keep_first_buckets(rows: &mut Vec<StoredRow>, hours_end: DateTime<Utc>) {
    let mut buckets = BTreeSet::new();
    let fits = rows.iter().position(|row| {
        let (seconds, bucket, ..) = target(row, hours_end);
        buckets.insert((seconds, bucket));
        buckets.len() > BUCKETS
    });
    rows.truncate(fits.unwrap_or(rows.len()));
}

/// Where the folded rows stand that rows are to be added to.
struct Targets {
    seconds: Vec<i64>,
    buckets: Vec<Time>,
    kinds: Vec<String>,
}

impl Targets {
    fn of(rows: &[StoredRow], hours_end: DateTime<Utc>) -> Self {
        let targets: Vec<Key> = rows.iter().map(|row| target(row, hours_end)).collect();
        let seconds: BTreeSet<i64> = targets.iter().map(|(seconds, ..)| *seconds).collect();
        let buckets: BTreeSet<Time> = targets.iter().map(|(_, bucket, ..)| Time(*bucket)).collect();
        let kinds: BTreeSet<String> = targets.into_iter().map(|(_, _, kind, ..)| kind).collect();
        Self { seconds: Vec::from_iter(seconds), buckets: Vec::from_iter(buckets), kinds: Vec::from_iter(kinds) }
    }
}

/// One row for each bucket, kind, queue and state.
fn merge<'r>(rows: impl Iterator<Item = &'r StoredRow>, hours_end: DateTime<Utc>) -> Result<Vec<StoredRow>, Error> {
    let mut sums: BTreeMap<Key, (i64, Sketch, Sketch)> = BTreeMap::new();
    for row in rows {
        let (waits, run_times) = row.sketches()?;
        let sum = sums.entry(target(row, hours_end)).or_default();
        sum.0 += row.runs;
        sum.1.merge(&waits);
        sum.2.merge(&run_times);
    }
    let row =
        |((seconds, bucket, kind, queue, state), (runs, waits, run_times)): (Key, (i64, Sketch, Sketch))| StoredRow {
            id: Id::new(),
            kind,
            queue,
            state,
            seconds,
            bucket: Time(bucket),
            runs,
            waits: waits.to_bytes(),
            run_times: run_times.to_bytes(),
            folded: true,
        };
    Ok(sums.into_iter().map(row).collect())
}
