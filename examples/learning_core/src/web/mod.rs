//! The operations as JSON over HTTP.
//!
//! | | |
//! |---|---|
//! | `GET`, `POST /api/courses` | a list · `{"title", "lessons": [{"title", "seconds"}]}` makes one |
//! | `GET`, `PATCH /api/courses/{id}` | the course with its lessons · `{"version", "title"}` |
//! | `POST /api/courses/{id}/lessons` | `{"title", "seconds"}` adds one at the end |
//! | `GET`, `POST /api/learners` | a list · `{"name", "email", "time_zone"}` makes one |
//! | `GET`, `PATCH /api/learners/{id}` | the learner with their streak now · `{"version", "name", "time_zone"}` |
//! | `GET`, `POST /api/enrolments` | a list · `{"learner_id", "course_id"}` enrols |
//! | `GET /api/enrolments/{id}` | the enrolment with its progress |
//! | `POST /api/enrolments/{id}/progress` | a [`Report`](crate::Report) |
//! | `GET /api/mails` | a list of the reminders that were sent |
//!
//! Lists are `{"rows", "next"}` and take the parameters of [`List`](millstream_store::List), by each model's list of what is
//! allowed. Every error is `{"error": "what was wrong"}`: 400 for what can't be read, 404, 409 where someone else was first, 415,
//! and 422 for a value out of its bounds.

mod courses;
mod error;
mod learners;
mod lists;

use axum::{
    Router,
    routing::{get, post},
};

pub use error::ApiError;

use crate::Learning;

/// All routes.
pub fn router(learning: Learning) -> Router {
    Router::new()
        .route("/api/courses", get(lists::courses).post(courses::create))
        .route("/api/courses/{id}", get(courses::show).patch(courses::change))
        .route("/api/courses/{id}/lessons", post(courses::add_lesson))
        .route("/api/learners", get(lists::learners).post(learners::create))
        .route("/api/learners/{id}", get(learners::show).patch(learners::change))
        .route("/api/enrolments", get(lists::enrolments).post(learners::enrol))
        .route("/api/enrolments/{id}", get(learners::enrolment))
        .route("/api/enrolments/{id}/progress", post(learners::report))
        .route("/api/mails", get(lists::mails))
        .fallback(error::no_such_page)
        .method_not_allowed_fallback(error::wrong_method)
        .with_state(learning)
}
