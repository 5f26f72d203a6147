//! What relays set aside, once it is too old.

use chrono::{DateTime, Utc};
use diesel::{sql_query, sql_types::BigInt};
use diesel_async::RunQueryDsl;

use crate::{
    Error, Store,
    sql_types::{DbTime, Time},
};

const DELETE: &str = include_str!("outbox.sql");

/// Deletes the oldest of those set aside before `end`. How many.
pub(super) async fn prune(store: &Store, end: DateTime<Utc>, batch: u16) -> Result<u64, Error> {
    let deleted: usize = with_conn!(store, write conn: Db => {
        sql_query(DELETE).bind::<DbTime, _>(Time(end)).bind::<BigInt, _>(i64::from(batch)).execute(conn).await
    })?;
    Ok(deleted as u64)
}
