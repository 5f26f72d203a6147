//! Connections: a few multiplexed ones in a pool, which commands share, and dedicated ones for blocking reads.

mod line;

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bb8::ManageConnection;
use bb8_redis::RedisConnectionManager;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionInfo, IntoConnectionInfo, Pipeline, ProtocolVersion, RedisError, RedisFuture,
    ServerErrorKind, Value,
    aio::{ConnectionLike, MultiplexedConnection, PubSub},
    io::tcp::TcpSettings,
};
use tokio::sync::Semaphore;

use crate::Error;
pub(crate) use line::{Confirmation, Line};

/// How long a connection attempt may take; also how long a caller waits for a connection of the pool.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A handle to one of the pool's multiplexed connections, for [`redis::cmd`], pipelines and scripts. Cheap: many tasks
/// use one connection at once. Never send a blocking command through it: everyone would wait ([`Dedicated`] is for that).
#[derive(Clone)]
pub struct Connection {
    inner: MultiplexedConnection,
    broken: Arc<AtomicBool>,
}

impl Connection {
    /// Notes whether the connection is of no more use.
    fn watch<T>(&self, result: Result<T, RedisError>, replies: impl Fn(&T) -> &[Value]) -> Result<T, RedisError> {
        let is_broken = match &result {
            Ok(reply) => replies(reply).iter().any(is_read_only),
            Err(error) => error.is_unrecoverable_error() || error.is_timeout(),
        };
        if is_broken {
            self.broken.store(true, Ordering::Relaxed);
        }
        result
    }
}

/// After a failover, the old primary refuses writes on the connections that still lead to it.
fn is_read_only(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::ReadOnly))
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let result = self.inner.req_packed_command(cmd).await;
            self.watch(result, std::slice::from_ref)
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let result = self.inner.req_packed_commands(pipeline, offset, count).await;
            self.watch(result, Vec::as_slice)
        })
    }

    fn get_db(&self) -> i64 {
        self.inner.get_db()
    }
}

/// A connection of its own for blocking reads. A read on it must never be dropped half-way: the server would go on and
/// hand out what nobody receives.
pub struct Dedicated {
    /// The connection.
    pub conn: MultiplexedConnection,
    /// The server's number of it, for `CLIENT UNBLOCK`.
    pub client_id: i64,
    /// The server's run id: it changes with a restart and with a failover.
    pub run_id: String,
}

/// The pool. bb8-redis connects; this adds what it leaves out: broken connections are noticed, and the cause of a failed
/// connect reaches the caller.
#[derive(Clone)]
pub(crate) struct Connections {
    pool: bb8::Pool<Manager>,
    /// For pushes that wait for replicas.
    lines: bb8::Pool<Manager>,
    turns: Arc<Semaphore>,
    response_timeout: Duration,
    client: redis::Client,
    server: Arc<str>,
    failures: Failures,
}

impl Connections {
    /// Prepares the pool without connecting.
    pub(crate) fn new(url: &str, size: u32, response_timeout: Duration) -> Result<Self, Error> {
        let info = connection_info(url)?;
        let server: Arc<str> = info.addr().to_string().into();
        let manager = || {
            let inner = RedisConnectionManager::new(info.clone()).map_err(|error| bad_url(&error))?;
            Ok::<_, Error>(Manager { inner, response_timeout })
        };
        let failures = Failures::default();
        let (pool, lines) = (pool(manager()?, size, &failures), line::pool(manager()?, &failures));
        let client = redis::Client::open(info).map_err(|error| bad_url(&error))?;
        Ok(Self { pool, lines, turns: line::turns(), response_timeout, client, server, failures })
    }

    /// Host and port.
    pub(crate) fn server(&self) -> &Arc<str> {
        &self.server
    }

    pub(crate) fn client(&self) -> &redis::Client {
        &self.client
    }

    /// A shared connection. The pool's guard goes back at once: it only chooses which connection commands share, and a
    /// broken one leaves the pool when its guard does.
    pub(crate) async fn shared(&self) -> Result<Connection, Error> {
        loop {
            let pooled = self.get(&self.pool).await?;
            if !pooled.broken.load(Ordering::Relaxed) {
                return Ok(pooled.clone());
            }
        }
    }

    async fn get(&self, pool: &bb8::Pool<Manager>) -> Result<bb8::PooledConnection<'static, Manager>, Error> {
        // Before asking the pool, so that the failure of a connect that this starts is heard.
        let failed = self.failures.next();
        let pooled = tokio::select! {
            biased;
            pooled = pool.get_owned() => pooled.map_err(|_| no_connection_in_time()),
            error = failed => Err(error),
        };
        pooled.map_err(|source| self.unreachable(source))
    }

    /// A connection of its own, whose reads may block for `longest_block`.
    pub(crate) async fn dedicated(&self, longest_block: Duration) -> Result<Dedicated, Error> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(longest_block + Duration::from_secs(5)));
        let connect = async {
            let mut conn = self.client.get_multiplexed_async_connection_with_config(&config).await?;
            let (client_id, info): (i64, String) =
                redis::pipe().cmd("CLIENT").arg("ID").cmd("INFO").arg("server").query_async(&mut conn).await?;
            Ok(Dedicated { conn, client_id, run_id: crate::server::info_field(&info, "run_id").to_owned() })
        };
        connect.await.map_err(|source| self.unreachable(source))
    }

    /// A connection for subscriptions.
    pub(crate) async fn subscriber(&self) -> Result<PubSub, Error> {
        let connected = in_time(CONNECT_TIMEOUT, self.client.get_async_pubsub()).await;
        connected.map_err(|source| self.unreachable(source))
    }

    pub(crate) fn unreachable(&self, source: RedisError) -> Error {
        Error::Unreachable { server: self.server.to_string(), source }
    }
}

/// A pool that opens a connection where one is missing, and tells why that failed.
fn pool(manager: Manager, size: u32, failures: &Failures) -> bb8::Pool<Manager> {
    bb8::Pool::builder()
        .max_size(size)
        .connection_timeout(CONNECT_TIMEOUT)
        .retry_connection(false)
        .test_on_check_out(false)
        .queue_strategy(bb8::QueueStrategy::Lifo)
        .error_sink(Box::new(failures.clone()))
        .build_unchecked(manager)
}

/// What redis-rs itself waits for without end.
pub(crate) async fn in_time<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, RedisError> {
    tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| Err(late(&format!("no answer within {limit:?}"))))
}

fn no_connection_in_time() -> RedisError {
    late("no connection within 2 s")
}

fn late(message: &str) -> RedisError {
    std::io::Error::new(std::io::ErrorKind::TimedOut, message).into()
}

/// redis-rs leaves Nagle's algorithm on, which costs a small write up to 40 ms. The protocol is RESP2 whatever the URL
/// says, for replies to stream commands have other shapes in RESP3.
fn connection_info(url: &str) -> Result<ConnectionInfo, Error> {
    let info = url.into_connection_info().map_err(|error| bad_url(&error))?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
    Ok(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)).set_redis_settings(settings))
}

/// Only the parser's words: the URL itself may hold a password.
fn bad_url(error: &RedisError) -> Error {
    Error::Url { reason: error.to_string() }
}

struct Manager {
    inner: RedisConnectionManager,
    response_timeout: Duration,
}

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = RedisError;

    async fn connect(&self) -> Result<Connection, RedisError> {
        let mut inner = self.inner.connect().await?;
        inner.set_response_timeout(self.response_timeout);
        Ok(Connection { inner, broken: Arc::default() })
    }

    async fn is_valid(&self, connection: &mut Connection) -> Result<(), RedisError> {
        self.inner.is_valid(&mut connection.inner).await
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.broken.load(Ordering::Relaxed)
    }
}

/// Why the pool could not connect, told to all who wait for a connection: bb8 itself would let them wait for its full
/// time-out and then only say that it took too long.
#[derive(Clone, Debug)]
struct Failures(tokio::sync::broadcast::Sender<RedisError>);

impl Default for Failures {
    fn default() -> Self {
        Self(tokio::sync::broadcast::Sender::new(1))
    }
}

impl Failures {
    /// The next failure from now on.
    fn next(&self) -> impl Future<Output = RedisError> + use<> {
        let mut failures = self.0.subscribe();
        async move {
            loop {
                if let Ok(error) = failures.recv().await {
                    return error; // else it is one of many, and a later one comes at once
                }
            }
        }
    }
}

impl bb8::ErrorSink<RedisError> for Failures {
    fn sink(&self, error: RedisError) {
        let _ = self.0.send(error); // nobody may be waiting
    }

    fn boxed_clone(&self) -> Box<dyn bb8::ErrorSink<RedisError>> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_writes_leave_at_once_and_replies_have_one_shape() {
        let info = connection_info("redis://127.0.0.1/3?protocol=resp3").expect("a URL");
        assert!(info.tcp_settings().nodelay());
        assert_eq!(info.redis_settings().protocol(), ProtocolVersion::RESP2);
        assert_eq!(info.redis_settings().db(), 3);
    }
}
