//! A typed connection to whichever database it is.

use std::{future::Future, num::NonZeroU32, panic::Location, pin::Pin};

use diesel::{QueryResult, connection::AnsiTransactionManager as SyncManager};
use diesel_async::{AnsiTransactionManager, AsyncConnection, AsyncPgConnection, TransactionManager};

use super::Isolation;
use crate::{
    Error, Store,
    pool::Leased,
    postgres::TypedManager,
    sqlite::{Manager, SqliteAsync},
    store::Backend,
};

/// Diesel's connection to SQLite, as diesel-async wraps it.
pub type SqliteConn = SqliteAsync;

/// What a query gives, later; [`query!`](crate::query) makes it.
pub type QueryFuture<'c, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'c>>;

/// A typed connection on loan. [`query!`](crate::query) runs plain Diesel on it.
#[derive(Debug)]
pub struct Conn(Kind);

#[derive(Debug)]
enum Kind {
    Postgres(Box<Leased<TypedManager>>),
    Sqlite(Leased<Manager>),
}

/// The connection inside a [`Conn`].
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "Diesel's connections have none")]
pub enum AnyConn<'c> {
    Postgres(&'c mut AsyncPgConnection),
    Sqlite(&'c mut SqliteConn),
}

impl Conn {
    pub(super) async fn reading(store: &Store, place: &'static Location<'static>) -> Result<Self, Error> {
        Ok(Self(match store.backend() {
            Backend::Postgres(database) => Kind::Postgres(Box::new(database.typed().get_at(place).await?)),
            Backend::Sqlite(database) => Kind::Sqlite(database.readers().get_at(place).await?),
        }))
    }

    pub(super) async fn writing(store: &Store, place: &'static Location<'static>) -> Result<Self, Error> {
        Ok(Self(match store.backend() {
            Backend::Postgres(database) => Kind::Postgres(Box::new(database.typed().get_at(place).await?)),
            Backend::Sqlite(database) => Kind::Sqlite(database.writer().get_at(place).await?),
        }))
    }

    #[doc(hidden)]
    pub fn any(&mut self) -> AnyConn<'_> {
        match &mut self.0 {
            Kind::Postgres(conn) => AnyConn::Postgres(conn),
            Kind::Sqlite(conn) => AnyConn::Sqlite(conn),
        }
    }

    /// Opens a transaction. SQLite's begins with the lock for writing: one that reads first would fail with "locked".
    pub(crate) async fn open(&mut self, isolation: Isolation) -> QueryResult<()> {
        match self.any() {
            AnyConn::Postgres(conn) => AnsiTransactionManager::begin_transaction_sql(conn, isolation.begin()).await,
            AnyConn::Sqlite(conn) => {
                conn.spawn_blocking(|conn| SyncManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE")).await
            }
        }
    }

    pub(super) fn is_postgres(&self) -> bool {
        matches!(self.0, Kind::Postgres(_))
    }

    /// 0 outside of a transaction, 1 in it, more in savepoints; 0 too where the connection is lost.
    pub(crate) fn depth(&mut self) -> u32 {
        let depth = match self.any() {
            AnyConn::Postgres(conn) => depth(conn),
            AnyConn::Sqlite(conn) => depth(conn),
        };
        depth.ok().flatten().map_or(0, NonZeroU32::get)
    }

    /// Opens a savepoint inside the transaction.
    pub(super) async fn deepen(&mut self) -> QueryResult<()> {
        match self.any() {
            AnyConn::Postgres(conn) => begin(conn).await,
            AnyConn::Sqlite(conn) => begin(conn).await,
        }
    }

    /// Commits the transaction, or releases the innermost savepoint.
    pub(crate) async fn keep(&mut self) -> QueryResult<()> {
        match self.any() {
            AnyConn::Postgres(conn) => commit(conn).await,
            AnyConn::Sqlite(conn) => commit(conn).await,
        }
    }

    /// Rolls back the transaction, or to the innermost savepoint.
    pub(crate) async fn undo(&mut self) -> QueryResult<()> {
        match self.any() {
            AnyConn::Postgres(conn) => abandon(conn).await,
            AnyConn::Sqlite(conn) => abandon(conn).await,
        }
    }
}

fn depth<C: AsyncConnection>(conn: &mut C) -> QueryResult<Option<NonZeroU32>> {
    C::TransactionManager::transaction_manager_status_mut(conn).transaction_depth()
}

#[doc(hidden)]
pub async fn begin<C: AsyncConnection>(conn: &mut C) -> QueryResult<()> {
    C::TransactionManager::begin_transaction(conn).await
}

#[doc(hidden)]
pub async fn commit<C: AsyncConnection>(conn: &mut C) -> QueryResult<()> {
    C::TransactionManager::commit_transaction(conn).await
}

#[doc(hidden)]
pub async fn abandon<C: AsyncConnection>(conn: &mut C) -> QueryResult<()> {
    C::TransactionManager::rollback_transaction(conn).await
}

/// The closure as it is; so it has the right lifetimes wherever it stands.
#[doc(hidden)]
pub fn work<T, F>(work: F) -> F
where
    F: for<'c> FnOnce(&'c mut Conn) -> QueryFuture<'c, T>,
{
    work
}

/// Plain Diesel for both databases: the body is compiled once for each, with `conn` its diesel-async connection and `Db` its
/// backend, for `into_boxed::<Db>()`. Its value is a `QueryResult` or a `Result<_, Error>`; `?` works inside.
///
/// ```ignore
/// let names: Vec<String> = store
///     .read(query!(|conn: Db| contacts::table.select(contacts::name).filter(contacts::age.gt(40)).load(conn).await))
///     .await?;
/// ```
#[macro_export]
macro_rules! query {
    (|$conn:ident: $db:ident| $body:expr) => {
        $crate::data::work(move |connection: &mut $crate::Conn| $crate::on_conn!(connection, |$conn: $db| $body))
    };
}

/// The body of [`query!`](crate::query) for a [`Conn`] that is there.
#[doc(hidden)]
#[macro_export]
macro_rules! on_conn {
    ($connection:expr, |$conn:ident: $db:ident| $body:expr) => {
        match $connection.any() {
            $crate::data::AnyConn::Postgres($conn) => {
                #[allow(dead_code, reason = "not every body names its backend")]
                type $db = $crate::diesel::pg::Pg;
                let answer: $crate::QueryFuture<'_, _> = Box::pin(async move { Ok($body?) });
                answer
            }
            $crate::data::AnyConn::Sqlite($conn) => {
                #[allow(dead_code, reason = "not every body names its backend")]
                type $db = $crate::diesel::sqlite::Sqlite;
                let answer: $crate::QueryFuture<'_, _> = Box::pin(async move { Ok($body?) });
                answer
            }
        }
    };
}
