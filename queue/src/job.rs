//! What a job is: plain data with a stable name.

use std::time::Duration;

use serde::{Serialize, de::DeserializeOwned};

use crate::{Backoff, Unique, keys::Lane};

/// A unit of background work: plain data, apart from the handler that runs it.
///
/// Only [`KIND`](Job::KIND) is required; every other constant is a default for jobs of this type.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Stable name of the job type. It is stored with each job: renaming the Rust type is free, renaming this is not.
    const KIND: &'static str;
    /// The queue. Default: `default`.
    const QUEUE: &'static str = "default";
    /// Version of the payload's shape. Default: 1.
    const VERSION: u32 = 1;
    /// Which jobs of the queue run first. Default: normal.
    const PRIORITY: Priority = Priority::Normal;
    /// Failed attempts until the job is dead. Default: 20. Zero counts as one.
    const ATTEMPTS: u32 = 20;
    /// Longest run of one attempt; beyond it the attempt is cancelled and counts as failed. Default: 30 minutes.
    const TIMEOUT: Duration = Duration::from_secs(30 * 60);
    /// How long after it was first enqueued the job is still started; from then on it ends as expired. Default: without end.
    const EXPIRY: Option<Duration> = None;
    /// How long after it was first enqueued the job is worth doing: an attempt that runs then is cut off as timed out, none
    /// is started after it, and the job is dead. Default: without end.
    const DEADLINE: Option<Duration> = None;
    /// Delay between a failed attempt and the next. Default: [`Backoff::DEFAULT`].
    const BACKOFF: Backoff = Backoff::DEFAULT;
    /// For how long after its end a job's result is kept in Redis, for [`Client::result`](crate::Client::result). Default: not
    /// at all; the history keeps it either way.
    const KEEP_RESULT: Option<Duration> = None;
    /// Whether a second job with the same payload is kept out, see [`Unique`]. Default: no.
    const UNIQUE: Option<Unique> = None;
    /// What the durable history keeps. Default: everything.
    const HISTORY: History = History::All;

    /// Fields of the payload by which the history can be searched, such as `user` or `order.country`: at most 16 paths of
    /// names of `A-Z a-z 0-9 _ -` with dots between. Texts of up to 500 bytes, numbers and booleans are found. A worker tells
    /// recorders when it starts; what was recorded before a field was declared is not found by it, and neither is what
    /// [`HISTORY`](Job::HISTORY) keeps without its payload. A recorder that runs learns within 10 seconds of what is declared
    /// anew for a kind that it has recorded before; of a kind that is new to it, at once. Default: none.
    const SEARCHABLE: &'static [&'static str] = &[];

    /// The delay after the failed attempt number `attempt` (from 1) with its error, for what a curve can't tell: a rate limit's
    /// error may need longer than a dropped connection's. Default: none, which means [`BACKOFF`](Job::BACKOFF), as does a
    /// panic in here. A push's [`backoff`](crate::Push::backoff) and a handler's `Failure::retry_in` come first.
    fn backoff(attempt: u32, error: &str) -> Option<Duration> {
        let _ = (attempt, error);
        None
    }

    /// Turns a payload of an older version into the present one's shape, so that jobs enqueued before a deployment run after
    /// it. Called where the stored version is below [`VERSION`](Job::VERSION). Default: the payload as it is.
    ///
    /// # Errors
    /// What is wrong with the payload: a failed attempt.
    fn upcast(payload: serde_json::Value, version: u32) -> Result<serde_json::Value, String> {
        let _ = version;
        Ok(payload)
    }
}

/// Which jobs of a queue are fetched first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// Before all others.
    High,
    /// The default.
    #[default]
    Normal,
    /// When nothing else waits.
    Low,
}

impl Priority {
    /// The stream that carries jobs of this priority.
    pub fn lane(self) -> Lane {
        match self {
            Priority::High => Lane::High,
            Priority::Normal => Lane::Normal,
            Priority::Low => Lane::Low,
        }
    }
}

/// What the durable history keeps of a job type's attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum History {
    /// Every attempt with payload and result.
    #[default]
    All,
    /// Every attempt, without payload and result.
    Facts,
    /// Only attempts that did not complete, with payload.
    Failures,
    /// Nothing.
    Nothing,
}
