use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use millstream_queue::{Progress, State};
use millstream_tests::Redis;
use millstream_worker::{Context, Worker};
use uuid::Uuid;

use crate::{
    probe::{self, Act, Outcomes, PATIENCE, QUEUE, probe},
    stage::{HOUR, Stop, TASK, Task, ask, hash, start},
};

#[tokio::test]
async fn progress_is_read_while_the_job_runs_and_kept_with_its_attempt() {
    let (go, gone) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let (wait, said) = (go.clone(), gone.clone());
    let handler = move |_: Task, cx: Context<()>| {
        let (wait, said) = (wait.clone(), said.clone());
        async move {
            cx.progress(1, 3, "first").await?;
            cx.progress(2, 3, "second").await?; // too soon after the first: a task sends it
            said.notify_one();
            wait.notified().await;
            cx.progress(3, 3, "").await?;
            Ok(())
        }
    };
    let (client, mut outcomes, worker) = start(handler).await;
    let id = client.push(TASK).await.unwrap();
    gone.notified().await;
    let latest = async {
        while client.progress(QUEUE, id).await.unwrap() != Some(Progress::new(2, 3, "second")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, latest).await.unwrap();
    go.notify_one();
    let outcome = outcomes.next().await;
    assert_eq!((outcome.state, outcome.progress), (State::Completed, Some(Progress::new(3, 3, ""))));
    // Where nobody keeps the result, the last progress stays for a day.
    assert_eq!(client.progress(QUEUE, id).await.unwrap(), Some(Progress::new(3, 3, "")));
    let left: u64 = ask(&client, &["PTTL", &hash(&client, id)]).await;
    assert!((1..=24 * HOUR.as_millis() as u64).contains(&left), "{left}");
    worker.stop().await;
}

#[tokio::test]
async fn a_loop_that_reports_each_step_sends_four_reports_a_second_at_most() {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let handler = async |_: Task, cx: Context<()>| {
        let (start, mut steps) = (Instant::now(), 0);
        while start.elapsed() < Duration::from_millis(1100) {
            steps += 1;
            cx.progress(steps, 0, "").await?;
            tokio::task::yield_now().await;
        }
        Ok(steps)
    };
    let worker = Stop::run(Worker::new(client.clone(), ()).handle(handler));
    client.push(TASK).await.unwrap();
    let outcome = Outcomes::of(&client).next().await;
    let steps: u64 = serde_json::from_slice(&outcome.result.unwrap()).unwrap();
    assert!(steps > 100, "{steps} steps");
    assert_eq!(outcome.progress.unwrap().done, steps);
    let info: String = ask(&client, &["INFO", "commandstats"]).await;
    // A report sets the hash's expiry once, and so does the one finish.
    let reports = calls(&info, "pexpire") - 1;
    assert!((2..=6).contains(&reports), "{reports} reports\n{info}");
    worker.stop().await;
}

/// How often the server ran a command.
fn calls(info: &str, command: &str) -> u64 {
    let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    line.and_then(|line| line.split(',').next()).map_or(0, |calls| calls.parse().unwrap())
}

#[tokio::test]
async fn the_ends_of_jobs_wake_no_worker() {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let (worker, mut said) = probe::worker(&client);
    let worker = probe::Running::start(worker);
    client.push(probe("first", Act::Succeed)).await.unwrap();
    said.wait_for("ended first").await;
    let looks = async || calls(&ask::<String>(&client, &["INFO", "commandstats"]).await, "zrange");
    let (before, start) = (looks().await, Instant::now());
    for _ in 0..500 {
        let done = format!("done {}", Uuid::now_v7());
        let _: u64 = ask(&client, &["PUBLISH", &client.keys(QUEUE).signal(), &done]).await;
    }
    client.push(probe("last", Act::Succeed)).after(Duration::from_millis(20)).await.unwrap();
    said.wait_for("ended last").await;
    let looks = looks().await - before;
    assert!(looks < 20 + 4 * start.elapsed().as_secs(), "{looks} looks at what is due");
    worker.stop().await;
}
