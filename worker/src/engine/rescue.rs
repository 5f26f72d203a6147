//! Putting back the jobs of consumers that died.

use std::{collections::HashSet, sync::Arc};

use millstream_queue::{Error, Lane, Retry, keys::WORKERS};
use redis::aio::ConnectionLike;

use super::{
    epoch::Epoch,
    scripts::{self, Requeue},
};
use crate::events;

/// Entries per script: 100 take Redis about 2 ms.
const MOST: usize = 100;

/// A line of `XPENDING`: entry, owner, idle milliseconds, deliveries.
type Pending = (String, String, u64, u64);

/// Looks for orphans at the start, and whenever the beat saw consumers that aren't alive.
pub(super) async fn run<S>(epoch: Arc<Epoch<S>>) {
    let mut retry = Retry::new("rescue");
    while !epoch.lease.is_fenced() {
        match rescue(&epoch).await {
            Ok(()) => {
                retry.worked();
                epoch.lease.orphans().await;
            }
            Err(error) => retry.failed(&error).await,
        }
    }
}

async fn rescue<S>(epoch: &Epoch<S>) -> Result<(), Error> {
    let mut conn = epoch.process.client.connection().await?;
    for consumer in dead_consumers(epoch, &mut conn).await? {
        let mut rescued = 0;
        for lane in Lane::ALL {
            rescued += requeue_all(epoch, &mut conn, &consumer, lane).await?;
        }
        let _: i64 = scripts::forget(epoch.lease.keys(), &consumer).invoke_async(&mut conn).await?;
        if rescued > 0 {
            events::rescue_requeued(epoch.lease.queue(), &consumer, rescued);
        }
    }
    Ok(())
}

/// Consumers of the lanes' groups that are not alive.
async fn dead_consumers<S>(epoch: &Epoch<S>, conn: &mut impl ConnectionLike) -> Result<HashSet<String>, Error> {
    let keys = epoch.lease.keys();
    let mut consumers = HashSet::new();
    for lane in Lane::ALL {
        let mut info = redis::cmd("XINFO");
        let reply: redis::streams::StreamInfoConsumersReply =
            info.arg("CONSUMERS").arg(keys.ready(lane)).arg(WORKERS).query_async(conn).await?;
        consumers.extend(reply.consumers.into_iter().map(|consumer| consumer.name));
    }
    // After the consumers: one that registered in between is alive, not dead.
    let alive: HashSet<String> = redis::cmd("HKEYS").arg(keys.alive()).query_async(conn).await?;
    consumers.retain(|consumer| !alive.contains(consumer));
    Ok(consumers)
}

async fn requeue_all<S>(
    epoch: &Epoch<S>,
    conn: &mut (impl ConnectionLike + Send),
    consumer: &str,
    lane: Lane,
) -> Result<u64, Error> {
    let keys = epoch.lease.keys();
    let mut rescued = 0;
    loop {
        let mut look = redis::cmd("XPENDING");
        look.arg(keys.ready(lane)).arg(WORKERS).arg("-").arg("+").arg(MOST).arg(consumer);
        let pending: Vec<Pending> = look.query_async(conn).await?;
        if pending.is_empty() {
            return Ok(rescued);
        }
        let entries: Vec<String> = pending.into_iter().map(|(entry, ..)| entry).collect();
        let moved: i64 = scripts::requeue(keys, consumer, lane, Requeue::Crashed, &entries).invoke_async(conn).await?;
        if moved < 0 {
            return Ok(rescued); // alive after all
        }
        rescued += moved.unsigned_abs();
    }
}
