//! Entries and delayed jobs that some other program wrote wrongly: nothing is lost, and no worker stumbles.

use millstream_queue::{Client, Lane, State};
use millstream_tests::{Redis, shared_redis};

use crate::{
    probe::{self, Act, Outcomes, QUEUE, Running, assert_empty, assert_nothing_waits, probe},
    stage::{Operator, complains_in_bounds, eventually, worker},
};

/// Appends an entry with these fields, name after value; its stream id.
pub async fn write(client: &Client, lane: Lane, fields: &[&[u8]]) -> String {
    let mut conn = client.connection().await.unwrap();
    let mut add = redis::cmd("XADD");
    add.arg(client.keys(QUEUE).ready(lane)).arg("*").arg(fields);
    add.query_async(&mut conn).await.unwrap()
}

/// The bytes of a dead letter.
pub async fn dead_letter(client: &Client, id: impl ToString) -> Option<Vec<u8>> {
    let mut conn = client.connection().await.unwrap();
    let jobs = client.keys(QUEUE).dead_jobs();
    redis::cmd("HGET").arg(jobs).arg(id.to_string()).query_async(&mut conn).await.unwrap()
}

/// The letter holds every field of the entry, name before value.
fn holds(letter: &[u8], fields: &[&[u8]]) -> bool {
    let mut rest = letter;
    fields.iter().all(|field| {
        let found = rest.windows(field.len().max(1)).position(|part| part == *field || field.is_empty());
        found.inspect(|at| rest = &rest[at + field.len()..]).is_some()
    })
}

#[tokio::test]
async fn entries_that_are_no_job_are_dead_letters_with_their_raw_bytes_in_whatever_lane() {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    let large = vec![b'x'; 1_000_000];
    let garbage: [&[&[u8]]; 12] = [
        &[b"", b""],
        &[b"nonsense", b"\0\xff\xfe\r\n\x1f\x80"],
        &[b"kind", b"probe"],
        &[b"body", b"{}"],
        &[b"kind", b"\xff\xfe", b"body", b"{}"],
        &[b"kind", b"probe", b"body", b"{}", b"id", b"no uuid"],
        &[b"kind", b"probe", b"body", b"{}", b"id", b"{0190a5d3-7e1c-7abc-8def-0123456789ab}"],
        &[b"kind", b"probe", b"body", b"{}", b"opt", b"\xc3\x28"],
        &[b"kind", b"probe", b"body", b"{}", b"tp", b"\xff"],
        &[b"kind", b"probe", b"body", b"{}", b"ct", b"\xff"],
        &[b"KIND", b"probe", b"Body", b"{}"],
        &[b"kind", b"probe", b"n", b"-1", b"body", &large],
    ];
    let mut expected = Vec::new();
    for (index, fields) in garbage.iter().enumerate() {
        let lane = Lane::ALL[index % 4];
        let entry = write(&client, lane, fields).await;
        expected.push((millstream_queue::derived_id(&client.keys(QUEUE).ready(lane), &entry), *fields));
    }
    let running = Running::start(probe::worker(&client).0);
    let mut outcomes = Outcomes::of(&client);
    for _ in 0..garbage.len() {
        let outcome = outcomes.next().await;
        assert_eq!((outcome.state, outcome.kind.as_str()), (State::Dead, "malformed"));
        assert!(outcome.error.unwrap().contains("field"), "the error names the field");
    }
    for (id, fields) in expected {
        let letter = dead_letter(&client, id).await.expect("a dead letter");
        assert!(holds(&letter, fields), "{:?} lacks a part of {fields:?}", String::from_utf8_lossy(&letter));
    }
    client.push(probe("after", Act::Succeed)).await.unwrap();
    assert_eq!(outcomes.next().await.state, State::Completed, "the worker lives");
    running.stop().await;
    assert_empty(&client).await;
}

#[tokio::test]
async fn an_entry_whose_worker_dies_ends_once_however_odd_it_is() {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let body = br#"{"name":"odd","act":{"sleep":{"ms":600000}}}"#;
    let held = br#"{"name":"odd","act":{"block":{"ms":600000}}}"#;
    let mut entries = Vec::new();
    for fields in [
        &[&b"kind"[..], b"probe", b"body", body, b"unknown", b"field"][..],
        &[b"kind", b"probe", b"kind", b"probe", b"body", b"first", b"body", body],
        &[b"body", held, b"kind", b"probe", b"n", b"007", b"at", b"1"],
    ] {
        entries.push(write(&client, Lane::Normal, fields).await);
    }
    let mut doomed = worker(&redis, &client, &[("PROBE_CONCURRENCY", "8")]).await;
    let operator = Operator::of(&redis).await;
    let lane = client.keys(QUEUE).ready(Lane::Normal);
    eventually("all are handed out", async || operator.handed_out(&client, Lane::Normal).await == 3).await;
    doomed.kill().await;
    let survivor = worker(&redis, &client, &[("PROBE_CONCURRENCY", "8")]).await;
    let mut outcomes = Outcomes::of(&client);
    for _ in &entries {
        let outcome = outcomes.next().await;
        assert_eq!((outcome.state, outcome.run, outcome.crash), (State::Crashed, 1, 1));
        let known = entries.iter().any(|entry| millstream_queue::derived_id(&lane, entry) == outcome.id);
        assert!(known, "a job without an id keeps the one that follows from its first place");
    }
    complains_in_bounds(&survivor);
}

/// Lua expressions for what may wait in place of a packed job.
const NO_PACKED_JOBS: [&str; 18] = [
    "''",
    "'garbage'",
    "'\\193'",
    "'\\159\\1'", // an array of fifteen that ends after the first
    "cmsgpack.pack({})",
    "cmsgpack.pack(7)",
    "cmsgpack.pack({ kind = 'probe', body = '{}' })",
    "cmsgpack.pack({ 1 })",
    "cmsgpack.pack({ 1, 'kind' })",
    "cmsgpack.pack({ 1, 'kind', 'probe', 'body' })",
    "cmsgpack.pack({ 4, 'kind', 'probe', 'body', '{}' })",
    "cmsgpack.pack({ -1, 'kind', 'probe', 'body', '{}' })",
    "cmsgpack.pack({ -8, 'kind', 'probe', 'body', '{}' })",
    "cmsgpack.pack({ 1.5, 'kind', 'probe', 'body', '{}' })",
    "cmsgpack.pack({ 'high', 'kind', 'probe', 'body', '{}' })",
    "cmsgpack.pack({ 1e300, 'kind', 'probe', 'body', '{}' })",
    "cmsgpack.pack({ 1, 'kind', 'probe', 'body', { 1, 2 } })",
    "cmsgpack.pack({ 1, 'kind', 'probe', 'body', true })",
];

#[tokio::test]
async fn what_waits_and_is_no_packed_job_is_a_dead_letter_and_keeps_no_other_waiting() {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let operator = Operator::of(&redis).await;
    let keys = client.keys(QUEUE);
    let mut packed = Vec::new();
    for (index, expression) in NO_PACKED_JOBS.iter().enumerate() {
        let script = format!(
            "local packed = {expression}
            redis.call('HSET', KEYS[2], ARGV[1], packed)
            redis.call('ZADD', KEYS[1], {index}, ARGV[1])
            return packed"
        );
        let id = format!("no packed job {index}");
        let bytes: Vec<u8> = operator.ask(&["EVAL", &script, "2", &keys.later(), &keys.later_jobs(), &id]).await;
        packed.push((id, bytes));
    }
    let id = client.push(probe("behind them", Act::Quiet)).after(std::time::Duration::from_millis(1)).await.unwrap();
    let process = worker(&redis, &client, &[]).await;

    let outcome = Outcomes::of(&client).next().await;
    assert_eq!((outcome.id, outcome.state), (id, State::Completed));
    for (id, bytes) in packed {
        let letter = dead_letter(&client, &id).await.unwrap_or_else(|| panic!("{id} was lost"));
        assert!(holds(&letter, &[b"error", &bytes]), "{id}: {}", String::from_utf8_lossy(&letter));
    }
    complains_in_bounds(&process);
    assert_nothing_waits(&client).await;
    // Who writes there by hand keeps no books, so only what was taken out is noted.
    for (place, found, noted) in probe::balance(&client).await {
        let by_hand = if place == "later" { NO_PACKED_JOBS.len() as i64 } else { 0 };
        assert_eq!(found, noted + by_hand, "{place} and the books");
    }
}
