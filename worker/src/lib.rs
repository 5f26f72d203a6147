//! Takes jobs from Millstream queues and runs their handlers.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use millstream_queue::{Client, Job};
//! use millstream_worker::{self as worker, Context, Failure, Worker};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct SendWelcome {
//!     user: i64,
//! }
//! impl Job for SendWelcome {
//!     const KIND: &'static str = "send_welcome";
//!     const QUEUE: &'static str = "mail";
//! }
//!
//! struct App;
//!
//! async fn send_welcome(job: SendWelcome, cx: Context<App>) -> worker::Result {
//!     if job.user < 0 {
//!         return Err(Failure::cancel("no such user")); // never retried
//!     }
//!     std::fs::write("welcome.txt", format!("attempt {}", cx.attempt()))?; // `?` retries with backoff
//!     Ok(())
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("redis://127.0.0.1/").await?;
//! Worker::new(client, App).handle(send_welcome).concurrency("mail", 4).run().await?;
//! # Ok(())
//! # }
//! ```
//!
//! The life of a job inside a worker: a fetch loop reads it ([`Worker`]), its handler runs in a task of its own, and the
//! outcome is finished in a batch with others. A process that dies is noticed by the others, which put its jobs back.

mod attempt_log;
mod call;
mod clock;
mod context;
#[cfg(test)]
mod documented;
mod engine;
mod error;
mod events;
mod failure;
mod handler;
mod health;
pub mod layers;
#[cfg(feature = "metrics")]
mod measures;
mod reports;
mod settings;
mod shutdown;
mod worker;

pub use call::{Call, Returned, Route, Running};
pub use context::Context;
pub use error::Error;
pub use failure::{Failure, Result};
pub use health::{Backlog, CheckHealth, Doing, Health, Liveness, Phase, QueueHealth, RedisHealth, Report};
#[cfg(feature = "metrics")]
pub use measures::{JOBS_BUCKETS, SECONDS_BUCKETS, describe_metrics, metrics_layer};
pub use settings::Priorities;
pub use worker::Worker;
