//! The recorder's side of Redis: a queue whose outcomes are kept, and outcomes that have reached SQL.

use std::sync::LazyLock;

use redis::Script;
use tracing::warn;

use crate::{Client, Error, keys, keys::RECORDER, names};

static RECORD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/record.lua")));
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
        call.key(keys.done()).arg(RECORDER);
        for entry in entries {
            call.arg(entry);
        }
        let _: () = call.invoke_async(&mut conn).await?;
        Ok(())
    }
}
