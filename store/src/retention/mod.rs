//! How long the history is kept, and its pruning in small batches.

mod outbox;
mod partitions;
mod postgres;
mod pruner;
mod rejected;
mod sqlite;

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use millstream_queue::{Job, State};

pub use self::pruner::Pruned;
pub(crate) use self::pruner::Pruner;
use crate::{Error, Store};

const DAY: Duration = Duration::from_secs(86_400);
/// Shortest pause between passes.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
/// Most jobs that one transaction deletes.
const BATCH: (u16, u16) = (500, 10_000);

/// How long what happened is kept: per state of a job, and per job type where that should differ. A recorder prunes by it,
/// see [`Recorder::retention`](crate::Recorder::retention).
///
/// | what | kept for, unless told otherwise |
/// |---|---|
/// | completed, cancelled and expired jobs | 7 days |
/// | dead jobs | 90 days |
/// | jobs that have not ended | for ever |
/// | what recorders set aside ([`Store::rejected`]) | 90 days |
/// | what relays set aside ([`Relay`](crate::Relay)) | 90 days |
/// | statistics | 400 days |
///
/// A job's time counts from the end of its decisive run, and with the job go its runs, tags and searchable fields. A job
/// that has not ended (it failed, was snoozed, parked, interrupted, or crashed with its worker) may run again at any time, so it
/// is kept whatever its age; one whose end was never recorded, because Redis lost it or dropped it, therefore stays.
/// Giving its state a time deletes those too: a job that then goes on comes back with what is recorded from then on.
///
/// Take no times shorter than outcomes may be on their way: one that is delivered again after its job was deleted is
/// recorded, and counted, anew.
///
/// Where the tables are partitioned (on Postgres), partitions that ended more than two weeks ago and have become empty are
/// dropped. Rows that were written while their week could get no partition are moved into one, up to 200,000 of a week;
/// more stay in the partition for other times, where they are found and pruned all the same.
///
/// On SQLite the room of what was deleted is used again by what comes, and the file doesn't shrink; that takes a `VACUUM`,
/// for which nobody may write.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "nothing is deleted until a recorder or `Store::prune` is given it"]
pub struct Retention {
    states: [Option<Duration>; State::ALL.len()],
    kinds: BTreeMap<String, BTreeMap<usize, Option<Duration>>>,
    rejected: Option<Duration>,
    outbox_rejected: Option<Duration>,
    statistics: Option<Duration>,
    every: Duration,
    batch: u16,
}

impl Default for Retention {
    fn default() -> Self {
        Self::forever()
            .state(State::Completed, 7 * DAY)
            .state(State::Cancelled, 7 * DAY)
            .state(State::Expired, 7 * DAY)
            .state(State::Dead, 90 * DAY)
            .rejected(90 * DAY)
            .outbox_rejected(90 * DAY)
            .statistics(400 * DAY)
    }
}

impl Retention {
    /// Nothing is ever deleted.
    pub fn forever() -> Self {
        Self {
            states: [None; State::ALL.len()],
            kinds: BTreeMap::new(),
            rejected: None,
            outbox_rejected: None,
            statistics: None,
            every: Duration::from_secs(300),
            batch: BATCH.0,
        }
    }

    /// How long jobs in this state are kept; `None` is for ever.
    pub fn state(mut self, state: State, age: impl Into<Option<Duration>>) -> Self {
        self.states[state as usize] = age.into();
        self
    }

    /// The same for jobs of the type `J` alone, whatever the others' time.
    pub fn job<J: Job>(self, state: State, age: impl Into<Option<Duration>>) -> Self {
        self.kind(J::KIND, state, age)
    }

    /// The same for a type given by its stable name.
    pub fn kind(mut self, kind: impl Into<String>, state: State, age: impl Into<Option<Duration>>) -> Self {
        let kind = crate::fit::name(kind.into());
        self.kinds.entry(kind).or_default().insert(state as usize, age.into());
        self
    }

    /// How long packs and outcomes that were set aside are kept; `None` is for ever.
    pub fn rejected(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.rejected = age.into();
        self
    }

    /// How long rows of the outbox are kept that can't be relayed and were set aside in `millstream_outbox_rejected`; `None` is
    /// for ever.
    pub fn outbox_rejected(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.outbox_rejected = age.into();
        self
    }

    /// How long statistics are kept; `None` is for ever.
    pub fn statistics(mut self, age: impl Into<Option<Duration>>) -> Self {
        self.statistics = age.into();
        self
    }

    /// How often a recorder looks for what is to be deleted, the first time after it has run for that long: at least a
    /// second. Default: 5 minutes. What a pass finds it deletes, so this bounds how much too long anything is kept.
    pub fn every(mut self, pause: Duration) -> Self {
        self.every = pause.max(SHORTEST_PAUSE);
        self
    }

    /// Most jobs that one transaction deletes, 1 to 10,000 (others mean the nearest of these). Default: 500. Others wait for
    /// one batch at most, so fewer mean shorter waits and a longer pass.
    pub fn batch(mut self, jobs: u16) -> Self {
        self.batch = jobs.clamp(1, BATCH.1);
        self
    }

    pub(crate) fn pause(&self) -> Duration {
        self.every
    }

    /// Until when a job must have ended to be deleted now; none where it is kept for ever.
    fn end(&self, state: State, kind: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let own = self.kinds.get(kind).and_then(|states| states.get(&(state as usize)));
        before(now, own.copied().unwrap_or(self.states[state as usize]))
    }

    /// The latest such end over all kinds.
    fn latest_end(&self, state: State, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let ages = self.ages(state).flatten().min();
        before(now, ages)
    }

    /// Whether some kind is kept for longer than another, so that a pass meets jobs that stay.
    fn is_mixed(&self, state: State) -> bool {
        let mut ages = self.ages(state);
        let first = ages.next();
        ages.any(|age| Some(age) != first)
    }

    fn ages(&self, state: State) -> impl Iterator<Item = Option<Duration>> {
        let own = self.kinds.values().filter_map(move |states| states.get(&(state as usize)).copied());
        std::iter::once(self.states[state as usize]).chain(own)
    }
}

/// The time `age` ago; none where there was no such time.
fn before(now: DateTime<Utc>, age: Option<Duration>) -> Option<DateTime<Utc>> {
    now.checked_sub_signed(TimeDelta::from_std(age?).ok()?)
}

impl Store {
    /// Deletes all that is to be deleted by now, as a recorder does that is given the same retention, and folds old
    /// statistics: for programs without a recorder. Many short transactions, oldest first, with pauses, so that
    /// whoever reads and writes meanwhile waits for one batch at most; any number of these and of recorders may run at once.
    /// Dropping the future stops it between two batches.
    ///
    /// # Errors
    /// [`Error::NotMigrated`], [`Error::Unreachable`], [`Error::Query`]: what was deleted until then stays deleted.
    pub async fn prune(&self, retention: &Retention) -> Result<Pruned, Error> {
        while crate::statistics::fold(self, Utc::now()).await? > 0 {}
        let mut pruner = Pruner::new(self.clone(), retention.clone());
        let now = Utc::now();
        let mut pruned = Pruned::default();
        loop {
            let step = pruner.step(now).await?;
            pruned.add(&step.pruned);
            match step.pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Ok(pruned),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_its_own_time_and_the_rest_the_states() {
        let now = DateTime::from_timestamp(1_000_000_000, 0).expect("in range");
        let retention = Retention::default()
            .kind("invoice", State::Completed, 30 * DAY)
            .kind("ping", State::Completed, DAY)
            .kind("audit", State::Dead, None);
        let ago = |age: Duration| Some(now - age);
        assert_eq!(retention.end(State::Completed, "resize", now), ago(7 * DAY));
        assert_eq!(retention.end(State::Completed, "invoice", now), ago(30 * DAY));
        assert_eq!(retention.end(State::Dead, "invoice", now), ago(90 * DAY));
        assert_eq!(retention.end(State::Dead, "audit", now), None);
        assert_eq!(retention.latest_end(State::Completed, now), ago(DAY));
        assert_eq!(retention.latest_end(State::Failed, now), None);
        assert!(retention.is_mixed(State::Completed) && retention.is_mixed(State::Dead));
        assert!(!retention.is_mixed(State::Cancelled));
    }

    #[test]
    fn an_age_beyond_all_time_deletes_nothing() {
        let now = DateTime::from_timestamp(1_000_000_000, 0).expect("in range");
        let retention = Retention::default().state(State::Completed, Duration::MAX).batch(0).every(Duration::ZERO);
        assert_eq!(retention.end(State::Completed, "resize", now), None);
        assert_eq!((retention.batch, retention.every), (1, SHORTEST_PAUSE));
    }
}
