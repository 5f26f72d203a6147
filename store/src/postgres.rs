//! The pools of a Postgres database: typed connections for Diesel, raw ones for COPY.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use bb8_postgres::PostgresConnectionManager;
use diesel::{ConnectionError, sql_query};
use diesel_async::{
    AsyncPgConnection, RunQueryDsl,
    pooled_connection::{AsyncDieselConnectionManager, ManagerConfig},
};
use futures::FutureExt;
use tokio_postgres::{Config, Socket, tls::MakeTlsConnect};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    Error, Lease, PoolHealth, PoolMetrics, StoreConfig,
    error::chain,
    pool::{Connections, Leased},
    record::Weeks,
    tls::Tls,
};

pub(crate) type TypedManager = AsyncDieselConnectionManager<AsyncPgConnection>;
pub(crate) type RawManager = PostgresConnectionManager<MakeRustlsConnect>;

type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
pub(crate) type WireConnection = tokio_postgres::Connection<Socket, Stream>;

/// A Postgres database. Two pools, since a connection that Diesel took over never gives its raw client back.
#[derive(Clone)]
pub(crate) struct Postgres {
    typed: Connections<TypedManager>,
    raw: Connections<RawManager>,
    wire: Arc<(Config, MakeRustlsConnect)>,
    weeks: Weeks,
}

impl Postgres {
    pub(crate) async fn open(
        postgres: &Config,
        tls: &Tls,
        config: &StoreConfig,
        name: &Arc<str>,
    ) -> Result<Self, Error> {
        let connector = tls.connector().map_err(|reason| Error::Url { url: name.to_string(), reason })?;
        let wire = Arc::new((postgres.clone(), connector.clone()));
        let raw = PostgresConnectionManager::new(postgres.clone(), connector.clone());
        let raw = Connections::new(raw, "raw", config.raw_pool_size, config, name);
        let typed = TypedManager::new_with_config("", typed_config(postgres.clone(), connector));
        let typed = Connections::new(typed, "typed", config.pool_size, config, name);
        // Raw connections are made when they are needed.
        typed.probe().await?;
        Ok(Self { typed, raw, wire, weeks: Weeks::default() })
    }

    pub(crate) fn typed(&self) -> &Connections<TypedManager> {
        &self.typed
    }

    /// The partitions of the history.
    pub(crate) fn weeks(&self) -> &Weeks {
        &self.weeks
    }

    /// A connection for typed reads.
    #[track_caller]
    pub(crate) fn read(&self) -> impl Future<Output = Result<Leased<TypedManager>, Error>> + Send + use<'_> {
        self.typed.get()
    }

    /// A connection for typed writes: on Postgres the same.
    #[track_caller]
    pub(crate) fn write(&self) -> impl Future<Output = Result<Leased<TypedManager>, Error>> + Send + use<'_> {
        self.typed.get()
    }

    /// A pooled raw client.
    #[track_caller]
    pub(crate) fn raw(&self) -> impl Future<Output = Result<Leased<RawManager>, Error>> + Send + use<'_> {
        self.raw.get()
    }

    /// A raw client apart from the pool, whose session (and session locks) end when it is dropped.
    pub(crate) async fn session(&self) -> Result<tokio_postgres::Client, Error> {
        self.raw.dedicated().await
    }

    /// A connection apart from the pools whose messages the caller reads, for LISTEN.
    pub(crate) async fn connect(&self) -> Result<(tokio_postgres::Client, WireConnection), tokio_postgres::Error> {
        let (config, connector) = &*self.wire;
        config.connect(connector.clone()).await
    }

    pub(crate) fn metrics(&self) -> Vec<PoolMetrics> {
        vec![self.typed.metrics(), self.raw.metrics()]
    }

    pub(crate) fn leases(&self) -> Vec<Lease> {
        [self.typed.leases(), self.raw.leases()].concat()
    }

    pub(crate) async fn check(&self, patience: Duration) -> Vec<PoolHealth> {
        let typed = async {
            let mut conn = self.typed.get().await?;
            conn.doubt();
            sql_query("SELECT 1").execute(&mut *conn).await?;
            conn.answered();
            Ok(())
        };
        let raw = async {
            let mut conn = self.raw.get().await?;
            conn.doubt();
            conn.simple_query("SELECT 1").await?;
            conn.answered();
            Ok(())
        };
        let (typed, raw) = tokio::join!(PoolHealth::of("typed", patience, typed), PoolHealth::of("raw", patience, raw));
        vec![typed, raw]
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Postgres")
    }
}

/// Connects from the parsed settings, so that both pools agree on time-outs, TLS and refusals.
fn typed_config(config: Config, connector: MakeRustlsConnect) -> ManagerConfig<AsyncPgConnection> {
    let mut typed = ManagerConfig::default();
    typed.custom_setup = Box::new(move |_| {
        let (config, connector) = (config.clone(), connector.clone());
        async move {
            let bad = |error: tokio_postgres::Error| ConnectionError::BadConnection(chain(&error));
            let (client, connection) = config.connect(connector).await.map_err(bad)?;
            AsyncPgConnection::try_from_client_and_connection(client, connection).await
        }
        .boxed()
    });
    typed
}
