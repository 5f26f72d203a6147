use axum::{
    Json,
    extract::{Query, State},
};
use chrono::Utc;
use millstream_store::{Data, List, ListPage, Model};
use serde::Serialize;

use super::ApiError;
use crate::{Course, Enrolment, Learner, Learning, SentMail};

/// Rows of a page at most: who asks for more gets so many.
const MOST_ROWS: u64 = 200;

/// A page of rows; `next` is what `after` takes for the next one.
#[derive(Debug, Serialize)]
pub(super) struct Page<T> {
    rows: Vec<T>,
    next: Option<String>,
}

type Parameters = Query<Vec<(String, String)>>;

pub(super) async fn courses(learning: State<Learning>, query: Parameters) -> Result<Json<Page<Course>>, ApiError> {
    page(learning, query).await
}

pub(super) async fn enrolments(
    learning: State<Learning>,
    query: Parameters,
) -> Result<Json<Page<Enrolment>>, ApiError> {
    page(learning, query).await
}

pub(super) async fn mails(learning: State<Learning>, query: Parameters) -> Result<Json<Page<SentMail>>, ApiError> {
    page(learning, query).await
}

/// Filters and sorts mean the streaks of the last active days; those that broke are shown as none.
pub(super) async fn learners(learning: State<Learning>, query: Parameters) -> Result<Json<Page<Learner>>, ApiError> {
    let Json(Page { mut rows, next }) = page::<Learner>(learning, query).await?;
    let now = Utc::now();
    for learner in &mut rows {
        learner.streak = learner.streak().at(learner.zone()?, now);
    }
    Ok(Json(Page { rows, next }))
}

async fn page<M: Model>(
    State(learning): State<Learning>,
    Query(parameters): Parameters,
) -> Result<Json<Page<M>>, ApiError> {
    let clamped = parameters.into_iter().map(|(name, value)| match value.parse::<u64>() {
        Ok(rows) if name == "limit" => (name, rows.min(MOST_ROWS).to_string()),
        _ => (name, value),
    });
    let ListPage { rows, next, .. } = learning.store.list(List::from_query(clamped)?).await?;
    Ok(Json(Page { rows, next }))
}
