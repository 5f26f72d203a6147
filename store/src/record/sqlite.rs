//! A batch into SQLite: multi-row inserts in one immediate transaction.

mod insert;
mod lines;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use diesel::{
    QueryResult, RunQueryDsl, SqliteConnection,
    result::Error as Diesel,
    sql_query,
    sql_types::{Binary, Nullable, Text},
};
use serde::de::DeserializeOwned;

use self::{
    insert::{Insert, ROWS},
    lines::{Attempt, Field, Fields, Id, Job, Tag},
};
use super::rows::Row;
use crate::{
    Error,
    conn::to_its_end,
    sql_types::{DbTime, DbUuid},
    sqlite::Sqlite,
    statistics::{add_to_sqlite, deltas},
};

const ATTEMPTS: &str = include_str!("sqlite/attempts.sql");
const JOBS: &str = include_str!("sqlite/jobs.sql");
const TAGS: &str = include_str!("sqlite/tags.sql");
const TAGS_DECIDED: &str = include_str!("sqlite/tags_decided.sql");
const FIELDS: &str = include_str!("sqlite/fields.sql");
const FIELDS_DECIDED: &str = include_str!("sqlite/fields_decided.sql");
const MOVE_FIELDS: &str = include_str!("sqlite/move_fields.sql");
const LATE: &str = include_str!("sqlite/late.sql");

/// Writes all rows of the range or none.
pub(super) async fn write(database: Sqlite, rows: Arc<[Row]>, range: Range<usize>) -> Result<(), Error> {
    to_its_end(async move {
        let (mut conn, outcomes) = (database.write().await?, range.len() as u64);
        let written = conn.spawn_blocking(move |conn| {
            let rows = &rows[range];
            match conn.immediate_transaction(|conn| insert(conn, rows, ROWS)) {
                Err(Diesel::RollbackTransaction) => conn.immediate_transaction(|conn| insert(conn, rows, 1)),
                done => done,
            }
        });
        written.await?;
        // Each has its job, its run, and tags and fields.
        database.checkpoint_after(4 * outcomes);
        Ok(())
    })
    .await
}

/// Inserts the runs so many at once. SQLite tells how many of them were new, not which: one by one that is the same, and
/// where it isn't, and some were recorded before, this asks for a rollback.
fn insert(conn: &mut SqliteConnection, rows: &[Row], at_once: usize) -> QueryResult<()> {
    let mut fresh = Vec::with_capacity(rows.len());
    for chunk in rows.chunks(at_once) {
        let attempts: Vec<Attempt<'_>> = chunk.iter().map(Attempt).collect();
        let inserted = Insert { sql: ATTEMPTS, rows: &attempts }.execute(conn)?;
        match chunk.len() {
            all if inserted == all => fresh.extend(chunk),
            1 => {}
            _ => return Err(Diesel::RollbackTransaction),
        }
    }
    add_to_sqlite(conn, &deltas(fresh.into_iter().map(Row::counted)))?;
    let heads: Vec<Job<'_>> = rows.iter().filter(|row| row.head).map(Job).collect();
    let (mut decided, mut others) = (Vec::with_capacity(heads.len()), Vec::new());
    for chunk in heads.chunks(ROWS) {
        let changed = Insert { sql: JOBS, rows: chunk }.execute(conn)?;
        if changed < chunk.len() {
            chunk.iter().try_for_each(|Job(row)| late(conn, row))?;
        }
        // A job pushed again under its key keeps the time of its row. Ids of version 7 are made anew by each push.
        let shows = |row: &Row| changed == chunk.len() && row.id.get_version_num() == 7;
        for Job(row) in chunk {
            if shows(row) { decided.push(*row) } else { others.push(*row) }
        }
    }
    mark_decided(conn, &decided)?;
    // What can't be taken from heads is taken from their jobs' rows.
    let untagged = decided.iter().filter(|row| row.tags.is_none());
    let tagged: Vec<Id<'_>> =
        others.iter().chain(untagged).filter(|row| row.may_move_tags()).map(|row| Id(row)).collect();
    Insert::all(conn, TAGS, &tagged)?;
    let held: Vec<Fields<'_>> = others.iter().filter(|row| row.fields.is_some()).map(|row| Fields(row)).collect();
    Insert::all(conn, FIELDS, &held)?;
    let moved: Vec<Id<'_>> = heads.iter().filter(|Job(row)| row.may_move_fields()).map(|Job(row)| Id(row)).collect();
    Insert::all(conn, MOVE_FIELDS, &moved)
}

/// The tags and fields of heads that their jobs' rows show now.
fn mark_decided(conn: &mut SqliteConnection, heads: &[&Row]) -> QueryResult<()> {
    let (mut tags, mut fields) = (Vec::new(), Vec::new());
    for row in heads {
        // Each of a job's tags once, whatever their order.
        let of_row: BTreeSet<String> = row.tags.as_deref().map(read).unwrap_or_default();
        tags.extend(of_row.into_iter().map(|tag| Tag { tag, row }));
        let of_row: BTreeMap<String, String> = row.fields.as_deref().map(read).unwrap_or_default();
        fields.extend(of_row.into_iter().map(|(field, value)| Field { field, value, row }));
    }
    Insert::all(conn, TAGS_DECIDED, &tags)?;
    Insert::all(conn, FIELDS_DECIDED, &fields)
}

fn read<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).expect("the row was made with it")
}

fn late(conn: &mut SqliteConnection, row: &Row) -> QueryResult<()> {
    sql_query(LATE)
        .bind::<DbUuid, _>(row.id)
        .bind::<Nullable<DbTime>, _>(row.first_started_at)
        .bind::<Nullable<Text>, _>(row.content_type.as_deref())
        .bind::<Nullable<Text>, _>(row.payload.json.as_deref())
        .bind::<Nullable<Binary>, _>(row.payload.raw.as_deref())
        .bind::<Nullable<Text>, _>(row.tags.as_deref())
        .bind::<Nullable<Text>, _>(row.trace_id())
        .execute(conn)?;
    Ok(())
}
