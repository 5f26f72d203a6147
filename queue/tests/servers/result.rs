use std::time::{Duration, Instant};

use millstream_queue::{Error, Job, Progress, State};
use millstream_tests::{Proxy, Redis, shared_redis};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::stage::{Number, Raw, Stage, builder, eventually, soon, stage, stage_at};

const HOUR: Duration = Duration::from_secs(3600);

/// What a finish does at the end of a job, by the document's words.
async fn end(stage: &Stage, id: Uuid, fields: &[&str]) {
    let keys = stage.client.keys(Number::QUEUE);
    let key = keys.job(id);
    let _: i64 = stage.redis.ask(&[&["HSET", &key], fields].concat()).await;
    let _: i64 = stage.redis.ask(&["PUBLISH", &keys.signal(), &format!("done {id}")]).await;
}

#[tokio::test]
async fn a_result_that_is_there_is_given_at_once() {
    let stage = stage().await;
    let id = stage.client.push(Number(1)).keep_result(HOUR).await.unwrap();
    end(&stage, id, &["state", "completed", "result", r#"{"width":640}"#]).await;
    let result: serde_json::Value = stage.client.result(Number::QUEUE, id).within(Duration::ZERO).await.unwrap();
    assert_eq!(result["width"], 640);
    let error = stage.client.result::<u32>(Number::QUEUE, id).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("the result of job {id} can't be read as u32")), "{error}");
}

#[tokio::test]
async fn a_job_that_returns_nothing_has_nothing_as_its_result() {
    let stage = stage().await;
    let id = stage.client.push(Number(1)).keep_result(HOUR).await.unwrap();
    end(&stage, id, &["state", "completed"]).await;
    stage.client.result::<()>(Number::QUEUE, id).await.unwrap();
    assert_eq!(stage.client.result::<Option<u32>>(Number::QUEUE, id).await.unwrap(), None);
}

#[tokio::test]
async fn many_who_wait_are_told_when_the_job_ends() {
    let stage = stage().await;
    let id = stage.client.push(Number(1)).keep_result(HOUR).await.unwrap();
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let client = stage.client.clone();
            tokio::spawn(async move { client.result::<String>(Number::QUEUE, id).await })
        })
        .collect();
    let channel = stage.client.keys(Number::QUEUE).signal();
    eventually("a subscription", || async {
        stage.redis.ask::<(String, u64)>(&["PUBSUB", "NUMSUB", &channel]).await.1 == 1
    })
    .await;
    end(&stage, Uuid::nil(), &["state", "dead"]).await; // another job's
    end(&stage, id, &["state", "completed", "result", r#""done""#]).await;
    for result in waiting {
        assert_eq!(soon("the result", result).await.unwrap().unwrap(), "done");
    }
}

#[tokio::test]
async fn a_queue_for_which_nobody_waits_any_more_is_let_go() {
    let stage = stage().await;
    let id = stage.client.push(Number(1)).keep_result(HOUR).await.unwrap();
    let channel = stage.client.keys(Number::QUEUE).signal();
    let subscribers = || async { stage.redis.ask::<(String, u64)>(&["PUBSUB", "NUMSUB", &channel]).await.1 };
    for _ in 0..2 {
        let waiting = stage.client.result::<()>(Number::QUEUE, id).within(Duration::from_millis(50));
        assert!(matches!(waiting.await, Err(Error::NoResult { .. })));
        assert_eq!(subscribers().await, 1, "the next one needn't subscribe anew");
    }
    eventually("no subscription", || async { subscribers().await == 0 }).await;
}

#[tokio::test]
async fn a_job_that_ends_otherwise_gives_its_state_and_its_error() {
    let stage = stage().await;
    for (name, state) in [("dead", State::Dead), ("cancelled", State::Cancelled), ("expired", State::Expired)] {
        let id = stage.client.push(Number(1)).keep_result(HOUR).await.unwrap();
        end(&stage, id, &["state", name, "error", "address unknown"]).await;
        let error = stage.client.result::<()>(Number::QUEUE, id).await.unwrap_err();
        assert_eq!(error.to_string(), format!("the job {id} ended as {name}: address unknown"));
        assert!(matches!(error, Error::NotCompleted { state: ended, .. } if ended == state));
    }
}

#[tokio::test]
async fn waiting_ends_in_time_with_the_remedy() {
    let stage = stage().await;
    let id = stage.client.push(Number(1)).await.unwrap();
    let start = Instant::now();
    let error = stage.client.result::<()>(Number::QUEUE, id).within(Duration::from_millis(50)).await.unwrap_err();
    assert!(start.elapsed() >= Duration::from_millis(50));
    assert!(matches!(error, Error::NoResult { .. }));
    assert!(error.to_string().contains(&format!("{id} within 50ms")) && error.to_string().contains(".keep_result(…)"));
}

#[tokio::test]
async fn an_end_that_is_told_while_the_subscription_is_away_is_found() {
    let redis = Redis::start().await.unwrap();
    let raw = Raw::connect(&redis.url()).await;
    let proxy = Proxy::to(redis.port()).await.unwrap();
    let client = builder(&proxy.redis_url()).await.unwrap();
    let stage = Stage { client, redis: raw };
    let id = stage.client.push(Number(1)).keep_result(HOUR).await.unwrap();
    let client = stage.client.clone();
    let result = tokio::spawn(async move { client.result::<u32>(Number::QUEUE, id).await });
    let channel = stage.client.keys(Number::QUEUE).signal();
    let subscribers = || async { stage.redis.ask::<(String, u64)>(&["PUBSUB", "NUMSUB", &channel]).await.1 };
    eventually("a subscription", || async { subscribers().await == 1 }).await;
    proxy.blackhole();
    proxy.reset();
    eventually("no subscription", || async { subscribers().await == 0 }).await;
    end(&stage, id, &["state", "completed", "result", "7"]).await;
    proxy.heal();
    assert_eq!(soon("the result", result).await.unwrap().unwrap(), 7);
}

#[tokio::test]
async fn a_key_that_is_used_again_after_its_window_is_another_jobs() {
    let client = builder(&shared_redis().await.unwrap()).dedup_window(Duration::from_secs(1)).await.unwrap();
    let stage = Stage { client, redis: stage().await.redis };
    let push = || stage.client.push(Number(1)).id("order:7").keep_result(HOUR);
    let id = push().await.unwrap();
    end(&stage, id, &["state", "completed", "result", "1"]).await;
    assert_eq!(stage.client.result::<u32>(Number::QUEUE, id).await.unwrap(), 1);
    // Until the window is over, and with it the bucket behind it.
    eventually("a second job", || async {
        assert_eq!(push().await.unwrap(), id);
        stage.redis.length(&stage.lane(millstream_queue::Lane::Normal)).await == 2
    })
    .await;
    let error = stage.client.result::<u32>(Number::QUEUE, id).within(Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, Error::NoResult { .. }), "{error}");
}

#[tokio::test]
async fn for_how_long_a_result_is_kept_stands_with_the_job_also_as_its_types_default() {
    #[derive(Serialize, Deserialize)]
    struct Kept;
    impl Job for Kept {
        const KIND: &'static str = "kept";
        const QUEUE: &'static str = Number::QUEUE;
        const KEEP_RESULT: Option<Duration> = Some(HOUR);
    }
    let stage = stage().await;
    stage.client.push(Kept).await.unwrap();
    stage.client.push(Kept).keep_result(Duration::ZERO).await.unwrap();
    stage.client.push_all([Kept]).keep_result(Duration::MAX).await.unwrap();
    let entries = stage.redis.entries(&stage.lane(millstream_queue::Lane::Normal)).await;
    let options: Vec<_> = entries
        .iter()
        .map(|(_, fields)| fields.iter().find(|(name, _)| name == "opt").map(|(_, opt)| opt.as_str()))
        .collect();
    assert_eq!(options, [Some(r#"{"result_ms":3600000}"#), None, Some(r#"{"result_ms":31622400000}"#)]);
}

#[tokio::test]
async fn progress_is_what_was_last_reported() {
    let stage = stage_at(&shared_redis().await.unwrap()).await;
    let id = Uuid::now_v7();
    assert_eq!(stage.client.progress(Number::QUEUE, id).await.unwrap(), None);
    end(&stage, id, &["progress", r#"{"done":3,"total":10,"note":"resizing"}"#]).await;
    assert_eq!(stage.client.progress(Number::QUEUE, id).await.unwrap(), Some(Progress::new(3, 10, "resizing")));
}
