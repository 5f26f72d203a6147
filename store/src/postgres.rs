//! The pools of a Postgres database: typed connections for Diesel, raw ones for COPY.

use std::{fmt, sync::Arc};

use bb8::PooledConnection;
use bb8_postgres::PostgresConnectionManager;
use diesel::ConnectionError;
use diesel_async::{
    AsyncPgConnection,
    pooled_connection::{AsyncDieselConnectionManager, ManagerConfig},
};
use futures::FutureExt;
use tokio_postgres::{Config, NoTls};

use crate::{Error, error::chain, pool::Connections};

type TypedManager = AsyncDieselConnectionManager<AsyncPgConnection>;
type RawManager = PostgresConnectionManager<NoTls>;

/// A Postgres database. Two pools, since a connection that Diesel took over never gives its raw client back.
#[derive(Clone)]
pub(crate) struct Postgres {
    typed: Connections<TypedManager>,
    raw: Connections<RawManager>,
}

impl Postgres {
    pub(crate) async fn open(config: &Config, size: u32, name: &Arc<str>) -> Result<Self, Error> {
        let raw = PostgresConnectionManager::new(config.clone(), NoTls);
        // The recorder and migrations are the only users of raw connections.
        let raw = Connections::open(raw, size.clamp(1, 4), name).await?;
        let typed = TypedManager::new_with_config("", typed_config(config.clone()));
        Ok(Self { typed: Connections::open(typed, size, name).await?, raw })
    }

    /// A connection for typed reads.
    pub(crate) async fn read(&self) -> Result<PooledConnection<'static, TypedManager>, Error> {
        self.typed.get().await
    }

    /// A connection for typed writes: on Postgres the same.
    pub(crate) async fn write(&self) -> Result<PooledConnection<'static, TypedManager>, Error> {
        self.typed.get().await
    }

    /// A pooled raw client.
    pub(crate) async fn raw(&self) -> Result<PooledConnection<'static, RawManager>, Error> {
        self.raw.get().await
    }

    /// A raw client apart from the pool, whose session (and session locks) end when it is dropped.
    pub(crate) async fn session(&self) -> Result<tokio_postgres::Client, Error> {
        self.raw.dedicated().await
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Postgres")
    }
}

/// Connects from the parsed settings, so that both pools agree on time-outs and refusals.
fn typed_config(config: Config) -> ManagerConfig<AsyncPgConnection> {
    let mut typed = ManagerConfig::default();
    typed.custom_setup = Box::new(move |_| {
        let config = config.clone();
        async move {
            let bad = |error: tokio_postgres::Error| ConnectionError::BadConnection(chain(&error));
            let (client, connection) = config.connect(NoTls).await.map_err(bad)?;
            AsyncPgConnection::try_from_client_and_connection(client, connection).await
        }
        .boxed()
    });
    typed
}
