//! The HTTP interface: JSON in, JSON out, errors as `{"error": …}`.
//!
//! | | |
//! |---|---|
//! | `POST /contacts` | `{"name", "email", "phone", "company"}` makes one |
//! | `GET /contacts`, `/contacts/{id}` | a page: `{"rows", "next"}`; one |
//! | `PUT /contacts/{id}` | the same and `"version"`, what is left out is none; 409 with the `"current"` row if it has another |
//! | `DELETE /contacts/{id}` | softly |
//! | `/companies` | likewise: `{"name", "domain"}` |
//! | `/deals` | likewise: `{"title", "company", "contact", "stage", "amount", "currency"}` |
//! | `GET /pipeline` | totals by stage and currency |
//! | `GET /search?q=…` | `{"contacts", "companies", "deals"}` |
//! | `POST /imports?file=name` | a CSV file (`text/csv`) as the body: 202 with its report |
//! | `GET /imports`, `/imports/{id}` | a page of reports; one |
//! | `GET /imports/{id}/bad_rows` | a page, by line |
//!
//! Pages take filters (`stage=won`, `amount.ge=100`), `q`, `sort`, `limit`, and `after` with the `next` of the page before.

mod error;
mod imports;
mod records;

use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
    routing::get,
};
use millstream_queue::Client;
use millstream_store::{Data, Id, List, Model, Store};
use serde::Serialize;

pub use self::error::ApiError;
use crate::{Company, Contact, Deal, Found, Import, StageTotal, Uploads, pipeline, search};

/// What the interface works with.
#[derive(Clone, Debug)]
pub struct Api {
    pub store: Store,
    pub client: Client,
    pub uploads: Uploads,
}

/// All routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .merge(records::routes::<Contact>("/contacts"))
        .merge(records::routes::<Company>("/companies"))
        .merge(records::routes::<Deal>("/deals"))
        .route("/pipeline", get(totals))
        .route("/search", get(find_all))
        .route("/imports", get(page::<Import>).post(imports::upload))
        .route("/imports/{import}", get(one::<Import>))
        .route("/imports/{import}/bad_rows", get(imports::bad_rows))
        .fallback(error::no_such_page)
        .method_not_allowed_fallback(error::wrong_method)
        .with_state(api)
}

type Parameters = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// A part of a list, as it is sent.
#[derive(Serialize)]
struct Page<M> {
    rows: Vec<M>,
    next: Option<String>,
}

async fn totals(State(api): State<Api>) -> Result<Json<Vec<StageTotal>>, ApiError> {
    Ok(Json(pipeline(&api.store).await?))
}

async fn find_all(State(api): State<Api>, parameters: Parameters) -> Result<Json<Found>, ApiError> {
    match &parameters?.0[..] {
        [(name, text)] if name == "q" && !text.trim().is_empty() => Ok(Json(search(&api.store, text).await?)),
        _ => Err(ApiError::bad("q: a text to search for, and nothing else")),
    }
}

async fn page<M: Model + Serialize>(State(api): State<Api>, parameters: Parameters) -> Result<Json<Page<M>>, ApiError> {
    list(&api, List::from_query(parameters?.0)?).await
}

async fn one<M: Model<Key = Id> + Serialize>(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<M>, ApiError> {
    Ok(Json(find(&api, &id).await?))
}

async fn list<M: Model + Serialize>(api: &Api, list: List) -> Result<Json<Page<M>>, ApiError> {
    let page = api.store.list::<M>(list).await?;
    Ok(Json(Page { rows: page.rows, next: page.next }))
}

async fn find<M: Model<Key = Id>>(api: &Api, id: &str) -> Result<M, ApiError> {
    let found = api.store.get::<M>(Id(error::id(id)?)).await?;
    found.ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, format!("there is no {id} in {}", M::TABLE)))
}
