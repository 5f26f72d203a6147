//! The relay: takes committed rows to Redis in numbered batches.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    time::{Duration, Instant},
};

use diesel::{sql_query, sql_types::BigInt};
use diesel_async::RunQueryDsl;
use futures::{StreamExt, future::BoxFuture, stream};
use millstream_queue::Client;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{
    batch::{self, Packer},
    lane::Lane,
    status,
    wake::Wake,
};
use crate::{Data, Error, Store, conn::joined, query, record::Trouble};

/// Targets that are served at once.
const TARGETS: usize = 4;
/// The bound on waiting rows is looked after at least this often.
const RAISE: Duration = Duration::from_secs(1);

/// Takes what committed transactions left in the outbox to Redis: each row once, rows of one target and key in the order of their
/// commits. Any number of relays may run at once, in any processes; one target is served by one of them at a time.
///
/// A job that a direct push would have kept out, since another holds its unique key or idempotency key, is kept out here too
/// and counts as relayed. A row that can never be relayed is moved to `millstream_outbox_rejected` with the reason.
#[derive(Clone, Debug)]
#[must_use = "a relay works only while `run_until` is awaited"]
pub struct Relay {
    client: Client,
    store: Store,
    most: Option<u64>,
}

impl Relay {
    /// A relay from the store's database to the client's Redis and namespace. All relays of a database need the same.
    pub fn new(client: Client, store: Store) -> Self {
        Self { client, store, most: None }
    }

    /// How many rows may wait; beyond it inserts fail with [`Error::OutboxFull`]. Kept in the database. Rows are counted by their
    /// numbers, so those of transactions that were rolled back count while older ones wait. Default: 1,000,000, or what was set
    /// before.
    pub fn most_waiting(mut self, rows: u64) -> Self {
        self.most = Some(rows);
        self
    }

    /// Relays until `shutdown` is ready and the batches on their way are done. While it runs, an outage of Redis or of SQL is
    /// logged and waited out.
    ///
    /// # Errors
    /// [`Error::NotMigrated`], [`Error::Unreachable`] where the database can't be asked in the beginning.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let outbox = status::id(&self.store).await?;
        if let Some(most) = self.most {
            set_most(&self.store, i64::try_from(most).unwrap_or(i64::MAX)).await?;
        }
        let stop = CancellationToken::new();
        let stop_on_drop = stop.clone().drop_guard();
        let wake = Wake::new(&self.store, stop.clone());
        info!(%outbox, "relaying");
        // In a task, so that what its connections read is handed over on the spot, wherever this future is awaited.
        let mut working = pin!(joined(tokio::spawn(async move { self.work(outbox, wake, stop).await })));
        tokio::select! {
            () = shutdown => {}
            () = &mut working => return Ok(()),
        }
        drop(stop_on_drop);
        working.await;
        info!("relaying stopped");
        Ok(())
    }

    async fn work(&self, outbox: String, wake: Wake, stop: CancellationToken) {
        let mut trouble = Trouble::new("relaying the outbox");
        let packer = Packer { client: self.client.clone(), outbox };
        let mut lanes = BTreeMap::new();
        let mut raised: Option<Instant> = None;
        while !stop.is_cancelled() {
            let mut round = self.round(&packer, &mut lanes, &stop).await;
            // Numbers of transactions that rolled back move it too, so now and then without any row relayed.
            if matches!(round, Ok(true)) || raised.is_none_or(|at| at.elapsed() >= RAISE) {
                raised = Some(Instant::now());
                round = raise_ceiling(&self.store).await.and(round);
            }
            let wait = match round {
                Ok(true) => {
                    trouble.worked();
                    continue;
                }
                Ok(false) => {
                    trouble.worked();
                    None
                }
                Err(error) => Some(trouble.failed(&error)),
            };
            let waiting = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => wake.woken().await,
                }
            };
            tokio::select! {
                () = waiting => {}
                () = stop.cancelled() => {}
            }
        }
        for (target, lane) in &mut lanes {
            if let Err(error) = lane.finish(&self.store, target).await {
                trouble.failed(&error);
            }
        }
    }

    /// Serves each target for which rows wait. Whether anything was relayed.
    async fn round(
        &self,
        packer: &Packer,
        lanes: &mut BTreeMap<String, Lane>,
        stop: &CancellationToken,
    ) -> Result<bool, Error> {
        let targets = batch::targets(&self.store).await?;
        lanes.retain(|target, _| targets.contains(target));
        for target in targets {
            lanes.entry(target).or_default();
        }
        let mut serving: Vec<BoxFuture<'_, Result<bool, Error>>> = Vec::with_capacity(lanes.len());
        let may_rest = lanes.len() <= TARGETS;
        for (target, lane) in lanes.iter_mut() {
            serving.push(Box::pin(lane.serve(&self.store, packer, target, may_rest, stop)));
        }
        let served: Vec<Result<bool, Error>> = stream::iter(serving).buffer_unordered(TARGETS).collect().await;
        let mut any = false;
        for served in served {
            any |= served?;
        }
        Ok(any)
    }
}

/// The first number behind the oldest waiting row, or behind all where none waits.
macro_rules! ceiling {
    ($last:literal) => {
        concat!(
            "UPDATE millstream_outbox_state SET ceiling = o.first + most - 1 FROM (SELECT COALESCE((",
            "WITH RECURSIVE t (target) AS (SELECT min(target) FROM millstream_outbox UNION ALL ",
            "SELECT (SELECT min(o.target) FROM millstream_outbox o WHERE o.target > t.target) FROM t ",
            "WHERE t.target IS NOT NULL) ",
            "SELECT min((SELECT min(o.seq) FROM millstream_outbox o WHERE o.target = t.target)) FROM t ",
            "WHERE t.target IS NOT NULL), ",
            $last,
            ") AS first) o WHERE ABS(ceiling - (o.first + most - 1)) > most / 16"
        )
    };
}
const CEILING_POSTGRES: &str = ceiling!("(SELECT last_value + is_called::int FROM millstream_outbox_seq)");
const CEILING_SQLITE: &str = ceiling!("(SELECT seq + 1 FROM sqlite_sequence WHERE name = 'millstream_outbox'), 1");

async fn raise_ceiling(store: &Store) -> Result<(), Error> {
    let statement = if store.is_postgres() { CEILING_POSTGRES } else { CEILING_SQLITE };
    store.write(query!(|conn: Db| sql_query(statement).execute(conn).await)).await?;
    Ok(())
}

async fn set_most(store: &Store, most: i64) -> Result<(), Error> {
    const SET: &str = "UPDATE millstream_outbox_state SET most = $1, ceiling = ceiling - most + $1 WHERE most <> $1";
    store.write(query!(|conn: Db| sql_query(SET).bind::<BigInt, _>(most).execute(conn).await)).await?;
    Ok(())
}
