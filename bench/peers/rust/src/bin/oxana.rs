//! oxana: 200 jobs at once. An idle dispatcher looks for jobs every so often, by default every 10 s; here every millisecond.

use std::time::{Duration, Instant};

use peers::{
    Answer, AsyncPush, BULK, Figures, Payload, Result, all_ran, jobs, jobs_one_by_one, one_by_one, per_second, ran,
    steadily,
};
use serde::{Deserialize, Serialize};

const LATENCY_JOBS: usize = 3000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

// The derives below look for this name.
#[derive(oxana::Registry)]
struct ComponentRegistry(oxana::ComponentRegistry<Nothing>);

#[derive(Clone, Debug)]
struct Nothing;

#[derive(Debug, thiserror::Error)]
enum Never {}

#[derive(Clone, Debug, Deserialize, Serialize, oxana::Job)]
struct BenchJob {
    payload: Payload,
}

#[derive(oxana::Worker)]
#[oxana(context = Nothing)]
struct BenchWorker;

impl BenchWorker {
    async fn process(&self, job: BenchJob, _: &oxana::JobContext) -> Result<(), Never> {
        ran(&job.payload);
        Ok(())
    }
}

#[derive(Serialize, oxana::Queue)]
#[oxana(key = "bench", concurrency = 200)]
struct Bench;

#[derive(Clone)]
struct Push(oxana::Storage);

impl AsyncPush for Push {
    async fn push(&mut self, payload: Payload) -> Result<()> {
        self.0.enqueue(Bench, BenchJob { payload }).await?;
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let storage = oxana::Storage::builder().build_from_redis_url(peers::redis_url()?)?;
    match peers::figures()? {
        Figures::Throughput => throughput(storage).await,
        Figures::Latency => latency(storage).await,
    }
}

async fn throughput(storage: oxana::Storage) -> Result<()> {
    let single = one_by_one(jobs_one_by_one()?, Push(storage.clone())).await?;
    let start = Instant::now();
    for _ in 0..jobs()? / BULK {
        storage.enqueue_list(Bench, vec![BenchJob { payload: Payload::new(0) }; BULK]).await?;
    }
    let bulk = per_second(jobs()?, start);

    let total = jobs_one_by_one()? + jobs()?;
    let start = Instant::now();
    work(&storage);
    all_ran(total).await?;
    let process = per_second(total, start);
    Answer::Throughput { version: peers::version("oxana"), single, bulk: Some(bulk), process }.print()
}

async fn latency(storage: oxana::Storage) -> Result<()> {
    work(&storage);
    let rate = steadily(LATENCY_JOBS, Push(storage)).await?;
    all_ran(LATENCY_JOBS).await?;
    Answer::latency(peers::version("oxana"), rate).print()
}

fn work(storage: &oxana::Storage) {
    let runtime = storage.runtime(Nothing).dequeue_timeout(BETWEEN_LOOKS).register::<ComponentRegistry>();
    tokio::spawn(async move { runtime.run().await.map(drop) });
}
