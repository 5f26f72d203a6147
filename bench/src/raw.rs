//! The limit: the fewest commands that give at-least-once delivery, all batched: XADD, XREADGROUP, XACK + XDEL.

use std::time::Instant;

use anyhow::Result;
use redis::{Value, cmd, pipe};

use crate::setting::Setting;

const STREAM: &str = "raw";
const GROUP: &str = "g";
/// Commands in a pipeline, entries in a read.
const BATCH: usize = 256;

/// Entries per second of pipelined XADD with the fields and ids of a job.
pub(crate) async fn enqueue(setting: &Setting, body: &[u8]) -> Result<f64> {
    setting.clear().await?;
    let mut conn = setting.raw().await?;
    let ids: Vec<String> = (0..setting.jobs).map(|_| uuid::Uuid::now_v7().to_string()).collect();
    let start = Instant::now();
    for ids in ids.chunks(BATCH) {
        let mut pipeline = pipe();
        for id in ids {
            pipeline.cmd("XADD").arg(STREAM).arg("*").arg("kind").arg("noop").arg("body").arg(body).arg("id").arg(id);
        }
        let _: Vec<Value> = pipeline.query_async(&mut conn).await?;
    }
    Ok(setting.jobs as f64 / start.elapsed().as_secs_f64())
}

/// Entries of a body and an id.
pub(crate) async fn bodies(setting: &Setting, body: &[u8]) -> Result<()> {
    let mut conn = setting.raw().await?;
    let mut left = setting.jobs as usize;
    while left > 0 {
        let mut pipeline = pipe();
        let count = left.min(BATCH);
        left -= count;
        for _ in 0..count {
            let id = uuid::Uuid::now_v7().to_string();
            pipeline.cmd("XADD").arg(STREAM).arg("*").arg("body").arg(body).arg("id").arg(id).ignore();
        }
        pipeline.exec_async(&mut conn).await?;
    }
    Ok(())
}

/// Entries per second read by one connection and acknowledged and deleted by another.
pub(crate) async fn drain(setting: &Setting, body: &[u8]) -> Result<f64> {
    enqueue(setting, body).await?;
    let mut conn = setting.raw().await?;
    cmd("XGROUP").arg("CREATE").arg(STREAM).arg(GROUP).arg("0").exec_async(&mut conn).await?;
    let mut acknowledging = setting.raw().await?;
    let start = Instant::now();
    let (read, mut to_acknowledge) = tokio::sync::mpsc::channel::<Vec<Vec<u8>>>(8);
    let acknowledger = tokio::spawn(async move {
        while let Some(ids) = to_acknowledge.recv().await {
            let mut pipeline = pipe();
            pipeline.cmd("XACK").arg(STREAM).arg(GROUP).arg(&ids).ignore();
            pipeline.cmd("XDEL").arg(STREAM).arg(&ids).ignore();
            pipeline.exec_async(&mut acknowledging).await?;
        }
        Ok::<_, redis::RedisError>(())
    });
    let mut drained = 0;
    while drained < setting.jobs {
        let ids = read_batch(&mut conn, None).await?;
        drained += ids.len() as u64;
        read.send(ids).await?;
    }
    drop(read);
    acknowledger.await??;
    Ok(setting.jobs as f64 / start.elapsed().as_secs_f64())
}

/// The ids of the next entries.
pub(crate) async fn read_batch(
    conn: &mut redis::aio::MultiplexedConnection,
    block_ms: Option<u64>,
) -> Result<Vec<Vec<u8>>> {
    let mut read = cmd("XREADGROUP");
    read.arg("GROUP").arg(GROUP).arg("c").arg("COUNT").arg(BATCH);
    if let Some(block_ms) = block_ms {
        read.arg("BLOCK").arg(block_ms);
    }
    let streams: Value = read.arg("STREAMS").arg(STREAM).arg(">").query_async(conn).await?;
    let mut ids = Vec::with_capacity(BATCH);
    let Value::Array(streams) = streams else { return Ok(ids) };
    for stream in streams {
        if let Value::Array(mut pair) = stream
            && let Some(Value::Array(entries)) = pair.pop()
        {
            ids.extend(entries.into_iter().filter_map(|entry| match entry {
                Value::Array(mut entry) => match entry.swap_remove(0) {
                    Value::BulkString(id) => Some(id),
                    _ => None,
                },
                _ => None,
            }));
        }
    }
    Ok(ids)
}

/// Makes an empty stream with its group.
pub(crate) async fn prepare(setting: &Setting) -> Result<()> {
    setting.clear().await?;
    let mut conn = setting.raw().await?;
    cmd("XGROUP").arg("CREATE").arg(STREAM).arg(GROUP).arg("$").arg("MKSTREAM").exec_async(&mut conn).await?;
    Ok(())
}

/// Adds one entry.
pub(crate) async fn add(conn: &mut redis::aio::MultiplexedConnection, body: &[u8]) -> Result<()> {
    cmd("XADD").arg(STREAM).arg("*").arg("body").arg(body).exec_async(conn).await?;
    Ok(())
}

/// Adds one entry with the fields and the id of a job.
pub(crate) async fn add_job(conn: &mut redis::aio::MultiplexedConnection, body: &[u8]) -> Result<()> {
    let id = uuid::Uuid::now_v7().to_string();
    let mut add = cmd("XADD");
    add.arg(STREAM).arg("*").arg("kind").arg("noop").arg("body").arg(body).arg("id").arg(id);
    add.exec_async(conn).await?;
    Ok(())
}
