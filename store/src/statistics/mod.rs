//! Statistics of the history: how many runs ended how, how long they waited and took, per kind, queue and time.

mod add;
mod deltas;
mod fold;
mod read;
mod sketch;
mod stored;

use std::{future::IntoFuture, time::Duration};

use chrono::{DateTime, Utc};
use millstream_queue::{Job, State};

pub use self::sketch::Sketch;
pub(crate) use self::{
    add::{add_to_postgres, add_to_sqlite},
    deltas::{Run, deltas},
    fold::{fold, forget},
};
use crate::{Error, History, Store, fit, store::BoxFuture};

/// A question to the statistics, built by [`History::statistics`]. `.await` answers with the [`Bucket`]s in which anything
/// ended, by time, kind and queue; none where nothing did.
///
/// # What is counted
/// Runs: a job that fails twice and then completes counts as two `failed` and one `completed`. Each run is counted once,
/// however often its outcome is delivered, in the bucket in which it ended, and stays counted when
/// [retention](crate::Retention) deletes its job.
///
/// A run's *wait* is the time from when it could start to when its handler did, and it could start when it came into its lane:
/// when it was pushed, for a delayed job and for a retry when it had become due, for one that was put back (after a crash
/// or at a shutdown) when that happened. So a delay that was asked for is no wait, but a pause of the queue is. Its *run time* is
/// from the handler's start to its end. Runs whose handler never started are counted and have neither.
///
/// # How exact
/// Counts are exact; a quantile is off by at most 2 % (see [`Sketch`]). Minutes are kept for two days, then they are folded
/// into hours: of older times a shorter bucket than an hour shows the whole hour where it began.
#[derive(Clone, Debug)]
#[must_use = "nothing is asked until awaited"]
pub struct Statistics {
    store: Store,
    kind: Option<String>,
    queue: Option<String>,
    state: Option<State>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    bucket: Duration,
}

/// What ended of one kind, in one queue and one span of time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Bucket {
    /// Its beginning; the end is as far off as [`Statistics::bucket`] says.
    pub start: DateTime<Utc>,
    /// The job type's stable name.
    pub kind: String,
    /// The queue.
    pub queue: String,
    /// How long runs waited after they could have started.
    pub wait: Sketch,
    /// How long handlers ran.
    pub run_time: Sketch,
    counts: [u64; State::ALL.len()],
}

impl Bucket {
    /// How many runs ended in this state.
    pub fn count(&self, state: State) -> u64 {
        self.counts[state as usize]
    }

    /// How many runs ended in any state.
    pub fn runs(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl History {
    /// Counts and times over whole spans of time instead of jobs. Filters that were set on the history play no part.
    pub fn statistics(self) -> Statistics {
        Statistics::new(self.into_store())
    }
}

impl Statistics {
    fn new(store: Store) -> Self {
        let bucket = Duration::from_secs(stored::HOUR.unsigned_abs());
        Self { store, kind: None, queue: None, state: None, since: None, until: None, bucket }
    }

    /// Jobs of the type `J`.
    pub fn job<J: Job>(self) -> Self {
        self.kind(J::KIND)
    }

    /// Jobs of a type given by its stable name.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(fit::name(kind.into()));
        self
    }

    /// Jobs of a queue.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(fit::name(queue.into()));
        self
    }

    /// Runs that ended in a state: then waits and run times are of these alone.
    pub fn state(mut self, state: State) -> Self {
        self.state = Some(state);
        self
    }

    /// From the bucket in which this time lies. Default: a day before the end.
    pub fn since(mut self, time: DateTime<Utc>) -> Self {
        self.since = Some(fit::time(time));
        self
    }

    /// To the bucket in which this time lies, or before which it stands. Default: now.
    pub fn until(mut self, time: DateTime<Utc>) -> Self {
        self.until = Some(fit::time(time));
        self
    }

    /// How long a bucket is: a whole number of minutes that divides an hour, or a whole number of hours. Default: an
    /// hour. Buckets are counted from 1970 in UTC, so that those of a day begin at midnight.
    pub fn bucket(mut self, length: Duration) -> Self {
        self.bucket = length;
        self
    }
}

impl IntoFuture for Statistics {
    type Output = Result<Vec<Bucket>, Error>;
    type IntoFuture = BoxFuture<Self::Output>;

    /// # Errors
    /// [`Error::List`] for a length that no bucket can have, for more than 10,000 buckets, and for an answer of more than
    /// 100,000; [`Error::NotMigrated`], [`Error::Unreachable`], [`Error::Query`].
    fn into_future(self) -> Self::IntoFuture {
        Box::pin(read::answer(self, Utc::now()))
    }
}
