use std::time::{Duration, Instant};

use chrono::Utc;
use millstream_queue::{Error as QueueError, State};
use millstream_tests::shared_redis;
use millstream_worker::{self as worker, Context, Failure};

use crate::{
    probe::{self, Act, PATIENCE, QUEUE, assert_empty, probe},
    stage::{HOUR, TASK, Task, ask, hash, start},
};

#[tokio::test]
async fn what_a_handler_returns_is_awaited_by_the_jobs_id() {
    let (client, _, worker) = start(async |job: Task, _| Ok(job.number * 6)).await;
    let id = client.push(TASK).keep_result(HOUR).await.unwrap();
    assert_eq!(client.result::<u32>(QUEUE, id).within(PATIENCE).await.unwrap(), 42);
    // It is there for others too, and not for ever.
    assert_eq!(client.result::<u32>(QUEUE, id).within(Duration::ZERO).await.unwrap(), 42);
    let left: u64 = ask(&client, &["PTTL", &hash(&client, id)]).await;
    assert!((HOUR.as_millis() as u64 - 60_000..=HOUR.as_millis() as u64).contains(&left), "{left}");
    worker.stop().await;
    assert_empty(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_results_are_awaited_at_once_and_no_end_is_missed() {
    let (client, _, worker) = start(async |job: Task, _| Ok(job.number)).await;
    let start = Instant::now();
    let mut waiting = tokio::task::JoinSet::new();
    for first in 0..200 {
        let client = client.clone();
        waiting.spawn(async move {
            for number in (0..10).map(|round| 1000 * round + first) {
                let id = client.push(Task { number }).keep_result(HOUR).await.unwrap();
                // One that is missed would be found at the end of the time.
                assert_eq!(client.result::<u32>(QUEUE, id).within(10 * PATIENCE).await.unwrap(), number);
            }
        });
    }
    waiting.join_all().await;
    assert!(start.elapsed() < 5 * PATIENCE, "{:?}", start.elapsed());
    worker.stop().await;
}

#[tokio::test]
async fn a_job_that_does_not_complete_tells_its_state_and_its_error_to_those_who_wait() {
    let handler = async |job: Task, _: Context<()>| -> worker::Result {
        Err(match job.number {
            0 => Failure::cancel("pointless"),
            1 => Failure::dead("hopeless"),
            _ => "again and again".into(),
        })
    };
    let (client, _, worker) = start(handler).await;
    let cases = [
        (0, State::Cancelled, "pointless"),
        (1, State::Dead, "hopeless"),
        (2, State::Dead, "again and again"),
        (3, State::Expired, "its expiry had passed before it could run"),
    ];
    for (number, state, error) in cases {
        let push = client.push(Task { number }).keep_result(HOUR);
        let push = if state == State::Expired { push.expires(Utc::now()) } else { push };
        let id = push.await.unwrap();
        let told = client.result::<()>(QUEUE, id).within(PATIENCE).await.unwrap_err();
        let QueueError::NotCompleted { state: ended, error: reason, .. } = told else { panic!("{told}") };
        assert_eq!((ended, reason.as_str()), (state, error));
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_job_that_keeps_no_result_and_reports_nothing_leaves_nothing_behind() {
    let handler = async |_: Task, cx: Context<()>| if cx.attempt() == 1 { Err("once".into()) } else { Ok(7) };
    let (client, mut outcomes, worker) = start(handler).await;
    let id = client.push(TASK).await.unwrap();
    assert_eq!(outcomes.next_end().await.result.as_deref(), Some(&b"7"[..]));
    worker.stop().await;
    assert!(!ask::<bool>(&client, &["EXISTS", &hash(&client, id)]).await);
}

#[tokio::test]
async fn lines_tags_and_trace_are_kept_with_each_attempt() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let handler = async |_: Task, cx: Context<()>| {
        for line in 0..150 * (2 - cx.attempt()) {
            cx.log(format!("line {line}"));
        }
        if cx.attempt() == 1 { Err("once more".into()) } else { Ok(()) }
    };
    let (client, mut outcomes, worker) = start(handler).await;
    client.push(TASK).tags(["a", "b"]).traceparent(TRACE).await.unwrap();
    let (first, second) = (outcomes.next().await, outcomes.next().await);
    let log = first.log.unwrap();
    assert!(log.starts_with("(50 earlier lines were dropped)\nline 50\n") && log.ends_with("\nline 149"), "{log}");
    assert_eq!(second.log, None);
    for outcome in [(first.tags, first.traceparent), (second.tags, second.traceparent)] {
        assert_eq!(outcome, (vec!["a".to_owned(), "b".to_owned()], Some(TRACE.to_owned())));
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_job_that_is_cancelled_or_dies_with_its_workers_tells_those_who_wait() {
    let url = shared_redis().await.unwrap();
    let client = probe::client(&url).await;
    let poison = client.push(probe("poison", Act::Abort)).keep_result(HOUR).await.unwrap();
    let mut process = probe::process(&url, &client, &[]);
    let ended = async { client.result::<()>(QUEUE, poison).within(PATIENCE).await.unwrap_err() };
    let mut ended = std::pin::pin!(ended);
    let error = loop {
        tokio::select! {
            error = &mut ended => break error,
            _ = process.exited() => process = probe::process(&url, &client, &[]),
        }
    };
    assert!(matches!(&error, QueueError::NotCompleted { state: State::Dead, .. }), "{error}");

    let waiting = client.push(probe("waiting", Act::Succeed)).after(HOUR).keep_result(HOUR).await.unwrap();
    let running = client.push(probe("running", Act::Sleep { ms: 600_000 })).keep_result(HOUR).await.unwrap();
    process.wait_for_line(PATIENCE, |line| line.contains("started running")).await.unwrap();
    for id in [waiting, running] {
        client.cancel(QUEUE, id).await.unwrap();
        let error = client.result::<()>(QUEUE, id).within(PATIENCE).await.unwrap_err();
        assert!(matches!(&error, QueueError::NotCompleted { state: State::Cancelled, .. }), "{error}");
    }
}
