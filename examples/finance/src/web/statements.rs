use std::time::Duration;

use axum::{
    Json,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::Utc;
use millstream_queue::{Error, Job};
use serde_json::json;

use super::{Api, ApiError, Page, Parameters, find, of_account};
use crate::{Account, MakeStatement, Month, Statement, ask_for};

/// How long a request waits for its job.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn list(
    State(api): State<Api>,
    Path(account): Path<String>,
    parameters: Parameters,
) -> Result<Json<Page<Statement>>, ApiError> {
    of_account(&api, &account, parameters).await
}

/// Waits for the job; one that takes longer goes on, and asking again finds what it made.
pub(super) async fn make(
    State(api): State<Api>,
    Path((account, month)): Path<(String, String)>,
) -> Result<Response, ApiError> {
    let month: Month = month.parse().map_err(ApiError::bad)?;
    let account = find::<Account>(&api, &account).await?;
    if Utc::now() < month.end() {
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{month} is not over")));
    }
    let id = ask_for(&api.client, account.id.0, month).await?;
    match api.client.result::<Statement>(MakeStatement::QUEUE, id).within(PATIENCE).await {
        Ok(statement) => Ok(Json(statement).into_response()),
        Err(Error::NoResult { .. }) => Ok((StatusCode::ACCEPTED, Json(json!({ "job": id }))).into_response()),
        Err(error) => Err(error.into()),
    }
}
