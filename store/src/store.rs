//! The handle to one database.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use diesel::{QueryableByName, result::DatabaseErrorKind, sql_query, sql_types::Text};
use diesel_async::RunQueryDsl;

use crate::{
    Error, History,
    postgres::Postgres,
    sqlite::Sqlite,
    url::{self, Target},
};

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A handle to a database, cheap to clone and shared by all tasks of a process. Reconnects by itself.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    backend: Backend,
    name: Arc<str>,
}

/// The database behind a store.
#[derive(Debug)]
pub(crate) enum Backend {
    Postgres(Postgres),
    Sqlite(Sqlite),
}

impl Store {
    /// Connects to `postgres://user:password@host/database`, or to the SQLite file `sqlite:///absolute/path.db` or
    /// `sqlite://relative.db`, which is created where it is missing. Applies no migrations: [`Store::migrate`] does.
    ///
    /// # Errors
    /// [`Error::Url`], or [`Error::Unreachable`] with the cause within 3 seconds.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::builder(url).await
    }

    /// Settings first, then `.await` connects.
    pub fn builder(url: &str) -> StoreBuilder {
        StoreBuilder { url: url.to_owned(), pool_size: 8, create_missing: true }
    }

    /// The URL without its password.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The history of jobs: filters first, then `.await` for a page.
    pub fn history(&self) -> History {
        History::new(self.clone())
    }

    /// Asks the database how it is.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Query`].
    pub async fn health(&self) -> Result<Health, Error> {
        let started = Instant::now();
        let facts: Facts = match self.backend() {
            Backend::Postgres(_) => {
                const ASK: &str = "SELECT 'Postgres ' || current_setting('server_version') AS version, \
                                   'fsync ' || current_setting('fsync') || ', synchronous_commit ' || \
                                   current_setting('synchronous_commit') AS durability";
                with_conn!(self, read conn: Db => sql_query(ASK).get_result(conn).await)?
            }
            Backend::Sqlite(_) => {
                const ASK: &str = "SELECT 'SQLite ' || sqlite_version() AS version, \
                                   'journal_mode ' || journal_mode AS durability FROM pragma_journal_mode";
                with_conn!(self, read conn: Db => sql_query(ASK).get_result(conn).await)?
            }
        };
        Ok(Health { version: facts.version, durability: facts.durability, latency: started.elapsed() })
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.shared.backend
    }

    /// Turns a failed statement into [`Error::NotMigrated`] where that is its cause. Asks the database instead of
    /// reading the message, which comes in the server's language.
    pub(crate) async fn explain(&self, error: Error) -> Error {
        let unclear = matches!(
            error,
            Error::Query(diesel::result::Error::DatabaseError(DatabaseErrorKind::Unknown, _)) | Error::Postgres(_)
        );
        if unclear && let Ok(migrations) = Box::pin(self.migrations()).await {
            let pending = migrations.iter().filter(|migration| migration.applied_at.is_none()).count();
            if pending > 0 {
                return Error::NotMigrated { pending };
            }
        }
        error
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Store").field(&self.name()).finish()
    }
}

/// How a database is; see [`Store::health`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// Product and version, such as `Postgres 15.5` or `SQLite 3.53.2`.
    pub version: String,
    /// The settings that decide what a crash can take: `fsync` and `synchronous_commit` of Postgres, the journal mode
    /// of SQLite.
    pub durability: String,
    /// From asking for a connection to the answer.
    pub latency: Duration,
}

#[derive(QueryableByName)]
struct Facts {
    #[diesel(sql_type = Text)]
    version: String,
    #[diesel(sql_type = Text)]
    durability: String,
}

/// Settings of a [`Store`]; `.await` connects.
#[derive(Clone)]
#[must_use = "nothing connects until awaited"]
pub struct StoreBuilder {
    url: String,
    pool_size: u32,
    create_missing: bool,
}

impl StoreBuilder {
    /// Most connections for typed queries: to Postgres, or readers of a SQLite file (which has one writer beside them).
    /// Default: 8, at least 1.
    pub fn pool_size(mut self, connections: u32) -> Self {
        self.pool_size = connections.max(1);
        self
    }

    /// Whether a SQLite file that isn't there is made, or refused. Default: made.
    pub fn create_missing(mut self, create: bool) -> Self {
        self.create_missing = create;
        self
    }

    async fn connect(self) -> Result<Store, Error> {
        let name: Arc<str> = url::redact(&self.url).into();
        let backend = match url::parse(&self.url)? {
            Target::Postgres(config) => Backend::Postgres(Postgres::open(&config, self.pool_size, &name).await?),
            Target::Sqlite(path) if !self.create_missing && !path.is_file() => {
                let reason = "there is no such file; `millstream migrate` makes it".to_owned();
                return Err(Error::Unreachable { database: name.to_string(), reason });
            }
            Target::Sqlite(path) => Backend::Sqlite(Sqlite::open(&path, self.pool_size, &name).await?),
        };
        Ok(Store { shared: Arc::new(Shared { backend, name }) })
    }
}

impl IntoFuture for StoreBuilder {
    type Output = Result<Store, Error>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.connect())
    }
}

impl fmt::Debug for StoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreBuilder")
            .field("url", &url::redact(&self.url))
            .field("pool_size", &self.pool_size)
            .finish()
    }
}
