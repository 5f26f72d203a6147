//! Settings of a store, then `.await`.

use std::{future::IntoFuture, path::PathBuf, time::Duration};

use crate::{Error, Store, StoreConfig, TlsMode, store::BoxFuture};

/// Settings of a [`Store`]; `.await` connects. The defaults and bounds are those of [`StoreConfig`]'s fields.
#[derive(Clone, Debug)]
#[must_use = "nothing connects until awaited"]
pub struct StoreBuilder {
    config: StoreConfig,
}

impl StoreBuilder {
    pub(crate) fn new(config: StoreConfig) -> Self {
        Self { config }
    }

    /// Most connections for typed queries: to Postgres, or readers of a SQLite file (which has one writer beside them).
    /// Default: 8, at least 1.
    pub fn pool_size(mut self, connections: u32) -> Self {
        self.config.pool_size = connections.max(1);
        self
    }

    /// Most raw connections. Default: 4, at least 1.
    pub fn raw_pool_size(mut self, connections: u32) -> Self {
        self.config.raw_pool_size = connections.max(1);
        self
    }

    /// Longest wait for a connection. Default: 2 s.
    pub fn checkout_timeout(mut self, longest: Duration) -> Self {
        self.config.checkout_timeout = longest;
        self
    }

    /// Longest time to connect and log in. Default: 2 s.
    pub fn connect_timeout(mut self, longest: Duration) -> Self {
        self.config.connect_timeout = longest;
        self
    }

    /// A connection that is held for longer is reported with the place where it was taken. Default: 30 s; zero: never.
    pub fn leak_after(mut self, held: Duration) -> Self {
        self.config.leak_after = held;
        self
    }

    /// How long SQLite waits for another process's write. Default: 5 s.
    pub fn busy_timeout(mut self, longest: Duration) -> Self {
        self.config.busy_timeout = longest;
        self
    }

    /// TLS to Postgres. Default: the URL's `sslmode`, else [`TlsMode::Prefer`].
    pub fn tls(mut self, mode: TlsMode) -> Self {
        self.config.tls = Some(mode);
        self
    }

    /// A PEM file with the authorities that may have signed the server's certificate. Default: the URL's `sslrootcert`,
    /// else those that browsers trust.
    pub fn tls_root_certificate(mut self, file: impl Into<PathBuf>) -> Self {
        self.config.tls_root_certificate = Some(file.into());
        self
    }

    /// Whether a SQLite file that isn't there is made, or refused. Default: made.
    pub fn create_missing(mut self, create: bool) -> Self {
        self.config.create_missing = create;
        self
    }
}

impl IntoFuture for StoreBuilder {
    type Output = Result<Store, Error>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Store::open(&self.config).await })
    }
}
