//! Progress that several devices report at once. Each writes the version that it read; who comes second reads again and
//! merges, so that nothing is lost.

use chrono::{DateTime, SubsecRound, Utc};
use millstream_store::{Data, Id, Isolation, Time, Tx};
use serde::{Deserialize, Serialize};

use crate::{
    CourseCompleted, Enrolment, Error, Learner, Learning, Lesson, LessonSet,
    courses::{lessons, stranger},
};

#[cfg(test)]
mod tests;

/// Tries of a report while others are quicker; each of them means that another report was kept.
const TRIES: u32 = 100;

/// What a device has to tell.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The version of the enrolment that the device has seen, if any. With the present one the learner may go back in the
    /// course; else the furthest position counts.
    pub version: Option<i64>,
    /// Lessons that are completed; those of earlier reports need not be named again.
    #[serde(default)]
    pub completed: LessonSet,
    /// Where the learner is, in seconds of the course. Default: where they were.
    pub position: Option<i64>,
}

/// What became of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reported {
    /// The enrolment as it is now.
    #[serde(flatten)]
    pub enrolment: Enrolment,
    /// Whether it was merged with progress that the device hadn't seen.
    pub merged: bool,
}

impl Learning {
    /// Keeps what a device reports, counts the day for the learner's streak, and moves their reminder. A report that is
    /// sent twice changes nothing the second time, so one that failed may be sent again.
    ///
    /// # Errors
    /// [`Error::NoSuch`], [`Error::Invalid`], [`Error::Busy`]; nothing is kept then.
    pub async fn report(&self, enrolment: Id, report: Report, now: DateTime<Utc>) -> Result<Reported, Error> {
        // As exact as the databases keep it, so that the answer is what they hold.
        let now = now.trunc_subsecs(6);
        for _ in 0..TRIES {
            let (learning, report) = (self.clone(), report.clone());
            // Each statement sees what others committed, so a version that is gone is noticed as what it is.
            let kept = self.store.transaction_at(Isolation::ReadCommitted, async move |tx| {
                let (learning, report) = (learning.clone(), report.clone());
                learning.keep(&tx, enrolment, report, now).await
            });
            match kept.await {
                Err(Error::Store(millstream_store::Error::Conflict { .. })) => {}
                kept => return kept,
            }
        }
        Err(Error::Busy(enrolment))
    }

    async fn keep(&self, tx: &Tx, id: Id, report: Report, now: DateTime<Utc>) -> Result<Reported, Error> {
        let mut enrolment = tx.get::<Enrolment>(id).await?.ok_or(Error::NoSuch { what: "enrolment", id })?;
        let lessons = lessons(tx, enrolment.course_id).await?;
        report.check(&lessons)?;
        let merged = enrolment.version != report.version.unwrap_or(enrolment.version);
        let mut next = enrolment.clone().with(&report);
        let is_complete = next.completed_at.is_none() && next.has_completed(&lessons);
        if is_complete {
            next.completed_at = Some(Time(now));
        }
        if next != enrolment {
            enrolment = tx.update(&next).await?;
        }
        if is_complete {
            // Behind the version: of two reports that complete the course only one comes here.
            let Enrolment { id: enrolment, learner_id: learner, course_id: course, .. } = enrolment;
            tx.publish(CourseCompleted { enrolment, learner, course, completed_at: now }).subject(learner).await?;
        }
        // The enrolment before the learner, always: two reports can't wait for each other.
        let mut learner =
            tx.get::<Learner>(next.learner_id).await?.ok_or(Error::NoSuch { what: "learner", id: next.learner_id })?;
        let streak = learner.streak().after_activity(learner.zone()?, now);
        if streak != learner.streak() {
            learner = tx.update(&Learner { streak: streak.days, active_on: streak.last, ..learner }).await?;
        }
        self.schedule_reminder(tx, &learner, now).await?;
        Ok(Reported { enrolment, merged })
    }
}

impl Report {
    fn check(&self, lessons: &[Lesson]) -> Result<(), Error> {
        if let Some(id) = stranger(lessons, &self.completed.0) {
            return Err(Error::invalid("completed", format!("lessons of the course; {id} is none")));
        }
        let seconds = lessons.iter().map(|lesson| lesson.seconds).sum();
        match self.position {
            Some(position) if !(0..=seconds).contains(&position) => {
                Err(Error::invalid("position", format!("0 to {seconds}, the seconds of the course")))
            }
            _ => Ok(()),
        }
    }
}

impl Enrolment {
    /// The enrolment with a report merged into it: all lessons that either has, and the report's position if it knows this
    /// version, else the greater one.
    fn with(mut self, report: &Report) -> Self {
        self.completed.0.extend(&report.completed.0);
        if let Some(position) = report.position {
            let is_present = report.version == Some(self.version);
            self.position = if is_present { position } else { self.position.max(position) };
        }
        self
    }
}
