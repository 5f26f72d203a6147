//! The weekly partitions on Postgres: empty old ones go, and rows that lie with the other times get theirs.

use chrono::{DateTime, TimeDelta, Utc};
use tokio_postgres::{Client, error::SqlState, types::Type};

use crate::{Error, postgres::Postgres};

const FIND: &str = include_str!("postgres/partitions.sql");
/// Outcomes that are recorded late find their partitions for as long as this.
const GRACE: TimeDelta = TimeDelta::days(14);
/// Longest look whether one is empty: what was deleted from it is passed over until a vacuum has been there.
const LOOK: &str = "SET LOCAL statement_timeout = '200ms'";
/// Longest wait for the locks. Who comes after it in the queue waits for as long.
const LOCK: &str = "SET LOCAL lock_timeout = '100ms'";

/// Moves rows of weeks that could get no partition when they were written, as far as nobody is in the way.
pub(super) async fn adopt(database: &Postgres, now: DateTime<Utc>) -> Result<(), Error> {
    let mut client = database.raw().await?;
    database.weeks().adopt(&mut client, now).await
}

/// Drops the old partitions in which nothing is left, as far as nobody is in the way: a later pass finds them again. How many.
pub(super) async fn drop_empty(database: &Postgres, now: DateTime<Utc>) -> Result<u64, Error> {
    let mut client = database.raw().await?;
    let old = client.query_typed(FIND, &[(&(now - GRACE), Type::TIMESTAMPTZ)]).await?;
    let mut dropped = 0;
    for row in old {
        match drop_one(&mut client, row.get(0), row.get(1)).await {
            Ok(is_dropped) => dropped += u64::from(is_dropped),
            Err(error) if is_in_the_way(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(dropped)
}

/// Looks without a lock first, and once more under it, so that no row is lost that came between. The names are quoted
/// where they must be, by Postgres.
async fn drop_one(client: &mut Client, table: &str, partition: &str) -> Result<bool, tokio_postgres::Error> {
    let is_empty = format!("SELECT NOT EXISTS (SELECT FROM ONLY {partition})");
    let transaction = client.transaction().await?;
    transaction.batch_execute(LOOK).await?;
    if !transaction.query_one(&is_empty, &[]).await?.get::<_, bool>(0) {
        return Ok(false);
    }
    transaction.batch_execute(LOCK).await?;
    // In the order in which DROP takes them too.
    let lock = format!(
        "LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE; LOCK TABLE ONLY {partition} IN ACCESS EXCLUSIVE MODE"
    );
    transaction.batch_execute(&lock).await?;
    let is_empty: bool = transaction.query_one(&is_empty, &[]).await?.get(0);
    if is_empty {
        transaction.batch_execute(&format!("DROP TABLE {partition}")).await?;
    }
    transaction.commit().await?;
    Ok(is_empty)
}

/// Others use the table, or a vacuum must come first, or someone else has dropped it.
fn is_in_the_way(error: &tokio_postgres::Error) -> bool {
    let others = [
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::QUERY_CANCELED,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::UNDEFINED_TABLE,
    ];
    error.code().is_some_and(|code| others.contains(code))
}
