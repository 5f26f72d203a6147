//! What all pools share: limits, and the cause of a connection that failed.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bb8::{ErrorSink, ManageConnection, Pool, PooledConnection, RunError};

use crate::{Error, error::chain};

/// How long a caller waits for a connection.
const PATIENCE: Duration = Duration::from_secs(2);

/// A bb8 pool that says why it has no connection: by itself bb8 only says that it took too long.
pub(crate) struct Connections<M: ManageConnection> {
    pool: Pool<M>,
    database: Arc<str>,
    last_error: LastError,
}

impl<M> Connections<M>
where
    M: ManageConnection,
    M::Error: std::error::Error + 'static,
{
    /// A pool of at most `size` connections to `database`, which names it in errors. Connects once, so that a wrong
    /// URL is told now.
    pub(crate) async fn open(manager: M, size: u32, database: &Arc<str>) -> Result<Self, Error> {
        let last_error = LastError::default();
        let pool = Pool::builder()
            .max_size(size)
            .connection_timeout(PATIENCE)
            .retry_connection(false)
            .queue_strategy(bb8::QueueStrategy::Lifo)
            .error_sink(Box::new(last_error.clone()))
            .build_unchecked(manager);
        let connections = Self { pool, database: database.clone(), last_error };
        let first = connections.dedicated().await?;
        // No room means that the pool has connected by itself meanwhile.
        drop(connections.pool.add(first));
        Ok(connections)
    }

    /// A pooled connection that a task can own.
    pub(crate) async fn get(&self) -> Result<PooledConnection<'static, M>, Error> {
        self.pool.get_owned().await.map_err(|error| match error {
            RunError::User(error) => self.unreachable(chain(&error)),
            RunError::TimedOut => {
                let cause = self.last_error.take();
                self.unreachable(cause.unwrap_or_else(|| "all connections of the pool stayed busy for 2 s".into()))
            }
        })
    }

    /// A connection apart from the pool, closed when dropped.
    pub(crate) async fn dedicated(&self) -> Result<M::Connection, Error> {
        match tokio::time::timeout(PATIENCE, self.pool.dedicated_connection()).await {
            Ok(connected) => connected.map_err(|error| self.unreachable(chain(&error))),
            Err(_) => Err(self.unreachable("no answer within 2 s".into())),
        }
    }

    fn unreachable(&self, reason: String) -> Error {
        Error::Unreachable { database: self.database.to_string(), reason }
    }
}

impl<M: ManageConnection> Clone for Connections<M> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), database: self.database.clone(), last_error: self.last_error.clone() }
    }
}

/// Remembers why the pool could not connect.
#[derive(Clone, Debug, Default)]
struct LastError(Arc<Mutex<Option<String>>>);

impl LastError {
    fn take(&self) -> Option<String> {
        self.0.lock().ok().and_then(|mut error| error.take())
    }
}

impl<E: std::error::Error + 'static> ErrorSink<E> for LastError {
    fn sink(&self, error: E) {
        if let Ok(mut last) = self.0.lock() {
            *last = Some(chain(&error));
        }
    }

    fn boxed_clone(&self) -> Box<dyn ErrorSink<E>> {
        Box::new(self.clone())
    }
}
