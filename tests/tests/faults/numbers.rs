//! Numbers at their ends, in options and written by hand.

use std::time::Duration;

use chrono::{DateTime, Utc};
use millstream_queue::{Backoff, Client, Job, Lane, Outcome, State};
use millstream_tests::{Redis, shared_redis};
use proptest::prelude::*;

use crate::{
    entries::{dead_letter, write},
    probe::{self, Act, Outcomes, Probe, QUEUE, Running, assert_empty, probe},
    stage::{Operator, eventually, worker},
};

const SUCCEEDS: &[u8] = br#"{"name":"n","act":"quiet"}"#;
const FAILS: &[u8] = br#"{"name":"n","act":"fail"}"#;

async fn start() -> (Client, Outcomes, Running) {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    (client.clone(), Outcomes::of(&client), Running::start(probe::worker(&client).0))
}

/// What becomes of a probe with one more field.
async fn outcome_with(client: &Client, outcomes: &mut Outcomes, body: &[u8], name: &str, value: &str) -> Outcome {
    let fields = [b"kind", &b"probe"[..], b"body", body, name.as_bytes(), value.as_bytes()];
    write(client, Lane::Normal, &fields).await;
    outcomes.next().await
}

#[tokio::test]
async fn no_attempts_are_one_and_as_many_as_a_number_holds_are_retried() {
    let (client, mut outcomes, running) = start().await;
    client.push(probe("none", Act::Fail)).attempts(0).await.unwrap();
    let outcome = outcomes.next().await;
    assert_eq!((outcome.state, outcome.attempt), (State::Dead, 1));
    client.push(probe("all", Act::RetryAtOnce)).attempts(u32::MAX).await.unwrap();
    assert_eq!(outcomes.next().await.state, State::Failed);
    let outcome = outcomes.next().await;
    assert_eq!((outcome.state, outcome.attempt), (State::Completed, 2));
    running.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_time_out_of_nothing_fails_what_waits_and_one_without_end_never_does() {
    let (client, mut outcomes, running) = start().await;
    let waits = || probe("waits", Act::Sleep { ms: 20 });
    client.push(waits()).timeout(Duration::ZERO).attempts(1).await.unwrap();
    let outcome = outcomes.next().await;
    assert_eq!((outcome.state, outcome.error.as_deref()), (State::Dead, Some("timed out after 0ns")));
    for endless in [Duration::MAX, Duration::from_millis(u64::MAX), Duration::from_secs(u64::MAX)] {
        client.push(waits()).timeout(endless).await.unwrap();
        assert_eq!(outcomes.next().await.state, State::Completed);
    }
    running.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn an_expiry_at_either_end_of_time_is_now_or_never() {
    let (client, mut outcomes, running) = start().await;
    for (expiry, state) in [(DateTime::<Utc>::MIN_UTC, State::Expired), (DateTime::<Utc>::MAX_UTC, State::Completed)] {
        client.push(probe("expires", Act::Quiet)).expires(expiry).await.unwrap();
        assert_eq!(outcomes.next().await.state, state);
    }
    running.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_wait_beyond_all_times_is_kept_and_blocks_nobody() {
    let (client, mut outcomes, running) = start().await;
    client.push(probe("snoozes", Act::Snooze { ms: u64::MAX })).await.unwrap();
    let snoozed = outcomes.next().await;
    assert_eq!((snoozed.state, snoozed.next_ms.is_some()), (State::Snoozed, true));
    client.push(probe("delayed", Act::Quiet)).after(Duration::from_millis(1)).await.unwrap();
    assert_eq!(outcomes.next().await.state, State::Completed);
    running.stop().await;
    let mut conn = client.connection().await.unwrap();
    let mut look = redis::cmd("ZRANGE");
    look.arg(client.keys(QUEUE).later()).arg("0").arg("-1").arg("WITHSCORES");
    let waiting: Vec<(String, f64)> = look.query_async(&mut conn).await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert!(waiting[0].1 > 1e14 && waiting[0].1 < 9e15, "{waiting:?}: a score of more digits would be rounded");
}

#[tokio::test]
async fn counters_written_by_hand_run_at_their_ends_and_saturate() {
    let (client, mut outcomes, running) = start().await;
    for (name, value) in [("n", "0"), ("run", "0"), ("v", "0"), ("crash", "0"), ("crash", "4294967295"), ("at", "0")] {
        let outcome = outcome_with(&client, &mut outcomes, SUCCEEDS, name, value).await;
        assert_eq!(outcome.state, State::Completed, "{name} {value}");
    }
    let outcome = outcome_with(&client, &mut outcomes, SUCCEEDS, "at", "999999999999999").await;
    assert_eq!((outcome.state, outcome.enqueued_ms), (State::Completed, 999_999_999_999_999));
    let outcome = outcome_with(&client, &mut outcomes, FAILS, "n", "4294967295").await;
    assert_eq!((outcome.state, outcome.attempt), (State::Dead, u32::MAX), "the attempts are used up");
    let outcome = outcome_with(&client, &mut outcomes, FAILS, "run", "4294967295").await;
    assert_eq!((outcome.state, outcome.attempt, outcome.run), (State::Failed, 1, u32::MAX));
    for (attempt, state) in [(2, State::Failed), (3, State::Dead)] {
        let outcome = outcomes.next().await;
        assert_eq!((outcome.state, outcome.attempt, outcome.run), (state, attempt, u32::MAX));
    }
    running.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn numbers_that_are_none_make_a_dead_letter_with_the_raw_bytes() {
    let (client, mut outcomes, running) = start().await;
    for name in ["v", "n", "run", "crash", "at"] {
        for value in
            ["", "-1", "+1", "1.5", "1e3", "0x10", "NaN", " 1", "4294967296000000", "18446744073709551616", "١"]
        {
            let outcome = outcome_with(&client, &mut outcomes, SUCCEEDS, name, value).await;
            assert_eq!((outcome.state, outcome.kind.as_str()), (State::Dead, "malformed"), "{name} {value}");
            assert!(outcome.error.unwrap().contains(&format!("field {name:?} holds {value:?}")));
            let letter = dead_letter(&client, outcome.id).await.expect("a dead letter");
            assert!(letter.windows(value.len().max(1)).any(|part| value.is_empty() || part == value.as_bytes()));
        }
    }
    running.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn options_that_can_not_be_read_change_nothing() {
    let (client, mut outcomes, running) = start().await;
    for options in [
        "",
        "null",
        "7",
        "[]",
        "{",
        "garbage",
        r#"{"attempts":-1}"#,
        r#"{"attempts":1.5}"#,
        r#"{"attempts":1e99}"#,
        r#"{"attempts":"1"}"#,
        r#"{"attempts":4294967296}"#,
        r#"{"attempts":null}"#,
        r#"{"timeout_ms":-1}"#,
        r#"{"timeout_ms":18446744073709551616}"#,
        r#"{"timeout_ms":0.5}"#,
        r#"{"expires_ms":9223372036854775808}"#,
        r#"{"expires_ms":"never"}"#,
        r#"{"expires_ms":{}}"#,
        r#"{"unheard_of":[1,{"a":[]}]}"#,
        "{}",
    ] {
        let outcome = outcome_with(&client, &mut outcomes, SUCCEEDS, "opt", options).await;
        assert_eq!(outcome.state, State::Completed, "{options}");
        // The job type's attempts count: a first failure is not the last.
        let outcome = outcome_with(&client, &mut outcomes, FAILS, "opt", options).await;
        assert_eq!((outcome.state, outcome.attempt), (State::Failed, 1), "{options}");
        for state in [State::Failed, State::Dead] {
            assert_eq!(outcomes.next().await.state, state, "{options}");
        }
    }
    running.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn options_at_their_ends_are_obeyed() {
    let (client, mut outcomes, running) = start().await;
    for (options, body, state) in [
        (r#"{"attempts":0}"#, FAILS, State::Dead),
        (r#"{"attempts":4294967295}"#, SUCCEEDS, State::Completed),
        (r#"{"timeout_ms":18446744073709551615}"#, SUCCEEDS, State::Completed),
        (r#"{"expires_ms":-9223372036854775808}"#, SUCCEEDS, State::Expired),
        (r#"{"expires_ms":9223372036854775807}"#, SUCCEEDS, State::Completed),
    ] {
        let outcome = outcome_with(&client, &mut outcomes, body, "opt", options).await;
        assert_eq!(outcome.state, state, "{options}");
    }
    running.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_job_with_counters_at_their_ends_is_not_lost_when_its_worker_dies() {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let body = br#"{"name":"long","act":{"sleep":{"ms":600000}}}"#;
    let odd: [(&str, &str); 4] =
        [("n", "4294967295"), ("run", "4294967295"), ("run", "999999999"), ("at", "999999999999999")];
    for (name, value) in odd {
        let fields = [b"kind", &b"probe"[..], b"body", body, name.as_bytes(), value.as_bytes()];
        write(&client, Lane::Normal, &fields).await;
    }
    let operator = Operator::of(&redis).await;
    let mut doomed = worker(&redis, &client, &[("PROBE_CONCURRENCY", "8")]).await;
    let all = odd.len() as i64;
    eventually("all are handed out", async || operator.handed_out(&client, Lane::Normal).await == all).await;
    doomed.kill().await;
    let _survivor = worker(&redis, &client, &[("PROBE_CONCURRENCY", "8")]).await;

    let mut outcomes = Outcomes::of(&client);
    let mut seen = Vec::new();
    for _ in odd {
        let outcome = outcomes.next().await;
        assert_eq!(outcome.state, State::Crashed);
        seen.push((outcome.attempt, outcome.run, outcome.enqueued_ms));
    }
    assert!(seen.iter().any(|(attempt, ..)| *attempt == u32::MAX) && seen.iter().any(|(_, run, _)| *run == u32::MAX));
    assert!(seen.iter().any(|(.., enqueued_ms)| *enqueued_ms == 999_999_999_999_999), "{seen:?}");
    let lane = client.keys(QUEUE).ready(Lane::Normal);
    let again: Vec<(String, Vec<String>)> = operator.ask(&["XRANGE", &lane, "-", "+"]).await;
    let runs =
        |run: &str| again.iter().filter(|(_, fields)| fields.windows(2).any(|pair| pair == ["run", run])).count();
    assert_eq!((again.len(), runs("2"), runs("4294967295"), runs("1000000000")), (4, 2, 1, 1), "{again:?}");
}

/// The compiler sees to it that a priority is one of three; on the wire, a lane is a number.
#[test]
fn only_lanes_that_exist_have_a_number() {
    for index in 0..=u8::MAX {
        assert_eq!(Lane::from_index(index).map(Lane::index), (index < 4).then_some(index));
    }
    assert_eq!(<Probe as Job>::PRIORITY.lane(), Lane::Normal);
}

proptest! {
    #[test]
    fn a_backoff_never_overflows_and_never_falls_as_attempts_rise(
        attempt in 0..u32::MAX, jitter in 0.0..1.0_f64, first in any::<u64>(), most in any::<u64>(),
    ) {
        let exponential = Backoff::Exponential { first: Duration::from_millis(first), most: Duration::from_millis(most) };
        for backoff in [Backoff::DEFAULT, exponential, Backoff::Constant(Duration::MAX)] {
            prop_assert!(backoff.delay(attempt, jitter) <= backoff.delay(attempt + 1, jitter));
            prop_assert_eq!(backoff.delay(1000, jitter), backoff.delay(u32::MAX, jitter));
        }
    }
}
