//! What a worker costs that has nothing to do.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::StreamExt;

use crate::{
    report::Figure,
    setting::Setting,
    subject::{self, IDLE_QUEUES, cpu_seconds},
};

/// How long the worker is watched.
const WATCHED: Duration = Duration::from_secs(30);
/// How long it may take to settle once all its consumers are alive.
const SETTLING: Duration = Duration::from_secs(3);

/// A worker of its own process on ten empty queues: percent of a core, and commands per second that it sends.
pub(crate) async fn on_ten_queues(setting: &Setting) -> Result<[Figure; 2]> {
    setting.clear().await?;
    let worker = subject::start(&["idle", setting.url()])?;
    cpu_seconds(worker.pid())?; // where it can't be measured, this says so before the wait
    wait_until_alive(setting).await?;
    tokio::time::sleep(SETTLING).await;

    let (cpu_before, start) = (cpu_seconds(worker.pid())?, Instant::now());
    let commands = commands_sent(setting).await?;
    let (cpu, elapsed) = (cpu_seconds(worker.pid())? - cpu_before, start.elapsed().as_secs_f64());
    Ok([
        Figure::value("idle.cpu", "% of a core", &[100.0 * cpu / elapsed]),
        Figure::value("idle.commands", "commands/s", &[commands as f64 / WATCHED.as_secs_f64()]),
    ])
}

async fn wait_until_alive(setting: &Setting) -> Result<()> {
    let mut conn = setting.client.connection().await?;
    for queue in IDLE_QUEUES {
        let alive = setting.client.keys(queue).alive();
        while redis::cmd("HLEN").arg(&alive).query_async::<u64>(&mut conn).await? == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

/// The commands that clients sent while the worker was watched. MONITOR shows them one by one: the server's counters also
/// count what scripts call, which never crosses the wire. Nobody but the worker sends any meanwhile.
async fn commands_sent(setting: &Setting) -> Result<u64> {
    let monitor = setting.client.redis().get_async_monitor().await.context("cannot watch the server's commands")?;
    let mut commands = std::pin::pin!(monitor.into_on_message::<String>());
    let mut over = std::pin::pin!(tokio::time::sleep(WATCHED));
    let mut sent = 0;
    loop {
        tokio::select! {
            biased;
            () = &mut over => return Ok(sent),
            command = commands.next() => {
                let command = command.context("the server closed the connection that watched it")?;
                sent += u64::from(!command.contains(" lua] "));
            }
        }
    }
}
