//! rusty-sidekiq: 50 workers on a pool of 100 connections. It has no bulk push, and loses jobs on a crash (BRPOP).

use std::time::Instant;

use async_trait::async_trait;
use peers::{Answer, AsyncPush, Payload, Result, all_ran, jobs, one_by_one, per_second, ran};
use sidekiq::{Processor, ProcessorConfig, RedisConnectionManager, RedisPool, Worker, WorkerOpts};

const WORKERS: usize = 50;
const CONNECTIONS: u32 = 100;

#[derive(Clone)]
struct BenchWorker;

#[async_trait]
impl Worker<Payload> for BenchWorker {
    fn opts() -> WorkerOpts<Payload, Self> {
        WorkerOpts::new().queue("bench")
    }

    async fn perform(&self, payload: Payload) -> sidekiq::Result<()> {
        ran(&payload);
        Ok(())
    }
}

#[derive(Clone)]
struct Push(RedisPool);

impl AsyncPush for Push {
    async fn push(&mut self, payload: Payload) -> Result<()> {
        Ok(BenchWorker::perform_async(&self.0, payload).await?)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let manager = RedisConnectionManager::new(peers::redis_url()?)?;
    let pool = bb8::Pool::builder().max_size(CONNECTIONS).build(manager).await?;

    let total = jobs()? / peers::IN_FLIGHT * peers::IN_FLIGHT;
    let single = one_by_one(total, Push(pool.clone())).await?;

    let config = ProcessorConfig::default().num_workers(WORKERS);
    let mut processor = Processor::new(pool, vec!["bench".to_owned()]).with_config(config);
    processor.register(BenchWorker);
    let start = Instant::now();
    tokio::spawn(processor.run());
    all_ran(total).await?;
    let process = per_second(total, start);
    Answer::Throughput { version: peers::version("rusty-sidekiq"), single, bulk: None, process }.print()
}
