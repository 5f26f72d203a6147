//! The core of a learning platform on Millstream: courses, progress from several devices at once, streaks, and reminders
//! before they break.
//!
//! [`Learning`] has the operations, [`web::router`] serves them as JSON, [`run`] adds the relay, the worker and the recorder and is
//! all of the program. A reminder is a job, [`RemindStreak`], and a completed course an event, [`CourseCompleted`]; both are
//! written in the transaction of what they belong to.

mod completion;
mod courses;
mod error;
mod learners;
mod lesson_set;
mod mail;
mod models;
mod progress;
mod reminder;
mod run;
mod schema;
mod streak;
pub mod web;

use chrono::TimeDelta;
use millstream_queue::Client;
use millstream_store::Store;

pub use completion::CourseCompleted;
pub use courses::{CourseChange, CourseView, NewCourse, NewLesson};
pub use error::Error;
pub use learners::{LearnerChange, LearnerView, NewLearner};
pub use lesson_set::LessonSet;
pub use mail::{Mail, MailTable, Mailer};
pub use models::{Course, Enrolment, Learner, Lesson, MIGRATIONS, SentMail};
pub use progress::{Report, Reported};
pub use reminder::{RemindStreak, Reminded};
pub use run::{App, run, worker};
pub use streak::{Reminder, Streak};

/// The operations, cheap to clone. What depends on the time takes it as an argument.
#[derive(Clone, Debug)]
pub struct Learning {
    /// Where the tables are, migrated with [`MIGRATIONS`].
    pub store: Store,
    /// Where the jobs go.
    pub client: Client,
    /// How long before a streak breaks its reminder comes: 10 minutes to 20 hours, since the shortest days have 22.
    pub remind_before: TimeDelta,
}
