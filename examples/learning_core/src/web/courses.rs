use axum::{Json, extract::State, http::StatusCode};

use super::{
    ApiError,
    error::{Body, PathId},
};
use crate::{Course, CourseChange, CourseView, Learning, Lesson, NewCourse, NewLesson};

pub(super) async fn create(
    State(learning): State<Learning>,
    Body(new): Body<NewCourse>,
) -> Result<(StatusCode, Json<CourseView>), ApiError> {
    Ok((StatusCode::CREATED, Json(learning.create_course(new).await?)))
}

pub(super) async fn show(State(learning): State<Learning>, PathId(id): PathId) -> Result<Json<CourseView>, ApiError> {
    Ok(Json(learning.course(id).await?))
}

pub(super) async fn change(
    State(learning): State<Learning>,
    PathId(id): PathId,
    Body(change): Body<CourseChange>,
) -> Result<Json<Course>, ApiError> {
    Ok(Json(learning.change_course(id, change).await?))
}

pub(super) async fn add_lesson(
    State(learning): State<Learning>,
    PathId(course): PathId,
    Body(new): Body<NewLesson>,
) -> Result<(StatusCode, Json<Lesson>), ApiError> {
    Ok((StatusCode::CREATED, Json(learning.add_lesson(course, new).await?)))
}
