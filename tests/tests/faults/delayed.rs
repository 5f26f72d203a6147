//! Jobs that wait: many that are due at once, and some for a newer program.

use std::{collections::HashSet, time::Duration};

use millstream_queue::{Job, State};
use millstream_tests::{Redis, shared_redis};
use millstream_worker::{self as worker, Context, Worker};
use serde::{Deserialize, Serialize};

use crate::{
    probe::{self, Act, LEASE, Outcomes, PATIENCE, QUEUE, assert_empty, probe},
    stage::{Operator, says, scale, worker as start_worker},
};

/// Makes every delayed job due at one moment, a second from now; returns it in Unix milliseconds.
const DUE_AT_ONCE: &str = "
    local clock = redis.call('TIME')
    local due = clock[1] * 1000 + math.floor(clock[2] / 1000) + 1000
    for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
        redis.call('ZADD', KEYS[1], string.format('%.0f', due), id)
    end
    redis.call('PUBLISH', KEYS[2], 'due')
    return string.format('%.0f', due)";

#[tokio::test(flavor = "multi_thread")]
async fn fifty_thousand_jobs_due_at_once_all_run_and_none_runs_early() {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let jobs = 50_000 * scale() as usize;
    let pushed = client.push_all((0..jobs).map(|i| probe(&i.to_string(), Act::Quiet))).after(Duration::from_secs(3600));
    assert_eq!(pushed.await.unwrap(), jobs as u64);
    let wide = [("PROBE_CONCURRENCY", "256"), ("PROBE_LEASE_MS", "10000")];
    let _workers = [start_worker(&redis, &client, &wide).await, start_worker(&redis, &client, &wide).await];
    let keys = client.keys(QUEUE);
    let due: i64 = Operator::of(&redis).await.ask(&["EVAL", DUE_AT_ONCE, "2", &keys.later(), &keys.signal()]).await;

    let mut outcomes = Outcomes::of(&client);
    let mut ended = HashSet::new();
    while ended.len() < jobs {
        let outcome = outcomes.next().await;
        assert_eq!((outcome.state, outcome.run), (State::Completed, 1));
        assert!(ended.insert(outcome.id), "{} ended twice", outcome.id);
        assert!(outcome.started_us.unwrap() >= due * 1000, "a job ran early");
    }
    assert_empty(&client).await;
}

/// What the program after the deployment knows: a second version of the probe.
#[derive(Serialize, Deserialize)]
struct NextProbe {
    name: String,
    colour: String,
}
impl Job for NextProbe {
    const KIND: &'static str = "probe";
    const QUEUE: &'static str = QUEUE;
    const VERSION: u32 = 2;

    fn upcast(mut payload: serde_json::Value, _: u32) -> Result<serde_json::Value, String> {
        payload["colour"] = "grey".into();
        Ok(payload)
    }
}

async fn paint(job: NextProbe, _: Context<()>) -> worker::Result<String> {
    Ok(format!("{} {}", job.colour, job.name))
}

#[tokio::test]
async fn through_a_rolling_upgrade_newer_jobs_wait_for_newer_workers_and_older_ones_run_on_both() {
    let url = shared_redis().await.unwrap();
    let client = probe::client(&url).await;
    let mut old = probe::process(&url, &client, &[]);
    says(&old, "ready").await;
    let newer = client.push(NextProbe { name: "rose".into(), colour: "red".into() }).await.unwrap();
    let older = client.push(probe("stone", Act::Succeed)).await.unwrap();
    let mut outcomes = Outcomes::of(&client);
    let mut seen = [outcomes.next().await, outcomes.next().await];
    seen.sort_by_key(|outcome| outcome.id != newer);
    assert_eq!((seen[0].state, seen[0].attempt), (State::Parked, 1), "not dead, and no attempt burned");
    assert_eq!((seen[1].id, seen[1].state), (older, State::Completed));
    assert!(old.shut_down(PATIENCE).await.success());

    let older = client.push(probe("pebble", Act::Succeed)).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let new = Worker::new(client.clone(), ()).handle(paint).lease(LEASE).run_until(stopped);
    let new = tokio::spawn(new);
    let (first, second) = (outcomes.next().await, outcomes.next().await);
    assert_eq!(
        (first.id, first.state, first.result.as_deref()),
        (older, State::Completed, Some(&b"\"grey pebble\""[..]))
    );
    assert_eq!((second.id, second.attempt, second.run), (newer, 1, 2));
    assert_eq!((second.state, second.result.as_deref()), (State::Completed, Some(&b"\"red rose\""[..])));
    drop(stop);
    new.await.unwrap().unwrap();
    assert_empty(&client).await;
}
