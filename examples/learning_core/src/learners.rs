use chrono::{DateTime, Utc};
use millstream_store::{Data, Id, Time};
use serde::{Deserialize, Serialize};

use crate::{Course, Enrolment, Error, Learner, Learning, Reminder, error::text, models::zone};

/// A learner to be made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewLearner {
    /// 1 to 120 characters.
    pub name: String,
    /// Where reminders go.
    pub email: String,
    /// Where they are, a name of the IANA database. Default: `UTC`.
    #[serde(default = "utc")]
    pub time_zone: String,
}

/// A change of a learner; what is left out stays.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnerChange {
    /// The version that is changed.
    pub version: i64,
    /// The new name.
    pub name: Option<String>,
    /// The new time zone. Days that counted keep counting.
    pub time_zone: Option<String>,
}

/// A learner at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LearnerView {
    /// The learner; its streak is that of now: none if it broke.
    #[serde(flatten)]
    pub learner: Learner,
    /// When the next reminder comes, unless there is an activity before.
    pub reminder_at: Option<Time>,
}

impl Learning {
    /// Makes a learner.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Taken`].
    pub async fn create_learner(&self, new: NewLearner) -> Result<Learner, Error> {
        let email = text("email", &new.email, 254)?;
        if !matches!(email.split_once('@'), Some((name, host)) if !name.is_empty() && !host.is_empty()) {
            return Err(Error::invalid("email", "an address such as ann@example.org"));
        }
        let learner = Learner {
            id: Id::new(),
            version: 0,
            name: text("name", &new.name, 120)?,
            email,
            time_zone: zone(&new.time_zone)?.name().to_owned(),
            streak: 0,
            active_on: None,
            created_at: Time::default(),
        };
        let inserted = self.store.insert(&learner).await;
        inserted.map_err(|error| Error::unless_taken(error, "another learner has this email"))
    }

    /// A learner as they are at `now`.
    ///
    /// # Errors
    /// [`Error::NoSuch`].
    pub async fn learner(&self, id: Id, now: DateTime<Utc>) -> Result<LearnerView, Error> {
        let learner = self.store.get::<Learner>(id).await?.ok_or(Error::NoSuch { what: "learner", id })?;
        let (zone, streak) = (learner.zone()?, learner.streak());
        let reminder_at = match streak.reminder(zone, self.remind_before, now) {
            Reminder::At(due) => Some(Time(due)),
            Reminder::Now | Reminder::Never => None,
        };
        Ok(LearnerView { learner: Learner { streak: streak.at(zone, now), ..learner }, reminder_at })
    }

    /// Changes a learner. With another time zone their reminder comes at another time.
    ///
    /// # Errors
    /// [`Error::NoSuch`], [`Error::Invalid`]; [`millstream_store::Error::Conflict`] if someone else changed them since.
    pub async fn change_learner(
        &self,
        id: Id,
        change: LearnerChange,
        now: DateTime<Utc>,
    ) -> Result<LearnerView, Error> {
        let mut learner = self.store.get::<Learner>(id).await?.ok_or(Error::NoSuch { what: "learner", id })?;
        learner.version = change.version;
        if let Some(name) = change.name {
            learner.name = text("name", &name, 120)?;
        }
        if let Some(time_zone) = change.time_zone {
            learner.time_zone = zone(&time_zone)?.name().to_owned();
        }
        let learning = self.clone();
        let changed = self.store.transaction(async move |tx| {
            let learner = tx.update(&learner).await?;
            learning.schedule_reminder(&tx, &learner, now).await
        });
        changed.await?;
        self.learner(id, now).await
    }

    /// Enrols a learner in a course.
    ///
    /// # Errors
    /// [`Error::NoSuch`], [`Error::Taken`].
    pub async fn enrol(&self, learner: Id, course: Id) -> Result<Enrolment, Error> {
        let enrolled = self.store.transaction(async move |tx| {
            tx.get::<Learner>(learner).await?.ok_or(Error::NoSuch { what: "learner", id: learner })?;
            tx.get::<Course>(course).await?.ok_or(Error::NoSuch { what: "course", id: course })?;
            let inserted = tx.insert(&Enrolment::new(learner, course)).await;
            inserted.map_err(|error| Error::unless_taken(error, "the learner is enrolled in this course already"))
        });
        enrolled.await
    }

    /// An enrolment.
    ///
    /// # Errors
    /// [`Error::NoSuch`].
    pub async fn enrolment(&self, id: Id) -> Result<Enrolment, Error> {
        self.store.get(id).await?.ok_or(Error::NoSuch { what: "enrolment", id })
    }
}

fn utc() -> String {
    "UTC".to_owned()
}
