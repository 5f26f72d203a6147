//! The connection on which a relay reads ahead, deletes and notes. One for all: SQLite still has the pages in its cache, and a second
//! process of Postgres would take the processor from Redis.

use std::time::Duration;

use futures::{TryStreamExt, pin_mut};
use tokio_postgres::types::Type;

use super::{Filling, ROWS, RowRef, Waiting, file::OnFile};
use crate::{Error, RawPostgres, Store, store::Backend};

pub(super) enum Conn {
    Postgres(Store, Option<RawPostgres>),
    Sqlite(OnFile),
}

impl Conn {
    pub(super) fn new(store: &Store) -> Self {
        match store.backend() {
            Backend::Postgres(_) => Self::Postgres(store.clone(), None),
            Backend::Sqlite(database) => Self::Sqlite(OnFile::new(database.clone())),
        }
    }

    /// Runs a statement about a target; returns how many rows it changed.
    pub(super) async fn execute(&mut self, target: &str, statement: String) -> Result<u64, Error> {
        match self {
            Self::Postgres(store, conn) => {
                Ok(postgres(store, conn).await?.execute_typed(&statement, &[(&target, Type::TEXT)]).await?)
            }
            Self::Sqlite(file) => Ok(file.write(statement, target).await?.0),
        }
    }

    /// Fills a batch with the rows of a target for which `waiting` holds, and runs `delete`. For how long the database was locked.
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
                    if let Some(delete) = delete {
                        conn.execute_typed(&delete, &[(&target, Type::TEXT)]).await?;
                    }
                    Ok(())
                };
                let (filling, ()) = tokio::try_join!(from_postgres(conn, target, waiting, filling), deleted)?;
                Ok((filling, Duration::ZERO))
            }
            Self::Sqlite(file) => {
                let filling = file.fill(target, waiting, filling).await?;
                let deleting = match delete {
                    Some(delete) => file.write(delete, target).await?.1,
                    None => Duration::ZERO,
                };
                Ok((filling, deleting))
            }
        }
    }
}

/// Taken from its pool when it is needed first.
async fn postgres<'c>(store: &Store, conn: &'c mut Option<RawPostgres>) -> Result<&'c RawPostgres, Error> {
    if conn.is_none() {
        *conn = Some(store.raw_postgres().await?);
    }
    Ok(conn.as_ref().expect("it was just put there"))
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
