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
//!
//! Jobs and events can be written in the transaction of what they belong to ([`Tx::push`], [`Tx::publish`], or [`Outbox`] for plain
//! Diesel); a [`Relay`] takes them to Redis once it has committed, and only then:
//!
//! ```no_run
//! # use millstream_queue::{Client, Job};
//! # use millstream_store::{Error, Relay, Store};
//! # #[derive(serde::Serialize, serde::Deserialize)]
//! # struct SendReceipt { order: i64 }
//! # impl Job for SendReceipt { const KIND: &'static str = "send_receipt"; }
//! # async fn example(client: Client, store: Store) -> Result<(), Error> {
//! let relay = Relay::new(client, store.clone());
//! tokio::spawn(relay.run_until(std::future::pending()));
//!
//! store.transaction(async move |tx| {
//!     // … the order's row …
//!     tx.push(SendReceipt { order: 7 }).ordered_by("customer 3").await
//! })
//! .await?;
//! # Ok(())
//! # }
//! ```
//!
//! An application keeps its own tables in the same database. It writes them down once, for both, and stays with Diesel, whose
//! macros need `diesel` (and `query!` mostly `diesel-async`) among its dependencies, in the versions re-exported here:
//!
//! ```no_run
//! use diesel::prelude::*;
//! use diesel_async::RunQueryDsl;
//! use millstream_store::{Data, Error, Id, List, Op, Store, Time, model, query};
//!
//! diesel::table! {
//!     use diesel::sql_types::*;
//!     use millstream_store::sql_types::{DbTime, DbUuid};
//!     notes (id) { id -> DbUuid, version -> BigInt, title -> Text, stars -> BigInt, created_at -> DbTime }
//! }
//!
//! #[derive(Clone, Debug, Queryable, Selectable, Insertable, AsChangeset)]
//! #[diesel(table_name = notes)]
//! struct Note { id: Id, version: i64, title: String, stars: i64, created_at: Time }
//!
//! model! {
//!     Note in notes {
//!         key: id as Id,
//!         version: version,
//!         created: created_at,
//!         filters: { title: text, stars: int },
//!         sorts: { created_at as Time },
//!         search: { title },
//!         sums: { stars },
//!     }
//! }
//!
//! # async fn example(parameters: Vec<(String, String)>) -> Result<(), Error> {
//! let store = Store::connect("sqlite://app.db").await?;
//! let note = Note { id: Id::new(), version: 0, title: "hello".into(), stars: 3, created_at: Time::default() };
//! let note = store.insert(&note).await?;
//! store.update(&Note { stars: 4, ..note.clone() }).await?; // Error::Conflict if someone else was first
//!
//! let page = store.list::<Note>(List::from_query(parameters)?.filter("stars", Op::Ge, 1)).await?;
//! println!("{} notes, more behind {:?}", page.rows.len(), page.next);
//!
//! store.transaction(async move |tx| {
//!     tx.delete::<Note>(note.id).await?;
//!     tx.write(query!(|conn: Db| { // plain Diesel
//!         let starred = diesel::update(notes::table.filter(notes::stars.gt(9)));
//!         starred.set(notes::title.eq("best")).execute(conn).await
//!     }))
//!     .await
//! })
//! .await?;
//! # Ok(())
//! # }
//! ```

mod builder;
#[macro_use]
mod conn;
mod config;
#[doc(hidden)]
pub mod data;
mod error;
mod events;
mod field;
mod fit;
mod history;
mod migrate;
mod outbox;
mod pool;
mod postgres;
mod prometheus;
mod raw;
mod reconcile;
mod record;
mod retention;
mod schema;
pub mod sql_types;
mod sqlite;
mod state;
mod statistics;
mod store;
mod tls;
mod url;

pub use builder::StoreBuilder;
pub use config::{StoreConfig, TlsMode};
#[doc(hidden)]
pub use data::Checked;
pub use data::{
    Column, Condition, Conn, Data, Isolation, Kind, List, ListPage, Model, Op, QueryFuture, Sort, SqliteConn, Summary,
    Tx,
};
pub use error::Error;
pub use field::FieldValue;
pub use history::{AttemptRecord, Cursor, History, JobRecord, Page};
pub use migrate::{EmbeddedMigration, Migration, MigrationState, Migrations, Migrator};
pub use outbox::{InTransaction, Outbox, OutboxRow, OutboxStatus, Relay};
pub use pool::{Histogram, Lease, Metrics, PoolHealth, PoolMetrics};
pub use raw::RawPostgres;
pub use reconcile::{Finding, Report, Trouble};
pub use record::{
    Recorder, RecorderHealth, RecorderMetrics, RecorderPhase, RecorderReport, RejectedOutcomes, RejectedPage,
    RejectedRecord,
};
pub use retention::{Pruned, Retention};
pub use schema::millstream_outbox;
pub use sql_types::{Id, Json, Time};
pub use state::{Change, Delete, Entry, ListState, Put, State, StatePage, Version, Versions, Watch};
pub use statistics::{Bucket, Sketch, Statistics};
pub use store::{Health, Store};

pub use {diesel, diesel_async};
