//! Jobs and events that wait in a database until the transaction that wrote them has committed, and their way to Redis.
//!
//! The database is another crate's matter. Here stands what waits there ([`Message`]), how it is made ([`Deferred`]), and how
//! a numbered batch of it reaches its target once ([`Client::relay`](crate::Client::relay)).

mod batch;
mod deferred;
mod message;
mod relay;

pub use batch::OutboxBatch;
pub use deferred::{Deferred, DeferredEvent, Keep};
pub use message::{Message, MessageOptions, MessageRef, Target};
pub use relay::Relayed;
