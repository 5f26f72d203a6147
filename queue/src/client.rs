//! The application's handle to its namespace on a Redis server.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use crate::{
    Connection, Dedicated, Durability, Error, ServerFacts,
    connection::{Connections, Line},
    event::Hub,
    json,
    keys::{self, QueueKeys},
    names,
    result::Ends,
};

/// Largest encoded payload in bytes, unless a client says otherwise.
pub const PAYLOAD_LIMIT: usize = 1024 * 1024;

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A handle to Redis, cheap to clone and shared by all tasks of a process. Reconnects by itself.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    connections: Connections,
    namespace: String,
    source: String,
    payload_limit: usize,
    dedup_window: Duration,
    durability: Durability,
    hub: Hub,
    ends: Ends,
}

impl Client {
    /// Connects to `redis://user:password@host:port/db` (`rediss://` for TLS) with the defaults of [`ClientBuilder`].
    ///
    /// # Errors
    /// [`Error::Url`], [`Error::Unreachable`] with the cause within 3 seconds, [`Error::TooOld`], [`Error::Evicts`].
    pub async fn connect(url: &str) -> Result<Self, Error> {
        Self::builder(url).await
    }

    /// Settings first, then `.await` connects.
    pub fn builder(url: &str) -> ClientBuilder {
        ClientBuilder {
            url: url.to_owned(),
            namespace: "ms".to_owned(),
            source: "millstream".to_owned(),
            pool_size: 2,
            response_timeout: Duration::from_secs(5),
            payload_limit: PAYLOAD_LIMIT,
            dedup_window: Duration::from_secs(24 * 60 * 60),
            durability: Durability::Primary,
        }
    }

    /// The prefix of all keys.
    pub fn namespace(&self) -> &str {
        &self.shared.namespace
    }

    /// Host and port of the server.
    pub fn server(&self) -> &str {
        self.shared.connections.server()
    }

    /// Largest encoded payload in bytes.
    pub fn payload_limit(&self) -> usize {
        self.shared.payload_limit
    }

    /// The keys of a queue.
    pub fn keys(&self, queue: &str) -> QueueKeys {
        QueueKeys::new(self.namespace(), queue)
    }

    /// The names in the registry of queues, sorted.
    ///
    /// # Errors
    /// [`Error::Unreachable`] or [`Error::Redis`].
    pub async fn queues(&self) -> Result<Vec<String>, Error> {
        let mut conn = self.connection().await?;
        let mut names: Vec<String> =
            redis::cmd("SMEMBERS").arg(keys::queues(self.namespace())).query_async(&mut conn).await?;
        names.sort_unstable();
        Ok(names)
    }

    /// A shared connection for commands, pipelines and scripts; never for blocking ones.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn connection(&self) -> Result<Connection, Error> {
        self.shared.connections.shared().await
    }

    /// A connection of its own, for reads that block for at most `longest_block`.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn dedicated(&self, longest_block: Duration) -> Result<Dedicated, Error> {
        self.shared.connections.dedicated(longest_block).await
    }

    /// What the server says of itself.
    ///
    /// # Errors
    /// [`Error::Unreachable`] or [`Error::Redis`].
    pub async fn server_facts(&self) -> Result<ServerFacts, Error> {
        ServerFacts::ask(&mut self.connection().await?).await
    }

    /// The redis crate's client, for connections of other kinds, such as a blocking one on a thread of its own.
    pub fn redis(&self) -> &redis::Client {
        self.shared.connections.client()
    }

    /// Ends the blocked read of a dedicated connection, which then returns nothing.
    pub(crate) async fn unblock(&self, client_id: i64) -> Result<(), Error> {
        let mut conn = self.connection().await?;
        Ok(redis::cmd("CLIENT").arg("UNBLOCK").arg(client_id).exec_async(&mut conn).await?)
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.shared.hub
    }

    pub(crate) fn ends(&self) -> &Ends {
        &self.shared.ends
    }

    pub(crate) fn source(&self) -> &str {
        &self.shared.source
    }

    /// The way of a push, whose durability is this or the client's own.
    pub(crate) async fn line(&self, durability: Option<Durability>) -> Result<Line, Error> {
        self.shared.connections.line(durability.unwrap_or(self.shared.durability)).await
    }

    pub(crate) fn dedup_window(&self) -> Duration {
        self.shared.dedup_window
    }

    /// Encodes a payload and holds it against the limit.
    pub(crate) fn encode<T: serde::Serialize>(&self, name: &'static str, payload: &T) -> Result<Vec<u8>, Error> {
        encode(name, payload, self.shared.payload_limit)
    }
}

/// Encodes a payload and holds it against a limit in bytes.
pub(crate) fn encode<T: serde::Serialize>(name: &'static str, payload: &T, limit: usize) -> Result<Vec<u8>, Error> {
    let body = json::to_vec(payload).map_err(|source| Error::Encode { name, source })?;
    if body.len() > limit {
        return Err(Error::TooLarge { name, size: body.len(), limit });
    }
    Ok(body)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("server", &self.server()).field("namespace", &self.namespace()).finish()
    }
}

/// Settings of a [`Client`]; `.await` connects.
#[derive(Clone)]
#[must_use = "nothing connects until awaited"]
pub struct ClientBuilder {
    url: String,
    namespace: String,
    source: String,
    pool_size: u32,
    response_timeout: Duration,
    payload_limit: usize,
    dedup_window: Duration,
    durability: Durability,
}

impl ClientBuilder {
    /// The prefix of all keys, 1 to 128 of `A-Z a-z 0-9 . _ -`. Default: `ms`.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// The `source` attribute of events from this process, a URI reference. Default: `millstream`.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = source.into();
        self
    }

    /// Multiplexed connections that commands share. Default: 2.
    pub fn pool_size(mut self, connections: u32) -> Self {
        self.pool_size = connections.max(1);
        self
    }

    /// How long a command may take; beyond it a push is [indeterminate](Error::Indeterminate). Default: 5 seconds.
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// Largest encoded payload in bytes. Default: 1 MiB.
    pub fn payload_limit(mut self, bytes: usize) -> Self {
        self.payload_limit = bytes;
        self
    }

    /// How long a second push under the same `.id(…)` is recognised. Default: 24 hours; at least a second, at most 366
    /// days. All clients of a namespace need the same.
    pub fn dedup_window(mut self, window: Duration) -> Self {
        self.dedup_window = window.clamp(Duration::from_secs(1), Duration::from_secs(366 * 24 * 60 * 60));
        self
    }

    /// How durable jobs must be before their pushes return, unless a push says otherwise. Default:
    /// [`Durability::Primary`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    async fn connect(self) -> Result<Client, Error> {
        names::check("namespace", &self.namespace)?;
        let connections = Connections::new(&self.url, self.pool_size, self.response_timeout)?;
        let facts = ServerFacts::ask(&mut connections.shared().await?).await.map_err(|error| match error {
            // Such as no password where one is needed: the connection is of no use.
            Error::Redis(source) => connections.unreachable(source),
            error => error,
        })?;
        facts.check(connections.server())?;
        let hub = Hub::new(connections.clone());
        Ok(Client {
            shared: Arc::new(Shared {
                connections,
                namespace: self.namespace,
                source: self.source,
                payload_limit: self.payload_limit,
                dedup_window: self.dedup_window,
                durability: self.durability,
                hub,
                ends: Ends::default(),
            }),
        })
    }
}

impl IntoFuture for ClientBuilder {
    type Output = Result<Client, Error>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.connect())
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}
