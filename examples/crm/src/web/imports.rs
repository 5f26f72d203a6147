use axum::{
    Json,
    body::Body,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, StatusCode, header},
    response::IntoResponse,
};
use millstream_store::{List, Op};
use serde::Deserialize;

use super::{Api, ApiError, Page, Parameters, find, list};
use crate::{BadRow, Import, begin};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Upload {
    #[serde(default = "unnamed")]
    file: String,
}

fn unnamed() -> String {
    "upload.csv".into()
}

pub(super) async fn upload(
    State(api): State<Api>,
    parameters: Result<Query<Upload>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, ApiError> {
    let Query(Upload { file }) = parameters?;
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/csv")) {
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a file to import is sent as text/csv"));
    }
    let import = begin(&api.store, &api.client, &api.uploads, &file, body.into_data_stream()).await?;
    let place = [(header::LOCATION, format!("/imports/{}", import.id))];
    Ok((StatusCode::ACCEPTED, place, Json(import)))
}

pub(super) async fn bad_rows(
    State(api): State<Api>,
    Path(import): Path<String>,
    parameters: Parameters,
) -> Result<Json<Page<BadRow>>, ApiError> {
    let import = find::<Import>(&api, &import).await?;
    let by_line = [("sort".to_owned(), "line".to_owned())]; // unless the caller has another order
    let rows = List::from_query(by_line.into_iter().chain(parameters?.0))?;
    list(&api, rows.filter("import", Op::Eq, import.id)).await
}
