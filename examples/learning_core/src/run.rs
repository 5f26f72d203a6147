//! The whole program in one process: web server, relay, worker and recorder.

use std::time::Duration;

use anyhow::Context;
use chrono::TimeDelta;
use millstream_queue::Job;
use millstream_store::{Recorder, Relay};
use millstream_worker::Worker;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{Learning, MIGRATIONS, Mailer, RemindStreak, reminder::remind_streak, web};

/// How long requests may take that are under way when the program is asked to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// What the handlers share.
#[derive(Debug)]
pub struct App<M> {
    /// The operations.
    pub learning: Learning,
    /// Where reminders go.
    pub mailer: M,
}

/// A worker that sends reminders.
pub fn worker<M: Mailer>(learning: Learning, mailer: M) -> Worker<App<M>> {
    Worker::new(learning.client.clone(), App { learning, mailer }).handle(remind_streak::<M>)
}

/// Migrates, then serves, relays, works and records until `shutdown` resolves or one of the four fails. They end in this order,
/// each with what it has in hand: no request finds its connections gone, and no job's outcome its recorder.
///
/// # Errors
/// What keeps the program from starting, or made a part of it fail.
pub async fn run(
    learning: Learning,
    mailer: impl Mailer,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    anyhow::ensure!(
        (TimeDelta::minutes(10)..=TimeDelta::hours(20)).contains(&learning.remind_before),
        "a reminder can't come {} minutes before a streak breaks: 10 to 1200 are possible",
        learning.remind_before.num_minutes()
    );
    learning.store.migrator().with(MIGRATIONS).up().await?;
    let recorder = Recorder::new(learning.client.clone(), learning.store.clone());
    let recorder = recorder.queues([RemindStreak::QUEUE]);
    // Before the first push: jobs of a queue that nobody records leave no history.
    recorder.register().await?;

    let [no_requests, no_rows, no_jobs, no_outcomes] = [(); 4].map(|()| CancellationToken::new());
    let failed = CancellationToken::new();
    let mut serving = Part::start("the web server failed", &failed, {
        let serving = axum::serve(listener, web::router(learning.clone()));
        serving.with_graceful_shutdown(no_requests.clone().cancelled_owned()).into_future()
    });
    let mut relaying = Part::start("the relay failed", &failed, {
        let relay = Relay::new(learning.client.clone(), learning.store.clone());
        relay.run_until(no_rows.clone().cancelled_owned())
    });
    let mut working = Part::start("the worker failed", &failed, {
        let worker = worker(learning.clone(), mailer);
        worker.run_until(no_jobs.clone().cancelled_owned())
    });
    let mut recording =
        Part::start("the recorder failed", &failed, recorder.run_until(no_outcomes.clone().cancelled_owned()));
    tokio::select! {
        () = shutdown => {}
        () = failed.cancelled() => {}
    }

    no_requests.cancel();
    // A client that stalls can't hold the exit.
    let served = tokio::time::timeout(LAST_REQUESTS, serving.end()).await.unwrap_or(Ok(()));
    no_rows.cancel();
    let relayed = relaying.end().await;
    no_jobs.cancel();
    let worked = working.end().await;
    no_outcomes.cancel();
    let recorded = recording.end().await;
    served.and(relayed).and(worked).and(recorded)
}

/// A part of the program in a task of its own.
struct Part {
    task: JoinSet<anyhow::Result<()>>,
}

impl Part {
    /// Starts it. `failed` is cancelled when it ends, since it shall not end by itself.
    fn start<E: Into<anyhow::Error>>(
        what: &'static str,
        failed: &CancellationToken,
        part: impl Future<Output = Result<(), E>> + Send + 'static,
    ) -> Self {
        let failed = failed.clone().drop_guard();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let _failed = failed;
            part.await.map_err(Into::into).context(what)
        });
        Self { task }
    }

    async fn end(&mut self) -> anyhow::Result<()> {
        self.task.join_next().await.context("a part ends once")??
    }
}
