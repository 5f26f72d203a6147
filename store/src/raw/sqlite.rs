//! Pooled connections of rusqlite, to the file that Diesel's pools have open too.

use std::{path::Path, sync::Arc, time::Duration};

use bb8::ManageConnection;
use rusqlite::{Connection, Result};

use crate::{
    conn::joined,
    pool::Leased,
    sqlite::{CACHE, SETTINGS},
};

/// Opens connections of rusqlite.
#[derive(Debug)]
pub(crate) struct Rusqlite {
    path: Arc<Path>,
    patience: Duration,
}

impl Rusqlite {
    pub(crate) fn new(path: &Path, patience: Duration) -> Self {
        Self { path: path.into(), patience }
    }
}

impl ManageConnection for Rusqlite {
    type Connection = Connection;
    type Error = rusqlite::Error;

    async fn connect(&self) -> Result<Connection> {
        let (path, patience) = (self.path.clone(), self.patience);
        joined(tokio::task::spawn_blocking(move || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(patience)?;
            connection.execute_batch(SETTINGS)?;
            connection.execute_batch(CACHE)?;
            Ok(connection)
        }))
        .await
    }

    /// No wire that could have been cut lies between.
    async fn is_valid(&self, _: &mut Connection) -> Result<()> {
        Ok(())
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        !connection.is_autocommit()
    }
}

/// Runs `work` to its end on a blocking thread, then leaves any transaction and returns the connection.
pub(crate) async fn on_blocking<T: Send + 'static>(
    connection: Leased<Rusqlite>,
    work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
) -> Result<T> {
    lent_to(connection, work).await.1
}

/// The same, and gives the connection back for more work.
pub(crate) async fn lent_to<T: Send + 'static>(
    mut connection: Leased<Rusqlite>,
    work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
) -> (Leased<Rusqlite>, Result<T>) {
    joined(tokio::task::spawn_blocking(move || {
        let done = work(&mut connection);
        if !connection.is_autocommit() {
            // Where it fails the pool closes the connection, which ends the transaction too.
            let _ = connection.execute_batch("ROLLBACK");
        }
        (connection, done)
    }))
    .await
}
