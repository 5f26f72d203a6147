//! The recorder's side of Redis: a queue whose outcomes are kept, and outcomes that have reached SQL.

use std::sync::LazyLock;

use redis::Script;

use crate::{Client, Error, keys, keys::RECORDER, names};

static RECORD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/record.lua")));
static RECORDED: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/recorded.lua")));

impl Client {
    /// From now on every outcome of `queue` is kept in its `done` stream until a recorder has taken it. Idempotent.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Unreachable`], [`Error::Redis`].
    pub async fn record(&self, queue: &str) -> Result<(), Error> {
        names::check("queue", queue)?;
        let keys = self.keys(queue);
        let mut conn = self.connection().await?;
        let _: () = RECORD.key(keys.control()).key(keys.done()).arg(RECORDER).invoke_async(&mut conn).await?;
        let _: () = redis::cmd("SADD").arg(keys::queues(self.namespace())).arg(queue).query_async(&mut conn).await?;
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
