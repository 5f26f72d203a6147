//! Migrations on Postgres, under an advisory lock of the database.

use tokio_postgres::{Client, Row, error::SqlState};

use super::{
    Applied, Migration,
    embedded::{Embedded, OWNER, POSTGRES},
    newest, pending,
};
use crate::{Error, error::chain, postgres::Postgres};

const LEDGER: &str = include_str!("ledger.postgres.sql");
/// "millst" in ASCII and a zero: nobody else's lock by accident. Waits at most a minute for another's migration.
const LOCK: &str = "SET lock_timeout = '60s'; SELECT pg_advisory_lock(120433946457088); SET lock_timeout = 0;";

/// Applies what is pending.
pub(super) async fn migrate(database: &Postgres) -> Result<Vec<Migration>, Error> {
    let mut session = locked_session(database).await?;
    session.batch_execute(LEDGER).await?;
    let mut done = Vec::new();
    for migration in pending(POSTGRES, &read(&session).await?)? {
        let row = apply(&mut session, migration).await.map_err(|error| failed(migration, &error))?;
        done.push(migration.status(Some(row.get(0))));
    }
    Ok(done)
}

/// Takes back the newest.
pub(super) async fn revert(database: &Postgres) -> Result<Option<Migration>, Error> {
    let mut session = locked_session(database).await?;
    session.batch_execute(LEDGER).await?;
    let Some(migration) = newest(POSTGRES, &read(&session).await?) else { return Ok(None) };
    take_back(&mut session, migration).await.map_err(|error| failed(migration, &error))?;
    Ok(Some(migration.status(None)))
}

/// What the ledger says; nothing where there is none yet.
pub(super) async fn applied(database: &Postgres) -> Result<Vec<Applied>, Error> {
    let client = database.raw().await?;
    let ledger = client.query_one("SELECT to_regclass('millstream_migrations') IS NOT NULL", &[]).await?;
    if ledger.get::<_, bool>(0) { read(&client).await } else { Ok(Vec::new()) }
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

async fn read(client: &Client) -> Result<Vec<Applied>, Error> {
    const READ: &str =
        "SELECT version, checksum, applied_at FROM millstream_migrations WHERE owner = $1 ORDER BY version";
    let applied = |row: &Row| Applied { version: row.get(0), checksum: row.get(1), applied_at: row.get(2) };
    Ok(client.query(READ, &[&OWNER]).await?.iter().map(applied).collect())
}

async fn apply(session: &mut Client, migration: &Embedded) -> Result<Row, tokio_postgres::Error> {
    const NOTE: &str = "INSERT INTO millstream_migrations (owner, version, name, checksum) VALUES ($1, $2, $3, $4) \
                        RETURNING applied_at";
    let transaction = session.transaction().await?;
    transaction.batch_execute(migration.up).await?;
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
        [&OWNER, &migration.version, &migration.name, &migration.checksum()];
    let row = transaction.query_one(NOTE, &values).await?;
    transaction.commit().await?;
    Ok(row)
}

async fn take_back(session: &mut Client, migration: &Embedded) -> Result<(), tokio_postgres::Error> {
    let transaction = session.transaction().await?;
    transaction.batch_execute(migration.down).await?;
    const FORGET: &str = "DELETE FROM millstream_migrations WHERE owner = $1 AND version = $2";
    transaction.execute(FORGET, &[&OWNER, &migration.version]).await?;
    transaction.commit().await
}

fn failed(migration: &Embedded, error: &tokio_postgres::Error) -> Error {
    Error::Migration { name: migration.to_string(), reason: chain(error) }
}
