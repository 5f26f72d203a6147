//! What `millstream doctor` says where Redis and SQL don't fit, and how it exits.
#![allow(clippy::unwrap_used, reason = "a test that unwraps says enough: the line and the error")]

use std::process::{Output, Stdio};

use millstream_queue::{Client, Job};
use millstream_store::Store;
use millstream_tests::{Redis, fresh_database, shared_postgres};
use tokio::process::Command;

#[derive(serde::Serialize, serde::Deserialize)]
struct Resize;

impl Job for Resize {
    const KIND: &'static str = "resize";
    const QUEUE: &'static str = "photos";
}

async fn doctor(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_millstream"));
    command.arg("doctor").args(arguments).env_remove("REDIS_URL").env_remove("DATABASE_URL").stdin(Stdio::null());
    command.output().await.unwrap()
}

/// The lines on a check.
fn lines(output: &Output, what: &str) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().filter(|line| line.get(6..).is_some_and(|rest| rest.starts_with(what))).map(str::to_owned).collect()
}

/// Nothing fails but the queues without workers.
fn fails(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let fails = text.lines().filter(|line| line.starts_with("fail") && !line.contains("no living worker"));
    fails.map(str::to_owned).collect()
}

async fn a_loss_is_reported_until_it_is_accepted(database: &str) {
    let redis = Redis::builder().aof(true).start().await.unwrap();
    let store = Store::connect(database).await.unwrap();
    store.migrate().await.unwrap();
    let url = redis.url();
    let client = Client::connect(&url).await.unwrap();
    client.record("photos").await.unwrap();
    client.push_all([Resize, Resize, Resize]).await.unwrap();
    let arguments = ["--redis-url", &url, "--database-url", database];

    let said = doctor(&arguments).await;
    let line = &lines(&said, "reconcile")[0];
    assert!(line.starts_with("ok") && line.ends_with("1 queues compared, 0 mismatches"), "{line}");
    assert_eq!(lines(&said, "books"), ["skip  books        photos: its books begin with this look"]);
    assert_eq!(fails(&said), [""; 0]);

    let mut conn = client.connection().await.unwrap();
    redis::cmd("FLUSHALL").exec_async(&mut conn).await.unwrap();
    for _ in 0..2 {
        let said = doctor(&arguments).await;
        let lines = lines(&said, "reconcile");
        let [line] = &*lines else { panic!("one mismatch is expected: {lines:?}") };
        assert!(line.starts_with("fail  reconcile    queue photos: Redis lost at least 3 acknowledged"), "{line}");
        assert!(line.contains("likely cause: FLUSHALL") && line.contains("doctor --accept-losses"), "{line}");
        assert_eq!(said.status.code(), Some(1));
    }

    // It is told once more, and not again.
    let said = doctor(&[&arguments[..], &["--accept-losses"]].concat()).await;
    assert_eq!((lines(&said, "reconcile").len(), said.status.code()), (1, Some(1)));
    assert_eq!(lines(&said, "losses"), ["ok    losses       1 are accepted and not reported again"]);
    let said = doctor(&arguments).await;
    assert!(lines(&said, "reconcile")[0].starts_with("ok"), "{said:?}");
    assert_eq!(said.status.code(), Some(0), "{said:?}");
}

#[tokio::test]
async fn a_loss_is_reported_until_it_is_accepted_with_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    a_loss_is_reported_until_it_is_accepted(&format!("sqlite://{}", folder.path().join("history.db").display())).await;
}

#[tokio::test]
async fn a_loss_is_reported_until_it_is_accepted_with_postgres() {
    let server = shared_postgres().await.unwrap();
    a_loss_is_reported_until_it_is_accepted(&fresh_database(&server).await.unwrap()).await;
}

#[tokio::test]
async fn accepting_losses_needs_a_database_and_is_told_in_the_help() {
    let said = doctor(&["--accept-losses"]).await;
    assert_eq!(said.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&said.stderr).contains("--database-url"), "{said:?}");
    let help = doctor(&["--help"]).await;
    let help = String::from_utf8_lossy(&help.stdout);
    assert!(help.contains("--accept-losses") && help.contains("compares Redis with SQL"), "{help}");
}
