//! Durable job history on Postgres or SQLite; the URL chooses.
//!
//! A [`Store`] holds the connections, a [`Recorder`] drains the outcomes that workers leave in Redis into it, and
//! [`Store::history`] finds them again:
//!
//! ```no_run
//! use millstream_queue::{Client, State};
//! use millstream_store::{Recorder, Store};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Store::connect("sqlite://history.db").await?;
//! store.migrate().await?;
//!
//! let client = Client::connect("redis://127.0.0.1/").await?;
//! let recorder = Recorder::new(client, store.clone()).queues(["mail"]);
//! recorder.register().await?; // before the first push: what finishes unregistered is not kept
//! let recording = tokio::spawn(recorder.run_until(async { tokio::signal::ctrl_c().await.ok(); }));
//!
//! let dead = store.history().queue("mail").state(State::Dead).limit(20).await?;
//! for job in dead.rows {
//!     println!("{} {}: {}", job.id, job.kind, job.error.unwrap_or_default());
//! }
//! # recording.await??;
//! # Ok(())
//! # }
//! ```

mod builder;
#[macro_use]
mod conn;
mod config;
mod error;
mod fit;
mod history;
mod migrate;
mod pool;
mod postgres;
mod raw;
mod record;
mod schema;
mod sql_types;
mod sqlite;
mod store;
mod tls;
mod url;

pub use builder::StoreBuilder;
pub use config::{StoreConfig, TlsMode};
pub use error::Error;
pub use history::{AttemptRecord, Cursor, History, JobRecord, Page};
pub use migrate::{EmbeddedMigration, Migration, MigrationState, Migrations, Migrator};
pub use pool::{Histogram, Lease, Metrics, PoolHealth, PoolMetrics};
pub use raw::RawPostgres;
pub use record::Recorder;
pub use store::{Health, Store};
