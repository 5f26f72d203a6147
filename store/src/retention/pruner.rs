//! One batch after the other of what is too old.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use millstream_queue::State;
use uuid::Uuid;

use super::{Retention, before, outbox, partitions, postgres, rejected, sqlite};
use crate::{
    Error, Store,
    schema::millstream_jobs as jobs,
    sql_types::{Id, Time},
    statistics,
    store::Backend,
};

/// Jobs of kinds that are kept for longer than others of their state are passed over until the next full look.
const FULL_LOOK: TimeDelta = TimeDelta::days(1);
/// Shortest pause between batches.
const BREATH: Duration = Duration::from_millis(5);

/// What was deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// Jobs, each with its runs, tags and searchable fields.
    pub jobs: u64,
    /// Packs and outcomes that had been set aside.
    pub rejected: u64,
    /// Rows of the outbox that had been set aside.
    pub outbox_rejected: u64,
    /// Rows of the statistics.
    pub statistics: u64,
    /// Partitions in which nothing was left.
    pub partitions: u64,
}

impl Pruned {
    pub(super) fn add(&mut self, more: &Pruned) {
        self.jobs += more.jobs;
        self.rejected += more.rejected;
        self.outbox_rejected += more.outbox_rejected;
        self.statistics += more.statistics;
        self.partitions += more.partitions;
    }
}

/// What one batch did.
pub(crate) struct Step {
    pub(crate) pruned: Pruned,
    /// How long to leave the database to others before the next; none where the pass is over.
    pub(crate) pause: Option<Duration>,
}

/// A job that is old enough for some kind.
#[derive(Queryable)]
pub(super) struct Seen {
    pub(super) id: Id,
    pub(super) finished_at: Time,
    pub(super) kind: String,
    pub(super) enqueued_at: Time,
}

#[derive(Clone, Copy)]
enum Stage {
    Jobs(State),
    Rejected,
    OutboxRejected,
    Statistics,
    Partitions,
}

/// A pass in its order.
const STAGES: [Stage; State::ALL.len() + 4] = {
    let mut stages = [Stage::Partitions; State::ALL.len() + 4];
    let mut index = 0;
    while index < State::ALL.len() {
        stages[index] = Stage::Jobs(State::ALL[index]);
        index += 1;
    }
    stages[index] = Stage::Rejected;
    stages[index + 1] = Stage::OutboxRejected;
    stages[index + 2] = Stage::Statistics;
    stages
};

type Place = (DateTime<Utc>, Uuid);

/// Deletes step by step. A pass goes through the states and then through what is no job, oldest first.
pub(crate) struct Pruner {
    store: Store,
    retention: Retention,
    /// Which of the stages is next.
    stage: usize,
    has_begun: bool,
    /// Up to where each state was looked through.
    after: [Option<Place>; State::ALL.len()],
    full_look: Option<DateTime<Utc>>,
}

impl Pruner {
    pub(crate) fn new(store: Store, retention: Retention) -> Self {
        Self { store, retention, stage: 0, has_begun: false, after: [None; State::ALL.len()], full_look: None }
    }

    /// The next batch.
    ///
    /// # Errors
    /// The batch was not deleted; the next call tries it again.
    pub(crate) async fn step(&mut self, now: DateTime<Utc>) -> Result<Step, Error> {
        let started = Instant::now();
        let mut pruned = Pruned::default();
        let batch = u64::from(self.retention.batch);
        if !std::mem::replace(&mut self.has_begun, true) {
            self.begin(now);
        }
        // How much there was: with less than a batch this stage is through.
        let found = match STAGES[self.stage] {
            Stage::Jobs(state) => {
                let (seen, deleted) = self.prune_jobs(state, now).await?;
                pruned.jobs = deleted;
                seen
            }
            Stage::Rejected => match before(now, self.retention.rejected) {
                Some(end) => {
                    pruned.rejected = rejected::prune(&self.store, end, self.retention.batch).await?;
                    pruned.rejected
                }
                None => 0,
            },
            Stage::OutboxRejected => match before(now, self.retention.outbox_rejected) {
                Some(end) => {
                    pruned.outbox_rejected = outbox::prune(&self.store, end, self.retention.batch).await?;
                    pruned.outbox_rejected
                }
                None => 0,
            },
            Stage::Statistics => match before(now, self.retention.statistics) {
                Some(end) => {
                    pruned.statistics = statistics::forget(&self.store, end, self.retention.batch).await?;
                    pruned.statistics
                }
                None => 0,
            },
            Stage::Partitions => {
                if let Backend::Postgres(database) = self.store.backend() {
                    partitions::adopt(database, now).await?;
                    pruned.partitions = partitions::drop_empty(database, now).await?;
                }
                0
            }
        };
        self.stage += usize::from(found < batch);
        let is_over = self.stage == STAGES.len();
        if is_over {
            (self.stage, self.has_begun) = (0, false);
        }
        // Half of the time at most, so that others get through.
        let pause = (!is_over).then(|| if found == 0 { Duration::ZERO } else { started.elapsed().max(BREATH) });
        Ok(Step { pruned, pause })
    }

    fn begin(&mut self, now: DateTime<Utc>) {
        let is_full = self.full_look.is_none_or(|last| now - last >= FULL_LOOK);
        if is_full {
            self.full_look = Some(now);
        }
        for state in State::ALL {
            if is_full || !self.retention.is_mixed(state) {
                self.after[state as usize] = None;
            }
        }
    }

    /// How many jobs of the state it looked at, and how many it deleted.
    async fn prune_jobs(&mut self, state: State, now: DateTime<Utc>) -> Result<(u64, u64), Error> {
        let Some(end) = self.retention.latest_end(state, now) else { return Ok((0, 0)) };
        let mut seen = self.look(state, end).await?;
        let (count, last) = (seen.len() as u64, seen.last().map(|job| (job.finished_at.0, job.id.0)));
        seen.retain(|job| self.retention.end(state, &job.kind, now).is_some_and(|end| job.finished_at.0 < end));
        let deleted = if seen.is_empty() {
            0
        } else {
            match self.store.backend() {
                Backend::Postgres(database) => postgres::prune(database, state, &seen).await,
                Backend::Sqlite(database) => sqlite::prune(database.clone(), state, seen).await,
            }?
        };
        self.after[state as usize] = last.or(self.after[state as usize]);
        Ok((count, deleted))
    }

    /// The next jobs of a state that ended before `end`, along the index of states.
    async fn look(&self, state: State, end: DateTime<Utc>) -> Result<Vec<Seen>, Error> {
        let (after, batch) = (self.after[state as usize], i64::from(self.retention.batch));
        with_conn!(&self.store, read conn: Db => {
            let mut query = jobs::table
                .select((jobs::id, jobs::finished_at, jobs::kind, jobs::enqueued_at))
                .filter(jobs::state.eq(state.as_str()))
                .filter(jobs::finished_at.lt(Time(end)))
                .into_boxed::<Db>();
            if let Some((finished_at, id)) = after {
                // The bound on the time alone lets the index start there.
                query = query
                    .filter(jobs::finished_at.ge(Time(finished_at)))
                    .filter(jobs::finished_at.gt(Time(finished_at)).or(jobs::id.gt(Id(id))));
            }
            query.order((jobs::finished_at, jobs::id)).limit(batch).load(conn).await
        })
    }
}
