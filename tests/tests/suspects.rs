//! A job that was there when two workers died runs alone in its process, whoever killed them.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod probe;

use std::time::Duration;

use millstream_queue::{Client, Job, Lane, State};
use millstream_tests::{Process, Source, shared_redis};
use probe::{Act, BESIDE, Beside, Outcomes, PATIENCE, Probe, QUEUE, assert_empty, probe};
use uuid::Uuid;

const NEIGHBOURS: usize = 40;

async fn says(process: &Process, wanted: &str) {
    process.wait_for_line(PATIENCE, |line| line.contains(wanted)).await.unwrap_or_else(|error| panic!("{error:#}"));
}

/// A process that works on both queues, and its first words.
async fn both_queues(url: &str, client: &Client, more: &[(&str, &str)]) -> Process {
    let process = probe::process(url, client, &[&[("PROBE_BESIDE", "4")], more].concat());
    says(&process, "ready").await;
    process
}

/// A job that two workers died under, by no fault of its own, and that is pending for the second.
async fn innocent(url: &str, client: &Client) -> Uuid {
    let innocent = client.push(probe("innocent", Act::Sleep { ms: 2_000 })).await.unwrap();
    for run in 1..=2 {
        let mut doomed = probe::process(url, client, &[]);
        says(&doomed, &format!("started innocent attempt 1 run {run}")).await;
        doomed.kill().await;
    }
    innocent
}

/// Pushes a job that kills its process when it is cancelled, and says which.
async fn push_poison<J: Job>(client: &Client, wrap: fn(Probe) -> J, name: &str) -> Uuid {
    client.push(wrap(probe(name, Act::AbortWhenCancelled))).await.unwrap()
}

/// That a job kills the third process, out of the queue `of`, while the innocent waits for its end.
async fn outlives_a_third_crash(of: &str) {
    let url = shared_redis().await.unwrap();
    let client = probe::client(&url).await;
    let innocent = innocent(&url, &client).await;
    let mut poison = [
        (QUEUE, push_poison(&client, |probe| probe, "poison here").await),
        (BESIDE, push_poison(&client, Beside, "poison beside").await),
    ];
    poison.sort_by_key(|(queue, _)| *queue != of);
    // The long lease leaves them time to start before the innocent is rescued.
    let third = both_queues(&url, &client, &[("PROBE_LEASE_MS", "3000")]).await;
    says(&third, "started poison here").await;
    says(&third, "started poison beside").await;
    says(&third, "is to run alone").await;
    client.push_all((0..NEIGHBOURS).map(|i| probe(&format!("late {i}"), Act::Succeed))).await.unwrap();
    client.cancel(poison[0].0, poison[0].1).await.unwrap();
    third.exited().await;
    let lines: Vec<String> = said(&third);
    assert!(!lines.iter().any(|line| line.contains("innocent") || line.contains("late")), "{lines:?}");
    client.cancel(poison[1].0, poison[1].1).await.unwrap();

    client.push_all((0..NEIGHBOURS).map(|i| probe(&format!("here {i}"), Act::Sleep { ms: 20 }))).await.unwrap();
    let beside = (0..NEIGHBOURS).map(|i| Beside(probe(&format!("beside {i}"), Act::Sleep { ms: 20 })));
    client.push_all(beside).await.unwrap();
    let mut fourth = both_queues(&url, &client, &[]).await;
    let mut outcomes = Outcomes::of(&client);
    // The late ones, the neighbours, the innocent, and the poison job that is cancelled when it is rescued.
    for _ in 0..2 * NEIGHBOURS + 2 {
        let outcome = outcomes.next_end().await;
        let is_poison = poison.iter().any(|(_, id)| *id == outcome.id);
        assert_eq!(outcome.state, if is_poison { State::Cancelled } else { State::Completed }, "{outcome:?}");
        let crashes = if is_poison { 1 } else { 2 * u32::from(outcome.id == innocent) };
        assert_eq!(outcome.crash, crashes, "{outcome:?}");
    }
    for i in 0..NEIGHBOURS {
        says(&fourth, &format!("ended beside {i}")).await;
    }
    runs_alone(&said(&fourth));
    fourth.shut_down(PATIENCE).await;
    assert_empty(&client).await;
}

/// What the handlers of a process have said.
fn said(process: &Process) -> Vec<String> {
    let mut lines = process.lines();
    let lines = std::iter::from_fn(|| lines.try_next()).filter(|line| line.source == Source::Stdout);
    lines.map(|line| line.text).filter(|line| line.contains("started ") || line.contains("ended ")).collect()
}

/// Every run before the innocent's had ended, and none started before that did.
fn runs_alone(lines: &[String]) {
    let start = lines.iter().position(|line| line.contains("started innocent")).expect("it runs");
    let started = lines[..start].iter().filter(|line| line.contains("started ")).count();
    assert_eq!(started, start - started, "others run on: {lines:?}");
    assert!(lines[start + 1].contains("ended innocent"), "another starts: {lines:?}");
}

#[tokio::test]
async fn an_innocent_suspect_outlives_a_poison_job_of_its_queue_and_runs_alone() {
    outlives_a_third_crash(QUEUE).await;
}

#[tokio::test]
async fn an_innocent_suspect_outlives_a_poison_job_of_another_queue_and_runs_alone() {
    outlives_a_third_crash(BESIDE).await;
}

/// A suspect, as a client in any language may write one.
async fn push_suspect(client: &Client) {
    let mut conn = client.connection().await.unwrap();
    let mut add = redis::cmd("XADD");
    add.arg(client.keys(QUEUE).ready(Lane::Suspect)).arg("*").arg("kind").arg("probe");
    add.arg("body").arg(r#"{"name":"suspect","act":"succeed"}"#).arg("crash").arg(2);
    add.exec_async(&mut conn).await.unwrap();
}

/// Waits until the process has waited so many times to run a suspect alone.
async fn waits_to_be_alone(process: &Process, times: usize) {
    let mut lines = process.lines();
    let look = async {
        for _ in 0..times {
            while !lines.next().await.expect("the process lives").text.contains("is to run alone") {}
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("it waits to be alone");
}

#[tokio::test]
async fn a_suspect_that_waits_to_be_alone_gives_up_at_a_pause_a_cancel_and_a_stop() {
    const FAR_LESS_THAN_IT_WAITS: Duration = Duration::from_secs(30);
    let url = shared_redis().await.unwrap();
    let client = probe::client(&url).await;
    let process = both_queues(&url, &client, &[("PROBE_GRACE_MS", "100")]).await;
    client.push(Beside(probe("long", Act::Sleep { ms: 600_000 }))).await.unwrap();
    says(&process, "started long").await;
    push_suspect(&client).await;
    waits_to_be_alone(&process, 1).await;

    let gives_up = async {
        let mut conn = client.connection().await.unwrap();
        let control = client.keys(QUEUE).control();
        redis::cmd("HSET").arg(&control).arg("paused").arg(1).exec_async(&mut conn).await.unwrap();
        client.push(Beside(probe("during the pause", Act::Succeed))).await.unwrap();
        says(&process, "ended during the pause").await;
        redis::cmd("HDEL").arg(&control).arg("paused").exec_async(&mut conn).await.unwrap();
        waits_to_be_alone(&process, 2).await;

        client.cancel_all(QUEUE).await.unwrap();
        client.push(probe("after the cancel", Act::Succeed)).await.unwrap();
        says(&process, "ended after the cancel").await;

        push_suspect(&client).await;
        waits_to_be_alone(&process, 3).await;
        process.term();
        process.exited().await
    };
    let status = tokio::time::timeout(FAR_LESS_THAN_IT_WAITS, gives_up).await.expect("it gives up at once");
    assert_eq!(status.code(), Some(0));
    assert!(!said(&process).iter().any(|line| line.contains("suspect")), "it started beside another");
}
