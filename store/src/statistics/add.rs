//! Adding what a batch counts, in the transaction that writes the batch. Rows are only appended, so that several recorders
//! never wait for each other here.

use diesel::{QueryResult, RunQueryDsl, SqliteConnection};
use tokio_postgres::{
    Transaction,
    types::{ToSql, Type},
};

use super::stored::StoredRow;
use crate::schema::millstream_statistics;

const ADD: &str = include_str!("postgres/add.sql");

/// Adds the rows on Postgres.
pub(crate) async fn add_to_postgres(
    transaction: &Transaction<'_>,
    rows: &[StoredRow],
) -> Result<(), tokio_postgres::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    fn all<'r, T>(rows: &'r [StoredRow], column: impl Fn(&'r StoredRow) -> T) -> Vec<T> {
        rows.iter().map(column).collect()
    }
    let columns: [(&(dyn ToSql + Sync), Type); 9] = [
        (&all(rows, |row| row.id.0), Type::UUID_ARRAY),
        (&all(rows, |row| row.kind.as_str()), Type::TEXT_ARRAY),
        (&all(rows, |row| row.queue.as_str()), Type::TEXT_ARRAY),
        (&all(rows, |row| row.state.as_str()), Type::TEXT_ARRAY),
        (&all(rows, |row| row.seconds), Type::INT8_ARRAY),
        (&all(rows, |row| row.bucket.0), Type::TIMESTAMPTZ_ARRAY),
        (&all(rows, |row| row.runs), Type::INT8_ARRAY),
        (&all(rows, |row| row.waits.as_slice()), Type::BYTEA_ARRAY),
        (&all(rows, |row| row.run_times.as_slice()), Type::BYTEA_ARRAY),
    ];
    transaction.execute_typed(ADD, &columns).await?;
    Ok(())
}

/// Adds the rows on SQLite.
pub(crate) fn add_to_sqlite(conn: &mut SqliteConnection, rows: &[StoredRow]) -> QueryResult<()> {
    for row in rows {
        diesel::insert_into(millstream_statistics::table).values(row).execute(conn)?;
    }
    Ok(())
}
