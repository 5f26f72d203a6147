//! Odd payloads, from the client and written by hand, on their whole way.

use std::{collections::BTreeMap, time::Duration};

use millstream_queue::{Client, Error, Job, Lane, Outcome, State};
use millstream_tests::{Redis, shared_redis};
use millstream_worker::{self as worker, Context, Worker};
use serde::{Deserialize, Serialize};

use crate::{
    entries::write,
    probe::{self, Act, LEASE, Outcomes, QUEUE, Running, assert_empty, probe},
    stage::{Operator, says},
};

/// A job type whose handler returns the payload.
macro_rules! echoed {
    ($($job:ty = $kind:literal),* $(,)?) => {
        $(impl Job for $job {
            const KIND: &'static str = $kind;
            const QUEUE: &'static str = QUEUE;
            const ATTEMPTS: u32 = 1;
        })*
    };
}

#[derive(Serialize, Deserialize)]
struct Nothing;
#[derive(Serialize, Deserialize)]
struct Text(String);
#[derive(Serialize, Deserialize)]
struct Tree(serde_json::Value);
#[derive(Serialize, Deserialize)]
struct Exact {
    big: u64,
    small: i64,
    beyond_doubles: u64,
    zero: f64,
    list: Vec<u8>,
    map: BTreeMap<String, u8>,
}
#[derive(Serialize, Deserialize)]
struct Order {
    customers: Vec<Customer>,
}
#[derive(Serialize, Deserialize)]
struct Customer {
    address: Address,
}
#[derive(Serialize, Deserialize)]
struct Address {
    street: String,
}
#[derive(Serialize, Deserialize)]
struct Number(f64);
echoed! {
    Nothing = "nothing", Text = "text", Tree = "tree", Exact = "exact", Order = "order", Number = "number",
}

async fn echo<J: Job>(job: J, _: Context<()>) -> worker::Result<J> {
    Ok(job)
}

/// What a worker that echoes makes of what is in the queue, one job after the other.
struct Echo {
    client: Client,
    outcomes: Outcomes,
    stop: tokio::sync::oneshot::Sender<()>,
    running: tokio::task::JoinHandle<Result<(), worker::Error>>,
}

impl Echo {
    async fn start() -> Self {
        let client = probe::client(&shared_redis().await.unwrap()).await;
        let worker = Worker::new(client.clone(), ()).handle(echo::<Nothing>).handle(echo::<Text>).handle(echo::<Tree>);
        let worker = worker.handle(echo::<Exact>).handle(echo::<Order>).handle(echo::<Number>).lease(LEASE);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let running = tokio::spawn(worker.run_until(stopped));
        Self { outcomes: Outcomes::of(&client), client, stop, running }
    }

    /// The result, as bytes, of a job that completes.
    async fn result(&mut self) -> Vec<u8> {
        let outcome = self.outcomes.next().await;
        assert_eq!(outcome.state, State::Completed, "{:?}", outcome.error);
        outcome.result.unwrap_or_default()
    }

    /// The error of an only attempt.
    async fn error_of(&mut self, kind: &str, body: &[u8]) -> String {
        write(&self.client, Lane::Normal, &[b"kind", kind.as_bytes(), b"body", body]).await;
        let outcome = self.outcomes.next().await;
        assert_eq!((outcome.state, outcome.payload.as_deref()), (State::Dead, Some(body)));
        outcome.error.unwrap()
    }

    /// The worker lives, and nothing is left in the queue.
    async fn end(mut self) {
        self.client.push(Text("last".into())).await.unwrap();
        assert_eq!(self.result().await, b"\"last\"");
        drop(self.stop);
        self.running.await.unwrap().unwrap();
        assert_empty(&self.client).await;
    }
}

#[tokio::test]
async fn an_empty_payload_is_a_unit() {
    let mut echo = Echo::start().await;
    echo.client.push(Nothing).await.unwrap();
    assert_eq!(echo.result().await, b"");
    for body in ["", "null", " null\n"] {
        write(&echo.client, Lane::Normal, &[b"kind", b"nothing", b"body", body.as_bytes()]).await;
        assert_eq!(echo.result().await, b"");
    }
    let error = echo.error_of("text", b"").await;
    assert!(error.contains("null"), "{error}");
    echo.end().await;
}

#[tokio::test]
async fn a_payload_of_a_mebibyte_passes_and_one_byte_more_is_refused() {
    let mut echo = Echo::start().await;
    let text = |bytes: usize| Text("x".repeat(bytes - 2));
    echo.client.push(text(1024 * 1024)).await.unwrap();
    assert_eq!(echo.result().await.len(), 1024 * 1024);
    let error = echo.client.push(text(1024 * 1024 + 1)).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { size: 1_048_577, limit: 1_048_576, .. }), "{error}");
    echo.end().await;
}

#[tokio::test]
async fn what_is_nested_127_levels_deep_is_read_and_deeper_fails_without_overflowing_the_stack() {
    let mut echo = Echo::start().await;
    let nested = |levels| (1..levels).fold(serde_json::json!([]), |inner, _| serde_json::json!([inner]));
    echo.client.push(Tree(nested(127))).await.unwrap();
    assert_eq!(echo.result().await, serde_json::to_vec(&nested(127)).unwrap());
    let error = echo.client.push(Tree(nested(128))).await.unwrap_err();
    assert!(error.to_string().contains("127 levels"), "{error}");

    for body in ["[".repeat(100_000), "[".repeat(128) + &"]".repeat(128), "{\"a\":".repeat(100_000)] {
        for kind in ["tree", "nothing", "order"] {
            let error = echo.error_of(kind, body.as_bytes()).await;
            assert!(error.starts_with("the payload in version 1 is no "), "{error}");
        }
    }
    // By the way of older payloads, which are read as a tree first.
    let body = "[".repeat(100_000);
    write(&echo.client, Lane::Normal, &[b"kind", b"text", b"v", b"0", b"body", body.as_bytes()]).await;
    assert!(echo.outcomes.next().await.error.unwrap().contains("recursion limit"));
    echo.end().await;
}

#[tokio::test]
async fn numbers_keep_every_digit_and_empty_lists_stay_lists() {
    let mut echo = Echo::start().await;
    let exact = Exact {
        big: u64::MAX,
        small: i64::MIN,
        beyond_doubles: (1 << 53) + 1,
        zero: -0.0,
        list: Vec::new(),
        map: BTreeMap::new(),
    };
    let text = br#"{"big":18446744073709551615,"small":-9223372036854775808,"beyond_doubles":9007199254740993,"zero":-0.0,"list":[],"map":{}}"#;
    echo.client.push(exact).await.unwrap();
    assert_eq!(echo.result().await, text);
    write(&echo.client, Lane::Low, &[b"kind", b"exact", b"body", text]).await;
    assert_eq!(echo.result().await, text);
    echo.end().await;
}

#[tokio::test]
async fn numbers_that_are_none_are_refused_by_the_client_and_a_failed_attempt_in_the_worker() {
    let mut echo = Echo::start().await;
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let refused = [
            echo.client.push(Number(number)).await.unwrap_err(),
            echo.client.push(Number(number)).id("key").await.unwrap_err(),
        ];
        for error in refused {
            assert!(matches!(error, Error::Encode { name: "number", .. }), "{error}");
            assert!(error.to_string().ends_with(&format!("JSON has no number {number}")), "{error}");
        }
    }
    for body in ["1e400", "-1e400", "NaN", "Infinity", "null", "\"1\"", "1.0.0", "0x10"] {
        let error = echo.error_of("number", body.as_bytes()).await;
        assert!(error.starts_with("the payload in version 1 is no number: "), "{error}");
    }
    for body in ["-0", "-0.0", "1e-400", "1E2"] {
        write(&echo.client, Lane::Normal, &[b"kind", b"number", b"body", body.as_bytes()]).await;
        echo.result().await;
    }
    echo.end().await;
}

#[tokio::test]
async fn bytes_that_are_no_text_are_a_failed_attempt_and_nul_survives() {
    let mut echo = Echo::start().await;
    let odd = "\0\u{1}\u{7f}\u{202e}\u{fffd}\u{1f980}\r\n\"\\";
    echo.client.push(Text(odd.to_owned())).await.unwrap();
    let returned: String = serde_json::from_slice(&echo.result().await).unwrap();
    assert_eq!(returned, odd);
    for body in [
        &b"\"\xff\xfe\""[..],
        b"\"\xed\xa0\x80\"",
        b"\"a\0b\"",
        b"\0",
        b"\"half",
        b"\"a\" \"b\"",
        b"\xef\xbb\xbf\"bom\"",
    ] {
        let error = echo.error_of("text", body).await;
        assert!(error.starts_with("the payload in version 1 is no text: "), "{error}");
    }
    echo.end().await;
}

#[tokio::test]
async fn a_field_that_is_missing_or_double_is_a_failed_attempt_that_names_its_path() {
    let mut echo = Echo::start().await;
    let street = r#"{"address":{"street":"Elm"}}"#;
    let cases = [
        (format!(r#"{{"customers":[{street},{{"address":{{}}}}]}}"#), "customers[1].address: missing field `street`"),
        (format!(r#"{{"customers":[{street},{{}}]}}"#), "customers[1]: missing field `address`"),
        ("{}".to_owned(), "no order: missing field `customers`"),
        (
            r#"{"customers":[{"address":{"street":7}}]}"#.to_owned(),
            "customers[0].address.street: invalid type: integer `7`",
        ),
        (
            r#"{"customers":[{"address":{"street":"Elm","street":"Oak"}}]}"#.to_owned(),
            "customers[0].address: duplicate field `street`",
        ),
    ];
    for (body, expected) in cases {
        let error = echo.error_of("order", body.as_bytes()).await;
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("at line 1 column"), "{error}");
    }
    // The same where an older payload was cast up.
    let older = br#"{"customers":[{"address":{}}]}"#;
    write(&echo.client, Lane::Normal, &[b"kind", b"order", b"v", b"0", b"body", older]).await;
    let error = echo.outcomes.next().await.error.unwrap();
    assert!(error.contains("customers[0].address: missing field `street`"), "{error}");
    // A map takes the last of two: what serde_json does.
    write(&echo.client, Lane::Normal, &[b"kind", b"tree", b"body", br#"{"a":1,"a":2}"#]).await;
    assert_eq!(echo.result().await, br#"{"a":2}"#);
    echo.end().await;
}

/// What Lua's JSON and MessagePack, Lua's numbers, or C's strings would spoil.
fn cargo(act: &str) -> Vec<u8> {
    let odd = r#""cargo": [ [], {}, [[]], 18446744073709551615, -9223372036854775808, 9007199254740993, 1.0, -0.0, 1e-7, null, "\u0000 \ud83e\udd80 🦀" ]"#;
    format!("{{ \"name\": \"cargo\", \"act\": {act},\t{odd} }}\n").into_bytes()
}

async fn journey(client: &Client, act: &str) -> (Running, Vec<u8>) {
    let (worker, _) = probe::worker(client);
    let running = Running::start(worker);
    let body = cargo(act);
    write(client, Lane::Low, &[b"kind", b"probe", b"body", &body]).await;
    (running, body)
}

async fn outcomes(client: &Client, states: &[State]) -> Vec<Outcome> {
    let (mut outcomes, mut all) = (Outcomes::of(client), Vec::new());
    for state in states {
        let outcome = outcomes.next().await;
        assert_eq!(outcome.state, *state, "{outcome:?}");
        all.push(outcome);
    }
    all
}

#[tokio::test]
async fn a_payload_keeps_every_byte_through_snooze_retry_and_death() {
    let cases = [
        (r#""fail""#, vec![State::Failed, State::Failed, State::Dead]),
        (r#"{ "snooze": { "ms": 1 } }"#, vec![State::Snoozed, State::Completed]),
        (r#""retry_at_once""#, vec![State::Failed, State::Completed]),
    ];
    for (act, states) in cases {
        let client = probe::client(&shared_redis().await.unwrap()).await;
        let (running, body) = journey(&client, act).await;
        let all = outcomes(&client, &states).await;
        for outcome in &all {
            assert_eq!(outcome.payload.as_ref(), Some(&body), "{act}");
        }
        running.stop().await;
        let mut conn = client.connection().await.unwrap();
        let mut look = redis::cmd("HGET");
        look.arg(client.keys(QUEUE).dead_jobs()).arg(all[0].id.to_string());
        let dead: Option<Vec<u8>> = look.query_async(&mut conn).await.unwrap();
        assert_eq!(dead.is_some_and(|dead| dead.windows(body.len()).any(|part| part == body)), act == r#""fail""#);
        assert_empty(&client).await;
    }
}

#[tokio::test]
async fn a_payload_keeps_every_byte_while_it_is_parked() {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    let running = Running::start(probe::worker(&client).0);
    let body = cargo("1");
    write(&client, Lane::High, &[b"kind", b"stranger", b"body", &body]).await;
    let parked = outcomes(&client, &[State::Parked]).await;
    assert_eq!(parked[0].payload.as_ref(), Some(&body));
    running.stop().await;
    let mut conn = client.connection().await.unwrap();
    let jobs: Vec<Vec<u8>> =
        redis::cmd("HVALS").arg(client.keys(QUEUE).later_jobs()).query_async(&mut conn).await.unwrap();
    assert!(jobs.len() == 1 && jobs[0].windows(body.len()).any(|part| part == body));
}

#[tokio::test]
async fn a_payload_keeps_every_byte_through_three_crashes() {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    let body = cargo(r#""abort""#);
    write(&client, Lane::Normal, &[b"kind", b"probe", b"body", &body]).await;
    for _ in 0..3 {
        probe::process(&redis.url(), &client, &[]).exited().await;
    }
    let survivor = probe::process(&redis.url(), &client, &[]);
    let all = outcomes(&client, &[State::Crashed, State::Crashed, State::Dead]).await;
    assert_eq!(all[2].payload.as_ref(), Some(&body));
    let dead: Vec<u8> =
        Operator::of(&redis).await.ask(&["HGET", &client.keys(QUEUE).dead_jobs(), &all[2].id.to_string()]).await;
    assert!(dead.windows(body.len()).any(|part| part == body));
    assert!(survivor.try_exited().is_none());
    assert_empty(&client).await;
}

#[tokio::test]
async fn a_payload_keeps_every_byte_when_a_worker_hands_it_back() {
    let redis = Redis::start().await.unwrap();
    let client = probe::client(&redis.url()).await;
    for (act, started) in [(r#"{ "sleep": { "ms": 600000 } }"#, 1), (r#"{ "block": { "ms": 600000 } }"#, 2)] {
        let body = cargo(act);
        write(&client, Lane::Normal, &[b"kind", b"probe", b"body", &body]).await;
        let mut process = probe::process(&redis.url(), &client, &[("PROBE_GRACE_MS", "100")]);
        for _ in 0..started {
            says(&process, "started cargo attempt 1 run 1").await;
        }
        assert!(process.shut_down(Duration::from_secs(20)).await.success());
        let operator = Operator::of(&redis).await;
        let lane = client.keys(QUEUE).ready(Lane::Normal);
        let entries: Vec<(String, Vec<Vec<u8>>)> = operator.ask(&["XRANGE", &lane, "-", "+"]).await;
        let value = |name: &[u8]| {
            let fields = entries[0].1.chunks(2).find(|field| field[0] == name);
            fields.map(|field| field[1].clone())
        };
        assert_eq!(entries.len(), 1);
        assert_eq!((value(b"body"), value(b"run")), (Some(body), Some(b"2".to_vec())), "{act}");
        operator.ask::<()>(&["XTRIM", &lane, "MAXLEN", "0"]).await;
    }
}

#[tokio::test]
async fn a_job_of_an_unknown_kind_or_a_newer_version_is_parked_whatever_its_payload() {
    let client = probe::client(&shared_redis().await.unwrap()).await;
    let running = Running::start(probe::worker(&client).0);
    for fields in [
        &[&b"kind"[..], b"", b"body", b"{}"][..],
        &[b"kind", b"stranger \0\n", b"body", b"\xff"],
        &[b"kind", b"probe", b"body", b"{}", b"v", b"2"],
        &[b"kind", b"probe", b"body", b"", b"v", b"4294967295"],
    ] {
        write(&client, Lane::Normal, fields).await;
    }
    let all = outcomes(&client, &[State::Parked; 4]).await;
    assert!(all.iter().all(|outcome| outcome.attempt == 1 && outcome.started_us.is_none()));
    client.push(probe("after", Act::Succeed)).await.unwrap();
    running.stop().await;
}
