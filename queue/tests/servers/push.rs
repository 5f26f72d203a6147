use std::time::Duration;

use chrono::{DateTime, TimeZone, Utc};
use futures::future::join_all;
use millstream_queue::{Error, Job, Lane, Priority, Signal};
use millstream_tests::{Proxy, Redis, shared_redis};
use serde::{Deserialize, Serialize};

use crate::stage::{Number, builder, soon, stage, stage_at};

#[derive(Serialize, Deserialize)]
struct Mail {
    to: String,
}
impl Job for Mail {
    const KIND: &'static str = "mail";
    const QUEUE: &'static str = "numbers";
    const VERSION: u32 = 2;
    const PRIORITY: Priority = Priority::Low;
}

fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn a_job_is_one_entry_with_kind_body_and_id() {
    let stage = stage().await;
    let id = stage.client.push(Number(7)).await.unwrap();
    assert_eq!(id.get_version_num(), 7);
    let entries = stage.redis.entries(&stage.lane(Lane::Normal)).await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].1, pairs(&[("kind", "number"), ("body", "7"), ("id", &id.to_string())]));
}

#[tokio::test]
async fn what_differs_from_the_defaults_is_written_in_the_documented_order() {
    let stage = stage().await;
    let mail = Mail { to: "ann".into() };
    let id = stage.client.push(mail).attempts(3).timeout(Duration::from_millis(1500)).await.unwrap();
    let entries = stage.redis.entries(&stage.lane(Lane::Low)).await;
    let expected = [
        ("kind", "mail"),
        ("body", r#"{"to":"ann"}"#),
        ("id", &id.to_string()),
        ("v", "2"),
        ("opt", r#"{"attempts":3,"timeout_ms":1500}"#),
    ];
    assert_eq!(entries[0].1, pairs(&expected));
}

#[tokio::test]
async fn many_jobs_take_the_same_options_as_one() {
    let stage = stage().await;
    let due = Utc.timestamp_millis_opt(4_000_000_000_000).unwrap();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    macro_rules! with_options {
        ($push:expr) => {
            $push
                .priority(Priority::High)
                .attempts(3)
                .timeout(Duration::from_secs(2))
                .expires(due)
                .tags(["billing", "eu"])
                .tags(["billing"])
                .traceparent(trace)
        };
    }
    let job = || Mail { to: "ann".into() };
    with_options!(stage.client.push(job())).await.unwrap();
    with_options!(stage.client.push(job()).id("by script")).await.unwrap();
    with_options!(stage.client.push_all([job(), job()])).await.unwrap();
    let entries = stage.redis.entries(&stage.lane(Lane::High)).await;
    assert_eq!(entries.len(), 4);
    for (_, fields) in entries {
        let fields: std::collections::HashMap<_, _> = fields.into_iter().collect();
        let options = r#"{"attempts":3,"timeout_ms":2000,"expires_ms":4000000000000,"tags":["billing","eu"]}"#;
        assert_eq!((fields["opt"].as_str(), fields["tp"].as_str()), (options, trace));
    }
}

#[tokio::test]
async fn tags_and_traces_that_are_refused_store_nothing() {
    let stage = stage().await;
    let error = stage.client.push(Number(1)).tags(["fine", ""]).await.unwrap_err();
    assert!(matches!(&error, Error::Tag { tag, .. } if tag.is_empty()), "{error}");
    let seventeen = (0..17).map(|number| format!("t{number}"));
    let error = stage.client.push_all([Number(1)]).tags(seventeen).await.unwrap_err();
    assert!(matches!(&error, Error::Tag { tag, .. } if tag == "t16"), "{error}");
    let error = stage.client.push(Number(1)).traceparent("00-abc").await.unwrap_err();
    assert!(matches!(&error, Error::Traceparent { value, .. } if value == "00-abc"), "{error}");
    assert_eq!(stage.redis.length(&stage.lane(Lane::Normal)).await, 0);
}

#[tokio::test]
async fn the_priority_chooses_the_lane() {
    let stage = stage().await;
    for (priority, lane) in [(Priority::High, Lane::High), (Priority::Normal, Lane::Normal), (Priority::Low, Lane::Low)]
    {
        stage.client.push(Number(1)).priority(priority).await.unwrap();
        assert_eq!(stage.redis.length(&stage.lane(lane)).await, 1, "{lane}");
    }
}

#[tokio::test]
async fn the_same_key_is_one_job_whatever_the_time_of_its_run() {
    let stage = stage().await;
    let first = stage.client.push(Number(1)).id("order:7").await.unwrap();
    assert_eq!(first.get_version_num(), 8);
    assert_eq!(stage.client.push(Number(1)).id("order:7").await.unwrap(), first);
    assert_eq!(stage.client.push(Number(1)).id("order:7").after(Duration::from_secs(60)).await.unwrap(), first);
    assert_ne!(stage.client.push(Number(1)).id("order:8").await.unwrap(), first);
    assert_eq!(stage.redis.length(&stage.lane(Lane::Normal)).await, 2);
    let later: usize = stage.redis.ask(&["ZCARD", &stage.client.keys("numbers").later()]).await;
    assert_eq!(later, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_from_many_tasks_is_one_job() {
    let stage = stage().await;
    let pushes = (0..50).map(|_| {
        let client = stage.client.clone();
        tokio::spawn(async move { client.push(Number(1)).id("once").await.unwrap() })
    });
    let ids: Vec<_> = join_all(pushes).await.into_iter().map(Result::unwrap).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(stage.redis.length(&stage.lane(Lane::Normal)).await, 1);
}

#[tokio::test]
async fn a_key_is_recognised_across_a_change_of_the_bucket() {
    let window = Duration::from_secs(3);
    let client = builder(&shared_redis().await.unwrap()).dedup_window(window).await.unwrap();
    let redis = stage().await.redis;
    // Time is what this test is about: push at the end of a bucket, then at the start of the next one.
    let into_bucket = || Duration::from_millis(u64::try_from(Utc::now().timestamp_millis()).unwrap() % 3000);
    tokio::time::sleep((window * 5 / 6).saturating_sub(into_bucket())).await;
    let bucket = Utc::now().timestamp_millis() / 3000;
    client.push(Number(1)).id("once").await.unwrap();
    tokio::time::sleep(window - into_bucket()).await;
    assert!(Utc::now().timestamp_millis() / 3000 > bucket);
    client.push(Number(1)).id("once").await.unwrap();
    let keys = client.keys("numbers");
    assert_eq!(redis.length(&keys.ready(Lane::Normal)).await, 1);
    // It does not stay for ever.
    let seen = join_all((bucket..bucket + 2).map(|bucket| {
        let (redis, key) = (redis.clone(), keys.seen(bucket));
        async move { redis.ask::<i64>(&["PTTL", &key]).await }
    }));
    assert!(seen.await.into_iter().any(|left| (1..=6000).contains(&left)));
}

#[tokio::test]
async fn a_delayed_job_waits_by_the_servers_clock() {
    let stage = stage().await;
    let now_ms = || async {
        let (seconds, micros): (i64, i64) = stage.redis.ask(&["TIME"]).await;
        seconds * 1000 + micros / 1000
    };
    let before = now_ms().await;
    let id = stage.client.push(Number(1)).after(Duration::from_secs(600)).await.unwrap();
    let after = now_ms().await;
    let keys = stage.client.keys("numbers");
    let due: i64 = stage.redis.ask(&["ZSCORE", &keys.later(), &id.to_string()]).await;
    assert!((before + 600_000..=after + 600_000).contains(&due), "{before} {due} {after}");
    let packed: Vec<u8> = stage.redis.ask(&["HGET", &keys.later_jobs(), &id.to_string()]).await;
    assert!(!packed.is_empty());
    assert_eq!(stage.redis.length(&keys.ready(Lane::Normal)).await, 0);
}

#[tokio::test]
async fn a_time_in_the_past_means_now() {
    let stage = stage().await;
    for past in [DateTime::<Utc>::MIN_UTC, DateTime::UNIX_EPOCH, Utc::now() - Duration::from_secs(1)] {
        stage.client.push(Number(1)).at(past).await.unwrap();
    }
    stage.client.push(Number(1)).after(Duration::ZERO).await.unwrap();
    assert_eq!(stage.redis.length(&stage.lane(Lane::Normal)).await, 4);
}

#[tokio::test]
async fn the_year_9999_is_kept_to_the_millisecond_and_what_lies_beyond_is_refused() {
    let stage = stage().await;
    let last = Utc.timestamp_millis_opt(253_402_300_799_999).unwrap();
    let id = stage.client.push(Number(1)).at(last).await.unwrap();
    let keys = stage.client.keys("numbers");
    let due: i64 = stage.redis.ask(&["ZSCORE", &keys.later(), &id.to_string()]).await;
    assert_eq!(due, 253_402_300_799_999);

    let beyond = stage.client.push(Number(1)).at(last + Duration::from_millis(1)).await.unwrap_err();
    assert_eq!(
        beyond.to_string(),
        "the time 253402300800000 ms after 1970 is out of range; a job can wait until the year 9999"
    );
    for delay in [Duration::MAX, Duration::from_millis(u64::MAX)] {
        assert!(matches!(stage.client.push(Number(1)).after(delay).await, Err(Error::Time { .. })));
    }
    let later: usize = stage.redis.ask(&["ZCARD", &keys.later()]).await;
    assert_eq!((later, stage.redis.length(&keys.ready(Lane::Normal)).await), (1, 0));
}

#[tokio::test]
async fn workers_are_told_when_a_job_becomes_the_earliest() {
    let stage = stage().await;
    let mut signals = stage.client.signals("numbers").await.unwrap();
    for minutes in [60, 120, 1] {
        stage.client.push(Number(1)).after(Duration::from_secs(60 * minutes)).await.unwrap();
    }
    let channel = stage.client.keys("numbers").signal();
    let _: i64 = stage.redis.ask(&["PUBLISH", &channel, "end"]).await;
    let mut heard = Vec::new();
    while heard.last() != Some(&Signal::Message(b"end"[..].into())) {
        heard.push(soon("a signal", signals.next()).await);
    }
    let due = Signal::Message(b"due"[..].into());
    assert_eq!(heard[..heard.len() - 1], [due.clone(), due], "the second push was not the earliest");
}

#[tokio::test]
async fn a_payload_at_the_limit_passes_and_one_byte_more_is_refused() {
    let stage = stage().await;
    let client = builder(&shared_redis().await.unwrap()).payload_limit(100).await.unwrap();
    let mail = |length: usize| Mail { to: "x".repeat(length - r#"{"to":""}"#.len()) };
    client.push(mail(100)).await.unwrap();
    let error = client.push(mail(101)).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { name: "mail", size: 101, limit: 100 }), "{error}");
    assert!(client.push(mail(101)).id("k").after(Duration::from_secs(1)).await.is_err());
    assert_eq!(stage.redis.length(&client.keys("numbers").ready(Lane::Low)).await, 1);
}

#[tokio::test]
async fn names_that_would_break_keys_are_refused_by_name() {
    #[derive(Serialize, Deserialize)]
    struct BadQueue;
    impl Job for BadQueue {
        const KIND: &'static str = "fine";
        const QUEUE: &'static str = "mail}:x";
    }
    #[derive(Serialize, Deserialize)]
    struct BadKind;
    impl Job for BadKind {
        const KIND: &'static str = "send\r\nmail";
    }
    let stage = stage().await;
    let error = stage.client.push(BadQueue).await.unwrap_err();
    assert_eq!(error.to_string(), r#"queue "mail}:x" is refused: a name consists of A-Z a-z 0-9 . _ -"#);
    let error = stage.client.push(BadKind).await.unwrap_err();
    assert!(error.to_string().starts_with(r#"kind "send\r\nmail" is refused"#), "{error}");
    assert!(matches!(stage.client.push_all([BadQueue]).await, Err(Error::Name { .. })));
    let namespace = stage.client.namespace();
    let keys: Vec<String> = stage.redis.ask(&["KEYS", &format!("{namespace}*")]).await;
    assert_eq!(keys, Vec::<String>::new());
}

#[tokio::test]
async fn payloads_arrive_byte_for_byte_by_every_way() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Exact {
        big: u64,
        small: i64,
        beyond_doubles: u64,
        list: Vec<u8>,
        text: String,
        float: f64,
    }
    impl Job for Exact {
        const KIND: &'static str = "exact";
        const QUEUE: &'static str = "numbers";
    }
    let exact = || Exact {
        big: u64::MAX,
        small: i64::MIN,
        beyond_doubles: (1 << 53) + 1,
        list: Vec::new(),
        text: "\0 \u{202e} ü \" \\ \r\n".into(),
        float: -0.0,
    };
    let stage = stage().await;
    stage.client.push(exact()).await.unwrap();
    stage.client.push(exact()).id("by script").await.unwrap();
    stage.client.push(exact()).at(DateTime::UNIX_EPOCH).await.unwrap();
    stage.client.push_all([exact()]).await.unwrap();
    let entries = stage.redis.entries(&stage.lane(Lane::Normal)).await;
    assert_eq!(entries.len(), 4);
    let body = serde_json::to_string(&exact()).unwrap();
    assert!(body.contains("18446744073709551615") && body.contains("-9223372036854775808") && body.contains("[]"));
    for (_, fields) in entries {
        assert_eq!(fields[1], ("body".to_owned(), body.clone()));
        assert_eq!(serde_json::from_str::<Exact>(&fields[1].1).unwrap(), exact());
    }
}

#[tokio::test]
async fn a_lost_reply_is_indeterminate_and_the_same_key_makes_the_second_try_safe() {
    let proxy = Proxy::to(port(&shared_redis().await.unwrap())).await.unwrap();
    let client = builder(&proxy.redis_url()).response_timeout(Duration::from_millis(300)).await.unwrap();
    let redis = stage().await.redis;

    proxy.drop_replies();
    let error = client.push(Number(1)).id("order:7").await.unwrap_err();
    let Error::Indeterminate { id, .. } = &error else { panic!("{error}") };
    assert!(error.is_indeterminate());
    proxy.reply_dropped().await;

    proxy.heal();
    assert_eq!(client.push(Number(1)).id("order:7").await.unwrap(), *id);
    assert_eq!(redis.length(&client.keys("numbers").ready(Lane::Normal)).await, 1);
}

#[tokio::test]
async fn a_dropped_push_leaves_the_connection_in_order() {
    let redis = Redis::start().await.unwrap();
    let stage = stage_at(&redis.url()).await;
    stage.client.push(Number(0)).await.unwrap();
    redis.stop();
    let push = async { stage.client.push(Number(1)).await };
    assert!(tokio::time::timeout(Duration::from_millis(50), push).await.is_err());
    redis.cont();
    let mut ids = Vec::new();
    for number in 2..10 {
        ids.push(stage.client.push(Number(number)).await.unwrap().to_string());
    }
    let entries = stage.redis.entries(&stage.lane(Lane::Normal)).await;
    let stored: Vec<_> = entries.into_iter().map(|(_, fields)| fields[2].1.clone()).collect();
    assert!(stored.ends_with(&ids), "every answer belongs to its push");
}

fn port(url: &str) -> u16 {
    url.rsplit(':').next().and_then(|port| port.trim_end_matches('/').parse().ok()).expect("a port in the URL")
}
