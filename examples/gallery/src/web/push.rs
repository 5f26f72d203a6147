use axum::Json;
use serde::Serialize;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::{ApiError, Gallery};
use crate::{Photo, Staged, add_photos};

#[derive(Serialize)]
pub(super) struct Added {
    photos: Vec<Photo>,
}

/// Makes staged photos part of the album, then writes their rows and jobs, in this order: a job never looks for an original
/// that isn't there. If that fails the photos are taken out again, so that the caller may simply repeat.
pub(super) async fn add_and_push(gallery: &Gallery, album: Uuid, staged: Vec<Staged>) -> Result<Json<Added>, ApiError> {
    let albums = gallery.albums.clone();
    let photos = spawn_blocking(move || albums.add(staged)).await??;
    let ids: Vec<Uuid> = photos.iter().map(|photo| photo.id).collect();

    let albums = gallery.albums.clone();
    let facts = spawn_blocking(move || albums.album(album)).await??;
    let pushed = add_photos(&gallery.store, &facts, &photos).await;

    let albums = gallery.albums.clone();
    let confirmed = pushed.is_ok();
    spawn_blocking(move || if confirmed { albums.pushed(album, &ids) } else { albums.withdraw(album, &ids) }).await??;
    pushed?;
    Ok(Json(Added { photos }))
}
