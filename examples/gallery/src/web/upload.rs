use std::sync::Arc;

use axum::Json;
use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::extract::{Multipart, Path, State};
use axum::http::StatusCode;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;

use super::error::id;
use super::push::{Added, add_and_push};
use super::{ApiError, Gallery};

/// Files in one request. Each is an open folder entry until the request ends.
const MAX_FILES: usize = 1000;

/// All files or none: a request that ends early, or with a file that is refused, adds nothing.
pub(super) async fn upload(
    State(gallery): State<Arc<Gallery>>,
    Path(album): Path<String>,
    multipart: Result<Multipart, MultipartRejection>,
) -> Result<Json<Added>, ApiError> {
    let album = id("an album", &album)?;
    let mut multipart = multipart.map_err(|rejection| ApiError::new(rejection.status(), rejection.body_text()))?;
    let mut staged = Vec::new();
    while let Some(field) = multipart.next_field().await? {
        // Other fields of a form are nobody's business.
        let Some(name) = field.file_name().map(str::to_owned) else { continue };
        if staged.len() == MAX_FILES {
            return Err(ApiError::bad(format!("more than {MAX_FILES} files in one request")));
        }
        let albums = gallery.albums.clone();
        let photo = {
            let name = name.clone();
            spawn_blocking(move || albums.stage(album, &name)).await??
        };
        save(field, &name, File::create(photo.original()).await?, gallery.max_bytes).await?;
        staged.push(photo);
    }
    if staged.is_empty() {
        return Err(ApiError::bad("the request has no file: send one part with a file name per photo"));
    }
    add_and_push(&gallery, album, staged).await
}

/// Streams one file to disk, counting.
async fn save(mut field: Field<'_>, name: &str, mut file: File, limit: u64) -> Result<(), ApiError> {
    let mut bytes = 0;
    while let Some(chunk) = field.chunk().await? {
        bytes += chunk.len() as u64;
        if bytes > limit {
            let message = format!("{name:?} is larger than {} MB, the most that is accepted", limit / 1_000_000);
            return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        file.write_all(&chunk).await?;
    }
    // Errors of the last write show only here.
    file.flush().await?;
    Ok(())
}

impl From<MultipartError> for ApiError {
    fn from(error: MultipartError) -> Self {
        Self::new(error.status(), format!("the upload can't be read: {}", error.body_text()))
    }
}
