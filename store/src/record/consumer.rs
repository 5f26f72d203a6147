//! A recorder's identity in the groups of the `done` streams, and what it has in hand.

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use millstream_queue::{
    Client,
    keys::{QueueKeys, RECORDER},
};
use redis::{RedisError, Script, streams::StreamInfoConsumersReply};
use tracing::debug;

use super::reader::Pack;

static SIGN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("sign.lua")));
static FORGET: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("forget.lua")));

/// Consumers of other recorders that hold nothing and have been silent for this many times the claim time are deleted.
const FORGOTTEN: u32 = 20;

type InHand = HashMap<Arc<str>, Vec<Arc<str>>>;

/// One recorder, shared by its reader and its writer.
#[derive(Clone)]
pub(super) struct Consumer {
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    name: String,
    /// The server's number of the reading connection.
    connection: AtomicI64,
    in_hand: Mutex<InHand>,
}

impl Consumer {
    pub(super) fn new(client: Client, name: String) -> Self {
        let shared = Shared { client, name, connection: AtomicI64::new(0), in_hand: Mutex::default() };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn name(&self) -> &str {
        &self.shared.name
    }

    pub(super) fn client(&self) -> &Client {
        &self.shared.client
    }

    pub(super) fn reads_on(&self, connection: i64) {
        self.shared.connection.store(connection, Ordering::Relaxed);
    }

    /// Notes in whose groups this recorder reads.
    pub(super) fn serves(&self, queues: &[Arc<str>]) {
        let mut in_hand = self.in_hand();
        for queue in queues {
            in_hand.entry(queue.clone()).or_default();
        }
    }

    /// Signs the books of a queue, for this recorder counts there what it deletes.
    pub(super) async fn sign(&self, queue: &str) -> Result<(), millstream_queue::Error> {
        let mut conn = self.client().connection().await?;
        Ok(SIGN.key(self.client().keys(queue).books()).arg(self.name()).invoke_async(&mut conn).await?)
    }

    /// Notes packs that are read and not acknowledged yet.
    pub(super) fn hold(&self, packs: &[Pack]) {
        let mut in_hand = self.in_hand();
        for pack in packs {
            in_hand.entry(pack.queue.clone()).or_default().push(pack.entry.clone());
        }
    }

    /// Acknowledges packs of one queue; they are recorded or set aside.
    pub(super) async fn acknowledge(
        &self,
        queue: &Arc<str>,
        entries: &[Arc<str>],
    ) -> Result<(), millstream_queue::Error> {
        let ids: Vec<String> = entries.iter().map(|entry| entry.to_string()).collect();
        self.client().recorded(queue, &ids).await?;
        if let Some(held) = self.in_hand().get_mut(queue) {
            held.retain(|entry| !entries.contains(entry));
        }
        Ok(())
    }

    /// Tells the server that this recorder lives, so that nobody claims what it has in hand while SQL is away.
    pub(super) async fn touch(&self) -> Result<(), millstream_queue::Error> {
        let in_hand = self.in_hand().clone();
        let mut conn = self.client().connection().await?;
        for (queue, entries) in in_hand.iter().filter(|(_, entries)| !entries.is_empty()) {
            let mut claim = redis::cmd("XCLAIM");
            claim.arg(self.client().keys(queue).done()).arg(RECORDER).arg(self.name()).arg(0);
            for entry in entries {
                claim.arg(&**entry);
            }
            let _: redis::Value = claim.arg("JUSTID").query_async(&mut conn).await?;
        }
        Ok(())
    }

    /// Takes over packs that other recorders have left for `idle`. Whether there were any: the reader finds them among its
    /// own pending ones.
    pub(super) async fn claim(&self, queues: &[Arc<str>], idle: Duration) -> Result<bool, millstream_queue::Error> {
        let mut conn = self.client().connection().await?;
        let mut any = false;
        for queue in queues {
            let mut claim = redis::cmd("XAUTOCLAIM");
            claim.arg(self.client().keys(queue).done()).arg(RECORDER).arg(self.name());
            claim.arg(millis(idle)).arg("0-0").arg("COUNT").arg(100).arg("JUSTID");
            let (_next, ids, _deleted): (String, Vec<String>, Vec<String>) = claim.query_async(&mut conn).await?;
            any |= !ids.is_empty();
        }
        Ok(any)
    }

    /// Deletes consumers that dead recorders have left, once nothing lies with them.
    pub(super) async fn sweep(
        &self,
        queues: &[Arc<str>],
        claim_after: Duration,
    ) -> Result<(), millstream_queue::Error> {
        let mut conn = self.client().connection().await?;
        for queue in queues {
            let keys = self.client().keys(queue);
            let done = keys.done();
            let found: StreamInfoConsumersReply =
                redis::cmd("XINFO").arg("CONSUMERS").arg(&done).arg(RECORDER).query_async(&mut conn).await?;
            let silent = |idle: usize| idle as u128 > (claim_after * FORGOTTEN).as_millis();
            let others = found.consumers.iter().filter(|other| other.name != self.name());
            for other in others.filter(|other| other.pending == 0 && silent(other.idle)) {
                self.forget(&keys, &other.name).await?;
            }
        }
        Ok(())
    }

    /// Ends the blocked read at once; the server loses nothing by it.
    pub(super) async fn unblock(&self) {
        let connection = self.shared.connection.load(Ordering::Relaxed);
        let unblocked = async {
            let mut conn = self.client().connection().await?;
            redis::cmd("CLIENT").arg("UNBLOCK").arg(connection).query_async::<i64>(&mut conn).await?;
            Ok::<_, millstream_queue::Error>(())
        };
        if let Err(error) = unblocked.await {
            debug!(%error, "the read was not unblocked, it ends by itself within 2 s");
        }
    }

    /// Leaves the groups of `queues`, where nothing lies with this recorder.
    pub(super) async fn leave(&self) {
        let queues: Vec<Arc<str>> = self.in_hand().keys().cloned().collect();
        for queue in queues {
            if let Err(error) = self.forget(&self.client().keys(&queue), self.name()).await {
                debug!(%error, %queue, "the consumer stays for others to sweep");
            }
        }
    }

    async fn forget(&self, keys: &QueueKeys, consumer: &str) -> Result<(), millstream_queue::Error> {
        let mut conn = self.client().connection().await?;
        let forgotten: Result<i64, RedisError> =
            FORGET.key(keys.done()).key(keys.books()).arg(RECORDER).arg(consumer).invoke_async(&mut conn).await;
        forgotten.map(drop).map_err(Into::into)
    }

    fn in_hand(&self) -> MutexGuard<'_, InHand> {
        self.shared.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
