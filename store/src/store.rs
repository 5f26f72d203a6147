//! The handle to one database.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use diesel::{QueryableByName, result::DatabaseErrorKind, sql_query, sql_types::Text};
use diesel_async::RunQueryDsl;

use crate::{
    Error, History, Lease, Metrics, PoolHealth, StoreBuilder, StoreConfig,
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
    /// Longest wait for a connection.
    patience: Duration,
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
        StoreBuilder::new(StoreConfig::new(url))
    }

    /// Connects with settings that were read from a file or the environment.
    ///
    /// # Errors
    /// [`Error::Config`] for a value out of its bounds, and those of [`Store::connect`].
    pub async fn open(config: &StoreConfig) -> Result<Self, Error> {
        config.validate()?;
        let name: Arc<str> = config.name().into();
        let backend = match url::parse(config)? {
            Target::Postgres(postgres, tls) => Backend::Postgres(Postgres::open(&postgres, &tls, config, &name).await?),
            Target::Sqlite(path) => Backend::Sqlite(Sqlite::open(&path, config, &name).await?),
        };
        let patience = config.checkout_timeout;
        Ok(Self { shared: Arc::new(Shared { backend, name, patience }) })
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

    /// Asks for a connection of each pool and for an answer on it, at once and in bounded time: never longer than the time
    /// for a check-out and 1 s more.
    pub async fn check_pools(&self) -> Vec<PoolHealth> {
        let patience = self.shared.patience + Duration::from_secs(1);
        match self.backend() {
            Backend::Postgres(database) => database.check(patience).await,
            Backend::Sqlite(database) => database.check(patience).await,
        }
    }

    /// What the pools did and do: numbers, or Prometheus' text by [`Metrics::to_prometheus`].
    pub fn metrics(&self) -> Metrics {
        let pools = match self.backend() {
            Backend::Postgres(database) => database.metrics(),
            Backend::Sqlite(database) => database.metrics(),
        };
        Metrics { database: self.name().to_owned(), pools }
    }

    /// Who holds connections now, since when, and where they were taken.
    pub fn leases(&self) -> Vec<Lease> {
        match self.backend() {
            Backend::Postgres(database) => database.leases(),
            Backend::Sqlite(database) => database.leases(),
        }
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.shared.backend
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.backend(), Backend::Postgres(_))
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
