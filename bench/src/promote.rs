//! How fast delayed jobs become ready.

use std::time::{Duration, Instant};

use anyhow::Result;
use millstream_worker::{self as worker, Context, Worker};

use crate::{
    report::Figure,
    setting::{Noop, QUEUE, Setting},
};

/// Promotion of jobs that are all due, from the start of a worker until none of them waits. The queue is paused, so that
/// nothing else keeps the server busy.
pub(crate) async fn due(setting: &Setting) -> Result<Figure> {
    let mut rates = Vec::new();
    for _ in 0..setting.pairs {
        rates.push(rate(setting).await?);
    }
    Ok(Figure::value("promote.due", "jobs/s", &rates))
}

async fn do_nothing(_: Noop, _: Context<()>) -> worker::Result {
    Ok(())
}

async fn rate(setting: &Setting) -> Result<f64> {
    setting.clear().await?;
    let keys = setting.client.keys(QUEUE);
    let mut conn = setting.client.connection().await?;
    let job = Noop::new(0);
    setting.client.push_all((0..setting.jobs).map(|_| job.clone())).after(Duration::from_secs(3600)).await?;
    // Due at once, all of them: their times multiplied by nothing.
    let mut union = redis::cmd("ZUNIONSTORE");
    union.arg(keys.later()).arg(1).arg(keys.later()).arg("WEIGHTS").arg(0).exec_async(&mut conn).await?;
    redis::cmd("HSET").arg(keys.control()).arg("paused").arg(1).exec_async(&mut conn).await?;

    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let worker = Worker::new(setting.client.clone(), ()).handle(do_nothing);
    let start = Instant::now();
    let running = tokio::spawn(worker.run_until(stopped));
    loop {
        let waiting: u64 = redis::cmd("ZCARD").arg(keys.later()).query_async(&mut conn).await?;
        if waiting == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let elapsed = start.elapsed();
    let _ = stop.send(());
    running.await??;
    Ok(setting.jobs as f64 / elapsed.as_secs_f64())
}
