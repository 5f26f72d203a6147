//! Migrations on Postgres, under an advisory lock of the database.

use chrono::{DateTime, Utc};
use tokio_postgres::{
    Client, Row, Transaction,
    error::{ErrorPosition, SqlState},
    types::ToSql,
};

use super::{
    Migration, MigrationState,
    plan::{self, Applied, Order, Set, Step},
};
use crate::{Error, error::chain, postgres::Postgres};

const LEDGER: &str = include_str!("ledger.postgres.sql");
/// "millst" in ASCII and a zero: nobody else's lock by accident. Waits at most a minute for another's migration.
const LOCK: &str = "SET lock_timeout = '60s'; SELECT pg_advisory_lock(120433946457088); SET lock_timeout = 0;";
const IS_THERE: &str = "SELECT to_regclass('millstream_migrations') IS NOT NULL";

/// Does what the order says, under the lock.
pub(super) async fn run(database: &Postgres, sets: &[Set], order: Order) -> Result<Vec<Migration>, Error> {
    let mut session = locked_session(database).await?;
    if order == Order::Rehearse {
        return rehearse(&mut session, sets).await;
    }
    session.batch_execute(LEDGER).await?;
    let mut done = Vec::new();
    for step in plan::steps(sets, &read(&session).await?, order)? {
        let state = match order {
            Order::Down(_) => take_back(&mut session, &step).await.map(|()| MigrationState::Pending),
            Order::Up | Order::Rehearse => apply(&mut session, &step).await.map(MigrationState::Applied),
        };
        let sql = if matches!(order, Order::Down(_)) { step.migration.down } else { step.migration.up };
        done.push(step.status(state.map_err(|error| step.failed(reason(&error, sql)))?));
    }
    Ok(done)
}

/// What the ledger says; nothing where there is none yet.
pub(super) async fn applied(database: &Postgres) -> Result<Vec<Applied>, Error> {
    let client = database.raw().await?;
    let ledger = client.query_one(IS_THERE, &[]).await?;
    if ledger.get(0) { Ok(read(&client).await?) } else { Ok(Vec::new()) }
}

/// A session that holds the lock until it is dropped, however this ends.
async fn locked_session(database: &Postgres) -> Result<Client, Error> {
    let session = database.session().await?;
    session.batch_execute(LOCK).await.map_err(|error| match error.code() {
        Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            Error::MigrationLock { reason: "waited 60 s for its advisory lock".into() }
        }
        _ => error.into(),
    })?;
    Ok(session)
}

async fn read(client: &Client) -> Result<Vec<Applied>, tokio_postgres::Error> {
    const READ: &str = "SELECT owner, version, name, checksum, applied_at FROM millstream_migrations ORDER BY version";
    let applied = |row: &Row| Applied {
        owner: row.get(0),
        version: row.get(1),
        name: row.get(2),
        checksum: row.get(3),
        applied_at: row.get(4),
    };
    Ok(client.query(READ, &[]).await?.iter().map(applied).collect())
}

/// All pending ones in one transaction that is rolled back, the ledger included.
async fn rehearse(session: &mut Client, sets: &[Set]) -> Result<Vec<Migration>, Error> {
    let there = session.query_one(IS_THERE, &[]).await?.get(0);
    let applied = if there { read(session).await? } else { Vec::new() };
    let transaction = session.transaction().await?;
    transaction.batch_execute(LEDGER).await?;
    let mut pending = Vec::new();
    for step in plan::steps(sets, &applied, Order::Rehearse)? {
        let tried = apply_within(&transaction, &step).await;
        tried.map_err(|error| step.failed(reason(&error, step.migration.up)))?;
        pending.push(step.status(MigrationState::Pending));
    }
    transaction.rollback().await?;
    Ok(pending)
}

async fn apply(session: &mut Client, step: &Step) -> Result<DateTime<Utc>, tokio_postgres::Error> {
    let transaction = session.transaction().await?;
    let row = apply_within(&transaction, step).await?;
    transaction.commit().await?;
    Ok(row.get(0))
}

async fn apply_within(transaction: &Transaction<'_>, step: &Step) -> Result<Row, tokio_postgres::Error> {
    const NOTE: &str = "INSERT INTO millstream_migrations (owner, version, name, checksum) VALUES ($1, $2, $3, $4) \
                        RETURNING applied_at";
    transaction.batch_execute(step.migration.up).await?;
    let values: [&(dyn ToSql + Sync); 4] =
        [&step.owner, &step.migration.version, &step.migration.name, &step.migration.checksum()];
    transaction.query_one(NOTE, &values).await
}

async fn take_back(session: &mut Client, step: &Step) -> Result<(), tokio_postgres::Error> {
    const FORGET: &str = "DELETE FROM millstream_migrations WHERE owner = $1 AND version = $2";
    let transaction = session.transaction().await?;
    transaction.batch_execute(step.migration.down).await?;
    transaction.execute(FORGET, &[&step.owner, &step.migration.version]).await?;
    transaction.commit().await
}

/// The server's reason, with the line of the SQL that it is about.
fn reason(error: &tokio_postgres::Error, sql: &str) -> String {
    let position = error.as_db_error().and_then(|error| error.position());
    match position {
        Some(ErrorPosition::Original(letter)) => {
            let before = sql.chars().take((*letter as usize).saturating_sub(1));
            format!("{} (line {})", chain(error), before.filter(|letter| *letter == '\n').count() + 1)
        }
        _ => chain(error),
    }
}
