//! What the tests share: processes that are watched, a load of pushes, and what the server counted.

use std::{
    collections::HashSet,
    future::IntoFuture,
    time::{Duration, Instant},
};

use millstream_queue::{Client, Error, Lane, State, keys::WORKERS};
use millstream_tests::{Complaints, Process, Redis, most_in_a_second, most_repeated};
use tokio::{sync::watch, task::JoinSet, time::sleep};
use uuid::Uuid;

use crate::probe::{self, Act, Outcomes, PATIENCE, QUEUE, probe};

/// By how much loads and faults are larger than every day.
pub fn scale() -> u32 {
    std::env::var("MILLSTREAM_FAULT_SCALE").map_or(1, |scale| scale.parse().expect("a whole number"))
}

pub async fn says(process: &Process, wanted: &str) {
    // The test harness of the process leaves its own words in front of the first line.
    process.wait_for_line(PATIENCE, |line| line.ends_with(wanted)).await.unwrap_or_else(|error| panic!("{error:#}"));
}

pub async fn logs(process: &Process, wanted: &str) {
    process.wait_for_line(PATIENCE, |line| line.contains(wanted)).await.unwrap_or_else(|error| panic!("{error:#}"));
}

/// Asks again until the answer is yes: for states of the server that nothing signals.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let look = async {
        while !holds().await {
            sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// A worker process that is ready.
pub async fn worker(redis: &Redis, client: &Client, settings: &[(&str, &str)]) -> Process {
    let process = probe::process(&redis.url(), client, settings);
    says(&process, "ready").await;
    process
}

/// Each trouble was logged once in as many faults as there are every day, and never five lines within a second.
pub fn complains_in_bounds(process: &Process) {
    let mut complaints = Complaints::of(process);
    let heard = complaints.so_far();
    let log = || heard.iter().map(|line| format!("{:8.3} {}", line.at, line.text)).collect::<Vec<_>>().join("\n");
    assert!(most_in_a_second(heard) < 5, "five complaints within a second:\n{}", log());
    let most = most_repeated(heard).map_or(0, |(_, count)| count);
    assert!(most <= scale() as usize, "a trouble was logged {most} times:\n{}", log());
}

/// Pushes one job after the other, each under a key, until it is stopped. What is not known to be stored is pushed again.
pub struct Load {
    stop: watch::Sender<bool>,
    pushers: JoinSet<Pushed>,
}

#[derive(Default)]
pub struct Pushed {
    pub ids: Vec<Uuid>,
    pub errors: Vec<Error>,
    /// The longest that one push took, whatever became of it.
    pub slowest: Duration,
}

impl Load {
    pub fn start(client: &Client, pushers: usize) -> Self {
        let stop = watch::Sender::new(false);
        let pushers = (0..pushers).map(|pusher| push_until(client.clone(), pusher, stop.subscribe())).collect();
        Self { stop, pushers }
    }

    pub async fn stop(self) -> Pushed {
        self.stop.send_replace(true);
        let mut all = Pushed::default();
        for pushed in tokio::time::timeout(PATIENCE, self.pushers.join_all()).await.expect("the pushes end") {
            all.ids.extend(pushed.ids);
            all.errors.extend(pushed.errors);
            all.slowest = all.slowest.max(pushed.slowest);
        }
        all
    }
}

async fn push_until(client: Client, pusher: usize, stop: watch::Receiver<bool>) -> Pushed {
    let mut pushed = Pushed::default();
    for number in 0.. {
        let key = format!("{pusher}:{number}");
        let id = loop {
            let began = Instant::now();
            let result = client.push(probe(&key, Act::Quiet)).id(&key).into_future().await;
            pushed.slowest = pushed.slowest.max(began.elapsed());
            match result {
                Ok(id) => break id,
                Err(error) => pushed.errors.push(error),
            }
            sleep(Duration::from_millis(50)).await;
        };
        pushed.ids.push(id);
        if *stop.borrow() {
            break;
        }
        sleep(Duration::from_millis(2)).await;
    }
    pushed
}

/// Every job completed, once, and nothing else ended. `others` more jobs are expected whose ids nobody knows.
pub async fn each_completes_once(client: &Client, ids: &[Uuid], others: usize) {
    let known: HashSet<Uuid> = ids.iter().copied().collect();
    assert_eq!(known.len(), ids.len(), "two jobs have one id");
    let mut outcomes = Outcomes::of(client);
    let mut ended = HashSet::new();
    let last = async {
        // Behind all others, so that what ends twice has done so before.
        while ended.len() < ids.len() + others {
            take_end(&mut outcomes, &mut ended).await;
        }
        let last = client.push(probe("last", Act::Quiet)).await.expect("a server that is well again");
        while !ended.contains(&last) {
            take_end(&mut outcomes, &mut ended).await;
        }
    };
    last.await;
    assert!(known.is_subset(&ended), "jobs were lost");
    assert_eq!(ended.len(), ids.len() + others + 1, "something ran that was never pushed");
}

async fn take_end(outcomes: &mut Outcomes, ended: &mut HashSet<Uuid>) {
    let outcome = outcomes.next_end().await;
    assert_eq!(outcome.state, State::Completed, "{outcome:?}");
    assert!(ended.insert(outcome.id), "{} ended twice", outcome.id);
}

/// A connection that sends what it is told, as an operator's does.
#[derive(Clone)]
pub struct Operator(redis::aio::MultiplexedConnection);

impl Operator {
    pub async fn of(redis: &Redis) -> Self {
        let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
        let client = redis::Client::open(redis.url()).unwrap();
        Self(client.get_multiplexed_async_connection_with_config(&config).await.unwrap())
    }

    pub async fn try_ask<T: redis::FromRedisValue>(
        &self,
        words: &[impl redis::ToRedisArgs],
    ) -> Result<T, redis::RedisError> {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word);
        }
        command.query_async(&mut self.0.clone()).await
    }

    pub async fn ask<T: redis::FromRedisValue>(&self, words: &[impl redis::ToRedisArgs]) -> T {
        self.try_ask(words).await.expect("an answer")
    }

    /// How many entries of a queue's lane are handed out; none before the lane's group is there.
    pub async fn handed_out(&self, client: &Client, lane: Lane) -> i64 {
        let words = ["XPENDING".to_owned(), client.keys(QUEUE).ready(lane), WORKERS.to_owned()];
        let summary = self.try_ask::<Vec<redis::Value>>(&words).await.unwrap_or_default();
        if let Some(redis::Value::Int(count)) = summary.first() { *count } else { 0 }
    }

    /// How many reads and scripts the server was sent so far, refused ones included: what loops of workers send.
    pub async fn asked_of_server(&self) -> u64 {
        let stats: String = self.ask(&["INFO", "commandstats"]).await;
        let numbers = stats.lines().filter_map(|line| {
            let (command, counts) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let field = |name: &str| {
                let value = counts.split(',').find_map(|count| count.strip_prefix(name))?;
                value.strip_prefix('=')?.parse::<u64>().ok()
            };
            matches!(command, "xreadgroup" | "evalsha" | "eval")
                .then(|| field("calls").unwrap_or(0) + field("rejected_calls").unwrap_or(0))
        });
        numbers.sum()
    }

    /// Reads and scripts per second over a while.
    pub async fn rate_over(&self, span: Duration) -> f64 {
        let (before, began) = (self.asked_of_server().await, Instant::now());
        sleep(span).await;
        (self.asked_of_server().await - before) as f64 / began.elapsed().as_secs_f64()
    }
}
