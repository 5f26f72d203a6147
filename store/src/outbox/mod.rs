//! The outbox: jobs and events written in the transaction of what they belong to, and relayed to Redis once it has committed.
//!
//! In a [`Store::transaction`](crate::Store::transaction) [`Tx::push`] and [`Tx::publish`] write them; in a transaction of
//! plain Diesel on any connection to the same database, the rows that [`Outbox`] makes do; and so does SQL of any client:
//!
//! ```sql
//! INSERT INTO millstream_outbox (target, kind, body) VALUES ('queue:mail', 'send_welcome', '{"user":7}');
//! INSERT INTO millstream_outbox (target, kind, body) VALUES ('topic:order_paid', 'order_paid', '{"order":7}');
//! ```
//!
//! There `options` is a JSON object with the members of [`MessageOptions`](millstream_queue::MessageOptions), and rows with the
//! same target and `order_key` keep the order in which their transactions commit.

mod ahead;
mod batch;
mod course;
mod lane;
mod members;
mod relay;
mod row;
mod status;
mod wake;

use diesel_async::RunQueryDsl;
use futures::future::BoxFuture;
use millstream_queue::{Deferred, DeferredEvent, Event, Job, Keep, Message};
use uuid::Uuid;

pub use self::{relay::Relay, row::OutboxRow, status::OutboxStatus};
use crate::{Data, Error, Tx, query, schema::millstream_outbox};

/// Makes rows for transactions that are not the store's, but those of an application's own Diesel connection, synchronous or
/// not, of either database:
///
/// ```ignore
/// let row = Outbox::job(SendReceipt { order: 7 }).after(MINUTE).row()?;
/// diesel::insert_into(millstream_outbox::table).values(row).execute(conn)?;
/// ```
///
/// A row that can't be relayed is set aside in `millstream_outbox_rejected` with the reason, and kept for 90 days
/// ([`Retention::outbox_rejected`](crate::Retention::outbox_rejected)) where a recorder runs or
/// [`Store::prune`](crate::Store::prune) is called.
///
/// # Throughput on Postgres
///
/// A trigger wakes the relays by NOTIFY. Postgres puts the notifications of a whole server into one order, so a transaction that
/// has one holds a lock of the server while it commits, its flush to the disk included: transactions that write to the
/// outbox (or to the [state](crate::State), which wakes its watchers the same way) commit one after the other and share no
/// flush. However many rows one writes, it waits once. Transactions that write to neither don't wait.
///
/// Measured with pgbench on Postgres 15, two cores and a disk that flushes in 0.1 ms, one row a transaction (the least and the
/// most of three runs, on a machine with other work):
///
/// | clients | commits/s | the same without NOTIFY |
/// |---|---|---|
/// | 16 | 3,700 to 6,600 | 10,200 to 15,200 |
/// | 64 | 3,000 to 3,600 | 12,500 to 15,800 |
///
/// A disk that takes 1 ms for a flush must keep them under 1,000 a second. Where that is too few, write many rows in one
/// transaction, or do without the trigger, by `ALTER TABLE millstream_outbox DISABLE TRIGGER millstream_outbox_notify`: relays then
/// look once a second, and as long as they find something without a pause.
#[derive(Clone, Copy, Debug)]
pub struct Outbox;

impl Outbox {
    /// A job; `.row()` makes its row.
    pub fn job<J: Job>(job: J) -> Deferred<Outbox, J> {
        Deferred::new(Outbox, job)
    }

    /// An event; `.row()` makes its row.
    pub fn event<E: Event>(event: E) -> DeferredEvent<Outbox, E> {
        DeferredEvent::new(Outbox, event)
    }
}

impl Keep for Outbox {
    type Kept = OutboxRow;

    fn keep(self, message: Message) -> OutboxRow {
        message.into()
    }
}

/// Writes a message in the transaction.
#[derive(Debug)]
pub struct InTransaction<'t>(&'t Tx);

impl Tx {
    /// Pushes a job once this transaction has committed, and only then: a [`Relay`] that runs anywhere takes it to Redis. It
    /// is checked here as by [`Client::push`](millstream_queue::Client::push), and its options are chained the same way. On
    /// Postgres transactions that push commit one after the other: [`Outbox`] tells what that means.
    ///
    /// # Errors
    /// [`Error::Queue`] for what a push would refuse, of which nothing is written; [`Error::OutboxFull`], [`Error::Query`].
    pub fn push<J: Job>(&self, job: J) -> Deferred<InTransaction<'_>, J> {
        Deferred::new(InTransaction(self), job)
    }

    /// Publishes an event once this transaction has committed, and only then; see [`Tx::push`].
    ///
    /// # Errors
    /// Those of [`Tx::push`].
    pub fn publish<E: Event>(&self, event: E) -> DeferredEvent<InTransaction<'_>, E> {
        DeferredEvent::new(InTransaction(self), event)
    }
}

impl<'t> Keep for InTransaction<'t> {
    type Kept = BoxFuture<'t, Result<Uuid, Error>>;

    fn keep(self, message: Message) -> Self::Kept {
        Box::pin(async move {
            let (id, row) = (message.id, OutboxRow::from(message));
            let inserted = self.0.write(query!(|conn: Db| {
                diesel::insert_into(millstream_outbox::table).values(row).execute(conn).await
            }));
            inserted.await.map(|_| id).map_err(full)
        })
    }
}

/// The trigger's refusal, whose words are the migration's own.
fn full(error: Error) -> Error {
    match &error {
        Error::Query(diesel::result::Error::DatabaseError(_, facts))
            if facts.message().starts_with("the outbox is full") =>
        {
            Error::OutboxFull
        }
        _ => error,
    }
}
