use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::{Deserialize, Serialize};

use super::{ApiError, Gallery};
use crate::Settings;

/// Settings with the version that they were read at.
#[derive(Serialize, Deserialize)]
pub(super) struct Versioned {
    title: String,
    version: i64,
}

pub(super) async fn show(State(gallery): State<Arc<Gallery>>) -> Result<Json<Versioned>, ApiError> {
    let (Settings { title }, version) = Settings::read(&gallery.store).await?;
    Ok(Json(Versioned { title, version }))
}

/// Of two who change the same version the second is told so.
pub(super) async fn change(
    State(gallery): State<Arc<Gallery>>,
    body: Result<Json<Versioned>, JsonRejection>,
) -> Result<Json<Versioned>, ApiError> {
    let Json(Versioned { title, version }) = body?;
    let title = title.trim().to_owned();
    if title.is_empty() || title.chars().count() > 60 || title.contains('\0') {
        return Err(ApiError::bad("a gallery has a name of 1 to 60 characters"));
    }
    let version = Settings { title: title.clone() }.write(&gallery.store, version).await?;
    Ok(Json(Versioned { title, version }))
}
