//! A worker to try things on: one job type whose payload says what its handler does. It runs inside a test, or as a
//! process of its own, which is the test program started again.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(unreachable_pub, reason = "a module of test programs")]

use std::time::Duration;

use millstream_queue::{Backoff, Client, Job, Outcome, State};
use millstream_tests::{Process, namespace};
use millstream_worker::{self as worker, Context, Failure, Worker};
use redis::Value;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub const QUEUE: &str = "probe";
/// Of the probes beside them, which only processes with `PROBE_BESIDE` take.
pub const BESIDE: &str = "probe_beside";
/// Long enough for a slow machine; every wait ends far earlier.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// A short lease, so that a test sees it end.
pub const LEASE: Duration = Duration::from_secs(1);

/// What the handler does.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    Succeed,
    /// Succeeds without a word.
    Quiet,
    Sleep {
        ms: u64,
    },
    /// Blocks its runtime thread.
    Block {
        ms: u64,
    },
    /// Blocks its runtime thread in its first run.
    BlockOnce {
        ms: u64,
    },
    Fail,
    FailAfter {
        ms: u64,
    },
    RetryAtOnce,
    /// The first run fails and is due again in so long.
    RetryIn {
        ms: u64,
    },
    Snooze {
        ms: u64,
    },
    Cancel,
    Die,
    Panic,
    /// Kills the whole process.
    Abort,
    /// Kills the whole process when it is asked to cancel.
    AbortWhenCancelled,
    /// Kills the whole process half-way, and goes on from there the next time.
    Resume,
    /// Reports from a thread of its own until it is refused; the second run ends at once.
    ReportUntilRefused,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Probe {
    pub name: String,
    pub act: Act,
}

impl Job for Probe {
    const KIND: &'static str = "probe";
    const QUEUE: &'static str = QUEUE;
    const ATTEMPTS: u32 = 3;
    const BACKOFF: Backoff = Backoff::Constant(Duration::from_millis(10));
}

pub fn probe(name: &str, act: Act) -> Probe {
    Probe { name: name.to_owned(), act }
}

/// A probe in another queue of the same process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Beside(pub Probe);

impl Job for Beside {
    const KIND: &'static str = "probe_beside";
    const QUEUE: &'static str = BESIDE;
}

/// What handlers report, as `started <name> attempt <n> run <n>` and `ended <name>`.
pub struct Bench {
    say: Box<dyn Fn(String) + Send + Sync>,
}

pub async fn handle(job: Probe, cx: Context<Bench>) -> worker::Result<String> {
    let Probe { name, act } = job;
    if matches!(act, Act::Quiet) {
        return Ok(name);
    }
    (cx.app.say)(format!("started {name} attempt {} run {}", cx.attempt(), cx.run()));
    match act {
        Act::Succeed | Act::Quiet => {}
        Act::Sleep { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
        Act::Block { ms } => std::thread::sleep(Duration::from_millis(ms)),
        Act::BlockOnce { ms } if cx.run() == 1 => std::thread::sleep(Duration::from_millis(ms)),
        Act::BlockOnce { .. } => {}
        Act::Fail => return Err("it failed".into()),
        Act::FailAfter { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            return Err("it failed late".into());
        }
        Act::RetryIn { ms } if cx.run() == 1 => return Err(Failure::retry_in(Duration::from_millis(ms), "not yet")),
        Act::RetryAtOnce if cx.attempt() == 1 => return Err(Failure::retry_in(Duration::ZERO, "not yet")),
        Act::Snooze { ms } if cx.run() == 1 => return Err(Failure::snooze(Duration::from_millis(ms), "later")),
        Act::RetryAtOnce | Act::RetryIn { .. } | Act::Snooze { .. } => {}
        Act::Cancel => return Err(Failure::cancel("pointless")),
        Act::Die => return Err(Failure::dead("hopeless")),
        Act::Panic => panic!("a handler's panic"),
        Act::Abort => std::process::abort(),
        Act::AbortWhenCancelled => {
            cx.cancelled().await;
            std::process::abort();
        }
        Act::Resume => match cx.restore::<String>().await? {
            None => {
                cx.checkpoint("half").await?;
                std::process::abort();
            }
            Some(reached) => (cx.app.say)(format!("restored {reached} of {name}")),
        },
        Act::ReportUntilRefused if cx.run() == 1 => {
            let (left_behind, runtime, name) = (cx.clone(), tokio::runtime::Handle::current(), name.clone());
            std::thread::spawn(move || {
                let refused = loop {
                    match runtime.block_on(left_behind.progress(1, 2, "the first run")) {
                        Ok(()) => std::thread::sleep(Duration::from_millis(20)),
                        Err(error) => break error,
                    }
                };
                (left_behind.app.say)(format!("refused {name}: {refused}"));
            });
            std::future::pending().await
        }
        Act::ReportUntilRefused => cx.progress(2, 2, "the second run").await?,
    }
    (cx.app.say)(format!("ended {name}"));
    Ok(name)
}

/// What a handler said, line by line.
pub struct Said(mpsc::UnboundedReceiver<String>);

impl Said {
    /// Waits for the line.
    pub async fn wait_for(&mut self, wanted: &str) {
        let search = async { while self.0.recv().await.is_some_and(|line| line != wanted) {} };
        tokio::time::timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("no handler said {wanted:?}"));
    }

    pub fn heard_so_far(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}

/// A worker for the probes.
pub fn worker(client: &Client) -> (Worker<Bench>, Said) {
    let (said, hear) = mpsc::unbounded_channel();
    let say = move |line| drop(said.send(line));
    (worker_that_says(client, say), Said(hear))
}

fn worker_that_says(client: &Client, say: impl Fn(String) + Send + Sync + 'static) -> Worker<Bench> {
    Worker::new(client.clone(), Bench { say: Box::new(say) }).handle(handle).lease(LEASE)
}

/// A worker that runs inside the test until it is stopped.
pub struct Running {
    stop: tokio::sync::oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Result<(), worker::Error>>,
}

impl Running {
    pub fn start(worker: Worker<Bench>) -> Self {
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        Self { stop, ended: tokio::spawn(worker.run_until(stopped)) }
    }

    pub async fn stop(self) {
        let _ = self.stop.send(());
        let ended = tokio::time::timeout(PATIENCE, self.ended).await.expect("the worker stops");
        ended.expect("the worker does not panic").expect("the worker was set up rightly");
    }
}

/// A client in a namespace of its own, whose outcomes are kept.
pub async fn client(url: &str) -> Client {
    let client = Client::builder(url).namespace(namespace()).await.expect("a server");
    client.record(QUEUE).await.expect("a recorder's registration");
    client
}

/// The outcomes of the probes' queue, in the order in which they were kept.
pub struct Outcomes {
    client: Client,
    position: String,
    waiting: std::collections::VecDeque<Outcome>,
}

impl Outcomes {
    pub fn of(client: &Client) -> Self {
        Self { client: client.clone(), position: "0-0".to_owned(), waiting: Default::default() }
    }

    /// Waits for the next outcome.
    pub async fn next(&mut self) -> Outcome {
        let search = async {
            while self.waiting.is_empty() {
                if self.read().await.is_err() {
                    tokio::time::sleep(Duration::from_millis(50)).await; // the server is away, as some tests want it
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("an outcome");
        self.waiting.pop_front().expect("one was just read")
    }

    /// Waits for the next outcome in which a job ended, of any job.
    pub async fn next_end(&mut self) -> Outcome {
        loop {
            let outcome = self.next().await;
            if outcome.state.is_terminal() {
                return outcome;
            }
        }
    }

    async fn read(&mut self) -> Result<(), millstream_queue::Error> {
        let mut dedicated = self.client.dedicated(Duration::from_secs(5)).await?;
        let done = self.client.keys(QUEUE).done();
        let mut read = redis::cmd("XREAD");
        read.arg("BLOCK").arg(1000).arg("STREAMS").arg(&done).arg(&self.position);
        type Streams = Vec<(String, Vec<(String, Vec<Value>)>)>;
        let streams: Option<Streams> = read.query_async(&mut dedicated.conn).await?;
        for (id, fields) in streams.unwrap_or_default().into_iter().flat_map(|(_, entries)| entries) {
            let Some(Value::BulkString(pack)) = fields.last() else { panic!("a pack has its bytes last") };
            self.waiting.extend(Outcome::decode_pack(pack).expect("a pack"));
            self.position = id;
        }
        Ok(())
    }
}

/// Of each stream, what entered it and is not there, and what Millstream has deleted; of `later` and `dead`, what is there, and what
/// Millstream has put there and not taken out. The two are one as long as nobody else meddles.
pub async fn balance(client: &Client) -> Vec<(String, i64, i64)> {
    let (keys, mut conn) = (client.keys(QUEUE), client.connection().await.expect("a server"));
    let lanes = millstream_queue::Lane::ALL.map(|lane| (lane.to_string(), keys.ready(lane)));
    let others = [("done", keys.done()), ("later", keys.later()), ("dead", keys.dead())];
    let others = others.map(|(name, key)| (name.to_owned(), key));
    let of_one_moment = redis::Script::new(
        "local noted = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or 0)
         if ARGV[1] == 'later' or ARGV[1] == 'dead' then return { redis.call('ZCARD', KEYS[1]), noted } end
         local info, of = redis.pcall('XINFO', 'STREAM', KEYS[1]), {}
         for f = 1, #info, 2 do of[info[f]] = info[f + 1] end
         return { (of['entries-added'] or 0) - (of.length or 0), noted }",
    );
    let mut places = Vec::new();
    for (name, key) in lanes.into_iter().chain(others) {
        let asked = of_one_moment.key(key).key(keys.books()).arg(&name).invoke_async(&mut conn).await;
        let (found, noted) = asked.expect("numbers");
        places.push((name, found, noted));
    }
    places
}

/// Asserts that nobody but Millstream has deleted anything, and that all of it is in the books.
pub async fn assert_balanced(client: &Client) {
    for (place, found, noted) in balance(client).await {
        assert_eq!(found, noted, "{place} and the books");
    }
}

/// How a queue looks when nothing is left in it, and nobody else put anything there.
pub async fn assert_empty(client: &Client) {
    assert_nothing_waits(client).await;
    assert_balanced(client).await;
}

/// The same, whoever put it there.
pub async fn assert_nothing_waits(client: &Client) {
    let mut conn = client.connection().await.expect("a server");
    let keys = client.keys(QUEUE);
    for lane in millstream_queue::Lane::ALL {
        let left: u64 = redis::cmd("XLEN").arg(keys.ready(lane)).query_async(&mut conn).await.expect("a stream");
        assert_eq!(left, 0, "jobs are left in the lane {lane}");
    }
    let waiting: u64 = redis::cmd("ZCARD").arg(keys.later()).query_async(&mut conn).await.expect("a set");
    assert_eq!(waiting, 0, "jobs are left in `later`");
}

/// States by number, for comparing many at once.
pub fn count(outcomes: &[Outcome], state: State) -> usize {
    outcomes.iter().filter(|outcome| outcome.state == state).count()
}

/// A worker process on the client's queue: this test program again, told by its environment to be one.
pub fn process(url: &str, client: &Client, settings: &[(&str, &str)]) -> Process {
    let program = std::env::current_exe().expect("this program");
    let mut builder = Process::builder(program)
        .args(["--exact", "probe::this_process_as_a_worker", "--nocapture", "--test-threads=1"])
        .env("PROBE_REDIS", url)
        .env("PROBE_NAMESPACE", client.namespace());
    for (name, value) in settings {
        builder = builder.env(name, *value);
    }
    builder.spawn().expect("a process")
}

/// Nothing in a test run; a worker in a process that [`process`] started, which logs as
/// [`Complaints`](millstream_tests::Complaints) expects it.
#[test]
fn this_process_as_a_worker() {
    let Ok(url) = std::env::var("PROBE_REDIS") else { return };
    let log = tracing_subscriber::fmt().with_timer(tracing_subscriber::fmt::time::uptime()).with_ansi(false);
    log.with_writer(std::io::stderr).init();
    let setting =
        |name: &str, default: u64| std::env::var(name).map_or(default, |value| value.parse().expect("a number"));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async move {
        let namespace = std::env::var("PROBE_NAMESPACE").expect("a namespace");
        let client = Client::builder(&url).namespace(namespace).await.unwrap_or_else(|error| {
            println!("can't start: {error}");
            std::process::exit(1);
        });
        let worker = worker_that_says(&client, |line| println!("{line}"));
        let worker = match setting("PROBE_BESIDE", 0) {
            0 => worker,
            concurrency => worker
                .handle(|job: Beside, cx| handle(job.0, cx))
                .concurrency(BESIDE, usize::try_from(concurrency).expect("a small number")),
        };
        let worker = worker
            .concurrency(QUEUE, setting("PROBE_CONCURRENCY", 4) as usize)
            .lease(Duration::from_millis(setting("PROBE_LEASE_MS", LEASE.as_millis() as u64)))
            .longest_hang(Duration::from_millis(setting("PROBE_HANG_MS", 300_000)))
            .grace(Duration::from_millis(setting("PROBE_GRACE_MS", 2000)));
        println!("ready");
        worker.run().await.expect("a worker that is set up rightly");
    });
    println!("exits");
    std::process::exit(0);
}
