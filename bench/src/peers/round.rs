//! One run of one program, on an empty server.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use millstream_tests::{Postgres, Process, fresh_database};
use serde::Deserialize;

use super::{
    install::Ready,
    program::{Program, Server},
};
use crate::setting::Setting;

/// A run that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(300);

/// The servers of all programs: private, without persistence.
pub(crate) struct Servers {
    redis: Setting,
    postgres: Option<Postgres>,
}

impl Servers {
    /// Starts those that the programs need; `jobs` is what each enqueues in bulk.
    pub(crate) async fn start(programs: &[Ready], jobs: u64) -> Result<Self> {
        let redis = Setting::start(1, jobs).await?;
        let needs_postgres = programs.iter().any(|ready| ready.program.server == Server::Postgres);
        let postgres = if needs_postgres { Some(Postgres::start().await?) } else { None };
        Ok(Self { redis, postgres })
    }

    /// Redis' version.
    pub(crate) fn redis(&self) -> &Setting {
        &self.redis
    }

    /// Empties the program's server; the variable that tells its URL.
    async fn prepare(&self, program: &Program) -> Result<(&'static str, String)> {
        match (program.server, &self.postgres) {
            (Server::Redis, _) => {
                self.redis.clear().await?;
                Ok(("REDIS_URL", self.redis.url().to_owned()))
            }
            (Server::Postgres, Some(postgres)) => Ok(("DATABASE_URL", fresh_database(&postgres.url()).await?)),
            (Server::Postgres, None) => bail!("Postgres was not started"),
        }
    }
}

/// The line that a program answers with: of `throughput` jobs per second, of `latency` microseconds.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Answer {
    #[serde(default)]
    pub(crate) version: String,
    pub(crate) single: Option<f64>,
    pub(crate) bulk: Option<f64>,
    pub(crate) process: Option<f64>,
    pub(crate) rate: Option<f64>,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
}

/// Runs a program once for throughput, and once for latency where it has that.
pub(crate) async fn run(ready: &Ready, servers: &Servers) -> Result<Answer> {
    let throughput = ask(ready, "throughput", servers).await?;
    if !ready.program.has_latency {
        return Ok(throughput);
    }
    let Answer { rate, p50_us, p99_us, .. } = ask(ready, "latency", servers).await?;
    Ok(Answer { rate, p50_us, p99_us, ..throughput })
}

async fn ask(ready: &Ready, figures: &str, servers: &Servers) -> Result<Answer> {
    let (variable, url) = servers.prepare(ready.program).await?;
    let (program, arguments) = ready.command.split_first().context("a command has a program")?;
    let builder = Process::builder(program).args(arguments).arg(figures);
    let process = builder.env(variable, url).env("JOBS", servers.redis.jobs.to_string()).spawn()?;
    let line = process.wait_for_line(PATIENCE, |line| line.starts_with('{')).await?;
    serde_json::from_str(&line.text).with_context(|| format!("not an answer: {}", line.text))
}
