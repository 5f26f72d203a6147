//! What becomes of jobs in a worker, on a real server.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod probe;

use std::time::Duration;

use chrono::Utc;
use millstream_queue::{Client, Job, Lane, Overflow, Priority, State};
use millstream_tests::shared_redis;
use millstream_worker::{Context, Error, Worker};
use probe::{Act, Outcomes, QUEUE, Running, assert_balanced, assert_empty, probe};
use redis::Value;
use serde::{Deserialize, Serialize};

/// A client, its outcomes, and a running worker.
async fn start() -> (Client, Outcomes, Running, probe::Said) {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    let (worker, said) = probe::worker(&client);
    (client.clone(), Outcomes::of(&client), Running::start(worker), said)
}

async fn dead_job(client: &Client, id: impl ToString) -> Option<Vec<u8>> {
    let mut conn = client.connection().await.unwrap();
    let jobs = client.keys(QUEUE).dead_jobs();
    redis::cmd("HGET").arg(jobs).arg(id.to_string()).query_async(&mut conn).await.unwrap()
}

#[tokio::test]
async fn a_job_runs_once_and_its_outcome_is_kept() {
    let (client, mut outcomes, worker, _said) = start().await;

    let id = client.push(probe("plain", Act::Succeed)).await.unwrap();

    let outcome = outcomes.next().await;
    assert_eq!((outcome.id, outcome.state, outcome.kind.as_str()), (id, State::Completed, "probe"));
    assert_eq!((outcome.attempt, outcome.run, outcome.crash), (1, 1, 0));
    assert_eq!(outcome.result.as_deref(), Some(&br#""plain""#[..]));
    assert_eq!(outcome.payload.as_deref(), Some(&br#"{"name":"plain","act":"succeed"}"#[..]));
    assert!(outcome.started_us.unwrap() <= outcome.finished_us && outcome.error.is_none());
    worker.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_failing_job_is_retried_and_then_dead_with_its_last_error() {
    let (client, mut outcomes, worker, _said) = start().await;

    let id = client.push(probe("hopeless", Act::Fail)).await.unwrap();

    for attempt in 1..=3 {
        let outcome = outcomes.next().await;
        let expected = if attempt < 3 { State::Failed } else { State::Dead };
        assert_eq!((outcome.attempt, outcome.run, outcome.state), (attempt, attempt, expected));
        assert_eq!(outcome.error.as_deref(), Some("it failed"));
        assert_eq!(outcome.next_ms.is_some(), attempt < 3);
    }
    worker.stop().await;
    assert_empty(&client).await;
    let kept = dead_job(&client, id).await.expect("a dead letter");
    assert!(String::from_utf8_lossy(&kept).contains("it failed"));
}

#[tokio::test]
async fn a_failure_says_what_becomes_of_the_job() {
    let (client, mut outcomes, worker, _said) = start().await;
    let cases = [
        (Act::Cancel, vec![State::Cancelled]),
        (Act::Die, vec![State::Dead]),
        (Act::RetryAtOnce, vec![State::Failed, State::Completed]),
        (Act::Snooze { ms: 1 }, vec![State::Snoozed, State::Completed]),
        (Act::Panic, vec![State::Failed, State::Failed, State::Dead]),
    ];
    for (act, expected) in cases {
        client.push(probe("case", act.clone())).await.unwrap();
        for state in expected {
            assert_eq!(outcomes.next().await.state, state, "{act:?}");
        }
    }
    worker.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_snooze_burns_no_attempt() {
    let (client, mut outcomes, worker, _said) = start().await;
    client.push(probe("later", Act::Snooze { ms: 1 })).await.unwrap();
    outcomes.next().await;
    let second = outcomes.next().await;
    assert_eq!((second.attempt, second.run), (1, 2));
    worker.stop().await;
}

#[tokio::test]
async fn a_run_beyond_its_time_out_is_a_failed_attempt() {
    let (client, mut outcomes, worker, _said) = start().await;
    let slow = probe("slow", Act::Sleep { ms: 600_000 });
    client.push(slow).attempts(1).timeout(Duration::from_millis(20)).await.unwrap();
    let outcome = outcomes.next().await;
    assert_eq!((outcome.state, outcome.error.as_deref()), (State::Dead, Some("timed out after 20ms")));
    worker.stop().await;
}

#[tokio::test]
async fn a_delayed_job_runs_when_it_is_due_and_never_early() {
    let (client, mut outcomes, worker, _said) = start().await;
    let due = Utc::now() + Duration::from_millis(1200);
    client.push(probe("at", Act::Succeed)).at(due).await.unwrap();
    client.push(probe("after", Act::Succeed)).after(Duration::from_millis(300)).await.unwrap();

    let first = outcomes.next().await;
    let second = outcomes.next().await;

    assert_eq!(first.result.as_deref(), Some(&br#""after""#[..]));
    assert!(second.started_us.unwrap() >= due.timestamp_micros() / 1000 * 1000, "it ran early");
    assert!(second.enqueued_ms < due.timestamp_millis(), "the time of enqueuing is kept");
    worker.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn an_entry_with_only_kind_and_body_runs() {
    let (client, mut outcomes, worker, _said) = start().await;
    let mut conn = client.connection().await.unwrap();
    let lane = client.keys(QUEUE).ready(Lane::Normal);
    let body = r#"{"name":"by hand","act":"succeed"}"#;
    let mut add = redis::cmd("XADD");
    add.arg(&lane).arg("*").arg("kind").arg("probe").arg("body").arg(body);
    let entry: String = add.query_async(&mut conn).await.unwrap();

    let outcome = outcomes.next().await;

    assert_eq!(outcome.state, State::Completed);
    assert_eq!(outcome.id, millstream_queue::derived_id(&lane, &entry));
    assert_eq!(outcome.enqueued_ms.to_string(), entry.split('-').next().unwrap());
    worker.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn garbage_ends_among_the_dead_letters_with_its_raw_fields() {
    let (client, mut outcomes, worker, _said) = start().await;
    let mut conn = client.connection().await.unwrap();
    let lane = client.keys(QUEUE).ready(Lane::Normal);
    let garbage = [&["only", "nonsense \0\u{1f980}"][..], &["kind", "probe", "body", "{}", "n", "many"]];
    for fields in garbage {
        redis::cmd("XADD").arg(&lane).arg("*").arg(fields).exec_async(&mut conn).await.unwrap();
    }
    client.push(probe("after garbage", Act::Succeed)).await.unwrap();

    let mut outcomes = [outcomes.next().await, outcomes.next().await, outcomes.next().await];

    outcomes.sort_by_key(|outcome| outcome.error.clone());
    assert_eq!(outcomes[0].state, State::Completed, "the worker lives");
    assert!(outcomes[1].error.as_deref().unwrap().contains(r#"no field "kind""#));
    assert!(outcomes[2].error.as_deref().unwrap().contains(r#""n" holds "many""#));
    let raw = dead_job(&client, outcomes[1].id).await.expect("a dead letter");
    assert!(String::from_utf8_lossy(&raw).contains("nonsense \0\u{1f980}"));
    worker.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_payload_of_another_shape_is_a_failed_attempt() {
    let (client, mut outcomes, worker, _said) = start().await;
    let mut conn = client.connection().await.unwrap();
    let lane = client.keys(QUEUE).ready(Lane::Normal);
    redis::cmd("XADD").arg(&lane).arg(&["*", "kind", "probe", "body", "{}"]).exec_async(&mut conn).await.unwrap();
    let outcome = outcomes.next().await;
    assert_eq!(outcome.state, State::Failed);
    assert!(outcome.error.unwrap().contains("missing field `name`"));
    worker.stop().await;
}

#[derive(Serialize, Deserialize)]
struct NewerProbe {
    name: String,
}
impl Job for NewerProbe {
    const KIND: &'static str = "probe";
    const QUEUE: &'static str = QUEUE;
    const VERSION: u32 = 2;
}
#[derive(Serialize, Deserialize)]
struct Stranger;
impl Job for Stranger {
    const KIND: &'static str = "stranger";
    const QUEUE: &'static str = QUEUE;
}

#[tokio::test]
async fn a_job_that_nobody_here_understands_is_parked() {
    let (client, mut outcomes, worker, _said) = start().await;
    client.push(NewerProbe { name: "from the future".into() }).await.unwrap();
    client.push(Stranger).await.unwrap();
    for _ in 0..2 {
        let outcome = outcomes.next().await;
        assert_eq!(outcome.state, State::Parked, "{outcome:?}");
        assert!(outcome.error.unwrap().contains("no handler for the kind"));
    }
    worker.stop().await;
    let mut conn = client.connection().await.unwrap();
    let parked: u64 = redis::cmd("ZCARD").arg(client.keys(QUEUE).later()).query_async(&mut conn).await.unwrap();
    assert_eq!(parked, 2);
}

#[tokio::test]
async fn high_priority_runs_before_normal_before_low() {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    let mut outcomes = Outcomes::of(&client);
    for (name, priority) in [("low", Priority::Low), ("normal", Priority::Normal), ("high", Priority::High)] {
        client.push(probe(name, Act::Succeed)).priority(priority).await.unwrap();
    }
    let worker = Running::start(probe::worker(&client).0.concurrency(QUEUE, 1));
    let mut order = Vec::new();
    for _ in 0..3 {
        order.push(outcomes.next().await.lane);
    }
    assert_eq!(order, [Lane::High, Lane::Normal, Lane::Low]);
    worker.stop().await;
}

#[tokio::test]
async fn a_flood_of_urgent_jobs_starves_nobody() {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    client.push_all((0..100).map(|_| probe("urgent", Act::Succeed))).priority(Priority::High).await.unwrap();
    let humble = client.push(probe("humble", Act::Succeed)).priority(Priority::Low).await.unwrap();
    let worker = Running::start(probe::worker(&client).0.concurrency(QUEUE, 1));
    let mut outcomes = Outcomes::of(&client);
    let mut before = 0;
    while outcomes.next().await.id != humble {
        before += 1;
    }
    assert!((1..100).contains(&before), "the one of the lowest priority ran after {before} urgent ones");
    worker.stop().await;
}

#[tokio::test]
async fn no_more_jobs_run_at_once_than_the_concurrency_allows() {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    let (worker, mut said) = probe::worker(&client);
    let mut outcomes = Outcomes::of(&client);
    client.push_all((0..12).map(|i| probe(&format!("{i}"), Act::Sleep { ms: 20 }))).await.unwrap();
    let worker = Running::start(worker.concurrency(QUEUE, 3));
    for _ in 0..12 {
        assert_eq!(outcomes.next().await.state, State::Completed);
    }
    let (mut running, mut most) = (0_i32, 0);
    for line in said.heard_so_far() {
        running += if line.starts_with("started") { 1 } else { -1 };
        most = most.max(running);
    }
    assert_eq!(most, 3);
    worker.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_paused_queue_starts_nothing_and_goes_on_when_it_is_not_paused_any_more() {
    let (client, mut outcomes, worker, mut said) = start().await;
    client.push(probe("before", Act::Succeed)).await.unwrap();
    outcomes.next().await;
    said.heard_so_far();
    let mut conn = client.connection().await.unwrap();
    let control = client.keys(QUEUE).control();
    redis::cmd("HSET").arg(&control).arg("paused").arg(1).exec_async(&mut conn).await.unwrap();
    client.push(probe("waits", Act::Succeed)).await.unwrap();
    // The read that was waiting brings the job, and hands it back under the next run number.
    let lane = client.keys(QUEUE).ready(Lane::Normal);
    let handed_back = async {
        loop {
            let entries: Vec<(String, Vec<Value>)> =
                redis::cmd("XRANGE").arg(&lane).arg("-").arg("+").query_async(&mut conn).await.unwrap();
            if entries.iter().any(|(_, fields)| fields.contains(&Value::BulkString(b"run".to_vec()))) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(probe::PATIENCE, handed_back).await.unwrap();
    assert!(said.heard_so_far().is_empty(), "a job of a paused queue started");

    let mut conn = client.connection().await.unwrap();
    redis::cmd("HDEL").arg(&control).arg("paused").exec_async(&mut conn).await.unwrap();

    let outcome = outcomes.next().await;
    assert_eq!((outcome.state, outcome.attempt, outcome.run, outcome.crash), (State::Completed, 1, 2, 0));
    worker.stop().await;
}

#[tokio::test]
async fn fetching_pauses_while_no_recorder_takes_the_outcomes_and_goes_on_when_one_has() {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    client.limit_unrecorded(QUEUE, 10, Overflow::Pause).await.unwrap();
    let mut conn = client.connection().await.unwrap();
    let keys = client.keys(QUEUE);
    redis::cmd("HSET").arg(keys.control()).arg("done:outcomes").arg(10).exec_async(&mut conn).await.unwrap();
    client.push(probe("ready", Act::Succeed)).await.unwrap();
    client.push(probe("delayed", Act::Succeed)).after(Duration::from_millis(300)).await.unwrap();
    let (worker, mut said) = probe::worker(&client);
    let worker = Running::start(worker);
    // The worker lives: what is due becomes ready.
    let promoted = async {
        while redis::cmd("XLEN").arg(keys.ready(Lane::Normal)).query_async::<u64>(&mut conn).await.unwrap() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(probe::PATIENCE, promoted).await.unwrap();
    assert!(said.heard_so_far().is_empty(), "a job ran although its outcome could not be kept");

    let mut conn = client.connection().await.unwrap();
    redis::cmd("HSET").arg(keys.control()).arg("done:outcomes").arg(0).exec_async(&mut conn).await.unwrap();

    said.wait_for("ended ready").await;
    said.wait_for("ended delayed").await;
    worker.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn where_outcomes_may_be_dropped_the_oldest_are_and_they_are_counted() {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    client.limit_unrecorded(QUEUE, 3, Overflow::Drop).await.unwrap();
    let (worker, mut said) = probe::worker(&client);
    let worker = Running::start(worker.concurrency(QUEUE, 1));
    for i in 0..10 {
        client.push(probe(&format!("{i}"), Act::Succeed)).await.unwrap();
        said.wait_for(&format!("ended {i}")).await;
    }
    worker.stop().await;
    let mut outcomes = Outcomes::of(&client);
    let mut kept = Vec::new();
    while kept.last() != Some(&b"\"9\"".to_vec()) {
        kept.push(outcomes.next().await.result.unwrap());
    }
    let mut conn = client.connection().await.unwrap();
    let mut counters = redis::cmd("HMGET");
    counters.arg(client.keys(QUEUE).control()).arg("done:outcomes").arg("done:dropped");
    let (waiting, dropped): (usize, usize) = counters.query_async(&mut conn).await.unwrap();
    assert_eq!((waiting, waiting + dropped), (kept.len(), 10));
    assert!(waiting <= 3, "{waiting} outcomes were kept where 3 may be");
    assert_balanced(&client).await;
}

#[tokio::test]
async fn a_hundred_thousand_jobs_end_exactly_once_each() {
    let (client, mut outcomes, worker, _said) = start().await;
    let pushed = client.push_all((0..100_000).map(|i| probe(&format!("{i}"), Act::Succeed))).await.unwrap();
    assert_eq!(pushed, 100_000);
    let mut ids = std::collections::HashSet::new();
    for _ in 0..pushed {
        let outcome = outcomes.next().await;
        assert_eq!(outcome.state, State::Completed);
        assert!(ids.insert(outcome.id), "{} ended twice", outcome.id);
    }
    worker.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_worker_that_is_set_up_wrongly_says_so_at_its_start() {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    let forever = std::future::pending::<()>;
    let none = Worker::new(client.clone(), ()).run_until(forever()).await;
    assert!(matches!(none, Err(Error::NoHandlers)));

    async fn newer(_: NewerProbe, _: Context<probe::Bench>) -> millstream_worker::Result {
        Ok(())
    }
    let twice = probe::worker(&client).0.handle(newer).run_until(forever()).await;
    assert!(matches!(twice, Err(Error::DuplicateKind { kind: "probe" })));

    let unhandled = probe::worker(&client).0.concurrency("mail", 4).run_until(forever()).await;
    let message = unhandled.expect_err("nobody handles it").to_string();
    assert!(message.contains(r#""mail""#) && message.contains("probe"), "{message}");

    let zero = probe::worker(&client).0.concurrency(QUEUE, 0).run_until(forever()).await;
    assert!(matches!(zero, Err(Error::Setting { what: "concurrency", .. })));
    let short = probe::worker(&client).0.lease(Duration::ZERO).run_until(forever()).await;
    assert!(matches!(short, Err(Error::Setting { what: "lease", .. })));
}
