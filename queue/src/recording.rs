//! The recorder's side of Redis: a queue whose outcomes are kept, and outcomes that have reached SQL.

use std::{sync::LazyLock, time::Duration};

use redis::Script;
use tracing::warn;

use crate::{Client, Error, keys, keys::RECORDER, names};

static RECORD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/record.lua")));
static UNRECORDED: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/unrecorded.lua")));
static RECORDED: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/recorded.lua")));

/// What happens when a queue's outcomes that no recorder has taken reach their limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// Workers stop fetching until a recorder has caught up. The default: nothing is lost.
    #[default]
    Pause,
    /// The oldest outcomes are dropped, and counted in the control field `done:dropped`.
    Drop,
}

impl Overflow {
    /// The name in the control field `done:overflow`.
    pub fn as_str(self) -> &'static str {
        match self {
            Overflow::Pause => "pause",
            Overflow::Drop => "drop",
        }
    }
}

/// Outcomes that may wait for a recorder, unless [`Client::limit_unrecorded`] says otherwise.
pub const UNRECORDED_LIMIT: u64 = 1_000_000;

/// The outcomes of one queue that wait for a recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unrecorded {
    /// The queue's name.
    pub queue: String,
    /// How many wait.
    pub outcomes: u64,
    /// How many bytes they have.
    pub bytes: u64,
    /// How many may wait; see [`Client::limit_unrecorded`].
    pub limit: u64,
    /// How many were ever dropped because more would have waited.
    pub dropped: u64,
    /// For how long the oldest has waited, by the server's clock; none where none waits.
    pub oldest: Option<Duration>,
}

impl Unrecorded {
    /// Whether at least half of what may wait does.
    pub fn is_high(&self) -> bool {
        self.outcomes.saturating_mul(2) >= self.limit
    }
}

impl Client {
    /// Bounds the outcomes of `queue` that wait for a recorder while SQL or the recorder is away: from 1, by default
    /// [`UNRECORDED_LIMIT`], and what happens at the limit. Workers learn of it within a second; it may be passed by what
    /// they finish in that time.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Unreachable`], [`Error::Redis`].
    pub async fn limit_unrecorded(&self, queue: &str, outcomes: u64, overflow: Overflow) -> Result<(), Error> {
        names::check("queue", queue)?;
        let mut set = redis::cmd("HSET");
        set.arg(self.keys(queue).control()).arg("done:limit").arg(outcomes.max(1));
        set.arg("done:overflow").arg(overflow.as_str());
        Ok(set.exec_async(&mut self.connection().await?).await?)
    }

    /// What of `queue` waits for a recorder, at one moment.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Unreachable`], [`Error::Redis`].
    pub async fn unrecorded(&self, queue: &str) -> Result<Unrecorded, Error> {
        names::check("queue", queue)?;
        let keys = self.keys(queue);
        let mut conn = self.connection().await?;
        let answer: [String; 5] = UNRECORDED.key(keys.control()).key(keys.done()).invoke_async(&mut conn).await?;
        // A counter is below zero for a moment where an operator has meddled with the stream.
        let [outcomes, bytes, limit, dropped, oldest] = answer.map(|text| text.parse::<u64>().ok());
        Ok(Unrecorded {
            queue: queue.to_owned(),
            outcomes: outcomes.unwrap_or(0),
            bytes: bytes.unwrap_or(0),
            limit: limit.unwrap_or(UNRECORDED_LIMIT),
            dropped: dropped.unwrap_or(0),
            oldest: oldest.map(Duration::from_millis),
        })
    }

    /// From now on every outcome of `queue` is kept in its `done` stream until a recorder has taken it. Idempotent.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Unreachable`], [`Error::Redis`].
    pub async fn record(&self, queue: &str) -> Result<(), Error> {
        names::check("queue", queue)?;
        let keys = self.keys(queue);
        let mut conn = self.connection().await?;
        let _: () = RECORD.key(keys.control()).key(keys.done()).arg(RECORDER).invoke_async(&mut conn).await?;
        let registry = keys::queues(self.namespace());
        // At maxmemory this is refused, and yet the recorder must register, for it is what frees memory.
        if let Err(error) = redis::cmd("SADD").arg(registry).arg(queue).exec_async(&mut conn).await {
            warn!(queue, %error, "the queue could not be entered into the registry of queues");
        }
        Ok(())
    }

    /// Takes entries of the `done` stream of `queue` away: their `outcomes`, of `bytes` in all, are in SQL now.
    /// Entries that another recorder took first are not counted again.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Redis`].
    pub async fn recorded(&self, queue: &str, entries: &[String]) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        let keys = self.keys(queue);
        let mut conn = self.connection().await?;
        let mut call = RECORDED.key(keys.control());
        call.key(keys.done()).key(keys.books()).arg(RECORDER);
        for entry in entries {
            call.arg(entry);
        }
        let _: () = call.invoke_async(&mut conn).await?;
        Ok(())
    }
}
