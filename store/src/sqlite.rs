//! The pools of a SQLite file: one writer, several readers.

use std::{
    fmt,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use bb8::PooledConnection;
use diesel::{
    Connection, ConnectionError, ConnectionResult, QueryableByName, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection, sql_query, sql_types::Text,
};
use diesel_async::{
    pooled_connection::{AsyncDieselConnectionManager, ManagerConfig},
    sync_connection_wrapper::SyncConnectionWrapper,
};
use futures::FutureExt;

use crate::{Error, pool::Connections};

/// A connection whose statements run on tokio's blocking threads.
///
/// A future on it must never be dropped half-way: its statement goes on, and the wrapper panics when the pool takes it
/// back meanwhile. [`with_conn!`] therefore runs everything in a task of its own.
pub(crate) type SqliteAsync = SyncConnectionWrapper<SqliteConnection>;
type Manager = AsyncDieselConnectionManager<SqliteAsync>;

/// Waits up to 5 s for another process's write. WAL lets readers go on while one process writes; with it NORMAL loses at
/// most the last transactions of a power cut and never the file.
const SETTINGS: &str = "PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL;";

/// A SQLite file. SQLite has one writer at a time, so the pool for writing has one connection and callers queue there
/// instead of in the file's lock.
#[derive(Clone)]
pub(crate) struct Sqlite {
    writer: Connections<Manager>,
    readers: Connections<Manager>,
    path: Arc<Path>,
}

impl Sqlite {
    pub(crate) async fn open(path: &Path, size: u32, name: &Arc<str>) -> Result<Self, Error> {
        if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
            return Err(Error::Unreachable {
                database: name.to_string(),
                reason: format!("the folder {} does not exist; create it first", folder.display()),
            });
        }
        let writer = Connections::open(manager(path, open_writer), 1, name).await?;
        let readers = Connections::open(manager(path, open_reader), size, name).await?;
        Ok(Self { writer, readers, path: path.into() })
    }

    /// A connection that can't write.
    pub(crate) async fn read(&self) -> Result<PooledConnection<'static, Manager>, Error> {
        self.readers.get().await
    }

    /// The connection that writes, in `BEGIN IMMEDIATE` transactions: a deferred one that reads first and then writes
    /// fails with "locked" whatever the busy time-out is.
    pub(crate) async fn write(&self) -> Result<PooledConnection<'static, Manager>, Error> {
        self.writer.get().await
    }

    /// The file whose lock serialises migrations among processes.
    pub(crate) fn lock_file(&self) -> PathBuf {
        lock_file(&self.path)
    }
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sqlite").field(&self.path).finish()
    }
}

fn lock_file(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn manager(path: &Path, open: fn(&Path) -> ConnectionResult<SqliteConnection>) -> Manager {
    let path: Arc<Path> = path.into();
    let mut config = ManagerConfig::default();
    config.custom_setup = Box::new(move |_| {
        let path = path.clone();
        async move {
            let opened = tokio::task::spawn_blocking(move || open(&path)).await;
            let opened = opened.map_err(|error| ConnectionError::BadConnection(error.to_string()))?;
            opened.map(SqliteAsync::new)
        }
        .boxed()
    });
    Manager::new_with_config("", config)
}

fn open_writer(path: &Path) -> ConnectionResult<SqliteConnection> {
    let mut conn = open(path)?;
    let journal: Journal = sql_query("PRAGMA journal_mode").get_result(&mut conn).map_err(bad)?;
    if journal.journal_mode == "wal" {
        return Ok(conn);
    }
    // Changing the journal mode does not wait for the busy time-out, so processes that start at once take turns.
    let turn = File::create(lock_file(path)).and_then(|file| file.lock().map(|()| file)).map_err(bad)?;
    conn.batch_execute("PRAGMA journal_mode = WAL;").map_err(bad)?;
    drop(turn);
    Ok(conn)
}

#[derive(QueryableByName)]
struct Journal {
    #[diesel(sql_type = Text)]
    journal_mode: String,
}

fn open_reader(path: &Path) -> ConnectionResult<SqliteConnection> {
    let mut conn = open(path)?;
    conn.batch_execute("PRAGMA query_only = ON;").map_err(bad)?;
    Ok(conn)
}

fn open(path: &Path) -> ConnectionResult<SqliteConnection> {
    let path = path.to_str().ok_or_else(|| bad("the path is not UTF-8"))?;
    let mut conn = SqliteConnection::establish(path)?;
    conn.batch_execute(SETTINGS).map_err(bad)?;
    Ok(conn)
}

fn bad(error: impl ToString) -> ConnectionError {
    ConnectionError::BadConnection(error.to_string())
}
