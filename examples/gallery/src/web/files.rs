use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::error::id;
use super::{ApiError, Gallery};
use crate::picture::Size;

pub(super) async fn thumbnail(
    State(gallery): State<Arc<Gallery>>,
    Path((album, photo, file)): Path<(String, String, String)>,
) -> Result<impl IntoResponse, ApiError> {
    let (album, photo) = (id("an album", &album)?, id("a photo", &photo)?);
    let size = file.strip_suffix(".jpg").and_then(Size::from_name).ok_or_else(|| {
        ApiError::new(StatusCode::NOT_FOUND, format!("{file:?} is not small.jpg, medium.jpg or large.jpg"))
    })?;
    jpeg(gallery.albums.thumbnail(album, photo, size)).await
}

pub(super) async fn sheet(
    State(gallery): State<Arc<Gallery>>,
    Path((album, file)): Path<(String, String)>,
) -> Result<impl IntoResponse, ApiError> {
    let album = id("an album", &album)?;
    let number = file.strip_prefix("sheet-").and_then(|rest| rest.strip_suffix(".jpg")?.parse().ok());
    let photos = number.ok_or_else(|| {
        ApiError::new(StatusCode::NOT_FOUND, format!("{file:?} is not a contact sheet, such as sheet-24.jpg"))
    })?;
    jpeg(gallery.albums.sheet(album, photos)).await
}

/// These files are at most some hundred kilobytes, and never change under their name.
async fn jpeg(path: PathBuf) -> Result<impl IntoResponse, ApiError> {
    let bytes = tokio::fs::read(path).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => ApiError::new(StatusCode::NOT_FOUND, "there is no such picture (yet)"),
        _ => error.into(),
    })?;
    let headers =
        [(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "private, max-age=31536000, immutable")];
    Ok((headers, bytes))
}
