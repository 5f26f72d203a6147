//! Reminders of streaks that are about to break: one delayed job per learner, which every activity moves on.

use chrono::{DateTime, TimeDelta, Utc};
use millstream_queue::{Conflict, Job, Unique};
use millstream_store::{Data, Id, Tx};
use millstream_worker::{self as worker, Context, Failure};
use serde::{Deserialize, Serialize};

use crate::{App, Error, Learner, Learning, Mail, Mailer, Reminder};

/// Reminds a learner that their streak is about to break, if it still is when the job runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemindStreak {
    /// Whom to remind.
    pub learner: Id,
}

impl Job for RemindStreak {
    const KIND: &'static str = "remind_streak";
    const QUEUE: &'static str = "reminders";
    // Until it starts: an activity while a reminder is being sent needs the next one.
    const UNIQUE: Option<Unique> = Some(Unique::until_started().by(&["learner"]).on_conflict(Conflict::Debounce));
}

/// Jobs become due by Redis's clock. Where the worker's own is behind it by less, a job that seems early is on time.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(1);

/// What became of a reminder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reminded {
    /// It was sent.
    Sent,
    /// There was an activity since: the next one is due then.
    NotYet(DateTime<Utc>),
    /// The streak broke, or the learner is gone.
    Dropped,
}

impl Learning {
    /// Sees to it that the learner's one reminder comes when their streak, as it is in `learner`, needs it, if the transaction
    /// commits.
    pub(crate) async fn schedule_reminder(&self, tx: &Tx, learner: &Learner, now: DateTime<Utc>) -> Result<(), Error> {
        let (zone, streak) = (learner.zone()?, learner.streak());
        let due = match streak.reminder(zone, self.remind_before, now) {
            Reminder::At(due) => due,
            Reminder::Now => now,
            Reminder::Never => return Ok(()),
        };
        let Some(breaks) = streak.breaks_at(zone) else { return Ok(()) };
        // Once it broke there is nothing left to remind of, however late the workers are.
        tx.push(RemindStreak { learner: learner.id }).at(due).expires(breaks).await?;
        Ok(())
    }

    /// Reminds a learner, if at `now` they are to be reminded. Two such calls send one mail.
    ///
    /// # Errors
    /// [`Failure`] where the mail can't be sent, and for the errors of [`Error`].
    pub async fn remind(&self, learner: Id, mailer: &impl Mailer, now: DateTime<Utc>) -> worker::Result<Reminded> {
        let Some(learner) = self.store.get::<Learner>(learner).await? else { return Ok(Reminded::Dropped) };
        let Learner { id, name, email, streak: days, active_on, .. } = &learner;
        let (zone, streak) = (learner.zone()?, learner.streak());
        match streak.reminder(zone, self.remind_before, now + CLOCKS_DIFFER) {
            Reminder::Never => Ok(Reminded::Dropped),
            Reminder::At(due) => {
                // Asked for once more, since a report that crossed a change of the time zone may have asked for a wrong time.
                let learning = self.clone();
                let asked = async move |tx: Tx| learning.schedule_reminder(&tx, &learner, now).await;
                self.store.transaction(asked).await?;
                Ok(Reminded::NotYet(due))
            }
            Reminder::Now => {
                let mail = Mail {
                    key: format!("streak:{id}:{}", active_on.unwrap_or_default()),
                    learner: *id,
                    address: email.clone(),
                    subject: format!("{days} days in a row, and today?"),
                    body: format!("Hello {name}, one lesson today keeps your streak of {days} days."),
                };
                mailer.send(mail).await?;
                Ok(Reminded::Sent)
            }
        }
    }
}

/// The handler. The clock is read here and nowhere below.
pub(crate) async fn remind_streak<M: Mailer>(job: RemindStreak, cx: Context<App<M>>) -> worker::Result {
    let App { learning, mailer } = &*cx.app;
    match learning.remind(job.learner, mailer, Utc::now()).await? {
        Reminded::Sent => Ok(()),
        Reminded::NotYet(due) => {
            Err(Failure::cancel(format!("there was an activity since; the next one is due {due}")))
        }
        Reminded::Dropped => Err(Failure::cancel("there is no streak to remind of")),
    }
}
