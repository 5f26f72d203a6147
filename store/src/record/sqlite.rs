//! A batch into SQLite: multi-row inserts in one immediate transaction.

use std::{ops::Range, sync::Arc};

use diesel::{
    QueryResult, RunQueryDsl, SqliteConnection,
    query_builder::{AstPass, QueryFragment, QueryId},
    result::Error as Diesel,
    serialize::ToSql,
    sql_query,
    sql_types::{BigInt, Binary, HasSqlType, Nullable, Text},
    sqlite::Sqlite as Backend,
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
const FIELDS: &str = include_str!("sqlite/fields.sql");
const MOVE_FIELDS: &str = include_str!("sqlite/move_fields.sql");
const LATE: &str = include_str!("sqlite/late.sql");

/// Rows per statement. Full statements have one text, so that SQLite prepares it once per connection.
const ROWS: usize = 64;

/// Writes all rows of the range or none.
pub(super) async fn write(database: Sqlite, rows: Arc<[Row]>, range: Range<usize>) -> Result<(), Error> {
    to_its_end(async move {
        let mut conn = database.write().await?;
        let written = conn.spawn_blocking(move |conn| {
            let rows = &rows[range];
            match conn.immediate_transaction(|conn| insert(conn, rows, ROWS)) {
                Err(Diesel::RollbackTransaction) => conn.immediate_transaction(|conn| insert(conn, rows, 1)),
                done => done,
            }
        });
        Ok(written.await?)
    })
    .await
}

/// Inserts the runs so many at once. SQLite tells how many of them were new, not which: one by one that is the same, and
/// where it isn't, and some were recorded before, this asks for a rollback.
fn insert(conn: &mut SqliteConnection, rows: &[Row], at_once: usize) -> QueryResult<()> {
    let rows: Vec<&Row> = rows.iter().collect();
    let mut fresh = Vec::with_capacity(rows.len());
    for chunk in rows.chunks(at_once) {
        let inserted = Insert { sql: ATTEMPTS, rows: chunk, bind: attempt }.execute(conn)?;
        match chunk.len() {
            all if inserted == all => fresh.extend_from_slice(chunk),
            1 => {}
            _ => return Err(Diesel::RollbackTransaction),
        }
    }
    add_to_sqlite(conn, &deltas(fresh.into_iter().map(Row::counted)))?;
    let heads: Vec<&Row> = rows.into_iter().filter(|row| row.head).collect();
    for chunk in heads.chunks(ROWS) {
        let changed = Insert { sql: JOBS, rows: chunk, bind: job }.execute(conn)?;
        if changed < chunk.len() {
            chunk.iter().try_for_each(|row| late(conn, row))?;
        }
    }
    insert_some(conn, &heads, TAGS, Row::may_move_tags, id)?;
    insert_some(conn, &heads, FIELDS, |row| row.fields.is_some(), fields)?;
    insert_some(conn, &heads, MOVE_FIELDS, Row::may_move_fields, id)
}

/// Runs a statement over those of the heads that it concerns.
fn insert_some(
    conn: &mut SqliteConnection,
    heads: &[&Row],
    sql: &'static str,
    concerns: impl Fn(&Row) -> bool,
    bind: Bind,
) -> QueryResult<()> {
    let concerned: Vec<&Row> = heads.iter().copied().filter(|row| concerns(row)).collect();
    for chunk in concerned.chunks(ROWS) {
        Insert { sql, rows: chunk, bind }.execute(conn)?;
    }
    Ok(())
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

/// Adds the values of a row.
type Bind = for<'a, 'b> fn(&'b Row, &mut Values<'a, 'b>) -> QueryResult<()>;

/// An INSERT whose `{rows}` are as many rows as there are. A query of its own, since Diesel neither caches its own batch
/// inserts nor joins them with ON CONFLICT on SQLite.
struct Insert<'r> {
    sql: &'static str,
    rows: &'r [&'r Row],
    bind: Bind,
}

impl QueryFragment<Backend> for Insert<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Backend>) -> QueryResult<()> {
        let (before, after) = self.sql.split_once("{rows}").unwrap_or((self.sql, ""));
        out.push_sql(before);
        for (index, row) in self.rows.iter().enumerate() {
            out.push_sql(if index == 0 { "(" } else { ", (" });
            (self.bind)(row, &mut Values { out: out.reborrow(), first: true })?;
            out.push_sql(")");
        }
        out.push_sql(after);
        Ok(())
    }
}

impl QueryId for Insert<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl RunQueryDsl<SqliteConnection> for Insert<'_> {}

/// The values of one row.
struct Values<'a, 'b> {
    out: AstPass<'a, 'b, Backend>,
    first: bool,
}

impl<'b> Values<'_, 'b> {
    fn add<T, U>(&mut self, value: &'b U) -> QueryResult<()>
    where
        Backend: HasSqlType<T>,
        U: ToSql<T, Backend> + ?Sized,
    {
        if !std::mem::replace(&mut self.first, false) {
            self.out.push_sql(", ");
        }
        self.out.push_bind_param::<T, U>(value)
    }
}

fn attempt<'b>(row: &'b Row, values: &mut Values<'_, 'b>) -> QueryResult<()> {
    values.add::<DbUuid, _>(&row.id)?;
    values.add::<BigInt, _>(&row.run)?;
    values.add::<BigInt, _>(&row.attempt)?;
    values.add::<BigInt, _>(&row.crash)?;
    values.add::<Text, _>(row.state.as_str())?;
    values.add::<Nullable<DbTime>, _>(&row.started_at)?;
    values.add::<DbTime, _>(&row.finished_at)?;
    values.add::<Nullable<DbTime>, _>(&row.next_at)?;
    values.add::<Text, _>(&row.worker)?;
    values.add::<Nullable<Text>, _>(&row.error)?;
    values.add::<Nullable<Text>, _>(&row.log)?;
    values.add::<Nullable<Text>, _>(&row.progress)
}

fn id<'b>(row: &'b Row, values: &mut Values<'_, 'b>) -> QueryResult<()> {
    values.add::<DbUuid, _>(&row.id)
}

fn fields<'b>(row: &'b Row, values: &mut Values<'_, 'b>) -> QueryResult<()> {
    values.add::<DbUuid, _>(&row.id)?;
    values.add::<Nullable<Text>, _>(&row.fields)
}

fn job<'b>(row: &'b Row, values: &mut Values<'_, 'b>) -> QueryResult<()> {
    values.add::<DbUuid, _>(&row.id)?;
    values.add::<Text, _>(&*row.queue)?;
    values.add::<Text, _>(&row.kind)?;
    values.add::<BigInt, _>(&row.version)?;
    values.add::<Text, _>(row.lane.as_str())?;
    values.add::<Text, _>(row.state.as_str())?;
    values.add::<BigInt, _>(&row.attempt)?;
    values.add::<BigInt, _>(&row.run)?;
    values.add::<BigInt, _>(&row.crash)?;
    values.add::<DbTime, _>(&row.enqueued_at)?;
    values.add::<Nullable<DbTime>, _>(&row.first_started_at)?;
    values.add::<Nullable<DbTime>, _>(&row.started_at)?;
    values.add::<DbTime, _>(&row.finished_at)?;
    values.add::<Nullable<DbTime>, _>(&row.next_at)?;
    values.add::<Text, _>(&row.worker)?;
    values.add::<Nullable<Text>, _>(&row.error)?;
    values.add::<Nullable<Text>, _>(&row.content_type)?;
    values.add::<Nullable<Text>, _>(&row.payload.json)?;
    values.add::<Nullable<Binary>, _>(&row.payload.raw)?;
    values.add::<Nullable<Text>, _>(&row.result.json)?;
    values.add::<Nullable<Binary>, _>(&row.result.raw)?;
    values.add::<Nullable<Text>, _>(&row.tags)?;
    match row.trace_id() {
        Some(id) => values.add::<Text, _>(id)?,
        None => values.add::<Nullable<Text>, _>(&None::<String>)?,
    }
    values.add::<Nullable<Text>, _>(&row.progress)?;
    values.add::<Nullable<DbUuid>, _>(&row.revived_from)
}
