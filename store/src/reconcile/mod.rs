//! Reconciliation: does Redis still have what it had, and does SQL know what Redis says has ended?
//!
//! Streams count what was ever added to them, and never count down: the recorder keeps these counts in SQL every ten seconds,
//! and Redis keeps the number of that row. Whichever of the two goes back is seen by the other. What leaves a stream is counted by
//! whoever deletes it, so that what somebody else deletes is seen too.

mod facts;
mod finding;
mod jobs;
mod stream;
mod watermark;

use std::time::Duration;

use chrono::TimeDelta;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use millstream_queue::Client;

pub use self::finding::{Finding, Report, Trouble};
pub(crate) use self::watermark::take_watermarks;
use self::{facts::Facts, watermark::Watermark};
use crate::{Data, Error, Id, Store, Time, query, schema::millstream_losses as l};

/// What changed less than this ago may still be on its way.
const ON_ITS_WAY: TimeDelta = TimeDelta::minutes(1);
/// At least between a suspicion and the second look.
const SECOND_LOOK: Duration = Duration::from_secs(1);
/// At most between them: so long a recorder may take with the outcomes of the first.
const PATIENCE: Duration = Duration::from_secs(10);
/// So long nothing waits in an outbox that is relayed.
const RELAYED: Duration = Duration::from_secs(300);
/// Most rows of losses that are reported.
const LOSSES: i64 = 1000;

impl Store {
    /// Compares Redis with this database, for each queue that is or was recorded. Changes nothing but its own notes
    /// of what it saw; jobs that run meanwhile are no mismatch.
    ///
    /// Looked at are, whatever the size of the history: the first 100 jobs of each lane and of `later`, the newest 500 dead letters,
    /// and the newest 500 jobs each that failed, snoozed or were parked. Of the last two only what happened within a day counts. That
    /// takes about 20 commands and 10 statements per queue: 0.1 s on Postgres and 0.2 s on SQLite with 1,000,000 jobs in the
    /// history, 500 ready and a build without optimizations. A suspicion is looked at twice, which with 1,000 suspects takes 75
    /// commands and a second or, where the recorder is behind, up to ten. Meant for every hour.
    ///
    /// What can't be known: a loss before the first recorder ran, or of what Redis lost and had again before the next look, ten
    /// seconds later; and a job that is due and gone, where more than 2,000 jobs are ready in its lane or where its kind keeps no
    /// completions.
    ///
    /// # The books
    ///
    /// Of each lane and of `done`, entered = there + deleted by Millstream, to the entry: Redis counts what entered and what is there,
    /// and each script that deletes an entry (finish, requeue, hand-back, cancel, the change of a unique job, the recorder) counts it in
    /// the same step. What is missing beyond that is compared with what it was at the last look, so the books may begin at any time:
    /// they do with the first look at a queue, with the first after workers or recorders of a version without books have gone,
    /// and after a loss was noted. Until then [`Report::unbooked`] names the queue. A worker of such a version that came and went
    /// between two looks, and cancels and changes of unique jobs by such clients, are reported as deleted by others. Of `later` and
    /// `dead`, in the same way, put there = there + taken out; delayed jobs that other programs put there by themselves between two looks
    /// make up for as many that were deleted.
    ///
    /// What the books don't tell: *which* jobs were deleted, unless the history shows that they wait. Nor do they go on into SQL: a
    /// job type's history may keep no runs or only failures, retention deletes them, and an outcome that is delivered twice is kept
    /// once, so the number of runs in SQL says nothing of the number of jobs that left a lane. Instead, an outcome is in `done` from the
    /// very step that deletes its entry, and leaves it only when a recorder has written it or set it aside. A commit that a recorder
    /// was told of and that the database lost after that is found by the watermarks alone: where they went back with it.
    ///
    /// # Errors
    /// [`Error::NotMigrated`], [`Error::Unreachable`], [`Error::Queue`], [`Error::Query`].
    pub async fn reconcile(&self, client: &Client) -> Result<Report, Error> {
        let queues = watermark::queues(self, client).await?;
        let mut looked_at: Vec<(Facts, Option<Watermark>)> = Vec::new();
        for queue in &queues {
            let facts = Facts::ask(client, queue).await?;
            if !facts.recorded && watermark::find(self, queue).await?.is_none() {
                continue; // nobody wants its history
            }
            let seen = watermark::step(self, client, queue).await?;
            looked_at.push((facts, seen));
        }
        let losses = self.losses().await?.into_iter();
        let losses: Vec<Finding> = losses
            .map(|(queue, what, entries, since, cause)| Finding::loss(queue, &what, entries, since, cause))
            .collect();
        let (mut findings, mut unbooked) = (Vec::new(), Vec::new());
        for (facts, seen) in &looked_at {
            let is_known = |trouble| {
                losses.iter().any(|loss| loss.trouble == trouble && loss.queue.as_ref() == Some(&facts.queue))
            };
            unbooked.extend(facts.unbooked(seen.as_ref()));
            facts.judge(is_known(Trouble::TakenFromLane), &mut findings);
            let lost_outcomes = facts.has_lost_outcomes() || is_known(Trouble::TakenFromDone);
            jobs::check(self, client, facts, seen.as_ref(), lost_outcomes, &mut findings).await?;
        }
        findings.extend(losses);
        let rejected = self.count_rejected().await?;
        if rejected > 0 {
            findings.push(Finding::rejected(rejected));
        }
        outbox(self, &mut findings).await?;
        Ok(Report { queues: queues.len(), findings, unbooked })
    }

    /// Forgets the losses that [`Store::reconcile`] has reported, once they are dealt with. Returns how many.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Query`].
    pub async fn accept_losses(&self) -> Result<u64, Error> {
        let mut accepted = 0;
        loop {
            let gone = self.write(query!(|conn: Db| {
                let ids: Vec<Id> = l::table.order(l::id).limit(LOSSES).select(l::id).load(conn).await?;
                diesel::delete(l::table.filter(l::id.eq_any(ids))).execute(conn).await
            }));
            match gone.await? {
                0 => return Ok(accepted),
                gone => accepted += gone as u64,
            }
        }
    }

    #[allow(clippy::type_complexity, reason = "the columns of one query")]
    async fn losses(&self) -> Result<Vec<(String, String, i64, Time, String)>, Error> {
        self.read(query!(|conn: Db| {
            let rows = l::table.order(l::id).limit(LOSSES).select((l::queue, l::what, l::entries, l::since, l::cause));
            rows.load(conn).await
        }))
        .await
    }
}

/// What waits for its relay, or was refused by it.
async fn outbox(store: &Store, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let status = store.outbox().await?;
    if let Some(oldest) = status.oldest.filter(|oldest| *oldest > RELAYED) {
        let found = format!("{} rows wait in the outbox, the oldest for {} s", status.waiting, oldest.as_secs());
        findings.push(Finding::of_database(Trouble::OutboxWaits, status.waiting, found));
    }
    if status.rejected > 0 {
        let found = format!("the relay has set {} rows of the outbox aside", status.rejected);
        findings.push(Finding::of_database(Trouble::OutboxRejected, status.rejected, found));
    }
    Ok(())
}
