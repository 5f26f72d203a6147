//! What the tests stand on: private servers, processes that end with the test, names that nobody else uses.
//!
//! Nothing here is a double: a Redis is a `redis-server`, a Postgres is a `postgres`, and both are on ports of their
//! own, so that tests run in parallel and never meet a server of the machine.

mod clock;
mod complaints;
mod database;
mod disk;
mod guard;
mod namespace;
mod output;
mod port;
mod postgres;
mod process;
mod programs;
mod proxy;
mod redis;
mod shared;

pub use complaints::{Complaint, Complaints, most_in_a_second, most_repeated};
pub use database::Database;
pub use disk::SmallDisk;
pub use namespace::{namespace, unique};
pub use output::{Line, Lines, Source};
pub use port::free_port;
pub use postgres::{Postgres, fresh_database};
pub use process::{Process, ProcessBuilder, Signal};
pub use programs::built;
pub use proxy::Proxy;
pub use redis::{Redis, RedisBuilder};
pub use shared::{shared_postgres, shared_redis};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
