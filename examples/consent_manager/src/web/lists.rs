use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use futures::{Stream, stream};
use millstream_store::{Data, Error, List, Model, Store};
use serde::Serialize;

use super::ApiError;
use super::extract::Query;
use crate::Record;

type Parameters = Vec<(String, String)>;

/// A page, and the cursor of the next one.
#[derive(Serialize)]
pub(super) struct Page<M> {
    rows: Vec<M>,
    next: Option<String>,
}

pub(super) async fn list<M: Model + Serialize>(
    State(store): State<Store>,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Page<M>>, ApiError> {
    let page = store.list::<M>(List::from_query(parameters.into_iter().map(clamp))?).await?;
    Ok(Json(Page { rows: page.rows, next: page.next }))
}

/// A page size from outside the bounds is brought inside; what is no number stays, and is refused.
fn clamp((name, value): (String, String)) -> (String, String) {
    match value.parse::<u64>() {
        Ok(limit) if name == "limit" => (name, limit.clamp(1, 1000).to_string()),
        _ => (name, value),
    }
}

pub(super) async fn stream(
    State(store): State<Store>,
    Query(parameters): Query<Parameters>,
) -> Result<impl IntoResponse, ApiError> {
    if let Some((name, _)) = parameters.iter().find(|(name, _)| ["sort", "limit", "page", "after"].contains(&&**name)) {
        let message = format!("{name}: leave it out, the stream has all records in the order of the chain");
        return Err(ApiError::new(StatusCode::BAD_REQUEST, message));
    }
    let list = List::from_query(parameters)?.limit(500);
    list.clone().check::<Record>()?;
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines(store, list))))
}

/// A page of lines at a time. An error ends the response without its proper end, which every client can tell.
fn lines(store: Store, list: List) -> impl Stream<Item = Result<Vec<u8>, Error>> + Send {
    stream::try_unfold(Some(list), move |list| {
        let store = store.clone();
        async move {
            let Some(list) = list else { return Ok(None) };
            let page = store.list::<Record>(list.clone()).await?;
            let mut lines = Vec::new();
            for record in &page.rows {
                serde_json::to_writer(&mut lines, record).expect("plain data, written to memory");
                lines.push(b'\n');
            }
            Ok(Some((lines, page.next.map(|cursor| list.after(cursor)))))
        }
    })
}
