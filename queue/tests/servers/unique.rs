//! Unique jobs, as far as no worker is needed.

use std::time::Duration;

use futures::future::join_all;
use millstream_queue::{Conflict, Error, Job, Lane, Unique};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::stage::{Stage, stage};

const MINUTE: Duration = Duration::from_secs(60);
const WHOLE: Unique = Unique::until_finished();
const BY_USER: Unique = Unique::until_finished().by(&["user"]);

#[derive(Clone, Serialize, Deserialize)]
struct Mail {
    user: u32,
    text: String,
}

impl Job for Mail {
    const KIND: &'static str = "mail";
    const QUEUE: &'static str = "mail";
}

fn mail(user: u32, text: &str) -> Mail {
    Mail { user, text: text.to_owned() }
}

/// The lane's jobs as (id, body).
async fn ready(stage: &Stage, lane: Lane) -> Vec<(Uuid, String)> {
    let entries = stage.redis.entries(&stage.client.keys("mail").ready(lane)).await;
    let field = |fields: &[(String, String)], name| {
        fields.iter().find(|field| field.0 == name).expect("as the test needs it").1.clone()
    };
    entries
        .iter()
        .map(|(_, fields)| (field(fields, "id").parse().expect("as the test needs it"), field(fields, "body")))
        .collect()
}

/// The delayed jobs as (id, ms until due).
async fn later(stage: &Stage) -> Vec<(Uuid, i64)> {
    let jobs: Vec<(String, i64)> =
        stage.redis.ask(&["ZRANGE", &stage.client.keys("mail").later(), "0", "-1", "WITHSCORES"]).await;
    let (seconds, _): (i64, i64) = stage.redis.ask(&["TIME"]).await;
    jobs.into_iter().map(|(id, due)| (id.parse().expect("as the test needs it"), due - seconds * 1000)).collect()
}

#[tokio::test]
async fn a_second_push_is_kept_out_and_returns_the_id_of_the_first() {
    let stage = stage().await;
    let first = stage.client.push(mail(7, "a")).unique(WHOLE).await.unwrap();
    assert_eq!(stage.client.push(mail(7, "a")).unique(WHOLE).await.unwrap(), first);
    assert_ne!(stage.client.push(mail(7, "b")).unique(WHOLE).await.unwrap(), first);
    // Who does not ask for it is not kept out.
    assert_ne!(stage.client.push(mail(7, "a")).await.unwrap(), first);
    assert_eq!(ready(&stage, Lane::Normal).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_pushes_at_once_is_stored() {
    let stage = stage().await;
    let pushes = (0..50).map(|text| {
        let client = stage.client.clone();
        tokio::spawn(async move { client.push(mail(7, &text.to_string())).unique(BY_USER).await.unwrap() })
    });
    let ids: Vec<_> = join_all(pushes).await.into_iter().map(Result::unwrap).collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(ready(&stage, Lane::Normal).await.len(), 1);
}

#[tokio::test]
async fn a_waiting_job_is_replaced_in_its_lane_and_keeps_its_id() {
    let stage = stage().await;
    let replace = BY_USER.on_conflict(Conflict::Replace);
    let first = stage.client.push(mail(7, "old")).unique(replace).await.unwrap();
    assert_eq!(stage.client.push(mail(7, "new")).unique(replace).await.unwrap(), first);
    assert_eq!(ready(&stage, Lane::Normal).await, [(first, r#"{"user":7,"text":"new"}"#.to_owned())]);
}

#[tokio::test]
async fn a_delayed_job_is_replaced_at_its_time_and_debounced_to_the_new_one() {
    let stage = stage().await;
    let first = stage.client.push(mail(7, "old")).after(MINUTE).unique(BY_USER).await.unwrap();
    let replace = BY_USER.on_conflict(Conflict::Replace);
    assert_eq!(stage.client.push(mail(7, "new")).after(3 * MINUTE).unique(replace).await.unwrap(), first);
    let [(id, due_in)] = later(&stage).await[..] else { panic!("one job") };
    assert!(id == first && due_in <= 61_000, "{due_in}");

    let debounce = BY_USER.on_conflict(Conflict::Debounce);
    assert_eq!(stage.client.push(mail(7, "newest")).after(3 * MINUTE).unique(debounce).await.unwrap(), first);
    let [(id, due_in)] = later(&stage).await[..] else { panic!("one job") };
    assert!(id == first && due_in > 170_000, "{due_in}");
    // Out of its lane it goes back to waiting.
    let ready_now = stage.client.push(mail(8, "x")).unique(debounce).await.unwrap();
    assert_eq!(stage.client.push(mail(8, "y")).after(MINUTE).unique(debounce).await.unwrap(), ready_now);
    assert_eq!(ready(&stage, Lane::Normal).await, []);
    assert_eq!(later(&stage).await.len(), 2);
}

#[tokio::test]
async fn a_key_for_a_time_is_taken_for_that_time_and_every_key_has_an_end() {
    let stage = stage().await;
    stage.client.push(mail(7, "a")).unique_for(MINUTE).await.unwrap();
    stage.client.push(mail(8, "a")).unique(WHOLE).after(MINUTE).await.unwrap();
    let keys: Vec<String> =
        stage.redis.ask(&["KEYS", &format!("{}unique:*", stage.client.keys("mail").prefix())]).await;
    let mut ends = Vec::new();
    for key in &keys {
        ends.push(stage.redis.ask::<i64>(&["PTTL", key]).await);
    }
    ends.sort_unstable();
    let week = 7 * 24 * 60 * 60 * 1000;
    assert!(
        matches!(ends[..], [time, kept] if (1..=60_000).contains(&time) && (week..=week + 60_000).contains(&kept)),
        "{ends:?}"
    );
}

#[tokio::test]
async fn a_key_whose_job_was_deleted_by_hand_is_taken_over() {
    let stage = stage().await;
    let first = stage.client.push(mail(7, "a")).unique(WHOLE).await.unwrap();
    let _: i64 = stage.redis.ask(&["XTRIM", &stage.client.keys("mail").ready(Lane::Normal), "MAXLEN", "0"]).await;
    let second = stage.client.push(mail(7, "a")).unique(WHOLE).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(ready(&stage, Lane::Normal).await.len(), 1);
}

#[tokio::test]
async fn another_job_in_the_place_of_the_holder_is_neither_replaced_nor_taken_for_it() {
    let stage = stage().await;
    let lane = stage.client.keys("mail").ready(Lane::Normal);
    for conflict in [Conflict::Keep, Conflict::Replace, Conflict::Debounce] {
        let first = stage.client.push(mail(7, "lost")).unique(BY_USER).await.unwrap();
        let place = stage.redis.entries(&lane).await[0].0.clone();
        // As a replica would that is promoted and gives the stream id to another job: with an id of its own, or without.
        let _: i64 = stage.redis.ask(&["DEL", &lane]).await;
        let stranger = ["XADD", &lane, &place, "kind", "mail", "body", "{}"];
        let own_id = ["id", "01890a5d-ac96-774b-bcce-b302099a8057"];
        let stranger = if conflict == Conflict::Keep { stranger.to_vec() } else { [&stranger[..], &own_id].concat() };
        let _: String = stage.redis.ask(&stranger).await;

        let second = stage.client.push(mail(7, "new")).unique(BY_USER.on_conflict(conflict)).await.unwrap();

        assert_ne!(second, first, "{conflict:?}");
        let entries = stage.redis.entries(&lane).await;
        let bodies: Vec<_> = entries.iter().map(|(_, fields)| fields[1].1.as_str()).collect();
        assert_eq!(bodies, ["{}", r#"{"user":7,"text":"new"}"#], "{conflict:?}");
        assert_eq!(entries[0].0, place, "{conflict:?}");
        assert_eq!(stage.client.push(mail(7, "newer")).unique(BY_USER).await.unwrap(), second, "{conflict:?}");
        let keys: Vec<String> = stage.redis.ask(&["KEYS", &format!("{}*", stage.client.keys("mail").prefix())]).await;
        let _: i64 =
            stage.redis.ask(&[&["DEL"], &keys.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat()).await;
    }
}

#[tokio::test]
async fn many_pushed_at_once_count_those_that_were_stored() {
    let stage = stage().await;
    let jobs = (0..1000).map(|i| mail(i % 10, "x"));
    assert_eq!(stage.client.push_all(jobs).unique(BY_USER).await.unwrap(), 10);
    assert_eq!(ready(&stage, Lane::Normal).await.len(), 10);
}

#[tokio::test]
async fn an_idempotency_key_and_a_unique_key_go_together() {
    let stage = stage().await;
    let first = stage.client.push(mail(7, "a")).id("one").unique(WHOLE).await.unwrap();
    assert_eq!(stage.client.push(mail(7, "a")).id("one").unique(WHOLE).await.unwrap(), first);
    assert_eq!(stage.client.push(mail(7, "a")).id("two").unique(WHOLE).await.unwrap(), first);
    assert_eq!(ready(&stage, Lane::Normal).await.len(), 1);
}

#[tokio::test]
async fn a_field_that_the_payload_lacks_is_an_error_and_nothing_is_stored() {
    let stage = stage().await;
    const TYPO: Unique = Unique::until_finished().by(&["usr"]);
    let error = stage.client.push(mail(7, "a")).unique(TYPO).await.unwrap_err();
    assert!(matches!(&error, Error::UniqueField { field, .. } if field == "usr"), "{error}");
    assert_eq!(ready(&stage, Lane::Normal).await, []);
}
