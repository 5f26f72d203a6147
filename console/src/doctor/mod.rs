//! `millstream doctor`: is everything set up so that jobs run and none is lost?

mod permissions;
mod queues;
mod redis;
mod report;
mod sql;

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use millstream_queue::{Client, names};

use self::report::Report;

/// Check Redis, the database and the queues; say what to change
///
/// Prints one line per check: ok, warn, fail or skip, what was found and, where something should change, how. Exits with
/// 1 where a check fails. With a database it also compares Redis with SQL: a line `reconcile` per mismatch, with its likely
/// cause. Changes nothing but its notes of how far Redis has come: what it writes to Redis to try out the user's permissions
/// it removes again.
#[derive(Args)]
pub(crate) struct Doctor {
    /// redis://user:password@host:port/db, rediss:// for TLS
    #[arg(
        long,
        value_name = "URL",
        env = "REDIS_URL",
        hide_env_values = true,
        default_value = "redis://127.0.0.1:6379"
    )]
    redis_url: String,

    /// postgres://user:password@host/database or sqlite://path/to/file.db; without it history is not checked
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,

    /// Once reported losses are dealt with: forget them after this report, so that the next is clean
    #[arg(long, requires = "database_url")]
    accept_losses: bool,

    /// The prefix of all keys
    #[arg(long, default_value = "ms")]
    namespace: String,
}

impl Doctor {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        names::check("namespace", &self.namespace)?;
        let mut report = Report::default();
        if let Some(mut conn) = redis::check(&mut report, &self.redis_url).await {
            permissions::check(&mut report, &self.redis_url, &mut conn, &self.namespace).await;
            queues::check(&mut report, &mut conn, &self.namespace).await;
        }
        match &self.database_url {
            Some(url) => {
                let redis = Client::builder(&self.redis_url).namespace(&self.namespace).await.ok();
                sql::check(&mut report, url, redis, self.accept_losses).await;
            }
            None => report.skip("database", "no --database-url and no DATABASE_URL: history is not checked"),
        }
        Ok(report.end())
    }
}
