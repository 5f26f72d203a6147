use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use millstream_queue::Client;
use millstream_store::Id;
use serde::{Deserialize, Serialize};

use super::ApiError;
use super::extract::{Json, Path, Query};
use crate::Ledger;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    subject: String,
}

#[derive(Serialize)]
struct Asked {
    id: Id,
}

pub(super) async fn ask(State(ledger): State<Ledger>, Json(wanted): Json<Wanted>) -> Result<Response, ApiError> {
    let export = ledger.ask_for_export(&wanted.subject).await?;
    Ok(accepted(export.id))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patience {
    wait: Option<u64>,
}

pub(super) async fn show(
    State(ledger): State<Ledger>,
    State(client): State<Client>,
    Path(id): Path<Id>,
    Query(patience): Query<Patience>,
) -> Result<Response, ApiError> {
    let patience = Duration::from_secs(patience.wait.unwrap_or(10).min(30));
    Ok(match ledger.export(&client, id, patience).await? {
        Some(document) => ([(header::CONTENT_TYPE, "application/json")], document).into_response(),
        None => accepted(id),
    })
}

fn accepted(id: Id) -> Response {
    (StatusCode::ACCEPTED, axum::Json(Asked { id })).into_response()
}
