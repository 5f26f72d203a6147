use axum::{Json, extract::State, http::StatusCode};
use chrono::Utc;
use millstream_store::Id;
use serde::Deserialize;

use super::{
    ApiError,
    error::{Body, PathId},
};
use crate::{Enrolment, Learner, LearnerChange, LearnerView, Learning, NewLearner, Report, Reported};

pub(super) async fn create(
    State(learning): State<Learning>,
    Body(new): Body<NewLearner>,
) -> Result<(StatusCode, Json<Learner>), ApiError> {
    Ok((StatusCode::CREATED, Json(learning.create_learner(new).await?)))
}

pub(super) async fn show(State(learning): State<Learning>, PathId(id): PathId) -> Result<Json<LearnerView>, ApiError> {
    Ok(Json(learning.learner(id, Utc::now()).await?))
}

pub(super) async fn change(
    State(learning): State<Learning>,
    PathId(id): PathId,
    Body(change): Body<LearnerChange>,
) -> Result<Json<LearnerView>, ApiError> {
    Ok(Json(learning.change_learner(id, change, Utc::now()).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewEnrolment {
    learner_id: Id,
    course_id: Id,
}

pub(super) async fn enrol(
    State(learning): State<Learning>,
    Body(NewEnrolment { learner_id, course_id }): Body<NewEnrolment>,
) -> Result<(StatusCode, Json<Enrolment>), ApiError> {
    Ok((StatusCode::CREATED, Json(learning.enrol(learner_id, course_id).await?)))
}

pub(super) async fn enrolment(
    State(learning): State<Learning>,
    PathId(id): PathId,
) -> Result<Json<Enrolment>, ApiError> {
    Ok(Json(learning.enrolment(id).await?))
}

pub(super) async fn report(
    State(learning): State<Learning>,
    PathId(id): PathId,
    Body(report): Body<Report>,
) -> Result<Json<Reported>, ApiError> {
    Ok(Json(learning.report(id, report, Utc::now()).await?))
}
