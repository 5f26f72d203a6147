//! What every test starts with: a job type whose handler is the test's own.

use std::time::Duration;

use millstream_queue::{Backoff, Client, Job};
use millstream_tests::shared_redis;
use millstream_worker::{self as worker, Context, Error, Worker};
use redis::FromRedisValue;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::probe::{self, Outcomes, QUEUE};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A job whose handler is a test's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) number: u32,
}
impl Job for Task {
    const KIND: &'static str = "task";
    const QUEUE: &'static str = QUEUE;
    const ATTEMPTS: u32 = 3;
    const BACKOFF: Backoff = Backoff::Constant(Duration::from_millis(10));
}

pub(crate) const TASK: Task = Task { number: 7 };

/// A client, its outcomes, and what stops the worker that runs `handler`.
pub(crate) async fn start<F, Fut, R, J>(handler: F) -> (Client, Outcomes, Stop)
where
    J: Job,
    F: Fn(J, Context<()>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = worker::Result<R>> + Send + 'static,
    R: Serialize + Send + 'static,
{
    let client = probe::client(&shared_redis().await.unwrap()).await;
    let stop = Stop::run(Worker::new(client.clone(), ()).handle(handler));
    (client.clone(), Outcomes::of(&client), stop)
}

pub(crate) struct Stop(oneshot::Sender<()>, tokio::task::JoinHandle<Result<(), Error>>);

impl Stop {
    pub(crate) fn run(worker: Worker<()>) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        Self(stop, tokio::spawn(worker.lease(probe::LEASE).run_until(stopped)))
    }

    pub(crate) async fn stop(self) {
        drop(self.0);
        self.1.await.unwrap().unwrap();
    }
}

pub(crate) async fn ask<T: FromRedisValue>(client: &Client, words: &[&str]) -> T {
    let mut command = redis::Cmd::new();
    command.arg(words);
    command.query_async(&mut client.connection().await.unwrap()).await.unwrap()
}

pub(crate) fn hash(client: &Client, id: Uuid) -> String {
    client.keys(QUEUE).job(id)
}
