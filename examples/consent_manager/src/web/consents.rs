use axum::extract::State;
use axum::http::StatusCode;
use millstream_store::Id;
use serde::Deserialize;

use super::ApiError;
use super::extract::{Json, Path, Query};
use crate::{Consent, Draft, Head, Ledger, Record, Statement, Text, Verdict};

type Answer<T> = Result<axum::Json<T>, ApiError>;

pub(super) async fn publish(
    State(ledger): State<Ledger>,
    Path((purpose, version)): Path<(String, i64)>,
    Json(draft): Json<Draft>,
) -> Answer<Text> {
    Ok(axum::Json(ledger.publish_text(&purpose, version, draft).await?))
}

pub(super) async fn grant(
    State(ledger): State<Ledger>,
    Json(statement): Json<Statement>,
) -> Result<(StatusCode, axum::Json<Record>), ApiError> {
    Ok((StatusCode::CREATED, axum::Json(ledger.grant(statement).await?)))
}

pub(super) async fn withdraw(
    State(ledger): State<Ledger>,
    Json(statement): Json<Statement>,
) -> Result<(StatusCode, axum::Json<Record>), ApiError> {
    Ok((StatusCode::CREATED, axum::Json(ledger.withdraw(statement).await?)))
}

pub(super) async fn present(
    State(ledger): State<Ledger>,
    Path((subject, purpose)): Path<(String, String)>,
) -> Answer<Consent> {
    Ok(axum::Json(ledger.consent(&subject, &purpose).await?))
}

pub(super) async fn record(State(ledger): State<Ledger>, Path(id): Path<Id>) -> Answer<Record> {
    Ok(axum::Json(ledger.record(id).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    length: Option<i64>,
    hash: Option<String>,
}

pub(super) async fn verify(State(ledger): State<Ledger>, Query(known): Query<Known>) -> Answer<Verdict> {
    let known = match known {
        Known { length: Some(length @ 1..), hash: Some(hash) } => Some(Head { length, hash }),
        Known { length: None, hash: None } => None,
        _ => {
            let message = "a known head is its length, from 1, and its hash, both or none";
            return Err(ApiError::new(StatusCode::BAD_REQUEST, message));
        }
    };
    Ok(axum::Json(ledger.verify(known).await?))
}
