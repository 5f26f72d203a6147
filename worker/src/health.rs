//! Whether a worker makes progress, and whether what it needs is there.

mod ask;
mod progress;
mod report;
#[cfg(feature = "axum")]
mod routes;

use std::{
    fmt::Display,
    future::Future,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{FutureExt, future::BoxFuture};
use millstream_queue::Client;

use crate::{settings::Settings, shutdown::Shutdown};
pub(crate) use progress::{Progress, Pulse};
pub use report::{Backlog, CheckHealth, Doing, Liveness, Phase, QueueHealth, RedisHealth, Report};

/// A handle to a worker's health, from [`Worker::health`](crate::Worker::health): cheap to clone, and of use before, while
/// and after the worker runs.
#[derive(Clone)]
pub struct Health {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    checks: Mutex<Vec<Check>>,
    term: OnceLock<Term>,
    has_ended: AtomicBool,
}

/// What is known once the worker runs.
struct Term {
    shutdown: Shutdown,
    settings: Settings,
    pulse: Arc<Pulse>,
    queues: Vec<Arc<Progress>>,
}

#[derive(Clone)]
struct Check {
    name: Arc<str>,
    run: Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>,
}

impl Health {
    pub(crate) fn new(client: Client) -> Self {
        let shared =
            Shared { client, checks: Mutex::default(), term: OnceLock::new(), has_ended: AtomicBool::new(false) };
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn add_check<F, Fut, E>(&self, name: &str, check: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Display,
    {
        let run = move || check().map(|checked| checked.map_err(|error| error.to_string())).boxed();
        self.checks_mut().push(Check { name: name.into(), run: Arc::new(run) });
    }

    /// Notes that the worker runs, until what this returns is dropped.
    pub(crate) fn start(
        &self,
        shutdown: Shutdown,
        settings: Settings,
        pulse: Arc<Pulse>,
        queues: Vec<Arc<Progress>>,
    ) -> Running {
        // A worker is consumed by its run, so this is the first.
        let _ = self.shared.term.set(Term { shutdown, settings, pulse, queues });
        Running(self.shared.clone())
    }

    /// What the worker does, by its own account: nothing is asked of Redis, so this answers at once whatever is away.
    pub fn liveness(&self) -> Liveness {
        let Some(term) = self.shared.term.get() else {
            return Liveness { phase: Phase::NotStarted, queues: Vec::new() };
        };
        let phase = match (self.shared.has_ended.load(Ordering::Relaxed), term.shutdown.is_stopping()) {
            (true, _) => Phase::Ended,
            (false, true) => Phase::Stopping,
            (false, false) => Phase::Running,
        };
        let queues = term.queues.iter().map(|queue| queue.health(&term.pulse, term.settings)).collect();
        Liveness { phase, queues }
    }

    /// Everything: [`liveness`](Health::liveness), Redis, the outcomes that wait for a recorder, and the program's checks.
    /// Takes two seconds at most: what has not answered by then counts as failed.
    pub async fn report(&self) -> Report {
        let liveness = self.liveness();
        let queues: Vec<&str> = liveness.queues.iter().map(|queue| queue.queue.as_str()).collect();
        let checks = self.checks_mut().clone();
        let ((redis, backlogs), checks) = tokio::join!(ask::redis(&self.shared.client, &queues), ask::checks(checks));
        Report { liveness, redis, backlogs, checks }
    }

    fn checks_mut(&self) -> std::sync::MutexGuard<'_, Vec<Check>> {
        self.shared.checks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker that runs.
pub(crate) struct Running(Arc<Shared>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Ordering::Relaxed);
    }
}
