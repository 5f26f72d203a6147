//! What a pool did and does.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::{Shared, histogram::Durations, prometheus};
use crate::Histogram;

/// The pools of a store at one moment; see [`Store::metrics`](crate::Store::metrics).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Metrics {
    /// The URL without its password.
    pub database: String,
    /// `typed` and `raw` of Postgres; `writer`, `readers` and `raw` of SQLite.
    pub pools: Vec<PoolMetrics>,
}

impl Metrics {
    /// The same in Prometheus' text format, names beginning with `millstream_pool_`.
    #[must_use]
    pub fn to_prometheus(&self) -> String {
        prometheus::text(self)
    }
}

/// One pool at one moment. Counters begin with the pool.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolMetrics {
    /// Its name.
    pub pool: &'static str,
    /// Most connections it may have.
    pub max_size: u32,
    /// Connections it has.
    pub size: u32,
    /// Connections that nobody uses.
    pub idle: u32,
    /// Connections that callers hold.
    pub in_use: u32,
    /// Callers that wait for one.
    pub waiting: u64,
    /// From asking for a connection to having it, for those who got one.
    pub wait_time: Histogram,
    /// From having a connection to its return.
    pub use_time: Histogram,
    /// Connections ever made.
    pub created: u64,
    /// Connections ever closed, for whatever reason.
    pub closed: u64,
    /// Of these, those found broken.
    pub broken: u64,
    /// Callers that got none in time.
    pub timed_out: u64,
    /// Connections ever reported as held for too long.
    pub leaked: u64,
}

/// The counters behind [`PoolMetrics`].
#[derive(Default)]
pub(super) struct Counters {
    waiting: AtomicU64,
    wait_time: Durations,
    use_time: Durations,
    timed_out: AtomicU64,
    leaked: AtomicU64,
    added: AtomicU64,
}

impl Counters {
    /// One more waits until the guard is dropped, however that comes.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(&self.waiting)
    }

    pub(super) fn waited(&self, time: Duration) {
        self.wait_time.add(time);
    }

    pub(super) fn used(&self, time: Duration) {
        self.use_time.add(time);
    }

    pub(super) fn timed_out(&self) {
        self.timed_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leaked(&self, connections: u64) {
        self.leaked.fetch_add(connections, Ordering::Relaxed);
    }

    /// A connection was put into the pool that bb8 doesn't count as its own.
    pub(super) fn added(&self) {
        self.added.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self, pool: &Shared, state: &bb8::State) -> PoolMetrics {
        let statistics = &state.statistics;
        let broken = statistics.connections_closed_broken + statistics.connections_closed_invalid;
        let expired = statistics.connections_closed_max_lifetime + statistics.connections_closed_idle_timeout;
        PoolMetrics {
            pool: pool.name,
            max_size: pool.size,
            size: state.connections,
            idle: state.idle_connections,
            in_use: u32::try_from(pool.leases.count()).unwrap_or(u32::MAX),
            waiting: self.waiting.load(Ordering::Relaxed),
            wait_time: self.wait_time.snapshot(),
            use_time: self.use_time.snapshot(),
            created: statistics.connections_created + self.added.load(Ordering::Relaxed),
            closed: broken + expired,
            broken,
            timed_out: self.timed_out.load(Ordering::Relaxed),
            leaked: self.leaked.load(Ordering::Relaxed),
        }
    }
}

/// A caller that waits.
pub(super) struct Waiting<'c>(&'c AtomicU64);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
