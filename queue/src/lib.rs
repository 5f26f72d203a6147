//! Typed jobs and typed events on Redis.
//!
//! A [`Job`] is plain data with a stable name; [`Client::push`] puts it into a queue, and a worker (crate
//! `millstream-worker`) runs it. An [`Event`] is plain data too: [`Client::publish`] keeps it in its topic's stream for
//! [durable groups](Client::consume) and [live followers](Client::follow); [`Client::broadcast`] only tells whoever
//! [listens](Client::listen) now.
//!
//! ```no_run
//! use millstream_queue::{Client, Job};
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
//! # async fn example() -> Result<(), millstream_queue::Error> {
//! let client = Client::connect("redis://127.0.0.1/").await?;
//! client.push(SendWelcome { user: 7 }).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The keys ([`keys`]) and the wire format (`WIRE.md`, [`Entry`], [`Outcome`]) are public contracts: a client in any
//! language can enqueue with one `XADD`.

mod backoff;
mod cancel;
mod client;
mod connection;
mod dead;
mod durability;
mod entry;
mod error;
mod event;
mod filter;
mod id;
mod job;
mod json;
pub mod keys;
mod msgpack;
pub mod names;
mod options;
mod outbox;
mod outcome;
mod push;
mod recording;
mod report;
mod result;
mod retry;
pub mod scripts;
mod searchable;
mod server;
mod signals;
mod stored;
mod tags;
mod trace;
mod unique;

pub use backoff::Backoff;
pub use cancel::{Cancel, CancelAll, Cancelled};
pub use client::{Client, ClientBuilder, PAYLOAD_LIMIT};
pub use connection::{Connection, Dedicated};
pub use dead::{DeadJob, DeadLetters};
pub use durability::Durability;
pub use entry::{Entry, MalformedEntry};
pub use error::Error;
pub use event::{
    Broadcast, Consume, Consumer, Delivery, Envelope, Event, Follow, Follower, Heard, Listen, Listener, Live, Position,
    Publish, Published,
};
pub use filter::Filter;
pub use id::derived_id;
pub use job::{History, Job, Priority};
#[doc(hidden)]
pub use json::to_vec as to_json;
pub use keys::Lane;
pub use options::Options;
pub use outbox::{Deferred, DeferredEvent, Keep, Message, MessageOptions, MessageRef, OutboxBatch, Relayed, Target};
pub use outcome::{Outcome, State};
pub use push::{Push, PushAll};
pub use recording::{Overflow, UNRECORDED_LIMIT, Unrecorded};
pub use report::{Progress, pack_fields};
pub use result::JobResult;
pub use retry::{Retry, Trouble};
pub use searchable::{Searchable, check_searchable};
pub use server::ServerFacts;
pub use signals::{Signal, Signals};
pub use stored::Stored;
pub use trace::current_traceparent;
pub use unique::{Conflict, Unique, UniqueKey, Until};
