use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use millstream_queue::{Error, Job, Lane, Priority};
use millstream_tests::Redis;
use serde::{Deserialize, Serialize, Serializer, ser::Error as _};

use crate::stage::{Number, builder, stage, stage_at};

#[tokio::test]
async fn nothing_and_one_are_many_too() {
    let stage = stage().await;
    assert_eq!(stage.client.push_all(Vec::<Number>::new()).await.unwrap(), 0);
    assert_eq!(stage.redis.length(&stage.lane(Lane::Normal)).await, 0);
    assert_eq!(stage.client.push_all([Number(1)]).priority(Priority::High).await.unwrap(), 1);
    assert_eq!(stage.redis.length(&stage.lane(Lane::High)).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_jobs_keep_their_order() {
    let stage = stage().await;
    assert_eq!(stage.client.push_all((0..20_000).map(Number)).await.unwrap(), 20_000);
    let entries = stage.redis.entries(&stage.lane(Lane::Normal)).await;
    let numbers: Vec<u64> = entries.iter().map(|(_, fields)| fields[1].1.parse().unwrap()).collect();
    assert!(numbers.into_iter().eq(0..20_000));
}

#[tokio::test]
async fn many_jobs_can_wait_for_their_time() {
    let stage = stage().await;
    let pushed = stage.client.push_all((0..1500).map(Number)).after(Duration::from_secs(60)).await.unwrap();
    assert_eq!(pushed, 1500);
    let keys = stage.client.keys("numbers");
    let due: usize = stage.redis.ask(&["ZCARD", &keys.later()]).await;
    let jobs: usize = stage.redis.ask(&["HLEN", &keys.later_jobs()]).await;
    assert_eq!((due, jobs), (1500, 1500));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_bounds_what_is_taken_from_the_iterator() {
    let redis = Redis::start().await.unwrap();
    let client = builder(&redis.url()).response_timeout(Duration::from_secs(2)).await.unwrap();
    let taken = AtomicUsize::new(0);
    let endless = std::iter::repeat_with(|| Number(taken.fetch_add(1, Ordering::Relaxed) as u64));
    redis.stop();
    let error = client.push_all(endless).await.unwrap_err();
    redis.cont();
    assert!(matches!(&error, Error::PartlyPushed { stored: 0, .. }), "{error}");
    assert!(error.is_indeterminate());
    let taken = taken.load(Ordering::Relaxed);
    assert!(taken <= 4 * 512, "{taken} jobs were taken while none could be sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_thousand_jobs_are_all_stored() {
    let redis = Redis::start().await.unwrap();
    let stage = stage_at(&redis.url()).await;
    assert_eq!(stage.client.push_all((0..200_000).map(Number)).await.unwrap(), 200_000);
    assert_eq!(stage.redis.length(&stage.lane(Lane::Normal)).await, 200_000);
}

#[tokio::test]
async fn a_job_that_cannot_be_written_stops_the_rest_and_tells_how_many_are_stored() {
    #[derive(Deserialize)]
    struct Fragile(u64);
    impl Serialize for Fragile {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if self.0 == 1500 { Err(S::Error::custom("it broke")) } else { serializer.serialize_u64(self.0) }
        }
    }
    impl Job for Fragile {
        const KIND: &'static str = "fragile";
        const QUEUE: &'static str = "numbers";
    }
    let stage = stage().await;
    let error = stage.client.push_all((0..10_000).map(Fragile)).await.unwrap_err();
    let Error::PartlyPushed { stored, source } = &error else { panic!("{error}") };
    assert!(matches!(**source, Error::Encode { name: "fragile", .. }), "{source}");
    assert!(!error.is_indeterminate());
    assert_eq!(*stored, 1024, "two full pipelines");
    assert_eq!(stage.redis.length(&stage.lane(Lane::Normal)).await, 1024);
}

#[tokio::test]
async fn a_payload_nested_too_deeply_to_be_read_is_refused() {
    #[derive(Serialize, Deserialize)]
    struct Nested(serde_json::Value);
    impl Job for Nested {
        const KIND: &'static str = "nested";
    }
    let nested = |levels| Nested((0..levels).fold(1.into(), |inner, _| serde_json::Value::Array(vec![inner])));
    let stage = stage().await;
    stage.client.push(nested(127)).await.unwrap();
    let error = stage.client.push(nested(128)).await.unwrap_err();
    assert!(matches!(error, Error::Encode { name: "nested", .. }), "{error}");
}

/// When the jobs are due, in their order, in milliseconds from `start`.
async fn due(stage: &crate::stage::Stage, start: chrono::DateTime<chrono::Utc>) -> Vec<i64> {
    let later = stage.client.keys("numbers").later();
    let scores: Vec<(String, i64)> = stage.redis.ask(&["ZRANGE", &later, "0", "-1", "WITHSCORES"]).await;
    let mut jobs: Vec<_> = scores.into_iter().map(|(id, due)| (id, due - start.timestamp_millis())).collect();
    jobs.sort_unstable(); // ids of version 7 are in the order of the pushes
    jobs.into_iter().map(|(_, due)| due).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_spread_evenly_over_an_interval_in_their_order() {
    let stage = stage().await;
    let start = chrono::Utc::now();
    let hour = Duration::from_secs(3600);
    let pushed = stage.client.push_all((0..3000).map(Number)).after(hour).spread(hour).await.unwrap();
    let took = (chrono::Utc::now() - start).num_milliseconds();
    let due = due(&stage, start).await;
    assert_eq!((pushed, due.len()), (3000, 3000));
    for (index, due) in due.into_iter().enumerate() {
        let wanted = 3_600_000 + 1200 * index as i64;
        assert!(
            (wanted..=wanted + took + 1).contains(&due),
            "job {index} is due {due} ms after the start, not {wanted}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_an_unknown_number_are_spread_as_evenly() {
    let stage = stage().await;
    let start = chrono::Utc::now();
    let jobs = (0..4000).filter(|number| number % 2 == 0).map(Number);
    stage.client.push_all(jobs).at(start + Duration::from_secs(3600)).spread(Duration::from_secs(2000)).await.unwrap();
    let mut due = due(&stage, start).await;
    due.sort_unstable();
    assert_eq!(due.len(), 2000);
    let per_tenth = due.chunks(200).map(|tenth| tenth[0]).collect::<Vec<_>>();
    for (tenth, first) in per_tenth.into_iter().enumerate() {
        let wanted = 3_600_000 + 200_000 * tenth as i64;
        assert!((first - wanted).abs() < 5_000, "tenth {tenth} begins {first} ms after the start, not {wanted}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_of_jobs_that_are_spread_is_due_at_once() {
    let stage = stage().await;
    stage.client.push_all((0..10).map(Number)).spread(Duration::from_secs(3600)).await.unwrap();
    assert_eq!(stage.redis.length(&stage.lane(Lane::Normal)).await, 1);
    let later: usize = stage.redis.ask(&["ZCARD", &stage.client.keys("numbers").later()]).await;
    assert_eq!(later, 9);
}
