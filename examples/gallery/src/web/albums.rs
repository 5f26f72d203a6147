use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use chrono::Utc;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use super::error::id;
use super::view::{AlbumSummary, AlbumView};
use super::{ApiError, Gallery};
use crate::{Album, AlbumError};

#[derive(Serialize)]
pub(super) struct AlbumList {
    albums: Vec<AlbumSummary>,
}

pub(super) async fn list(State(gallery): State<Arc<Gallery>>) -> Result<Json<AlbumList>, ApiError> {
    let albums = spawn_blocking(move || {
        let albums = &gallery.albums;
        albums.list()?.into_iter().map(|album| AlbumSummary::read(albums, album)).collect::<Result<_, AlbumError>>()
    })
    .await??;
    Ok(Json(AlbumList { albums }))
}

#[derive(Deserialize)]
pub(super) struct NewAlbum {
    title: String,
}

pub(super) async fn create(
    State(gallery): State<Arc<Gallery>>,
    body: Result<Json<NewAlbum>, JsonRejection>,
) -> Result<(StatusCode, Json<Album>), ApiError> {
    let Json(NewAlbum { title }) = body?;
    let title = title.trim().to_owned();
    if title.is_empty() || title.chars().count() > 120 {
        return Err(ApiError::bad("an album needs a title of 1 to 120 characters"));
    }
    let album = spawn_blocking(move || gallery.albums.create(&title, Utc::now())).await??;
    Ok((StatusCode::CREATED, Json(album)))
}

pub(super) async fn show(
    State(gallery): State<Arc<Gallery>>,
    Path(album): Path<String>,
) -> Result<Json<AlbumView>, ApiError> {
    let album = id("an album", &album)?;
    Ok(Json(spawn_blocking(move || AlbumView::read(&gallery.albums, album)).await??))
}
