//! What the marketing side does about a withdrawal: a durable group that keeps a list of whom not to contact.

use std::time::Duration;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use millstream_queue::{Client, Delivery, Retry};
use millstream_store::{Data, Error, Isolation, Time, Tx, model, query};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{
    ConsentError, ConsentWithdrawn, Ledger, Record, chain, ledger,
    schema::suppressions,
    statement::{check_purpose, check_subject},
};

/// A subject who must not be contacted for a purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = suppressions, primary_key(seq))]
pub struct Suppression {
    /// The withdrawal's place in the chain.
    pub seq: i64,
    /// Who.
    pub subject: String,
    /// What for.
    pub purpose: String,
    /// When the event was acted upon.
    pub suppressed_at: Time,
}

model! {
    Suppression in suppressions {
        key: seq as i64,
        created: suppressed_at,
        filters: { subject: text, purpose: text, suppressed_at: time },
        sorts: { suppressed_at as Time },
    }
}

/// Acts upon an event, which may come twice, or late: where the subject has agreed again meanwhile there is nothing to do.
///
/// # Errors
/// [`ConsentError::Invalid`] for an event that this program didn't publish, [`ConsentError::Store`].
pub async fn suppress(ledger: &Ledger, event: &ConsentWithdrawn) -> Result<(), ConsentError> {
    check_subject(&event.subject)?;
    check_purpose(&event.purpose)?;
    let event = event.clone();
    let suppressing = ledger.store().transaction_at(Isolation::ReadCommitted, async move |tx| {
        // No grant comes between the look and the row.
        chain::lock(&tx).await?;
        let last = ledger::present(&tx, &event.subject, &event.purpose).await?;
        if last.is_some_and(|last| last.seq == event.seq) {
            let (subject, purpose) = (event.subject.clone(), event.purpose.clone());
            tx.upsert(&Suppression { seq: event.seq, subject, purpose, suppressed_at: Time::default() }).await?;
        }
        Ok(())
    });
    suppressing.await
}

/// Takes the subject of a new grant off the list.
pub(crate) async fn lift(tx: &Tx, record: &Record) -> Result<(), Error> {
    let (subject, purpose) = (record.subject.clone(), record.purpose.clone());
    tx.write(query!(|conn: Db| {
        let listed = suppressions::table.filter(suppressions::subject.eq(subject));
        diesel::delete(listed.filter(suppressions::purpose.eq(purpose))).execute(conn).await.map(drop)
    }))
    .await
}

/// Acts upon all withdrawals until told to stop.
///
/// # Errors
/// [`ConsentError::Queue`] where it can't begin; later troubles are waited out.
pub(crate) async fn run(ledger: Ledger, client: Client, stop: CancellationToken) -> Result<(), ConsentError> {
    // What a process held that died is acted upon by another one soon; one that lives keeps what it holds.
    let withdrawn = client.consume::<ConsentWithdrawn>("suppression").redeliver_after(Duration::from_secs(5));
    let mut withdrawn = withdrawn.await?;
    let mut retry = Retry::new("act upon a withdrawal");
    loop {
        let next = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            next = withdrawn.next() => next,
        };
        match next {
            Ok(delivery) => {
                tokio::select! {
                    // It is delivered again to whoever runs next.
                    () = stop.cancelled() => return Ok(()),
                    () = settle(&ledger, delivery, &mut retry) => {}
                }
            }
            Err(error) => retry.report(&error),
        }
    }
}

/// Keeps the event for as long as the database is away: handed back, it would be a dead letter after the fifth time.
async fn settle(ledger: &Ledger, delivery: Delivery<ConsentWithdrawn>, retry: &mut Retry) {
    while let Err(error) = suppress(ledger, &delivery.envelope.data).await {
        if matches!(error, ConsentError::Invalid { .. }) {
            // Not acknowledged, it comes again and ends in the dead-letter topic, where someone may look at it.
            return retry.report(&error);
        }
        retry.failed(&error).await;
    }
    match delivery.ack().await {
        Ok(()) => retry.worked(),
        Err(error) => retry.report(&error),
    }
}
