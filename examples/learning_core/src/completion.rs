use chrono::{DateTime, Utc};
use millstream_queue::Event;
use millstream_store::Id;
use serde::{Deserialize, Serialize};

/// A learner completed a course. Its subject is the learner. Written with the progress that completes the course, so it is
/// published if and only if that is kept, and once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CourseCompleted {
    /// The enrolment that is complete.
    pub enrolment: Id,
    /// Who completed the course.
    pub learner: Id,
    /// The course.
    pub course: Id,
    /// When the report came that completed it.
    pub completed_at: DateTime<Utc>,
}

impl Event for CourseCompleted {
    const NAME: &'static str = "course_completed";
}
