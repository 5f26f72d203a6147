//! What the server says of itself, and which servers are refused.

use redis::aio::ConnectionLike;
use tracing::warn;

use crate::Error;

/// Facts about the connected server that decide whether jobs are safe on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// Version as the server names it, such as `7.0.15`.
    pub version: String,
    /// The run id: another one after a restart or a failover.
    pub run_id: String,
    /// What happens when memory is full, such as `noeviction`.
    pub eviction: String,
    /// Limit of the data's memory in bytes, 0 for none.
    pub memory_limit: u64,
    /// Memory in use, in bytes.
    pub memory_used: u64,
    /// Whether the append-only file is on.
    pub append_only: bool,
    /// Whether the last write of persistence went well.
    pub persists: bool,
}

impl ServerFacts {
    /// Asks the server.
    ///
    /// # Errors
    /// [`Error::Redis`] when it doesn't answer.
    pub async fn ask(conn: &mut impl ConnectionLike) -> Result<Self, Error> {
        let info: String = redis::cmd("INFO").query_async(conn).await?;
        let is = |field, wanted| info_field(&info, field) == wanted;
        Ok(Self {
            version: info_field(&info, "redis_version").to_owned(),
            run_id: info_field(&info, "run_id").to_owned(),
            eviction: info_field(&info, "maxmemory_policy").to_owned(),
            memory_limit: info_field(&info, "maxmemory").parse().unwrap_or(0),
            memory_used: info_field(&info, "used_memory").parse().unwrap_or(0),
            append_only: is("aof_enabled", "1"),
            persists: is("aof_last_write_status", "ok") && is("rdb_last_bgsave_status", "ok"),
        })
    }

    /// Whether the server would delete jobs or locks by itself.
    pub fn evicts(&self) -> bool {
        self.eviction.starts_with("allkeys-") || self.eviction.starts_with("volatile-")
    }

    /// The major version, 0 where it can't be read.
    pub fn major(&self) -> u32 {
        self.version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
    }

    /// Refuses servers that would lose jobs by their configuration, and warns in one line of one that may.
    pub(crate) fn check(&self, server: &str) -> Result<(), Error> {
        if self.major() < 7 {
            return Err(Error::TooOld { server: server.to_owned(), version: self.version.clone() });
        }
        if self.evicts() {
            return Err(Error::Evicts { server: server.to_owned(), policy: self.eviction.clone() });
        }
        if !self.append_only {
            warn!(
                server,
                "Redis has no append-only file: a crash of it loses acknowledged jobs (appendonly yes keeps them; \
                 `millstream doctor` explains)"
            );
        }
        Ok(())
    }
}

/// The value of `field` in the text that INFO returns, empty where it is absent.
pub(crate) fn info_field<'a>(info: &'a str, field: &str) -> &'a str {
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(name, _)| *name == field).map_or("", |(_, value)| value.trim())
}
