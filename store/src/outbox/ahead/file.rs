//! A relay's connection to a SQLite file.

use std::time::{Duration, Instant};

use chrono::DateTime;
use rusqlite::TransactionBehavior;

use super::{Filling, ROWS, RowRef, Waiting};
use crate::{
    Error,
    pool::Leased,
    raw::{Rusqlite, lent_to},
    sqlite::Sqlite,
};

pub(super) struct OnFile {
    database: Sqlite,
    /// Taken from its pool when it is needed first.
    raw: Option<Leased<Rusqlite>>,
}

impl OnFile {
    pub(super) fn new(database: Sqlite) -> Self {
        Self { database, raw: None }
    }

    pub(super) async fn fill(&mut self, target: &str, waiting: &str, mut filling: Filling) -> Result<Filling, Error> {
        let columns = Waiting::COLUMNS;
        let statement = format!(
            "SELECT {columns} FROM millstream_outbox WHERE target = ?1 AND {waiting} ORDER BY seq LIMIT {ROWS}"
        );
        let target = target.to_owned();
        let filled = self.run(move |conn| {
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

    /// Runs a statement about a target when it is this process's turn to write, as others that write queue for it. How many rows
    /// it changed, and for how long the file was locked.
    pub(super) async fn write(&mut self, statement: String, target: &str) -> Result<(u64, Duration), Error> {
        let (turn, target) = (self.database.write().await?, target.to_owned());
        let written = self.run(move |conn| {
            let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let began = Instant::now();
            let changed = transaction.execute(&statement, [target])?;
            transaction.commit()?;
            drop(turn);
            Ok((changed as u64, began.elapsed()))
        });
        let (changed, locked) = written.await?;
        self.database.checkpoint_after(changed);
        Ok((changed, locked))
    }

    /// Runs `work` on the connection, which is then there for the next.
    async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let conn = match self.raw.take() {
            Some(conn) => conn,
            None => self.database.raw().await?,
        };
        let (conn, done) = lent_to(conn, work).await;
        self.raw = Some(conn);
        Ok(done?)
    }
}
