//! Migrations on SQLite, under a lock file beside the database.

use std::{
    fs::{File, TryLockError},
    path::Path,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryResult, QueryableByName, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection,
    result::Error::RollbackTransaction,
    sql_query,
    sql_types::{Integer, Text},
};

use super::{
    Migration, MigrationState,
    plan::{self, Applied, Order, Set, Step},
};
use crate::{Error, conn::to_its_end, sql_types::DbTime, sqlite::Sqlite};

const LEDGER: &str = include_str!("ledger.sqlite.sql");
/// How long another process may take for its migrations.
const PATIENCE: Duration = Duration::from_secs(60);

/// Does what the order says, under the lock.
pub(super) async fn run(database: Sqlite, sets: Vec<Set>, order: Order) -> Result<Vec<Migration>, Error> {
    locked(database, move |conn| {
        if order == Order::Rehearse {
            return rehearse(conn, &sets);
        }
        conn.batch_execute(LEDGER)?;
        let mut done = Vec::new();
        for step in plan::steps(&sets, &read(conn)?, order)? {
            let now = Utc::now();
            let state = conn.immediate_transaction(|conn| match order {
                Order::Down(_) => take_back(conn, &step).map(|()| MigrationState::Pending),
                Order::Up | Order::Rehearse => apply(conn, &step, now).map(|()| MigrationState::Applied(now)),
            });
            done.push(step.status(state.map_err(|error| step.failed(error.to_string()))?));
        }
        Ok(done)
    })
    .await
}

/// All pending ones in one transaction that is rolled back, the ledger included.
fn rehearse(conn: &mut SqliteConnection, sets: &[Set]) -> Result<Vec<Migration>, Error> {
    let mut outcome = Ok(Vec::new());
    let rolled_back = conn.immediate_transaction::<(), diesel::result::Error, _>(|conn| {
        conn.batch_execute(LEDGER)?;
        let applied = read(conn)?;
        outcome = plan::steps(sets, &applied, Order::Rehearse).and_then(|steps| {
            let try_one = |step: &Step| {
                apply(conn, step, Utc::now()).map_err(|error| step.failed(error.to_string()))?;
                Ok(step.status(MigrationState::Pending))
            };
            steps.iter().map(try_one).collect()
        });
        Err(RollbackTransaction)
    });
    match rolled_back {
        Err(RollbackTransaction) => outcome,
        Err(error) => Err(error.into()),
        Ok(()) => outcome,
    }
}

/// What the ledger says; nothing where there is none yet.
pub(super) async fn applied(database: Sqlite) -> Result<Vec<Applied>, Error> {
    const LOOK: &str = "SELECT 1 AS found FROM sqlite_schema WHERE name = 'millstream_migrations'";
    to_its_end(async move {
        let mut conn = database.read().await?;
        let applied = conn.spawn_blocking(|conn| match sql_query(LOOK).get_result::<Found>(conn).optional()? {
            Some(_) => read(conn),
            None => Ok(Vec::new()),
        });
        Ok(applied.await?)
    })
    .await
}

/// Runs `work` on the writing connection while no other process migrates.
async fn locked<T: Send + 'static>(
    database: Sqlite,
    work: impl FnOnce(&mut SqliteConnection) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    to_its_end(async move {
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
    })
    .await
}

/// The operating system frees it with the process, however that ends.
fn lock(path: &Path) -> Result<File, Error> {
    let failed = |reason: String| Error::MigrationLock { reason: format!("{}: {reason}", path.display()) };
    let file = File::create(path).map_err(|error| failed(error.to_string()))?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(failed(error.to_string())),
            Err(TryLockError::WouldBlock) if started.elapsed() > PATIENCE => {
                return Err(failed(format!("waited {} s for it", PATIENCE.as_secs())));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

fn read(conn: &mut SqliteConnection) -> QueryResult<Vec<Applied>> {
    const READ: &str = "SELECT owner, version, name, checksum, applied_at FROM millstream_migrations ORDER BY version";
    let rows: Vec<LedgerRow> = sql_query(READ).load(conn)?;
    let applied = |row: LedgerRow| Applied {
        owner: row.owner,
        version: row.version,
        name: row.name,
        checksum: row.checksum,
        applied_at: row.applied_at,
    };
    Ok(rows.into_iter().map(applied).collect())
}

fn apply(conn: &mut SqliteConnection, step: &Step, now: DateTime<Utc>) -> QueryResult<()> {
    const NOTE: &str =
        "INSERT INTO millstream_migrations (owner, version, name, checksum, applied_at) VALUES (?, ?, ?, ?, ?)";
    conn.batch_execute(step.migration.up)?;
    sql_query(NOTE)
        .bind::<Text, _>(step.owner)
        .bind::<Text, _>(step.migration.version)
        .bind::<Text, _>(step.migration.name)
        .bind::<Text, _>(step.migration.checksum())
        .bind::<DbTime, _>(now)
        .execute(conn)?;
    Ok(())
}

fn take_back(conn: &mut SqliteConnection, step: &Step) -> QueryResult<()> {
    const FORGET: &str = "DELETE FROM millstream_migrations WHERE owner = ? AND version = ?";
    conn.batch_execute(step.migration.down)?;
    sql_query(FORGET).bind::<Text, _>(step.owner).bind::<Text, _>(step.migration.version).execute(conn)?;
    Ok(())
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
    owner: String,
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    checksum: String,
    #[diesel(sql_type = DbTime)]
    applied_at: DateTime<Utc>,
}
