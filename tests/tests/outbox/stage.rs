//! A Redis, a database with an outbox, and relays that are processes: this test program again, told by its environment.

use std::{collections::HashMap, ops::Range, time::Duration};

use millstream_queue::{Client, Job, Lane};
use millstream_store::{Error, Relay, Store};
use millstream_tests::{Process, Proxy, Redis, fresh_database, namespace, shared_postgres};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize, Deserialize)]
pub(crate) struct SendReceipt {
    pub(crate) order: i64,
}

impl Job for SendReceipt {
    const KIND: &'static str = "send_receipt";
    const QUEUE: &'static str = "mail";
}

/// What multiplies the loads.
pub(crate) fn scale() -> i64 {
    std::env::var("MILLSTREAM_FAULT_SCALE").map_or(1, |scale| scale.parse().unwrap())
}

pub(crate) struct Stage {
    pub(crate) redis: Redis,
    pub(crate) client: Client,
    pub(crate) store: Store,
    database: String,
    _folder: Option<TempDir>,
}

impl Stage {
    pub(crate) async fn postgres() -> Self {
        let server = shared_postgres().await.unwrap();
        Self::on(fresh_database(&server).await.unwrap(), None).await
    }

    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("app.db").display());
        Self::on(url, Some(folder)).await
    }

    pub(crate) async fn on(database: String, folder: Option<TempDir>) -> Self {
        let redis = Redis::start().await.unwrap();
        let client = Client::builder(&redis.url()).namespace(namespace()).await.unwrap();
        let store = Store::connect(&database).await.unwrap();
        store.migrate().await.unwrap();
        Self { redis, client, store, database, _folder: folder }
    }

    /// A relay that runs, on this way to Redis.
    pub(crate) async fn relay(&self, redis: &str) -> Process {
        let relay = Process::builder(std::env::current_exe().unwrap())
            .args(["--exact", "stage::this_process_as_a_relay", "--nocapture", "--test-threads=1"])
            .env("RELAY_REDIS", redis)
            .env("RELAY_NAMESPACE", self.client.namespace())
            .env("RELAY_DATABASE", &self.database)
            .spawn()
            .unwrap();
        relay.wait_for_line(PATIENCE, |line| line.contains("relaying")).await.unwrap();
        relay
    }

    /// A relay that has relayed one job and sent nine more, which Redis has and the relay doesn't know.
    pub(crate) async fn relay_without_reply(&self, proxy: &Proxy) -> Process {
        let relay = self.relay(&proxy.redis_url()).await;
        self.push(0..1, true).await;
        wait_until("the first is relayed", async || self.is_empty().await).await;
        proxy.drop_replies();
        self.push(1..10, true).await;
        wait_until("the server has the batch", async || self.relayed().await.len() == 10).await;
        assert!(self.has_batch_under_way().await, "the reply was not lost");
        relay
    }

    /// Jobs in one transaction.
    pub(crate) async fn push(&self, orders: Range<i64>, is_kept: bool) {
        super::write(&self.store, orders, is_kept).await;
    }

    /// Whether nothing waits in the database.
    pub(crate) async fn is_empty(&self) -> bool {
        self.store.outbox().await.unwrap().waiting == 0
    }

    pub(crate) async fn has_batch_under_way(&self) -> bool {
        const COUNT: &str = "SELECT count(*) FROM millstream_outbox_batches WHERE members IS NOT NULL";
        let count: i64 = if self.database.starts_with("postgres") {
            self.store.raw_postgres().await.unwrap().query_one(COUNT, &[]).await.unwrap().get(0)
        } else {
            self.store.raw_sqlite(|conn| conn.query_row(COUNT, [], |row| row.get(0))).await.unwrap()
        };
        count > 0
    }

    /// The orders whose receipts are in Redis.
    pub(crate) async fn relayed(&self) -> Vec<i64> {
        let mut conn = self.client.dedicated(Duration::from_secs(60)).await.unwrap().conn;
        let lane = self.client.keys("mail").ready(Lane::Normal);
        let entries: Vec<(String, HashMap<String, String>)> =
            redis::cmd("XRANGE").arg(lane).arg("-").arg("+").query_async(&mut conn).await.unwrap();
        let order = |body: &String| serde_json::from_str::<SendReceipt>(body).unwrap().order;
        entries.iter().map(|(_, fields)| order(&fields["body"])).collect()
    }
}

pub(crate) async fn wait_until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

/// Nothing in a test run; a relay in a process that [`Stage::relay`] started.
#[test]
fn this_process_as_a_relay() {
    let Ok(redis) = std::env::var("RELAY_REDIS") else { return };
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async move {
        let namespace = std::env::var("RELAY_NAMESPACE").unwrap();
        let client = Client::builder(&redis).namespace(namespace).await.unwrap();
        let store = Store::connect(&std::env::var("RELAY_DATABASE").unwrap()).await.unwrap();
        let relayed: Result<(), Error> = Relay::new(client, store).run_until(std::future::pending()).await;
        relayed.unwrap();
    });
}
