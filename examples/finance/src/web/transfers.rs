use axum::{
    Json,
    extract::{Path, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode},
};

use super::{Api, ApiError, error::id};
use crate::{NewTransfer, Transfer, Transferred, reverse, transfer};

type Answer = Result<(StatusCode, Json<Transfer>), ApiError>;

pub(super) async fn make(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Result<Json<NewTransfer>, JsonRejection>,
) -> Answer {
    let Json(mut new) = body?;
    new.key = match headers.get("idempotency-key").map(|key| key.to_str()) {
        Some(Err(_)) => return Err(ApiError::bad("an Idempotency-Key consists of visible ASCII characters")),
        Some(Ok(key)) => Some(key.to_owned()),
        None => None,
    };
    answer(transfer(&api.store, new).await?)
}

pub(super) async fn take_back(State(api): State<Api>, Path(first): Path<String>) -> Answer {
    answer(reverse(&api.store, id(&first)?).await?)
}

fn answer(Transferred { transfer, repeated }: Transferred) -> Answer {
    Ok((if repeated { StatusCode::OK } else { StatusCode::CREATED }, Json(transfer)))
}
