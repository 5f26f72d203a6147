use std::time::Duration;

use millstream_queue::State;
use millstream_tests::shared_redis;
use millstream_worker::{self as worker, Context, Failure};

use crate::{
    probe::{self, Act, assert_empty, probe},
    stage::{TASK, Task, ask, hash, start},
};

#[tokio::test]
async fn a_checkpoint_is_handed_to_the_next_attempt_and_gone_when_the_job_has_ended() {
    let handler = async |_: Task, cx: Context<()>| {
        let reached: u32 = cx.restore().await?.unwrap_or(0);
        if reached < 2 {
            cx.checkpoint(&(reached + 1)).await?;
            return Err("interrupted".into());
        }
        Ok(reached)
    };
    let (client, mut outcomes, worker) = start(handler).await;
    let id = client.push(TASK).await.unwrap();
    let end = outcomes.next_end().await;
    assert_eq!((end.state, end.attempt, end.result.as_deref()), (State::Completed, 3, Some(&b"2"[..])));
    let fields: Vec<String> = ask(&client, &["HGETALL", &hash(&client, id)]).await;
    assert_eq!(fields, ["run", "3", "state", "completed"]);
    worker.stop().await;
}

#[tokio::test]
async fn a_checkpoint_survives_the_crash_of_its_worker() {
    let url = shared_redis().await.unwrap();
    let client = probe::client(&url).await;
    let doomed = probe::process(&url, &client, &[]);
    client.push(probe("long", Act::Resume)).await.unwrap();
    doomed.exited().await;
    let (worker, mut said) = probe::worker(&client);
    let worker = probe::Running::start(worker);
    said.wait_for("restored half of long").await;
    worker.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_checkpoint_outlives_a_long_wait_for_the_next_attempt() {
    const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);
    let handler = async |_: Task, cx: Context<()>| -> worker::Result {
        cx.checkpoint("half").await?;
        Err(Failure::snooze(MONTH, "next month"))
    };
    let (client, mut outcomes, worker) = start(handler).await;
    let id = client.push(TASK).await.unwrap();
    assert_eq!(outcomes.next().await.state, State::Snoozed);
    let left: u64 = ask(&client, &["PTTL", &hash(&client, id)]).await;
    assert!(u128::from(left) > MONTH.as_millis(), "{left}");
    worker.stop().await;
}

#[tokio::test]
async fn a_checkpoint_that_can_not_be_kept_or_read_says_why() {
    let handler = async |_: Task, cx: Context<()>| -> worker::Result {
        let large = cx.checkpoint(&"x".repeat(2_000_000)).await.unwrap_err();
        assert!(large.to_string().contains("2000002 bytes, the limit is 1048576"), "{large}");
        let odd = std::collections::HashMap::from([(vec![1], 1)]);
        assert!(cx.checkpoint(&odd).await.unwrap_err().to_string().contains("can't be written as JSON"));
        assert_eq!(cx.restore::<u32>().await?, None);
        cx.checkpoint("a text").await?;
        let other = cx.restore::<u32>().await.unwrap_err();
        assert!(other.to_string().contains("can't be read as u32"), "{other}");
        Ok(())
    };
    let (client, mut outcomes, worker) = start(handler).await;
    client.push(TASK).await.unwrap();
    let outcome = outcomes.next().await;
    assert_eq!(outcome.state, State::Completed, "{outcome:?}");
    worker.stop().await;
}
