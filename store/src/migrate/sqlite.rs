//! Migrations on SQLite, under a lock file beside the database.

use std::{fs::File, path::Path};

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryResult, QueryableByName, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
    sql_query,
    sql_types::{Integer, Text},
};

use super::{
    Applied, Migration,
    embedded::{Embedded, OWNER, SQLITE},
    newest, pending,
};
use crate::{Error, conn::finish, sql_types::DbTime, sqlite::Sqlite};

const LEDGER: &str = include_str!("ledger.sqlite.sql");

/// Applies what is pending.
pub(super) async fn migrate(database: Sqlite) -> Result<Vec<Migration>, Error> {
    locked(database, |conn| {
        conn.batch_execute(LEDGER)?;
        let mut done = Vec::new();
        for migration in pending(SQLITE, &read(conn)?)? {
            let now = Utc::now();
            apply(conn, migration, now).map_err(|error| failed(migration, &error))?;
            done.push(migration.status(Some(now)));
        }
        Ok(done)
    })
    .await
}

/// Takes back the newest.
pub(super) async fn revert(database: Sqlite) -> Result<Option<Migration>, Error> {
    locked(database, |conn| {
        conn.batch_execute(LEDGER)?;
        let Some(migration) = newest(SQLITE, &read(conn)?) else { return Ok(None) };
        take_back(conn, migration).map_err(|error| failed(migration, &error))?;
        Ok(Some(migration.status(None)))
    })
    .await
}

/// What the ledger says; nothing where there is none yet.
pub(super) async fn applied(database: Sqlite) -> Result<Vec<Applied>, Error> {
    const LOOK: &str = "SELECT 1 AS found FROM sqlite_schema WHERE name = 'millstream_migrations'";
    finish(tokio::spawn(async move {
        let mut conn = database.read().await?;
        let applied = conn.spawn_blocking(|conn| match sql_query(LOOK).get_result::<Found>(conn).optional()? {
            Some(_) => read(conn),
            None => Ok(Vec::new()),
        });
        Ok(applied.await?)
    }))
    .await
}

/// Runs `work` on the writing connection while no other process migrates.
async fn locked<T: Send + 'static>(
    database: Sqlite,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    finish(tokio::spawn(async move {
        let lock_file = database.lock_file();
        let mut conn = database.write().await?;
        conn.spawn_blocking(move |conn| {
            Ok(lock(&lock_file).and_then(|held| {
                let done = work(conn);
                drop(held);
                done
            }))
        })
        .await?
    }))
    .await
}

/// The operating system frees it with the process, however that ends.
fn lock(path: &Path) -> Result<File, Error> {
    let locked = File::create(path).and_then(|file| file.lock().map(|()| file));
    locked.map_err(|error| Error::MigrationLock { reason: format!("{}: {error}", path.display()) })
}

fn read(conn: &mut SqliteConnection) -> QueryResult<Vec<Applied>> {
    const READ: &str =
        "SELECT version, checksum, applied_at FROM millstream_migrations WHERE owner = ? ORDER BY version";
    let rows: Vec<LedgerRow> = sql_query(READ).bind::<Text, _>(OWNER).load(conn)?;
    let applied = |row: LedgerRow| Applied { version: row.version, checksum: row.checksum, applied_at: row.applied_at };
    Ok(rows.into_iter().map(applied).collect())
}

fn apply(conn: &mut SqliteConnection, migration: &Embedded, now: DateTime<Utc>) -> QueryResult<()> {
    const NOTE: &str =
        "INSERT INTO millstream_migrations (owner, version, name, checksum, applied_at) VALUES (?, ?, ?, ?, ?)";
    conn.immediate_transaction(|conn| {
        conn.batch_execute(migration.up)?;
        sql_query(NOTE)
            .bind::<Text, _>(OWNER)
            .bind::<Text, _>(migration.version)
            .bind::<Text, _>(migration.name)
            .bind::<Text, _>(migration.checksum())
            .bind::<DbTime, _>(now)
            .execute(conn)?;
        Ok(())
    })
}

fn take_back(conn: &mut SqliteConnection, migration: &Embedded) -> QueryResult<()> {
    const FORGET: &str = "DELETE FROM millstream_migrations WHERE owner = ? AND version = ?";
    conn.immediate_transaction(|conn| {
        conn.batch_execute(migration.down)?;
        sql_query(FORGET).bind::<Text, _>(OWNER).bind::<Text, _>(migration.version).execute(conn)?;
        Ok(())
    })
}

fn failed(migration: &Embedded, error: &diesel::result::Error) -> Error {
    Error::Migration { name: migration.to_string(), reason: error.to_string() }
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Integer)]
    #[diesel(column_name = found)]
    _found: i32,
}

#[derive(QueryableByName)]
struct LedgerRow {
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = Text)]
    checksum: String,
    #[diesel(sql_type = DbTime)]
    applied_at: DateTime<Utc>,
}
