//! The pools of a SQLite file: one writer, several readers.

use std::{
    fmt,
    fs::File,
    future::Future,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use diesel::{
    Connection, ConnectionError, ConnectionResult, QueryableByName, RunQueryDsl, SqliteConnection,
    connection::SimpleConnection, sql_query, sql_types::Text,
};
use diesel_async::{
    pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod},
    sync_connection_wrapper::SyncConnectionWrapper,
};
use futures::FutureExt;
use tracing::debug;

use crate::{
    Error, Lease, PoolHealth, PoolMetrics, StoreConfig,
    pool::{Connections, Leased},
    raw::Rusqlite,
};

/// A connection whose statements run on tokio's blocking threads.
///
/// A future on it must never be dropped half-way: its statement goes on, and the wrapper panics when the pool takes it
/// back meanwhile. [`with_conn!`] therefore runs everything in a task of its own.
pub(crate) type SqliteAsync = SyncConnectionWrapper<SqliteConnection>;
pub(crate) type Manager = AsyncDieselConnectionManager<SqliteAsync>;

/// WAL lets readers go on while one process writes; with it NORMAL loses at most the last transactions of a power cut and
/// never the file.
pub(crate) const SETTINGS: &str = "PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL;";
/// For connections that write. A batch of the recorder changes more pages than SQLite keeps by itself, 2 MB of them: the others
/// would go through the file again and again before the transaction ends. Half as many may gather in the WAL before a commit takes
/// them to the file: those that change often go there once.
pub(crate) const CACHE: &str = "PRAGMA cache_size = -32768; PRAGMA wal_autocheckpoint = 4000;";

/// After so many rows were written in bulk what they changed goes from the WAL to the file.
const CHECKPOINT: u64 = 16_384;

/// A SQLite file. SQLite has one writer at a time, so the pool for writing has one connection and callers queue there
/// instead of in the file's lock.
#[derive(Clone)]
pub(crate) struct Sqlite {
    writer: Connections<Manager>,
    readers: Connections<Manager>,
    raw: Connections<Rusqlite>,
    path: Arc<Path>,
    bulk: Arc<Bulk>,
}

/// What was written in bulk.
#[derive(Default)]
struct Bulk {
    /// Rows since the last checkpoint began.
    rows: AtomicU64,
    has_checkpoint: AtomicBool,
}

impl Sqlite {
    pub(crate) async fn open(path: &Path, config: &StoreConfig, name: &Arc<str>) -> Result<Self, Error> {
        let refuse = |reason: String| Error::Unreachable { database: name.to_string(), reason };
        if !config.create_missing && !path.is_file() {
            return Err(refuse("there is no such file; `millstream migrate` makes it".to_owned()));
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
            return Err(refuse(format!("the folder {} does not exist; create it first", folder.display())));
        }
        let patience = config.busy_timeout;
        let writer = Connections::new(manager(path, patience, open_writer), "writer", 1, config, name);
        writer.probe().await?;
        let readers = Connections::new(manager(path, patience, open_reader), "readers", config.pool_size, config, name);
        let raw = Connections::new(Rusqlite::new(path, patience), "raw", config.raw_pool_size, config, name);
        Ok(Self { writer, readers, raw, path: path.into(), bulk: Arc::default() })
    }

    pub(crate) fn readers(&self) -> &Connections<Manager> {
        &self.readers
    }

    pub(crate) fn writer(&self) -> &Connections<Manager> {
        &self.writer
    }

    /// A connection that can't write.
    #[track_caller]
    pub(crate) fn read(&self) -> impl Future<Output = Result<Leased<Manager>, Error>> + Send + use<'_> {
        self.readers.get()
    }

    /// The connection that writes, in `BEGIN IMMEDIATE` transactions: a deferred one that reads first and then writes
    /// fails with "locked" whatever the busy time-out is.
    #[track_caller]
    pub(crate) fn write(&self) -> impl Future<Output = Result<Leased<Manager>, Error>> + Send + use<'_> {
        self.writer.get()
    }

    /// A connection of `rusqlite`, which can write; between processes and pools the file's lock decides.
    #[track_caller]
    pub(crate) fn raw(&self) -> impl Future<Output = Result<Leased<Rusqlite>, Error>> + Send + use<'_> {
        self.raw.get()
    }

    /// Counts rows that were written in bulk. Now and then a checkpoint runs beside everything else, since it waits for the disk; the
    /// one in whose commit the WAL is full then has little left to do.
    pub(crate) fn checkpoint_after(&self, rows: u64) {
        let written = self.bulk.rows.fetch_add(rows, Ordering::Relaxed) + rows;
        if written < CHECKPOINT || self.bulk.has_checkpoint.swap(true, Ordering::AcqRel) {
            return;
        }
        self.bulk.rows.store(0, Ordering::Relaxed);
        let database = self.clone();
        tokio::spawn(async move {
            // Whatever keeps this one from its work, the next one does it.
            if let Err(error) = database.checkpoint().await {
                debug!(%error, "no checkpoint of the WAL");
            }
            database.bulk.has_checkpoint.store(false, Ordering::Release);
        });
    }

    async fn checkpoint(&self) -> Result<(), Error> {
        // One that can't write can do this all the same.
        let mut conn = self.read().await?;
        Ok(conn.spawn_blocking(|conn| conn.batch_execute("PRAGMA wal_checkpoint(PASSIVE)")).await?)
    }

    pub(crate) fn metrics(&self) -> Vec<PoolMetrics> {
        vec![self.writer.metrics(), self.readers.metrics(), self.raw.metrics()]
    }

    pub(crate) fn leases(&self) -> Vec<Lease> {
        [self.writer.leases(), self.readers.leases(), self.raw.leases()].concat()
    }

    /// Each look reads the file's schema, which a file that is gone or damaged does not survive.
    pub(crate) async fn check(&self, patience: Duration) -> Vec<PoolHealth> {
        const LOOK: &str = "SELECT count(*) FROM sqlite_schema";
        let typed = async |connections: &Connections<Manager>| {
            let mut connection = connections.get().await?;
            // In a task of its own, so that a time-out leaves no connection inside the statement.
            let look = tokio::spawn(async move { connection.spawn_blocking(|conn| conn.batch_execute(LOOK)).await });
            Ok(crate::conn::joined(look).await?)
        };
        let raw = async { Ok(crate::raw::on_blocking(self.raw.get().await?, |conn| conn.execute_batch(LOOK)).await?) };
        let (writer, readers, raw) = tokio::join!(
            PoolHealth::of("writer", patience, typed(&self.writer)),
            PoolHealth::of("readers", patience, typed(&self.readers)),
            PoolHealth::of("raw", patience, raw),
        );
        vec![writer, readers, raw]
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

type Open = fn(&Path, Duration) -> ConnectionResult<SqliteConnection>;

fn manager(path: &Path, patience: Duration, open: Open) -> Manager {
    let path: Arc<Path> = path.into();
    let mut config = ManagerConfig::default();
    // No wire that could have been cut lies between.
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |_| {
        let path = path.clone();
        async move {
            let opened = tokio::task::spawn_blocking(move || open(&path, patience)).await;
            let opened = opened.map_err(|error| ConnectionError::BadConnection(error.to_string()))?;
            opened.map(SqliteAsync::new)
        }
        .boxed()
    });
    Manager::new_with_config("", config)
}

fn open_writer(path: &Path, patience: Duration) -> ConnectionResult<SqliteConnection> {
    let mut conn = open(path, patience)?;
    conn.batch_execute(CACHE).map_err(bad)?;
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

fn open_reader(path: &Path, patience: Duration) -> ConnectionResult<SqliteConnection> {
    let mut conn = open(path, patience)?;
    conn.batch_execute("PRAGMA query_only = ON;").map_err(bad)?;
    Ok(conn)
}

fn open(path: &Path, patience: Duration) -> ConnectionResult<SqliteConnection> {
    let path = path.to_str().ok_or_else(|| bad("the path is not UTF-8"))?;
    let mut conn = SqliteConnection::establish(path)?;
    let settings = format!("PRAGMA busy_timeout = {}; {SETTINGS}", patience.as_millis());
    conn.batch_execute(&settings).map_err(bad)?;
    Ok(conn)
}

fn bad(error: impl ToString) -> ConnectionError {
    ConnectionError::BadConnection(error.to_string())
}
