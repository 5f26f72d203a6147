//! How fast jobs get in.

use std::time::Instant;

use anyhow::Result;

use crate::{
    pairs::Pairs,
    raw,
    report::Figure,
    setting::{Noop, Setting},
};

/// `push_all` beside pipelined XADD of the same fields and ids.
pub(crate) async fn bulk(setting: &Setting) -> Result<Figure> {
    let body = serde_json::to_vec(&Noop::new(0))?;
    let pairs =
        Pairs::measure(setting.pairs, async || ours(setting).await, async || raw::enqueue(setting, &body).await);
    Ok(Figure::new("enqueue.bulk", "jobs/s", &pairs.await?))
}

async fn ours(setting: &Setting) -> Result<f64> {
    setting.clear().await?;
    let job = Noop::new(0);
    let start = Instant::now();
    setting.client.push_all((0..setting.jobs).map(|_| job.clone())).await?;
    Ok(setting.jobs as f64 / start.elapsed().as_secs_f64())
}
