//! The server, the client and the sizes that all figures of a run share.

use std::time::Duration;

use anyhow::{Context, Result};
use millstream_queue::{Client, Job};
use millstream_tests::Redis;
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};

/// The queue of all measurements.
pub(crate) const QUEUE: &str = "bench";

/// A job that does nothing, with a payload of 200 bytes.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Noop {
    /// When it was pushed, where that matters.
    pub(crate) sent_ns: u64,
    pub(crate) text: String,
}

impl Job for Noop {
    const KIND: &'static str = "noop";
    const QUEUE: &'static str = QUEUE;
}

impl Noop {
    pub(crate) fn new(sent_ns: u64) -> Self {
        let mut job = Self { sent_ns, text: String::new() };
        let rest = 200 - serde_json::to_vec(&job).map_or(0, |body| body.len());
        job.text = "x".repeat(rest);
        job
    }
}

pub(crate) struct Setting {
    pub(crate) client: Client,
    pub(crate) pairs: u64,
    pub(crate) jobs: u64,
    url: String,
    /// Where the server is this setting's own.
    _redis: Option<Redis>,
}

impl Setting {
    /// Starts a private server without persistence, as the peers' programs use.
    pub(crate) async fn start(pairs: u64, jobs: u64) -> Result<Self> {
        let redis = Redis::start().await?;
        let setting = Self::on(&redis.url(), pairs, jobs).await?;
        Ok(Self { _redis: Some(redis), ..setting })
    }

    /// Uses a server that someone else started.
    pub(crate) async fn on(url: &str, pairs: u64, jobs: u64) -> Result<Self> {
        let client = Client::connect(url).await?;
        Ok(Self { client, pairs, jobs, url: url.to_owned(), _redis: None })
    }

    /// Where another process finds the server.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What a backlog counts: a million unless `--jobs` says otherwise.
    pub(crate) fn backlog(&self) -> u64 {
        10 * self.jobs
    }

    /// Bytes of `used_memory`, once the server has given back the buffers of clients that are idle or gone.
    pub(crate) async fn used_memory(&self) -> Result<f64> {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let mut conn = self.client.connection().await?;
        let info: redis::InfoDict = redis::cmd("INFO").arg("memory").query_async(&mut conn).await?;
        info.get("used_memory").context("INFO tells used_memory")
    }

    /// A connection like that of the raw limit: multiplexed, with a patient time-out.
    pub(crate) async fn raw(&self) -> Result<MultiplexedConnection> {
        Ok(self.client.dedicated(Duration::from_secs(60)).await?.conn)
    }

    /// An empty server, so that no run pays for the one before.
    pub(crate) async fn clear(&self) -> Result<()> {
        let mut conn = self.client.connection().await?;
        redis::cmd("FLUSHALL").arg("SYNC").exec_async(&mut conn).await?;
        Ok(())
    }
}
