//! The outbox beside what does without: a plain INSERT, and a push that no transaction decides over. On Postgres and on a SQLite
//! file, of which the worse counts.

use std::time::{Duration, Instant};

use anyhow::Result;
use diesel::prelude::*;
use millstream_queue::{Job, Lane};
use millstream_store::{Data, EmbeddedMigration, Error, Id, Migrations, Relay, Store, Time, model};

use crate::{
    databases::Databases,
    pairs::{Pairs, median},
    report::Figure,
    setting::{Noop, QUEUE, Setting},
    store::{each, lowest, per_second},
};

diesel::table! {
    use diesel::sql_types::{BigInt, Text};
    use millstream_store::sql_types::{DbTime, DbUuid};

    bench_messages (seq) {
        seq -> BigInt,
        target -> Text,
        kind -> Text,
        id -> DbUuid,
        body -> Text,
        created_at -> DbTime,
    }
}

/// What the outbox has of a job, as an application's own row.
#[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = bench_messages)]
struct Plain {
    seq: i64,
    target: String,
    kind: String,
    id: Id,
    body: String,
    created_at: Time,
}

model! {
    Plain in bench_messages {
        key: seq as i64,
        filters: { kind: text },
        sorts: { seq as i64 },
    }
}

const ON_POSTGRES: EmbeddedMigration = EmbeddedMigration::new(
    "0001",
    "messages",
    "CREATE TABLE bench_messages (seq BIGINT NOT NULL, target TEXT NOT NULL, kind TEXT NOT NULL, id UUID NOT NULL,
        body TEXT NOT NULL, created_at TIMESTAMPTZ NOT NULL, PRIMARY KEY (target, seq));",
    "DROP TABLE bench_messages;",
);
const ON_SQLITE: EmbeddedMigration = EmbeddedMigration::new(
    "0001",
    "messages",
    "CREATE TABLE bench_messages (seq INTEGER PRIMARY KEY, target TEXT NOT NULL, kind TEXT NOT NULL, id BLOB NOT NULL,
        body TEXT NOT NULL, created_at TEXT NOT NULL) STRICT;
     CREATE INDEX bench_messages_target ON bench_messages (target, seq);",
    "DROP TABLE bench_messages;",
);
const TABLES: Migrations = Migrations::new("bench", &[ON_POSTGRES], &[ON_SQLITE]);

/// Of so many jobs one is pushed in a transaction of its own.
const SHARE: u64 = 20;

/// Transactions per second that push a job each, one after the other, beside those that insert a row of the same size into a
/// table with the same keys.
pub(crate) async fn push(setting: &Setting) -> Result<Figure> {
    let databases = Databases::start(TABLES).await?;
    let calls = u32::try_from(setting.jobs / SHARE)?;
    let mut pairs = Vec::new();
    for store in &databases.stores {
        let ours = async || {
            clear(store).await?;
            let push = async || store.transaction(async |tx| tx.push(Noop::new(0)).await).await;
            each(calls, push).await.map(per_second)
        };
        let plain = async || {
            clear(store).await?;
            let body = serde_json::to_string(&Noop::new(0))?;
            let mut seq = 0;
            let insert = async || {
                seq += 1;
                let row = Plain {
                    seq,
                    target: format!("queue:{QUEUE}"),
                    kind: Noop::KIND.to_owned(),
                    id: Id::new(),
                    body: body.clone(),
                    created_at: Time::now(),
                };
                store.transaction(async |tx| tx.insert(&row).await).await
            };
            each(calls, insert).await.map(per_second)
        };
        pairs.push(Pairs::measure(setting.pairs, ours, plain).await?);
    }
    Ok(Figure::new("outbox.push", "transactions/s", &worse("outbox.push", pairs)))
}

/// Jobs per second from the start of a relay until all that were in the outbox are in their queue, beside one `push_all`.
pub(crate) async fn relay(setting: &Setting) -> Result<Figure> {
    let databases = Databases::start(TABLES).await?;
    let mut pairs = Vec::new();
    for store in &databases.stores {
        let push_all = async || {
            setting.clear().await?;
            let (job, start) = (Noop::new(0), Instant::now());
            setting.client.push_all((0..setting.jobs).map(|_| job.clone())).await?;
            Ok(setting.jobs as f64 / start.elapsed().as_secs_f64())
        };
        pairs.push(Pairs::measure(setting.pairs, async || relayed(setting, store).await, push_all).await?);
    }
    Ok(Figure::new("outbox.relay", "jobs/s", &worse("outbox.relay", pairs)))
}

async fn relayed(setting: &Setting, store: &Store) -> Result<f64> {
    setting.clear().await?;
    let relay = || Relay::new(setting.client.clone(), store.clone()).most_waiting(2 * setting.jobs.max(1_000_000));
    // One that ends at once leaves room for the rows.
    relay().run_until(std::future::ready(())).await?;
    fill(store, setting.jobs).await?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut conn = setting.client.connection().await?;
    let lane = setting.client.keys(QUEUE).ready(Lane::Normal);
    let start = Instant::now();
    let running = tokio::spawn(relay().run_until(async {
        let _ = stopped.await;
    }));
    loop {
        let queued: u64 = redis::cmd("XLEN").arg(&lane).query_async(&mut conn).await?;
        if queued >= setting.jobs {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let rate = setting.jobs as f64 / start.elapsed().as_secs_f64();
    while store.outbox().await?.waiting > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let _ = stop.send(());
    running.await??;
    Ok(rate)
}

/// Rows as `push` writes them.
async fn fill(store: &Store, jobs: u64) -> Result<()> {
    let (target, kind) = (format!("queue:{QUEUE}"), Noop::KIND);
    let body = serde_json::to_string(&Noop::new(0))?;
    let rows = format!("INSERT INTO millstream_outbox (target, kind, body) SELECT '{target}', '{kind}', '{body}' FROM");
    clear(store).await?;
    if store.name().starts_with("postgres") {
        let client = store.raw_postgres().await?;
        client.batch_execute(&format!("{rows} generate_series(1, {jobs})")).await?;
        client.batch_execute("VACUUM (ANALYZE) millstream_outbox").await?;
    } else {
        let numbers = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n <";
        let fill = format!("{numbers} {jobs}) {rows} numbers");
        // As the next commits do, which are not the relay's where others write.
        store.raw_sqlite(move |conn| conn.execute_batch(&format!("{fill}; PRAGMA wal_checkpoint(TRUNCATE)"))).await?;
    }
    Ok(())
}

async fn clear(store: &Store) -> Result<(), Error> {
    if store.name().starts_with("postgres") {
        let client = store.raw_postgres().await?;
        Ok(client.batch_execute("TRUNCATE millstream_outbox, bench_messages").await?)
    } else {
        store.raw_sqlite(|conn| conn.execute_batch("DELETE FROM millstream_outbox; DELETE FROM bench_messages")).await
    }
}

/// Of Postgres and SQLite.
fn worse(figure: &str, pairs: Vec<Pairs>) -> Pairs {
    let ratios: Vec<String> = pairs.iter().map(|pairs| format!("{:.2}", median(&pairs.ratios()))).collect();
    eprintln!("{figure}: {} of the limit on Postgres and on SQLite", ratios.join(" and "));
    pairs.into_iter().reduce(lowest).unwrap_or_default()
}
