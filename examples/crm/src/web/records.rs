//! The routes that contacts, companies and deals have in common.

use axum::{
    Json, Router,
    extract::{Path, State, rejection::JsonRejection},
    http::StatusCode,
    routing::get,
};
use serde_json::{Map, Value};

use super::{Api, ApiError, error::id, one, page};
use crate::{Record, change, create, remove};

type Body = Result<Json<Map<String, Value>>, JsonRejection>;

pub(super) fn routes<M: Record>(path: &str) -> Router<Api> {
    Router::new()
        .route(path, get(page::<M>).post(make::<M>))
        .route(&format!("{path}/{{id}}"), get(one::<M>).put(write::<M>).delete(delete::<M>))
}

async fn make<M: Record>(State(api): State<Api>, body: Body) -> Result<(StatusCode, Json<M>), ApiError> {
    let fields = fields::<M>(body?.0)?;
    Ok((StatusCode::CREATED, Json(create(&api.store, fields).await?)))
}

async fn write<M: Record>(State(api): State<Api>, Path(key): Path<String>, body: Body) -> Result<Json<M>, ApiError> {
    let (key, Json(mut body)) = (id(&key)?, body?);
    let version = body.remove("version").as_ref().and_then(Value::as_i64);
    let version = version.ok_or_else(|| unprocessable("version: the one that was read, a whole number"))?;
    Ok(Json(change(&api.store, key, version, fields::<M>(body)?).await?))
}

async fn delete<M: Record>(State(api): State<Api>, Path(key): Path<String>) -> Result<StatusCode, ApiError> {
    remove::<M>(&api.store, id(&key)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn fields<M: Record>(body: Map<String, Value>) -> Result<M::Fields, ApiError> {
    serde_json::from_value(Value::Object(body)).map_err(|error| unprocessable(error.to_string()))
}

fn unprocessable(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, message)
}
