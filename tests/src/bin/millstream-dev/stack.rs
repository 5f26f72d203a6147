//! The processes of a demo: a private Redis, the gallery, two workers and the signalling server.

use std::convert::Infallible;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::future::{join_all, select_all};
use millstream_tests::{Process, ProcessBuilder, Redis, built, unique};

use crate::folder::RunFolder;

const WORKERS: usize = 2;
/// A first start migrates a database; all of it takes about a second.
const START: Duration = Duration::from_secs(60);
/// How long a process may take to finish what it has begun; a worker hands the rest back.
const GRACE: Duration = Duration::from_secs(10);

/// Where the processes are told to work.
pub(crate) struct Places {
    pub(crate) namespace: String,
    redis_url: String,
    pub(crate) database_url: String,
    /// Of the gallery.
    data: PathBuf,
}

pub(crate) struct Stack<'a> {
    folder: &'a RunFolder,
    pub(crate) places: Places,
    workers: Vec<Process>,
    gallery: Process,
    signaling: Process,
    redis: Option<Redis>, // the last one to be dropped
    /// `127.0.0.1:<port>`
    pub(crate) gallery_address: String,
    /// `ws://127.0.0.1:<port>/ws`
    pub(crate) signaling_url: String,
}

impl<'a> Stack<'a> {
    /// Starts all, each once those that it needs are there: a Redis and a SQLite file in `folder` unless there are URLs
    /// of others.
    pub(crate) async fn start(
        folder: &'a RunFolder,
        redis_url: Option<String>,
        database_url: Option<String>,
    ) -> Result<Self> {
        let redis = match redis_url {
            Some(_) => None,
            None => Some(start_redis(folder).await?),
        };
        let places = Places {
            namespace: unique("demo"),
            redis_url: redis_url.or(redis.as_ref().map(Redis::url)).context("a Redis, private or not")?,
            database_url: database_url.unwrap_or_else(|| sqlite_in(folder.path())),
            data: folder.subfolder("gallery")?,
        };
        let signaling = builder("realtime_signaling", &places)?.args(["--listen", "127.0.0.1:0"]);
        let signaling = spawn(signaling, folder, &places)?;
        let signaling_url = address(&signaling, "listening on ").await?;
        let gallery = builder("gallery", &places)?
            .args(["--listen", "127.0.0.1:0"])
            .env("DATABASE_URL", &places.database_url)
            .env("SIGNALING_URL", &signaling_url);
        let gallery = spawn(gallery, folder, &places)?;
        let gallery_address = address(&gallery, "listening on http://").await?;
        let mut stack =
            Self { folder, places, workers: Vec::new(), gallery, signaling, redis, gallery_address, signaling_url };
        for _ in 0..WORKERS {
            stack.workers.push(stack.spawn_worker()?);
        }
        for worker in &stack.workers {
            ready(worker).await?;
        }
        Ok(stack)
    }

    /// Replaces workers that are killed, for as long as it is polled. `say` hears of each.
    ///
    /// # Errors
    /// When the gallery or the signalling server ends, or a worker does so by itself.
    pub(crate) async fn keep_alive(&mut self, say: impl Fn(String)) -> Result<Infallible> {
        loop {
            let worker_exits = select_all(self.workers.iter().map(|worker| Box::pin(worker.exited())));
            let (status, index) = tokio::select! {
                (status, index, _) = worker_exits => (status, index),
                status = self.gallery.exited() => bail!("the gallery ended ({status}):\n{}", self.gallery.tail()),
                status = exited(self.redis.as_ref()) => bail!("the private Redis ended ({status})"),
                status = self.signaling.exited() => {
                    bail!("the signalling server ended ({status}):\n{}", self.signaling.tail())
                }
            };
            if status.signal().is_none() {
                bail!("worker {} ended ({status}):\n{}", index + 1, self.workers[index].tail());
            }
            say(format!("worker {} was killed ({status}); another takes its place", index + 1));
            self.workers[index] = self.spawn_worker()?;
        }
    }

    /// Asks all to stop, and kills what has not after a grace. Workers first: the recorder in the gallery then still
    /// takes down what they finished.
    pub(crate) async fn stop(mut self) {
        join_all(self.workers.iter_mut().map(|worker| worker.shut_down(GRACE))).await;
        tokio::join!(self.gallery.shut_down(GRACE), self.signaling.shut_down(GRACE));
    }

    fn spawn_worker(&self) -> Result<Process> {
        spawn(builder("gallery-worker", &self.places)?, self.folder, &self.places)
    }
}

async fn start_redis(folder: &RunFolder) -> Result<Redis> {
    let redis = Redis::builder().aof(true).dir(folder.subfolder("redis")?).start().await?;
    folder.record(redis.pid(), &format!("127.0.0.1:{}", redis.port()))?; // its title shows the address
    Ok(redis)
}

fn sqlite_in(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("millstream.db").display())
}

/// The end of a private Redis; another one may come and go as it likes.
async fn exited(redis: Option<&Redis>) -> ExitStatus {
    match redis {
        Some(redis) => redis.process().exited().await,
        None => std::future::pending().await,
    }
}

/// URLs go through the environment, since everybody on the machine can read a command line and a URL may have a
/// password in it.
fn builder(program: &str, places: &Places) -> Result<ProcessBuilder> {
    Ok(Process::builder(built(program)?)
        .args(["--namespace", &places.namespace])
        .env("REDIS_URL", &places.redis_url)
        .env("GALLERY_DATA", &places.data))
}

fn spawn(builder: ProcessBuilder, folder: &RunFolder, places: &Places) -> Result<Process> {
    let process = builder.spawn()?;
    folder.record(process.pid(), &places.namespace)?;
    Ok(process)
}

async fn ready(worker: &Process) -> Result<()> {
    worker.wait_for_line(START, |line| line == "ready").await.map(drop)
}

/// What follows `prefix` in the line that says where a server listens.
async fn address(server: &Process, prefix: &str) -> Result<String> {
    let line = server.wait_for_line(START, |line| line.starts_with(prefix)).await?;
    let address = line.text.strip_prefix(prefix).context("the line that was waited for")?;
    Ok(address.trim_end_matches('/').to_owned())
}
