//! Cancelling jobs that wait, and dead letters, as far as no worker is needed.

use std::time::Duration;

use chrono::{DateTime, Utc};
use millstream_queue::{Cancelled, Entry, Filter, Job, Lane, Options, Outcome, Priority, State, Stored, Unique};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::stage::{Stage, stage};

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
struct Mail(u32);
impl Job for Mail {
    const KIND: &'static str = "mail";
    const QUEUE: &'static str = "mail";
}

#[derive(Serialize, Deserialize)]
struct Bill(u32);
impl Job for Bill {
    const KIND: &'static str = "bill";
    const QUEUE: &'static str = "mail";
}

async fn outcomes(stage: &Stage) -> Vec<Outcome> {
    let packs: Vec<(String, Vec<Vec<u8>>)> =
        stage.redis.ask(&["XRANGE", &stage.client.keys("mail").done(), "-", "+"]).await;
    packs.iter().flat_map(|(_, fields)| Outcome::decode_pack(&fields[3]).expect("as the test needs it")).collect()
}

/// Jobs in all lanes and in `later`.
async fn waiting(stage: &Stage) -> usize {
    let keys = stage.client.keys("mail");
    let mut count = stage.redis.ask::<usize>(&["ZCARD", &keys.later()]).await;
    assert_eq!(count, stage.redis.ask::<usize>(&["HLEN", &keys.later_jobs()]).await);
    for lane in Lane::ALL {
        count += stage.redis.length(&keys.ready(lane)).await;
    }
    count
}

#[tokio::test]
async fn jobs_that_wait_vanish_at_once_and_are_recorded_as_cancelled() {
    let stage = stage().await;
    stage.client.record("mail").await.unwrap();
    let ready = stage.client.push(Mail(1)).priority(Priority::Low).await.unwrap();
    let delayed = stage.client.push(Mail(2)).after(MINUTE).await.unwrap();
    for id in [ready, delayed] {
        assert_eq!(stage.client.cancel("mail", id).await.unwrap(), Cancelled { ended: 1, requested: 0 });
    }
    assert_eq!(waiting(&stage).await, 0);
    let outcomes = outcomes(&stage).await;
    assert_eq!(outcomes.iter().map(|outcome| outcome.id).collect::<Vec<_>>(), [ready, delayed]);
    assert!(outcomes.iter().all(|outcome| outcome.state == State::Cancelled && outcome.run == 1));
    assert_eq!(outcomes[0].error.as_deref(), Some("cancelled on request"));
}

#[tokio::test]
async fn a_filter_cancels_what_it_means_and_leaves_the_rest() {
    let stage = stage().await;
    stage.client.push_all((0..1200).map(Mail)).await.unwrap();
    stage.client.push_all((0..700).map(Bill)).after(MINUTE).await.unwrap();
    stage.client.push_all((0..10).map(Bill)).tags(["urgent"]).priority(Priority::High).await.unwrap();
    let urgent = stage.client.cancel_all("mail").filter(Filter::all().tag("urgent")).await.unwrap();
    assert_eq!(urgent, Cancelled { ended: 10, requested: 0 });
    let bills = stage.client.cancel_all("mail").filter(Filter::job::<Bill>()).await.unwrap();
    assert_eq!(bills, Cancelled { ended: 700, requested: 0 });
    assert_eq!(waiting(&stage).await, 1200);
    assert_eq!(stage.client.cancel_all("mail").await.unwrap().ended, 1200);
    assert_eq!(waiting(&stage).await, 0);
}

#[tokio::test]
async fn a_cancelled_job_frees_its_unique_key_and_tells_who_waits_for_its_result() {
    let stage = stage().await;
    let push = || stage.client.push(Mail(1)).unique(Unique::for_time(MINUTE)).keep_result(MINUTE);
    let first = push().await.unwrap();
    let mut heard = stage.client.signals("mail").await.unwrap();
    stage.client.cancel("mail", first).await.unwrap();
    let told = format!("done {first}");
    while heard.next().await != millstream_queue::Signal::Message(told.as_bytes().into()) {}
    assert_ne!(push().await.unwrap(), first);
}

#[tokio::test]
async fn what_can_not_be_found_is_marked_and_its_workers_are_told() {
    let stage = stage().await;
    let mut heard = stage.client.signals("mail").await.unwrap();
    let id = Uuid::now_v7();
    assert_eq!(stage.client.cancel("mail", id).await.unwrap(), Cancelled { ended: 0, requested: 1 });
    assert_eq!(heard.next().await, millstream_queue::Signal::Message(b"cancel"[..].into()));
    let marks: Vec<String> = stage.redis.ask(&["ZRANGE", &stage.client.keys("mail").cancel(), "0", "-1"]).await;
    assert_eq!(marks, [id.to_string()]);
}

/// Puts a job among the dead as a worker does.
async fn bury(stage: &Stage, id: Uuid, kind: &str, options: Option<&str>, died_ms: i64) {
    let keys = stage.client.keys("mail");
    let entry =
        Entry { attempt: 20, run: 25, crash: 1, options: options.map(Into::into), ..Entry::new(kind, "7", id, 5) };
    let packed = Stored { lane: Lane::High, entry: &entry, error: Some("no luck") }.pack();
    let mut both = redis::pipe();
    both.cmd("HSET").arg(keys.dead_jobs()).arg(id.to_string()).arg(packed);
    both.cmd("ZADD").arg(keys.dead()).arg(died_ms).arg(id.to_string());
    both.exec_async(&mut stage.redis.0.clone()).await.expect("as the test needs it");
}

#[tokio::test]
async fn dead_jobs_are_listed_with_their_last_error_the_newest_first() {
    let stage = stage().await;
    let dead = stage.client.dead_letters("mail");
    assert!(dead.list(&Filter::all(), 10).await.unwrap().is_empty());
    let (old, new) = (Uuid::now_v7(), Uuid::now_v7());
    bury(&stage, old, "mail", None, 1_700_000_000_000).await;
    bury(&stage, new, "bill", None, 1_700_000_060_000).await;
    let listed = dead.list(&Filter::all(), 10).await.unwrap();
    assert_eq!(listed.iter().map(|job| job.id).collect::<Vec<_>>(), [new, old]);
    assert_eq!((listed[0].error.as_str(), listed[0].lane), ("no luck", Lane::High));
    assert_eq!(listed[0].died_at, DateTime::from_timestamp_millis(1_700_000_060_000).unwrap());
    assert_eq!(dead.list(&Filter::job::<Mail>(), 10).await.unwrap()[0].id, old);
    assert_eq!(dead.list(&Filter::all(), 1).await.unwrap()[0].id, new);
    assert_eq!(dead.get(old).await.unwrap().unwrap().job.unwrap().kind, "mail");
    assert!(dead.get(Uuid::now_v7()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_revived_job_is_a_new_one_that_is_linked_to_the_dead_one() {
    let stage = stage().await;
    let (id, dead) = (Uuid::now_v7(), stage.client.dead_letters("mail"));
    bury(&stage, id, "mail", Some(r#"{"attempts":3,"expires_ms":5,"deadline_ms":6}"#), Utc::now().timestamp_millis())
        .await;
    let revived = dead.retry(id).await.unwrap().expect("a new job");
    assert_ne!(revived, id);
    let lane = stage.client.keys("mail").ready(Lane::High);
    let (_, fields) = stage.redis.entries(&lane).await.remove(0);
    let field = |name: &str| fields.iter().find(|field| field.0 == name).map(|field| field.1.as_str());
    assert_eq!(
        (field("id"), field("n"), field("run"), field("crash")),
        (Some(&*revived.to_string()), None, None, None)
    );
    let options = Options::parse(field("opt"));
    assert_eq!((options.of, options.attempts), (Some(id), Some(3)));
    assert_eq!((options.expires_ms, options.deadline_ms), (None, None), "its time was over");
    assert_eq!(dead.retry(id).await.unwrap(), None, "it has gone");
    assert!(dead.get(id).await.unwrap().is_none());
}

#[tokio::test]
async fn a_dead_job_is_not_revived_beside_the_one_that_has_its_unique_key() {
    let stage = stage().await;
    let unique = Unique::until_finished();
    stage.client.push(Mail(7)).unique(unique).await.unwrap();
    let (_, fields) = stage.redis.entries(&stage.client.keys("mail").ready(Lane::Normal)).await.remove(0);
    let options = fields.iter().find(|field| field.0 == "opt").unwrap().1.clone();
    let id = Uuid::now_v7();
    bury(&stage, id, "mail", Some(&options), Utc::now().timestamp_millis()).await;
    assert_eq!(stage.client.dead_letters("mail").retry(id).await.unwrap(), None);
    stage.client.cancel_all("mail").await.unwrap();
    let revived = stage.client.dead_letters("mail").retry(id).await.unwrap().unwrap();
    assert_eq!(stage.client.push(Mail(7)).unique(unique).await.unwrap(), revived, "it holds the key now");
}

#[tokio::test]
async fn all_dead_jobs_of_a_filter_are_revived_or_deleted_once() {
    let stage = stage().await;
    let dead = stage.client.dead_letters("mail");
    for i in 0..1010 {
        bury(&stage, Uuid::now_v7(), if i % 2 == 0 { "mail" } else { "bill" }, None, 1_700_000_000_000 + i).await;
    }
    let mails = Filter::job::<Mail>();
    let (one, other) = tokio::join!(dead.retry_all(&mails), dead.retry_all(&mails));
    assert_eq!(one.unwrap() + other.unwrap(), 505);
    assert_eq!(waiting(&stage).await, 505);
    assert_eq!(dead.delete_all(&Filter::all()).await.unwrap(), 505);
    assert!(!dead.delete(Uuid::now_v7()).await.unwrap());
    let left: usize = stage.redis.ask(&["HLEN", &stage.client.keys("mail").dead_jobs()]).await;
    assert_eq!(left, 0);
}
