//! Whether a pool gives connections that answer.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use crate::Error;

/// How one pool is; see [`Store::check_pools`](crate::Store::check_pools).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolHealth {
    /// Its name.
    pub pool: &'static str,
    /// From asking for a connection to the answer on it, or to the failure.
    pub latency: Duration,
    /// Why it is unhealthy; none while it is healthy.
    pub reason: Option<String>,
}

impl PoolHealth {
    /// Whether the pool gave a connection and the database answered on it.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.reason.is_none()
    }

    /// Waits for `answer`, at most for `patience`.
    pub(crate) async fn of(
        pool: &'static str,
        patience: Duration,
        answer: impl Future<Output = Result<(), Error>>,
    ) -> Self {
        let started = Instant::now();
        let reason = match tokio::time::timeout(patience, answer).await {
            Ok(answered) => answered.err().map(|error| error.to_string()),
            Err(_) => Some(format!("no answer within {} s", patience.as_secs_f64())),
        };
        Self { pool, latency: started.elapsed(), reason }
    }
}
