//! The HTTP interface: JSON in, JSON out, errors as `{"error": …}`.
//!
//! | | |
//! |---|---|
//! | `POST /accounts` | `{"name", "kind", "currency", "may_overdraw"}` opens an account |
//! | `GET /accounts`, `/accounts/{id}` | a page: `{"rows", "next"}`; one |
//! | `GET /accounts/{id}/lines` | its transfers as it sees them |
//! | `POST /transfers` | `{"from", "to", "amount", "memo"}`; the header `Idempotency-Key` makes it safe to send again |
//! | `GET /transfers`, `/transfers/{id}` | a page; one |
//! | `POST /transfers/{id}/reversal` | takes it back, once |
//! | `POST /accounts/{id}/statements/{month}` | makes the statement of a month such as `2026-10`, or answers with the one there is |
//! | `GET /accounts/{id}/statements` | a page |
//!
//! Pages take filters (`kind=asset`, `amount.ge=100`), `q`, `sort`, `limit`, and `after` with the `next` of the page before.

mod error;
mod statements;
mod transfers;

use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::JsonRejection, rejection::QueryRejection},
    http::StatusCode,
    routing::{get, post},
};
use millstream_queue::Client;
use millstream_store::{Data, Id, List, Model, Op, Store};
use serde::Serialize;

pub use self::error::ApiError;
use crate::{Account, Line, NewAccount, open};

/// What the interface works with.
#[derive(Clone, Debug)]
pub struct Api {
    pub store: Store,
    pub client: Client,
}

/// All routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/accounts", get(page::<Account>).post(open_account))
        .route("/accounts/{account}", get(one::<Account>))
        .route("/accounts/{account}/lines", get(account_lines))
        .route("/accounts/{account}/statements", get(statements::list))
        .route("/accounts/{account}/statements/{month}", post(statements::make))
        .route("/transfers", get(page::<crate::Transfer>).post(transfers::make))
        .route("/transfers/{transfer}", get(one::<crate::Transfer>))
        .route("/transfers/{transfer}/reversal", post(transfers::take_back))
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

async fn open_account(
    State(api): State<Api>,
    body: Result<Json<NewAccount>, JsonRejection>,
) -> Result<(StatusCode, Json<Account>), ApiError> {
    let Json(new) = body?;
    Ok((StatusCode::CREATED, Json(open(&api.store, new).await?)))
}

async fn account_lines(
    State(api): State<Api>,
    Path(account): Path<String>,
    parameters: Parameters,
) -> Result<Json<Page<Line>>, ApiError> {
    of_account(&api, &account, parameters).await
}

/// A page of what belongs to an account, which must exist.
async fn of_account<M: Model + Serialize>(
    api: &Api,
    account: &str,
    parameters: Parameters,
) -> Result<Json<Page<M>>, ApiError> {
    let account = find::<Account>(api, account).await?;
    list(api, List::from_query(parameters?.0)?.filter("account", Op::Eq, account.id)).await
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
    let key = Id(error::id(id)?);
    let found = api.store.get::<M>(key).await?;
    found.ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, format!("there is no {id} in {}", M::TABLE)))
}
