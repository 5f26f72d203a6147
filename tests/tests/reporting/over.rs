use std::{sync::Arc, time::Duration};

use millstream_queue::{Progress, State};
use millstream_tests::shared_redis;
use millstream_worker::{Context, Error};
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::{
    probe::{self, Act, PATIENCE, QUEUE, probe},
    stage::{HOUR, TASK, Task, ask, hash, start},
};

/// What every kind of report answers.
async fn report_all(cx: &Context<()>) -> [Result<(), Error>; 3] {
    cx.log("too late");
    [cx.progress(1, 2, "").await, cx.checkpoint("x").await, cx.restore::<String>().await.map(drop)]
}

fn assert_refused(id: Uuid, answers: [Result<(), Error>; 3]) {
    for answer in answers {
        assert!(matches!(&answer, Err(Error::Over { id: job, run: 1 }) if *job == id), "{answer:?}");
    }
}

#[tokio::test]
async fn an_attempt_that_timed_out_or_returned_can_not_report() {
    for slow in [true, false] {
        let (say, mut answers) = mpsc::unbounded_channel();
        let handler = move |_: Task, cx: Context<()>| {
            let say = say.clone();
            async move {
                if cx.run() > 1 {
                    return Ok(());
                }
                // What a handler leaves behind, such as a thread or a task, outlives its run.
                let (left_behind, runtime) = (cx.clone(), tokio::runtime::Handle::current());
                let over = Arc::new(tokio::sync::Notify::new());
                let ended = EndedGuard(over.clone());
                tokio::task::spawn_blocking(move || {
                    runtime.block_on(async {
                        over.notified().await;
                        let _ = say.send(report_all(&left_behind).await);
                    });
                });
                if slow {
                    tokio::time::sleep(HOUR).await;
                }
                drop(ended);
                Ok(())
            }
        };
        struct EndedGuard(Arc<tokio::sync::Notify>);
        impl Drop for EndedGuard {
            fn drop(&mut self) {
                let over = self.0.clone();
                // The run is over once its future is: a moment after this.
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    over.notify_one();
                });
            }
        }
        let (client, mut outcomes, worker) = start(handler).await;
        let id = client.push(TASK).timeout(Duration::from_millis(100)).await.unwrap();
        assert_refused(id, answers.recv().await.unwrap());
        let end = outcomes.next_end().await;
        assert_eq!((end.state, end.log), (State::Completed, None));
        assert!(!ask::<bool>(&client, &["EXISTS", &hash(&client, id)]).await, "something was reported");
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_fenced_worker_can_not_report() {
    let (say, mut answers) = mpsc::unbounded_channel();
    let handler = move |_: Task, cx: Context<()>| {
        let say = say.clone();
        async move {
            if cx.run() > 1 {
                return Ok(());
            }
            // Fenced behind its back, as when it was frozen: it has not noticed when it reports.
            let alive = cx.client.keys(QUEUE).alive();
            let _: u64 = ask(&cx.client, &["DEL", &alive]).await;
            let _ = say.send(report_all(&cx).await);
            Ok(())
        }
    };
    let (client, mut outcomes, worker) = start(handler).await;
    let id = client.push(TASK).await.unwrap();
    assert_refused(id, answers.recv().await.unwrap());
    assert_eq!(outcomes.next_end().await.run, 2, "the orphan was rescued");
    assert!(!ask::<bool>(&client, &["HEXISTS", &hash(&client, id), "progress"]).await);
    worker.stop().await;
}

#[tokio::test]
async fn a_frozen_worker_that_wakes_can_not_report_over_the_run_that_came_after() {
    let url = shared_redis().await.unwrap();
    let client = probe::client(&url).await;
    let frozen = probe::process(&url, &client, &[]);
    let id = client.push(probe("stolen", Act::ReportUntilRefused)).keep_result(HOUR).await.unwrap();
    let first = async { while client.progress(QUEUE, id).await.unwrap().is_none() {} };
    tokio::time::timeout(PATIENCE, first).await.unwrap();
    frozen.stop();
    let (worker, mut said) = probe::worker(&client);
    let worker = probe::Running::start(worker);
    said.wait_for("ended stolen").await;
    assert_eq!(client.result::<String>(QUEUE, id).within(PATIENCE).await.unwrap(), "stolen");

    frozen.cont();
    let refused = format!("refused stolen: run 1 of the job {id} is over");
    frozen.wait_for_line(PATIENCE, |line| line.contains(&refused)).await.unwrap();
    assert_eq!(client.progress(QUEUE, id).await.unwrap(), Some(Progress::new(2, 2, "the second run")));
    worker.stop().await;
}

#[tokio::test]
async fn a_job_that_is_cancelled_can_not_report_while_its_handler_tidies_up() {
    let (say, mut answers) = mpsc::unbounded_channel();
    let handler = move |_: Task, cx: Context<()>| {
        let say = say.clone();
        async move {
            cx.client.cancel(QUEUE, cx.id()).await?;
            cx.cancelled().await;
            let _ = say.send(report_all(&cx).await);
            tokio::task::yield_now().await; // one that returned at once would have completed
            cx.log("tidied up");
            Ok(())
        }
    };
    let (client, mut outcomes, worker) = start(handler).await;
    let id = client.push(TASK).await.unwrap();
    assert_refused(id, answers.recv().await.unwrap());
    let end = outcomes.next_end().await;
    assert_eq!((end.state, end.log.as_deref()), (State::Cancelled, Some("too late\ntidied up")));
    worker.stop().await;
}

#[tokio::test]
async fn a_run_below_the_latest_and_one_of_a_job_that_has_ended_are_refused() {
    for (field, value) in [("run", "2"), ("state", "dead")] {
        let (say, mut answers) = mpsc::unbounded_channel();
        let handler = move |_: Task, cx: Context<()>| {
            let say = say.clone();
            async move {
                let key = hash(&cx.client, cx.id());
                let _: u64 = ask(&cx.client, &["HSET", &key, field, value]).await;
                let _ = say.send(cx.progress(1, 2, "").await);
                let _ = say.send(cx.checkpoint("x").await);
                Ok(())
            }
        };
        let (client, _, worker) = start(handler).await;
        client.push(TASK).await.unwrap();
        for _ in 0..2 {
            assert!(matches!(answers.recv().await.unwrap(), Err(Error::Over { run: 1, .. })));
        }
        worker.stop().await;
    }
}
