//! apalis with its Redis backend: 1,000 jobs at once, 100 per fetch. Its worker ends at once with an error where more than
//! 8,000 jobs wait ("too many results to unpack"), so fewer are processed than enqueued, in a queue of their own.

use std::time::Instant;

use apalis::prelude::*;
use apalis_redis::{Config, RedisStorage};
use peers::{Answer, AsyncPush, BULK, Payload, Result, all_ran, jobs, jobs_one_by_one, one_by_one, per_second, ran};

const CONCURRENCY: usize = 1000;
const FETCHED_AT_ONCE: usize = 100;
/// Jobs that its worker can start with.
const WAITING: usize = 7000;

async fn handle(payload: Payload) -> Result<(), BoxDynError> {
    ran(&payload);
    Ok(())
}

#[derive(Clone)]
struct Push(RedisStorage<Payload>);

impl AsyncPush for Push {
    async fn push(&mut self, payload: Payload) -> Result<()> {
        Ok(self.0.push(payload).await?)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let connection = apalis_redis::connect(peers::redis_url()?).await?;
    let queue = |name: &str| {
        let config = Config::default().queue(name).batch_size(FETCHED_AT_ONCE);
        RedisStorage::<Payload, _>::new(connection.clone()).with_config(config)
    };
    let mut enqueued = queue("enqueued");
    let single = one_by_one(jobs_one_by_one()?, Push(enqueued.clone())).await?;
    let start = Instant::now();
    for _ in 0..jobs()? / BULK {
        enqueued.push_bulk(vec![Payload::new(0); BULK]).await?;
    }
    let bulk = per_second(jobs()?, start);

    let mut processed = queue("processed");
    for _ in 0..WAITING / BULK {
        processed.push_bulk(vec![Payload::new(0); BULK]).await?;
    }
    let start = Instant::now();
    let worker = WorkerBuilder::new("bench").backend(processed).concurrency(CONCURRENCY).build(handle);
    tokio::spawn(worker.run());
    all_ran(WAITING).await?;
    let process = per_second(WAITING, start);
    Answer::Throughput { version: peers::version("apalis-redis"), single, bulk: Some(bulk), process }.print()
}
