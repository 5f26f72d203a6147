//! What all pools share: limits, leases, measures, and the cause of a connection that failed.

mod bounded;
mod health;
mod histogram;
mod lease;
mod metrics;
mod prometheus;
mod refusal;

use std::{
    future::Future,
    panic::Location,
    sync::Arc,
    time::{Duration, Instant},
};

use bb8::{Pool, RunError};

pub(crate) use self::{
    bounded::{Bounded, Manager},
    histogram::Durations,
    lease::Leased,
};
use self::{
    bounded::{Failure, Kept},
    lease::Leases,
    metrics::Counters,
    refusal::Refusals,
};
pub use self::{
    health::PoolHealth,
    histogram::Histogram,
    lease::Lease,
    metrics::{Metrics, PoolMetrics},
};
use crate::{Error, StoreConfig};

/// A bb8 pool that bounds every wait, says why it has no connection, and knows who holds those it lent.
pub(crate) struct Connections<M: Manager> {
    pool: Pool<Bounded<M>>,
    shared: Arc<Shared>,
}

/// What a pool knows beside its connections.
pub(crate) struct Shared {
    /// `typed`, `raw`, `writer` or `readers`.
    name: &'static str,
    database: Arc<str>,
    size: u32,
    patience: Duration,
    refusals: Refusals,
    leases: Leases,
    counters: Counters,
}

impl<M: Manager> Connections<M> {
    /// A pool of at most `size` connections to `database`, which names it in errors. Connects nothing yet.
    pub(crate) fn new(
        manager: M,
        name: &'static str,
        size: u32,
        config: &StoreConfig,
        database: &Arc<str>,
    ) -> Connections<M> {
        let refusals = Refusals::default();
        let pool = Pool::builder()
            .max_size(size)
            .min_idle(Some(config.min_idle.min(size)))
            .connection_timeout(config.checkout_timeout)
            .idle_timeout(Some(config.idle_timeout))
            .max_lifetime(Some(config.max_lifetime))
            .reaper_rate(Duration::from_secs(10))
            .retry_connection(false)
            .queue_strategy(bb8::QueueStrategy::Lifo)
            .error_sink(Box::new(refusals.clone()))
            .build_unchecked(Bounded::new(manager, config.connect_timeout));
        let shared = Arc::new(Shared {
            name,
            database: database.clone(),
            size,
            patience: config.checkout_timeout,
            refusals,
            leases: Leases::new(name, database.clone(), size),
            counters: Counters::default(),
        });
        lease::watch(&shared, config.leak_after);
        Connections { pool, shared }
    }

    /// Connects once, so that a wrong URL is told now.
    pub(crate) async fn probe(&self) -> Result<(), Error> {
        let first = self.connect().await?;
        // No room means that the pool has connected by itself meanwhile.
        if self.pool.add(first).is_ok() {
            self.shared.counters.added();
        }
        Ok(())
    }

    /// A pooled connection that a task can own. The lease says that it was taken where this was called.
    #[track_caller]
    pub(crate) fn get(&self) -> impl Future<Output = Result<Leased<M>, Error>> + Send + use<'_, M> {
        let place = Location::caller();
        async move { self.get_at(place).await }
    }

    /// [`Connections::get`] for a caller that knows the place better.
    pub(crate) async fn get_at(&self, place: &'static Location<'static>) -> Result<Leased<M>, Error> {
        let started = Instant::now();
        let waiting = self.shared.counters.wait();
        // Where the pool has no connection at all, the first refusal is the answer: waiting on would not help.
        let got = tokio::select! {
            biased;
            got = self.pool.get_owned() => got,
            refused = self.shared.refusals.next(|| self.pool.state().connections == 0) => {
                return Err(self.shared.unreachable(refused));
            }
        };
        match got {
            Ok(connection) => {
                drop(waiting);
                self.shared.counters.waited(started.elapsed());
                Ok(Leased::new(connection, &self.shared, place))
            }
            Err(RunError::User(failure)) => Err(self.shared.unreachable(failure.to_string())),
            Err(RunError::TimedOut) => {
                self.shared.counters.timed_out();
                Err(match self.shared.refusals.since(started) {
                    Some(reason) => self.shared.unreachable(reason),
                    None => self.shared.timed_out(started),
                })
            }
        }
    }

    /// A connection apart from the pool, closed when dropped.
    pub(crate) async fn dedicated(&self) -> Result<M::Connection, Error> {
        Ok(self.connect().await?.connection)
    }

    async fn connect(&self) -> Result<Kept<M::Connection>, Error> {
        self.pool.dedicated_connection().await.map_err(|failure| self.shared.unreachable(failure.to_string()))
    }

    /// What the pool did and does.
    pub(crate) fn metrics(&self) -> PoolMetrics {
        self.shared.counters.snapshot(&self.shared, &self.pool.state())
    }

    /// Who holds its connections now, the longest holder first.
    pub(crate) fn leases(&self) -> Vec<Lease> {
        self.shared.leases.list()
    }
}

impl Shared {
    fn unreachable(&self, reason: String) -> Error {
        Error::Unreachable { database: self.database.to_string(), reason }
    }

    fn timed_out(&self, started: Instant) -> Error {
        let patience = self.patience;
        match self.leases.holder_of_full(started) {
            Some(Lease { held, place, .. }) => {
                let holder = format!("the longest holder took its {:.1} s ago at {place}", held.as_secs_f64());
                Error::Exhausted { pool: self.name, size: self.size, waited: patience, holder }
            }
            None => self.unreachable(format!("no answer within {} s", patience.as_secs_f64())),
        }
    }
}

impl<M: Manager> Clone for Connections<M> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), shared: self.shared.clone() }
    }
}
