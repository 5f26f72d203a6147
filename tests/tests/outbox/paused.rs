//! A Postgres that stands still under its relays: connections stay open and nobody answers.

use std::time::Duration;

use millstream_store::Error;
use millstream_tests::{Postgres, Proxy};

use crate::stage::{SendReceipt, Stage, wait_until};

/// Longer than the time after which a relay takes another's batch over, and than any reply is waited for.
const PAUSE: Duration = Duration::from_secs(6);

#[tokio::test]
async fn relays_go_on_after_a_postgres_that_was_paused_under_them() {
    let postgres = Postgres::start().await.unwrap();
    let stage = Stage::on(postgres.url(), None).await;
    let mut relays = [stage.relay(&stage.redis.url()).await, stage.relay(&stage.redis.url()).await];
    // Many batches, of which the pause cuts some off.
    const BACKLOG: i64 = 60_000;
    let insert = format!(
        "INSERT INTO millstream_outbox (target, kind, body) SELECT 'queue:mail', 'send_receipt', '{{\"order\":' || n || '}}' \
         FROM generate_series(0, {BACKLOG} - 1) AS n"
    );
    stage.store.raw_postgres().await.unwrap().batch_execute(&insert).await.unwrap();
    wait_until("the first batches are relayed", async || !stage.relayed().await.is_empty()).await;
    postgres.freeze().await.unwrap();
    let store = stage.store.clone();
    let meanwhile = tokio::spawn(async move {
        let pushed = store.transaction(async move |tx| tx.push(SendReceipt { order: BACKLOG }).await);
        pushed.await.map(drop)
    });
    tokio::time::sleep(PAUSE).await;
    let before = stage.relayed().await.len();
    assert!(before < BACKLOG as usize, "the pause came too late");
    postgres.thaw().await.unwrap();

    // Who could not begin while nobody answered was told so; who could waits and goes on.
    let mut wanted: Vec<i64> = (0..BACKLOG).collect();
    match meanwhile.await.unwrap() {
        Ok(()) => wanted.push(BACKLOG),
        Err(error) => assert!(matches!(error, Error::Exhausted { .. } | Error::Unreachable { .. }), "{error}"),
    }
    wait_until("all is relayed", async || stage.is_empty().await).await;
    stage.push(BACKLOG + 1..BACKLOG + 10, true).await;
    wanted.extend(BACKLOG + 1..BACKLOG + 10);
    wait_until("all is relayed", async || stage.is_empty().await).await;
    assert!(stage.relayed().await == wanted, "{} relayed of {}", stage.relayed().await.len(), wanted.len());
    for relay in &mut relays {
        relay.kill().await;
    }
}

#[tokio::test]
async fn a_batch_that_was_sent_when_postgres_was_paused_has_one_effect() {
    let postgres = Postgres::start().await.unwrap();
    let stage = Stage::on(postgres.url(), None).await;
    let proxy = Proxy::to(stage.redis.port()).await.unwrap();
    // It can neither strike its batch out nor look.
    let mut relay = stage.relay_without_reply(&proxy).await;
    postgres.freeze().await.unwrap();
    proxy.heal();
    tokio::time::sleep(PAUSE).await;
    postgres.thaw().await.unwrap();

    stage.push(10..20, true).await;
    wait_until("all is relayed", async || stage.is_empty().await).await;
    assert_eq!(stage.relayed().await, (0..20).collect::<Vec<_>>());
    relay.kill().await;
}
