//! The rows of the tables, and what a list of each may be asked for.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use chrono_tz::Tz;
use diesel::prelude::*;
use millstream_store::{Id, Migrations, Time, embed_migrations, model};
use serde::Serialize;

use crate::{Error, LessonSet, Streak, schema::*};

/// The tables of this application; they come behind Millstream's own.
pub const MIGRATIONS: Migrations = embed_migrations!("learning_core": "0001" "learning");

/// A course: a title and [`Lesson`]s.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset, Serialize)]
#[diesel(table_name = courses)]
pub struct Course {
    /// Its id.
    pub id: Id,
    /// Grows with every change; a change must name the one that it changes.
    pub version: i64,
    /// What it is called.
    pub title: String,
    /// When it was made.
    pub created_at: Time,
    /// When it, or the list of its lessons, was last changed.
    pub updated_at: Time,
}

model! {
    Course in courses {
        key: id as Id,
        version: version,
        created: created_at,
        updated: updated_at,
        filters: { id: id, title: text, created_at: time, updated_at: time },
        sorts: { title as String, created_at as Time },
        search: { title },
    }
}

/// A lesson of a course.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset, Serialize)]
#[diesel(table_name = lessons)]
pub struct Lesson {
    /// Its id.
    pub id: Id,
    /// The course that it belongs to.
    pub course_id: Id,
    /// Its place in the course, from 0.
    pub place: i64,
    /// What it is called.
    pub title: String,
    /// How long it takes.
    pub seconds: i64,
}

model! {
    Lesson in lessons { key: id as Id, filters: { course_id: id }, sorts: { place as i64 } }
}

/// Somebody who learns.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset, Serialize)]
#[diesel(table_name = learners, treat_none_as_null = true)]
pub struct Learner {
    /// Their id.
    pub id: Id,
    /// Grows with every change.
    pub version: i64,
    /// How they want to be addressed.
    pub name: String,
    /// Where reminders go; nobody else has the same.
    pub email: String,
    /// Where they are, a name of the IANA database such as `Europe/Berlin`: it says when their days begin.
    pub time_zone: String,
    /// Days in a row on their last active day; see [`Streak`] for what is left of it now.
    pub streak: i64,
    /// Their last active day, in their calendar.
    pub active_on: Option<NaiveDate>,
    /// When they joined.
    pub created_at: Time,
}

model! {
    Learner in learners {
        key: id as Id,
        version: version,
        created: created_at,
        filters: { id: id, name: text, email: text, time_zone: text, streak: int },
        sorts: { name as String, streak as i64, created_at as Time },
        search: { name, email },
    }
}

impl Learner {
    /// Their time zone.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that this program's copy of the IANA database doesn't know.
    pub fn zone(&self) -> Result<Tz, Error> {
        zone(&self.time_zone)
    }

    /// Their streak.
    pub fn streak(&self) -> Streak {
        Streak { days: self.streak, last: self.active_on }
    }
}

/// Reads a time zone's name.
pub(crate) fn zone(name: &str) -> Result<Tz, Error> {
    name.parse().map_err(|_| Error::invalid("time_zone", "a name of the IANA database, such as Europe/Berlin"))
}

/// A learner in a course, with their progress in it.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset, Serialize)]
#[diesel(table_name = enrolments, treat_none_as_null = true)]
pub struct Enrolment {
    /// Its id.
    pub id: Id,
    /// Grows with every progress; a [`Report`](crate::Report) says which one its device has seen.
    pub version: i64,
    /// Who learns.
    pub learner_id: Id,
    /// What.
    pub course_id: Id,
    /// The lessons that are completed. They never become uncompleted.
    pub completed: LessonSet,
    /// Where they are, in seconds of the course.
    pub position: i64,
    /// When the last lesson was completed.
    pub completed_at: Option<Time>,
    /// When they enrolled.
    pub created_at: Time,
    /// When they last made progress.
    pub updated_at: Time,
}

model! {
    Enrolment in enrolments {
        key: id as Id,
        version: version,
        created: created_at,
        updated: updated_at,
        filters: {
            id: id, learner_id: id, course_id: id, position: int, completed_at: time, created_at: time, updated_at: time
        },
        sorts: { created_at as Time, updated_at as Time },
    }
}

impl Enrolment {
    /// Whether all these lessons are completed; a course without lessons never is.
    pub fn has_completed(&self, lessons: &[Lesson]) -> bool {
        !lessons.is_empty() && lessons.iter().all(|lesson| self.completed.0.contains(&lesson.id))
    }

    /// An enrolment without progress.
    pub(crate) fn new(learner_id: Id, course_id: Id) -> Self {
        Self {
            id: Id::new(),
            version: 0,
            learner_id,
            course_id,
            completed: LessonSet(BTreeSet::new()),
            position: 0,
            completed_at: None,
            created_at: Time::default(),
            updated_at: Time::default(),
        }
    }
}

/// A mail, as [`MailTable`](crate::MailTable) keeps it instead of sending it.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset, Serialize)]
#[diesel(table_name = mails)]
pub struct SentMail {
    /// What the mail is about: two with the same key are one.
    pub key: String,
    /// Who it is for.
    pub learner_id: Id,
    /// Where it goes.
    pub address: String,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub body: String,
    /// When it was sent.
    pub sent_at: Time,
}

model! {
    SentMail in mails {
        key: key as String,
        filters: { learner_id: id, address: text, sent_at: time },
        sorts: { sent_at as Time },
    }
}
