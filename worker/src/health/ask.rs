//! Asking others: Redis, and the program's own checks.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures::{FutureExt, future::join_all};
use millstream_queue::{Client, Error, UNRECORDED_LIMIT};
use tokio::time::timeout;

use super::{
    Check,
    report::{Backlog, CheckHealth, RedisHealth},
};

/// Who has not answered by then counts as failed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether Redis answers, and what waits for recorders there.
pub(super) async fn redis(client: &Client, queues: &[&str]) -> (RedisHealth, Vec<Backlog>) {
    let start = Instant::now();
    let asked = timeout(PATIENCE, backlogs(client, queues)).await;
    let server = client.server().to_owned();
    match asked {
        Ok(Ok(backlogs)) => (RedisHealth { server, latency: Some(start.elapsed()), error: None }, backlogs),
        Ok(Err(error)) => (RedisHealth { server, latency: None, error: Some(error.to_string()) }, Vec::new()),
        Err(_) => (RedisHealth { server, latency: None, error: Some(late()) }, Vec::new()),
    }
}

async fn backlogs(client: &Client, queues: &[&str]) -> Result<Vec<Backlog>, Error> {
    let mut conn = client.connection().await?;
    let mut pipeline = redis::pipe();
    pipeline.cmd("PING").ignore();
    for queue in queues {
        pipeline.cmd("HMGET").arg(client.keys(queue).control()).arg("done:outcomes").arg("done:limit");
    }
    let settings: Vec<(Option<u64>, Option<u64>)> = pipeline.query_async(&mut conn).await?;
    let backlog = |(queue, (outcomes, limit)): (&&str, (Option<u64>, Option<u64>))| Backlog {
        queue: (*queue).to_owned(),
        outcomes: outcomes.unwrap_or(0),
        limit: limit.unwrap_or(UNRECORDED_LIMIT),
    };
    Ok(queues.iter().zip(settings).map(backlog).collect())
}

/// Runs all checks at once.
pub(super) async fn checks(checks: Vec<Check>) -> Vec<CheckHealth> {
    join_all(checks.into_iter().map(check)).await
}

async fn check(check: Check) -> CheckHealth {
    let start = Instant::now();
    let run = AssertUnwindSafe(async { (check.run)().await }).catch_unwind();
    let error = match timeout(PATIENCE, run).await {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(error))) => Some(error),
        Ok(Err(_)) => Some("the check panicked".to_owned()),
        Err(_) => Some(late()),
    };
    CheckHealth { name: check.name.to_string(), took: start.elapsed(), error }
}

fn late() -> String {
    format!("no answer within {PATIENCE:?}")
}
