//! The connection on which a relay reads ahead, deletes and notes: one for all, so that SQLite still has the pages in its cache that
//! it changes.

use std::time::{Duration, Instant};

use chrono::DateTime;
use futures::{TryStreamExt, pin_mut};
use rusqlite::TransactionBehavior;
use tokio_postgres::types::Type;

use super::{Filling, ROWS, RowRef, Waiting};
use crate::{
    Error, RawPostgres, Store,
    pool::Leased,
    raw::{Rusqlite, lent_to},
    sqlite::Sqlite,
    store::Backend,
};

/// Taken from its pool when it is needed first.
pub(super) enum Conn {
    Postgres(Store, Option<RawPostgres>),
    Sqlite(Sqlite, Option<Leased<Rusqlite>>),
}

impl Conn {
    pub(super) fn new(store: &Store) -> Self {
        match store.backend() {
            Backend::Postgres(_) => Self::Postgres(store.clone(), None),
            Backend::Sqlite(database) => Self::Sqlite(database.clone(), None),
        }
    }

    /// Runs a statement about a target; returns how many rows it changed.
    pub(super) async fn execute(&mut self, target: &str, statement: String) -> Result<u64, Error> {
        match self {
            Self::Postgres(store, conn) => execute(postgres(store, conn).await?, target, statement).await,
            Self::Sqlite(database, raw) => {
                let target = target.to_owned();
                let (changed, _) = written(database, raw, statement, target).await?;
                Ok(changed)
            }
        }
    }

    /// Fills a batch with the rows of a target for which `waiting` holds, and runs `delete`. How long that took.
    pub(super) async fn fill_and_delete(
        &mut self,
        target: &str,
        waiting: &str,
        filling: Filling,
        delete: Option<String>,
    ) -> Result<(Filling, Duration), Error> {
        match self {
            Self::Postgres(store, conn) => {
                let conn = postgres(store, conn).await?;
                let deleted = async {
                    let began = Instant::now();
                    if let Some(delete) = delete {
                        execute(conn, target, delete).await?;
                    }
                    Ok(began.elapsed())
                };
                tokio::try_join!(from_postgres(conn, target, waiting, filling), deleted)
            }
            Self::Sqlite(database, raw) => {
                let filling = from_sqlite(database, raw, target, waiting, filling).await?;
                let deleting = match delete {
                    Some(delete) => written(database, raw, delete, target.to_owned()).await?.1,
                    None => Duration::ZERO,
                };
                Ok((filling, deleting))
            }
        }
    }
}

async fn postgres<'c>(store: &Store, conn: &'c mut Option<RawPostgres>) -> Result<&'c RawPostgres, Error> {
    if conn.is_none() {
        *conn = Some(store.raw_postgres().await?);
    }
    Ok(conn.as_ref().expect("it was just put there"))
}

async fn execute(conn: &RawPostgres, target: &str, statement: String) -> Result<u64, Error> {
    Ok(conn.execute_typed(&statement, &[(&target, Type::TEXT)]).await?)
}

async fn from_postgres(
    conn: &RawPostgres,
    target: &str,
    waiting: &str,
    mut filling: Filling,
) -> Result<Filling, Error> {
    let columns = Waiting::COLUMNS;
    let statement = format!(
        "SELECT {columns}, (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint), \
         (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint) FROM millstream_outbox \
         WHERE target = $1 AND {waiting} ORDER BY seq LIMIT {ROWS}"
    );
    let rows = conn.query_typed_raw(&statement, [(target, Type::TEXT)]).await?;
    pin_mut!(rows);
    while filling.takes_more()
        && let Some(row) = rows.try_next().await?
    {
        let (kind, id, body) = (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        let (options, created_at) = (row.try_get(4)?, row.try_get(5)?);
        filling.add(row.try_get(0)?, &RowRef { kind, id, body, options, created_at });
        if filling.snapshot.is_none() {
            filling.snapshot = Some((row.try_get(6)?, row.try_get(7)?));
        }
    }
    Ok(filling)
}

/// Runs `work` on the connection, which is then there for the next.
async fn on<T: Send + 'static>(
    database: &Sqlite,
    raw: &mut Option<Leased<Rusqlite>>,
    work: impl FnOnce(&mut rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let conn = match raw.take() {
        Some(conn) => conn,
        None => database.raw().await?,
    };
    let (conn, done) = lent_to(conn, work).await;
    *raw = Some(conn);
    Ok(done?)
}

async fn from_sqlite(
    database: &Sqlite,
    raw: &mut Option<Leased<Rusqlite>>,
    target: &str,
    waiting: &str,
    mut filling: Filling,
) -> Result<Filling, Error> {
    let columns = Waiting::COLUMNS;
    let statement =
        format!("SELECT {columns} FROM millstream_outbox WHERE target = ?1 AND {waiting} ORDER BY seq LIMIT {ROWS}");
    let target = target.to_owned();
    let filled = on(database, raw, move |conn| {
        let mut statement = conn.prepare(&statement)?;
        let mut rows = statement.query([target])?;
        while filling.takes_more()
            && let Some(row) = rows.next()?
        {
            let (kind, body) = (row.get_ref(1)?.as_str()?, row.get_ref(3)?.as_str()?);
            let (options, time) = (row.get_ref(4)?.as_str_or_null()?, row.get_ref(5)?.as_str()?);
            match DateTime::parse_from_rfc3339(time).map(|time| time.to_utc()) {
                Ok(created_at) => {
                    filling.add(row.get(0)?, &RowRef { kind, id: row.get(2)?, body, options, created_at });
                }
                Err(_) => filling.has_bad = true,
            }
        }
        Ok(filling)
    });
    filled.await
}

/// Runs a statement about a target when it is this process's turn to write, as others that write queue for it. How many rows it
/// changed, and how long the file was locked.
async fn written(
    database: &Sqlite,
    raw: &mut Option<Leased<Rusqlite>>,
    statement: String,
    target: String,
) -> Result<(u64, Duration), Error> {
    let turn = database.write().await?;
    let written = on(database, raw, move |conn| {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let began = Instant::now();
        let changed = transaction.execute(&statement, [target])?;
        transaction.commit()?;
        drop(turn);
        Ok((changed as u64, began.elapsed()))
    });
    written.await
}
