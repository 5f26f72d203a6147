//! What becomes of jobs whose workers die, freeze or stop, and of workers whose server does: real processes, real signals.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod probe;

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use millstream_queue::{Client, Lane, State};
use millstream_tests::{Process, Redis, shared_redis};
use probe::{Act, LEASE, Outcomes, PATIENCE, QUEUE, Running, assert_empty, probe};

async fn says(process: &Process, wanted: &str) {
    // The test harness of the process leaves its own words in front of the first line.
    process.wait_for_line(PATIENCE, |line| line.ends_with(wanted)).await.unwrap_or_else(|error| panic!("{error:#}"));
}

/// A client of the shared server and its URL.
async fn shared() -> (String, Client) {
    let url = shared_redis().await.unwrap();
    let client = probe::client(&url).await;
    (url, client)
}

#[tokio::test]
async fn a_job_whose_worker_is_killed_runs_again_within_fifteen_seconds() {
    let (url, client) = shared().await;
    let default_lease = [("PROBE_LEASE_MS", "10000")];
    let mut doomed = probe::process(&url, &client, &default_lease);
    client.push(probe("held", Act::Sleep { ms: 3_000 })).await.unwrap();
    says(&doomed, "started held attempt 1 run 1").await;
    let survivor = probe::process(&url, &client, &default_lease);
    says(&survivor, "ready").await;

    let killed_at = std::time::Instant::now();
    doomed.kill().await;
    says(&survivor, "started held attempt 1 run 2").await;

    assert!(killed_at.elapsed() < Duration::from_secs(15), "rescued only after {:?}", killed_at.elapsed());
    let mut outcomes = Outcomes::of(&client);
    let crashed = outcomes.next().await;
    assert_eq!((crashed.state, crashed.attempt, crashed.crash), (State::Crashed, 1, 1));
    let completed = outcomes.next().await;
    assert_eq!((completed.state, completed.attempt, completed.run, completed.crash), (State::Completed, 1, 2, 1));
    assert_eq!(crashed.id, completed.id);
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_frozen_worker_loses_its_job_and_can_not_complete_it_when_it_wakes() {
    let (url, client) = shared().await;
    let frozen = probe::process(&url, &client, &[]);
    client.push(probe("stolen", Act::Sleep { ms: 1_500 })).await.unwrap();
    says(&frozen, "started stolen attempt 1 run 1").await;
    frozen.stop();
    let (worker, mut said) = probe::worker(&client);
    let worker = Running::start(worker);
    said.wait_for("ended stolen").await;

    frozen.cont();
    // It wakes as a stranger, registers under another name, and takes part again.
    let mut outcomes = Outcomes::of(&client);
    assert_eq!(outcomes.next().await.state, State::Crashed);
    let completed = outcomes.next().await;
    assert_eq!((completed.state, completed.run), (State::Completed, 2));
    worker.stop().await;
    client.push(probe("after", Act::Succeed)).await.unwrap();
    says(&frozen, "ended after").await;
    let after = outcomes.next().await;
    assert_eq!((after.state, after.result.as_deref()), (State::Completed, Some(&br#""after""#[..])));
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_handler_that_blocks_every_runtime_thread_does_not_cost_the_lease() {
    let (url, client) = shared().await;
    let blocked = probe::process(&url, &client, &[]);
    let (onlooker, mut heard) = probe::worker(&client);
    let lease_ms = LEASE.as_millis() as u64;
    for name in ["one", "two"] {
        client.push(probe(name, Act::Block { ms: 4 * lease_ms })).await.unwrap();
    }
    says(&blocked, "started one attempt 1 run 1").await;
    says(&blocked, "started two attempt 1 run 1").await;
    let onlooker = Running::start(onlooker);
    let mut outcomes = Outcomes::of(&client);
    for _ in 0..2 {
        let outcome = outcomes.next().await;
        assert_eq!((outcome.state, outcome.run, outcome.crash), (State::Completed, 1, 0));
    }
    assert!(heard.heard_so_far().is_empty(), "a blocked worker's job was given to another");
    onlooker.stop().await;
}

#[tokio::test]
async fn a_process_whose_runtime_hangs_loses_its_jobs_and_comes_back_as_a_stranger() {
    let (url, client) = shared().await;
    let hung = probe::process(&url, &client, &[("PROBE_HANG_MS", "1500")]);
    for name in ["one", "two"] {
        client.push(probe(name, Act::BlockOnce { ms: 8_000 })).await.unwrap();
    }
    says(&hung, "started one attempt 1 run 1").await;
    says(&hung, "started two attempt 1 run 1").await;
    let (onlooker, mut heard) = probe::worker(&client);
    let onlooker = Running::start(onlooker);
    let mut outcomes = Outcomes::of(&client);
    let mut states = Vec::new();
    for _ in 0..4 {
        states.push(outcomes.next().await.state);
    }
    states.sort_unstable_by_key(|state| state.to_string());
    assert_eq!(states, [State::Completed, State::Completed, State::Crashed, State::Crashed]);
    assert!(!heard.heard_so_far().is_empty());
    onlooker.stop().await;
    client.push(probe("after", Act::Succeed)).await.unwrap();
    says(&hung, "ended after").await;
    assert_eq!(outcomes.next().await.state, State::Completed);
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_job_that_kills_its_workers_is_dead_after_three_and_its_neighbours_live() {
    let (url, client) = shared().await;
    let poison = client.push(probe("poison", Act::Abort)).await.unwrap();
    client.push_all((0..20).map(|i| probe(&format!("neighbour {i}"), Act::Sleep { ms: 100 }))).await.unwrap();
    let mut process = probe::process(&url, &client, &[]);
    let mut outcomes = Outcomes::of(&client);
    let mut ends = HashMap::new();
    let mut crashes = 0;
    while ends.len() < 21 {
        tokio::select! {
            outcome = outcomes.next() => {
                crashes += usize::from(outcome.id == poison && !outcome.state.is_terminal());
                if outcome.state.is_terminal() {
                    assert_eq!(ends.insert(outcome.id, outcome.state), None, "a job ended twice");
                }
            }
            // As a supervisor does.
            _ = process.exited() => process = probe::process(&url, &client, &[]),
        }
    }
    assert_eq!(ends.remove(&poison), Some(State::Dead));
    assert_eq!(crashes, 2, "the third crash is its death");
    assert!(ends.values().all(|state| *state == State::Completed), "{ends:?}");
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_stopping_worker_finishes_short_jobs_and_hands_back_long_ones_without_burning_an_attempt() {
    let (url, client) = shared().await;
    let mut stopping = probe::process(&url, &client, &[("PROBE_GRACE_MS", "1500")]);
    client.push(probe("short", Act::Sleep { ms: 700 })).await.unwrap();
    let long = client.push(probe("long", Act::Sleep { ms: 600_000 })).await.unwrap();
    says(&stopping, "started short attempt 1 run 1").await;
    says(&stopping, "started long attempt 1 run 1").await;

    stopping.term();
    let status = tokio::time::timeout(Duration::from_secs(10), stopping.exited()).await.expect("it exits");

    assert_eq!(status.code(), Some(0));
    let mut outcomes = Outcomes::of(&client);
    assert_eq!(outcomes.next().await.state, State::Completed);
    let interrupted = outcomes.next().await;
    assert_eq!((interrupted.id, interrupted.state, interrupted.attempt), (long, State::Interrupted, 1));
    let (worker, mut said) = probe::worker(&client);
    let worker = Running::start(worker.grace(Duration::ZERO));
    said.wait_for("started long attempt 1 run 2").await;
    worker.stop().await;
    stopping.kill().await;
}

#[tokio::test]
async fn a_second_signal_hands_back_at_once() {
    let (url, client) = shared().await;
    let stopping = probe::process(&url, &client, &[("PROBE_GRACE_MS", "600000")]);
    client.push(probe("long", Act::Sleep { ms: 600_000 })).await.unwrap();
    says(&stopping, "started long attempt 1 run 1").await;
    let status = loop {
        stopping.term(); // signals that come too close to each other count as one
        if let Ok(status) = tokio::time::timeout(Duration::from_millis(500), stopping.exited()).await {
            break status;
        }
    };
    assert_eq!(status.code(), Some(0));
    assert_eq!(Outcomes::of(&client).next().await.state, State::Interrupted);
}

#[tokio::test]
async fn a_blocking_handler_that_never_returns_can_not_hold_the_exit() {
    let (url, client) = shared().await;
    let stopping = probe::process(&url, &client, &[("PROBE_GRACE_MS", "200")]);
    client.push(probe("blocks", Act::Block { ms: 600_000 })).await.unwrap();
    says(&stopping, "started blocks attempt 1 run 1").await;
    stopping.term();
    let status = tokio::time::timeout(Duration::from_secs(15), stopping.exited()).await.expect("it exits");
    assert_eq!(status.code(), Some(0));
    let next = probe::process(&url, &client, &[]);
    says(&next, "started blocks attempt 1 run 2").await;
}

#[tokio::test]
async fn killing_workers_over_and_over_loses_and_doubles_nothing() {
    let (url, client) = shared().await;
    let mut workers = [probe::process(&url, &client, &[]), probe::process(&url, &client, &[])];
    const JOBS: usize = 2_000;
    client.push_all((0..JOBS).map(|i| probe(&format!("{i}"), Act::Sleep { ms: 5 }))).await.unwrap();
    let mut outcomes = Outcomes::of(&client);
    let mut ended = HashSet::new();
    while ended.len() < JOBS {
        let outcome = outcomes.next().await;
        if outcome.state.is_terminal() {
            assert_eq!(outcome.state, State::Completed);
            assert!(ended.insert(outcome.id), "{} ended twice", outcome.id);
            if ended.len() % 400 == 0 {
                let victim = &mut workers[ended.len() / 400 % 2];
                victim.kill().await;
                *victim = probe::process(&url, &client, &[]);
            }
        }
    }
    for worker in &mut workers {
        worker.shut_down(PATIENCE).await;
    }
    assert_empty(&client).await;
    dead_consumers_are_forgotten(&client).await;
}

/// A last worker rescues, forgets and leaves: nothing stays behind.
async fn dead_consumers_are_forgotten(client: &Client) {
    let dead = consumers(client).await;
    let (worker, mut said) = probe::worker(client);
    let worker = Running::start(worker);
    client.push(probe("last", Act::Succeed)).await.unwrap();
    said.wait_for("ended last").await;
    let forgotten = async {
        while consumers(client).await.iter().any(|consumer| dead.contains(consumer)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, forgotten).await.expect("dead consumers are forgotten");
    worker.stop().await;
    assert_eq!(consumers(client).await, HashSet::new());
}

/// Consumers that the normal lane knows, and those that are alive.
async fn consumers(client: &Client) -> HashSet<String> {
    let mut conn = client.connection().await.unwrap();
    let keys = client.keys(QUEUE);
    let mut names: HashSet<String> = redis::cmd("HKEYS").arg(keys.alive()).query_async(&mut conn).await.unwrap();
    names.retain(|name| !name.ends_with(":fin"));
    let mut info = redis::cmd("XINFO");
    let group: redis::streams::StreamInfoConsumersReply =
        info.arg("CONSUMERS").arg(keys.ready(Lane::Normal)).arg("workers").query_async(&mut conn).await.unwrap();
    names.extend(group.consumers.into_iter().map(|consumer| consumer.name));
    names
}

#[tokio::test]
async fn workers_ride_out_a_restart_of_the_server() {
    let mut redis = Redis::builder().aof(true).args(["--appendfsync", "always"]).start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let worker = Running::start(probe::worker(&client).0.concurrency(QUEUE, 8));
    let mut outcomes = Outcomes::of(&client);
    const JOBS: usize = 1_000;
    client.push_all((0..JOBS).map(|i| probe(&format!("{i}"), Act::Sleep { ms: 10 }))).await.unwrap();
    let mut ended = HashSet::new();
    while ended.len() < JOBS {
        let outcome = outcomes.next_end().await;
        assert!(ended.insert(outcome.id), "{} ended twice", outcome.id);
        if ended.len() == JOBS / 3 {
            redis.kill().await;
            redis.restart().await.unwrap();
        }
    }
    worker.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn an_outage_longer_than_the_lease_fences_nobody() {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let processes = [probe::process(&redis.url(), &client, &[]), probe::process(&redis.url(), &client, &[])];
    for process in &processes {
        says(process, "ready").await;
    }
    client.push(probe("through", Act::Sleep { ms: 6_000 })).await.unwrap();
    let mut outcomes = Outcomes::of(&client);
    tokio::select! {
        () = says(&processes[0], "started through attempt 1 run 1") => {}
        () = says(&processes[1], "started through attempt 1 run 1") => {}
    }
    redis.stop();
    tokio::time::sleep(3 * LEASE).await; // the fault itself
    redis.cont();
    let outcome = outcomes.next().await;
    assert_eq!((outcome.state, outcome.run, outcome.crash), (State::Completed, 1, 0));
}

#[tokio::test]
async fn workers_survive_the_loss_of_their_streams_and_of_everything() {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let worker = Running::start(probe::worker(&client).0);
    let mut outcomes = Outcomes::of(&client);
    client.push(probe("before", Act::Succeed)).await.unwrap();
    assert_eq!(outcomes.next().await.state, State::Completed);

    let mut conn = client.connection().await.unwrap();
    redis::cmd("DEL").arg(client.keys(QUEUE).ready(Lane::Normal)).exec_async(&mut conn).await.unwrap();
    client.push(probe("after the stream", Act::Succeed)).await.unwrap();
    assert_eq!(outcomes.next().await.state, State::Completed);

    redis::cmd("FLUSHALL").exec_async(&mut conn).await.unwrap();
    client.record(QUEUE).await.unwrap();
    client.push(probe("after everything", Act::Succeed)).await.unwrap();
    let outcome = Outcomes::of(&client).next().await;
    assert_eq!(outcome.result.as_deref(), Some(&br#""after everything""#[..]));

    redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut conn).await.unwrap();
    client.push(probe("after the scripts", Act::Succeed)).await.unwrap();
    worker.stop().await;
}
