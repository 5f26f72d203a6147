//! The worker: handlers, settings, and the two ways to run it.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use millstream_queue::{Client, Job};
use serde::Serialize;
use tokio::task::JoinSet;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    Call, Context, Error, Failure, Result, Returned, Route,
    engine::{Beats, Process, Queue, Solitude},
    events,
    handler::{Handler, Handlers},
    health::{Health, Pulse},
    settings::{Priorities, Settings},
    shutdown::{Shutdown, Signals},
};

/// Jobs of one queue that a worker runs at once, unless [`Worker::concurrency`] says otherwise.
const DEFAULT_CONCURRENCY: u32 = 16;
/// Largest concurrency of a queue in one process.
const MOST_CONCURRENCY: usize = 100_000;
/// Shortest lease: beats are ten to a lease.
const SHORTEST_LEASE: Duration = Duration::from_millis(500);

/// Takes jobs from queues and runs their handlers. `S` is the application's state, shared by all handlers.
#[must_use = "a worker does nothing until `run` or `run_until`"]
pub struct Worker<S> {
    client: Client,
    app: Arc<S>,
    handlers: Handlers<S>,
    layered: Route<S>,
    concurrency: BTreeMap<String, usize>,
    settings: Settings,
    health: Health,
}

impl<S: Send + Sync + 'static> Worker<S> {
    /// A worker without handlers.
    pub fn new(client: Client, app: S) -> Self {
        Self {
            health: Health::new(client.clone()),
            client,
            app: Arc::new(app),
            handlers: Handlers::new(),
            layered: Route::to_handlers(),
            concurrency: BTreeMap::new(),
            settings: Settings::default(),
        }
    }

    /// Registers the handler of a job type: `async fn(job: J, cx: Context<S>) -> worker::Result<R>`. A result other than
    /// `()` is kept in the history as JSON. The job's queue is read with the default concurrency of 16 unless
    /// [`concurrency`](Worker::concurrency) sets another.
    pub fn handle<J, R, F, Fut>(mut self, handler: F) -> Self
    where
        J: Job,
        R: Serialize + Send,
        F: Fn(J, Context<S>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R>> + Send + 'static,
    {
        self.handlers.add(Handler::new(handler));
        self
    }

    /// Registers the handler of a job type, as [`handle`](Worker::handle) does, inside a layer of its own: within those of
    /// [`layer`](Worker::layer).
    pub fn handle_with<J, R, F, Fut, L>(mut self, handler: F, layer: L) -> Self
    where
        J: Job,
        R: Serialize + Send,
        F: Fn(J, Context<S>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R>> + Send + 'static,
        L: Layer<Route<S>>,
        L::Service: Service<Call<S>, Response = Returned> + Clone + Send + Sync + 'static,
        <L::Service as Service<Call<S>>>::Error: Into<Failure>,
        <L::Service as Service<Call<S>>>::Future: Send,
    {
        let handler = Handler::new(handler);
        self.handlers.add(Handler { route: Route::of(layer.layer(handler.route)), ..handler });
        self
    }

    /// Registers a handler that blocks, such as one that computes: `fn(job: J, cx: Context<S>) -> worker::Result<R>`. It runs
    /// on a thread for blocking work, off the runtime's own. A run that timed out, or was cut off, goes on unheeded until
    /// the function returns.
    pub fn handle_blocking<J, R, F>(self, handler: F) -> Self
    where
        J: Job,
        R: Serialize + Send + 'static,
        F: Fn(J, Context<S>) -> Result<R> + Send + Sync + 'static,
    {
        let handler = Arc::new(handler);
        self.handle(move |job: J, cx: Context<S>| {
            let handler = handler.clone();
            async move {
                match tokio::task::spawn_blocking(move || handler(job, cx)).await {
                    Ok(returned) => returned,
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(error) => Err(error.into()), // the runtime shuts down
                }
            }
        })
    }

    /// Wraps all handlers, whenever they are registered, in a [tower](https://docs.rs/tower) layer: what it does around a
    /// [`Call`] it does around every run. The last layer added is the outermost; around them all stand the built-in ones of
    /// [`layers`](crate::layers). The layer makes one service for all handlers, so a limit in it is one over all of them;
    /// each run calls a clone of that service. What the service waits for, its readiness included, counts as the job's run.
    ///
    /// ```no_run
    /// # fn example(worker: millstream_worker::Worker<()>) -> millstream_worker::Worker<()> {
    /// worker.layer(tower::limit::ConcurrencyLimitLayer::new(8)) // in this process, over all queues
    /// # }
    /// ```
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Route<S>>,
        L::Service: Service<Call<S>, Response = Returned> + Clone + Send + Sync + 'static,
        <L::Service as Service<Call<S>>>::Error: Into<Failure>,
        <L::Service as Service<Call<S>>>::Future: Send,
    {
        self.layered = Route::of(layer.layer(self.layered));
        self
    }

    /// How many jobs of `queue` run here at once, 1 to 100,000. Default: 16.
    ///
    /// A job whose worker died twice while it ran does so alone, whatever is set here: no job of any queue starts in its
    /// process until it has ended. It waits up to a minute for those that run; then it starts beside them.
    pub fn concurrency(mut self, queue: impl Into<String>, jobs: usize) -> Self {
        self.concurrency.insert(queue.into(), jobs);
        self
    }

    /// After how long without a beat this process is thought dead, and its jobs are given to others. All workers of a
    /// queue should agree. At least half a second. Default: 10 seconds.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// How long the whole runtime may stand still, every thread of it blocked, before this process stops beating and loses its
    /// jobs to others. Default: 5 minutes.
    pub fn longest_hang(mut self, hang: Duration) -> Self {
        self.settings.hang = hang;
        self
    }

    /// How long running jobs may go on after a stop before they are handed back. Default: 25 seconds.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// How the priorities share the slots while these are scarce. Default: strict, with a floor for the lowest.
    pub fn priorities(mut self, priorities: Priorities) -> Self {
        self.settings.priorities = priorities;
        self
    }

    /// Adds a check to the worker's readiness: `async fn() -> Result<(), E>`, such as one that asks the database for a
    /// `SELECT 1`. It runs whenever [`Health::report`] or `/readyz` is asked, and fails after two seconds. The text of its
    /// error is shown there, so it must hold no secret.
    pub fn check<F, Fut, E>(self, name: &str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = std::result::Result<(), E>> + Send + 'static,
        E: std::fmt::Display,
    {
        self.health.add_check(name, check);
        self
    }

    /// A handle to this worker's health, for probes while it runs.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Runs until SIGINT or SIGTERM, then stops fetching and lets running jobs finish for the grace period; a second
    /// signal hands them back at once. Where handlers had to be cut off, this ends the process with status 0, since what
    /// they block on may never return.
    ///
    /// # Errors
    /// A worker that is set up wrongly, see [`Error`]. Redis being away later is waited out.
    pub async fn run(self) -> std::result::Result<(), Error> {
        let mut signals = Signals::new()?;
        let shutdown = Shutdown::default();
        let stop = shutdown.clone();
        let listening = tokio::spawn(async move {
            signals.next().await;
            events::shutdown_asked();
            stop.stop();
            signals.next().await;
            stop.hurry();
        });
        let was_cut_off = self.run_with(shutdown).await?;
        listening.abort();
        if was_cut_off {
            std::process::exit(0);
        }
        Ok(())
    }

    /// Runs until `shutdown` resolves, then stops fetching and lets running jobs finish for the grace period.
    ///
    /// # Errors
    /// A worker that is set up wrongly, see [`Error`]. Redis being away later is waited out.
    pub async fn run_until(self, shutdown: impl Future) -> std::result::Result<(), Error> {
        let stop = Shutdown::default();
        let mut running = std::pin::pin!(self.run_with(stop.clone()));
        tokio::select! {
            ended = &mut running => return ended.map(drop),
            _ = shutdown => stop.stop(),
        }
        running.await.map(drop)
    }

    /// Runs until `shutdown` says stop; whether handlers had to be cut off.
    async fn run_with(self, shutdown: Shutdown) -> std::result::Result<bool, Error> {
        let queues = self.queues()?;
        let pulse = Arc::new(Pulse::new());
        let progress = queues.iter().map(|queue| queue.progress().clone()).collect();
        let _running = self.health.start(shutdown.clone(), self.settings, pulse.clone(), progress);
        let process = Arc::new(Process {
            beats: Beats::start(self.client.redis().clone(), self.settings, pulse)?,
            client: self.client,
            app: self.app,
            handlers: self.handlers,
            layered: self.layered,
            settings: self.settings,
            shutdown,
            solitude: Arc::new(Solitude::new(&queues, self.settings)),
            was_cut_off: AtomicBool::new(false),
        });
        let mut running: JoinSet<()> = queues.into_iter().map(|queue| queue.run(process.clone())).collect();
        while let Some(ended) = running.join_next().await {
            if let Err(error) = ended
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        Ok(process.was_cut_off.load(Ordering::Relaxed))
    }

    /// The queues to read, or what is wrong with the settings.
    fn queues(&self) -> std::result::Result<Vec<Arc<Queue>>, Error> {
        self.handlers.check()?;
        if self.settings.lease < SHORTEST_LEASE {
            let value = format!("{:?}", self.settings.lease);
            return Err(Error::Setting { what: "lease", value, rule: "at least half a second is needed" });
        }
        let handled = self.handlers.queues();
        for (queue, jobs) in &self.concurrency {
            if !handled.contains(&queue.as_str()) {
                return Err(Error::UnhandledQueue { queue: queue.clone(), handled: handled.join(", ") });
            }
            if !(1..=MOST_CONCURRENCY).contains(jobs) {
                let (value, rule) = (format!("{jobs} of {queue:?}"), "1 to 100,000 jobs can run at once");
                return Err(Error::Setting { what: "concurrency", value, rule });
            }
        }
        let concurrency = |queue: &str| self.concurrency.get(queue).map_or(DEFAULT_CONCURRENCY, |jobs| *jobs as u32);
        Ok(handled.iter().map(|queue| Arc::new(Queue::new(queue, concurrency(queue)))).collect())
    }
}
