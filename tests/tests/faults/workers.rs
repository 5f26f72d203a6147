//! Workers that die, freeze and wake at the worst moments.

use std::collections::HashSet;

use millstream_queue::{Client, State};
use millstream_tests::{Process, Proxy, Redis};

use crate::{
    probe::{self, Act, LEASE, Outcomes, QUEUE, assert_empty, probe},
    stage::{Operator, eventually, logs, says, worker},
};

async fn start() -> (Redis, Client) {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    (redis, client)
}

async fn says_how_often(process: &Process, wanted: &str) -> usize {
    let mut lines = process.lines();
    std::iter::from_fn(|| lines.try_next()).filter(|line| line.text.ends_with(wanted)).count()
}

#[tokio::test]
async fn a_worker_killed_between_effect_and_acknowledgement_costs_exactly_one_duplicate() {
    let (redis, client) = start().await;
    let proxy = Proxy::to(redis.port()).await.unwrap();
    let mut doomed = probe::process(&proxy.redis_url(), &client, &[]);
    client.push(probe("effect", Act::Sleep { ms: 300 })).await.unwrap();
    says(&doomed, "started effect attempt 1 run 1").await;
    proxy.blackhole();
    says(&doomed, "ended effect").await;
    doomed.kill().await;
    drop(proxy); // the acknowledgement with it

    let survivor = worker(&redis, &client, &[]).await;
    says(&survivor, "ended effect").await;

    let mut outcomes = Outcomes::of(&client);
    let (crashed, completed) = (outcomes.next().await, outcomes.next().await);
    assert_eq!((crashed.state, crashed.run), (State::Crashed, 1));
    assert_eq!((completed.state, completed.attempt, completed.run), (State::Completed, 1, 2));
    client.push(probe("after", Act::Succeed)).await.unwrap();
    says(&survivor, "ended after").await;
    assert_eq!(says_how_often(&survivor, "ended effect").await, 1);
    assert_eq!(outcomes.next().await.state, State::Completed);
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_worker_frozen_for_three_leases_can_not_retry_its_job() {
    let (redis, client) = start().await;
    let frozen = worker(&redis, &client, &[]).await;
    let id = client.push(probe("stolen", Act::FailAfter { ms: 700 })).await.unwrap();
    says(&frozen, "started stolen attempt 1 run 1").await;
    frozen.stop();
    let frozen_at = std::time::Instant::now();
    let survivor = worker(&redis, &client, &[]).await;
    says(&survivor, "started stolen attempt 1 run 2").await;
    tokio::time::sleep((3 * LEASE).saturating_sub(frozen_at.elapsed())).await; // the fault itself
    frozen.cont();
    logs(&frozen, "this consumer was fenced").await;

    // Attempts 1 to 3, once each behind the crash: a retry of the frozen worker would be one more.
    let mut outcomes = Outcomes::of(&client);
    let mut ends: Vec<(State, u32, u32)> = Vec::new();
    while ends.last().is_none_or(|(state, ..)| *state != State::Dead) {
        let outcome = outcomes.next().await;
        assert_eq!(outcome.id, id);
        ends.push((outcome.state, outcome.attempt, outcome.run));
    }
    let expected = [(State::Crashed, 1, 1), (State::Failed, 1, 2), (State::Failed, 2, 3), (State::Dead, 3, 4)];
    assert_eq!(ends, expected);
    let after = client.push(probe("after", Act::Succeed)).await.unwrap();
    assert_eq!(outcomes.next().await.id, after);
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_worker_that_wakes_just_after_the_rescue_does_not_steal_its_job_back() {
    let (redis, client) = start().await;
    let frozen = worker(&redis, &client, &[]).await;
    client.push(probe("held", Act::Sleep { ms: 2_500 })).await.unwrap();
    says(&frozen, "started held attempt 1 run 1").await;
    frozen.stop();
    let survivor = worker(&redis, &client, &[]).await;
    says(&survivor, "started held attempt 1 run 2").await;
    frozen.cont();
    logs(&frozen, "this consumer was fenced").await;

    let mut outcomes = Outcomes::of(&client);
    assert_eq!(outcomes.next().await.state, State::Crashed);
    let completed = outcomes.next().await;
    assert_eq!((completed.state, completed.attempt, completed.run, completed.crash), (State::Completed, 1, 2, 1));
    says(&survivor, "ended held").await;
    assert_eq!(says_how_often(&frozen, "ended held").await, 0);
    assert_empty(&client).await;
}

#[tokio::test]
async fn two_workers_configured_alike_are_two_consumers_and_one_rescues_the_other() {
    let (redis, client) = start().await;
    let alike = [("HOSTNAME", "worker-1"), ("PROBE_CONCURRENCY", "1")];
    let mut one = worker(&redis, &client, &alike).await;
    client.push(probe("first", Act::Sleep { ms: 3_000 })).await.unwrap();
    says(&one, "started first attempt 1 run 1").await;
    let two = worker(&redis, &client, &alike).await;
    let operator = Operator::of(&redis).await;
    let consumers = async || -> HashSet<String> {
        let fields: Vec<String> = operator.ask(&["HKEYS", &client.keys(QUEUE).alive()]).await;
        fields.into_iter().filter(|field| !field.ends_with(":fin")).collect()
    };
    eventually("two consumers", async || consumers().await.len() == 2).await;

    one.kill().await;

    says(&two, "started first attempt 1 run 2").await;
    let mut outcomes = Outcomes::of(&client);
    assert_eq!(outcomes.next().await.state, State::Crashed);
    assert_eq!(outcomes.next().await.state, State::Completed);
    assert_eq!(consumers().await.len(), 1);
}

#[tokio::test]
async fn a_panic_costs_an_attempt_and_not_the_worker() {
    let (redis, client) = start().await;
    let process = worker(&redis, &client, &[("PROBE_CONCURRENCY", "1")]).await;
    let panics = client.push(probe("panics", Act::Panic)).attempts(1).await.unwrap();
    let blocks = client.push(probe("after", Act::Succeed)).await.unwrap();
    let mut outcomes = Outcomes::of(&client);
    let (dead, completed) = (outcomes.next().await, outcomes.next().await);
    assert_eq!((dead.id, dead.state, dead.crash), (panics, State::Dead, 0));
    assert_eq!(dead.error.as_deref(), Some("the handler panicked: a handler's panic"));
    assert_eq!((completed.id, completed.state), (blocks, State::Completed));
    assert!(process.try_exited().is_none());
}
