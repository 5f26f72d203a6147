//! What the interface answers with.

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::picture::{Facts, Size};
use crate::{Album, AlbumError, Albums, Outcome, Photo, Progress};

/// An album in the list.
#[derive(Debug, Serialize)]
pub struct AlbumSummary {
    #[serde(flatten)]
    album: Album,
    #[serde(flatten)]
    progress: Progress,
    /// The address of a thumbnail.
    cover: Option<String>,
}

/// An album with all its photos, in the order they were added.
#[derive(Debug, Serialize)]
pub struct AlbumView {
    id: Uuid,
    title: String,
    created: DateTime<Utc>,
    photos: Vec<PhotoView>,
    /// The address of the newest contact sheet.
    contact_sheet: Option<String>,
    #[serde(flatten)]
    progress: Progress,
}

/// A photo as far as it is.
#[derive(Debug, Serialize)]
pub struct PhotoView {
    id: Uuid,
    name: String,
    state: PhotoState,
    /// Why there is no picture; only if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// Addresses; only once it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbs: Option<Thumbs>,
    /// Width, height, EXIF, palette and hash; only once it is ready.
    #[serde(flatten)]
    facts: Option<Facts>,
}

/// How far a photo is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PhotoState {
    /// Its job hasn't finished.
    Waiting,
    /// It can be shown.
    Ready,
    /// It never will be.
    Failed,
}

/// The addresses of a photo's thumbnails.
#[derive(Debug, Serialize)]
pub struct Thumbs {
    small: String,
    medium: String,
    large: String,
}

impl AlbumSummary {
    /// Reads it from the album's folder.
    pub fn read(albums: &Albums, album: Album) -> Result<Self, AlbumError> {
        let cover = albums.ready(album.id)?.first().map(|&photo| thumb(album.id, photo, Size::Medium));
        Ok(Self { progress: albums.progress(album.id)?, cover, album })
    }
}

impl AlbumView {
    /// Reads it from the album's folder.
    pub fn read(albums: &Albums, album: Uuid) -> Result<Self, AlbumError> {
        let Album { id, title, created } = albums.album(album)?;
        // The sheet before the photos: it must never be newer than what is shown with it.
        let contact_sheet = albums.newest_sheet(id)?.map(|photos| format!("/files/{id}/sheet-{photos}.jpg"));
        let mut progress = Progress { ready: 0, failed: 0, total: 0 };
        let mut photos = Vec::new();
        for photo in albums.photos(id)? {
            let outcome = albums.outcome(id, photo.id)?;
            progress.total += 1;
            match &outcome {
                Some(Outcome::Ready(_)) => progress.ready += 1,
                Some(Outcome::Failed(_)) => progress.failed += 1,
                None => {}
            }
            photos.push(PhotoView::new(id, photo, outcome));
        }
        Ok(Self { id, title, created, photos, contact_sheet, progress })
    }
}

impl PhotoView {
    fn new(album: Uuid, photo: Photo, outcome: Option<Outcome>) -> Self {
        let Photo { id, name } = photo;
        let (state, facts, error) = match outcome {
            None => (PhotoState::Waiting, None, None),
            Some(Outcome::Ready(facts)) => (PhotoState::Ready, Some(facts), None),
            Some(Outcome::Failed(error)) => (PhotoState::Failed, None, Some(error)),
        };
        let thumbs = (state == PhotoState::Ready).then(|| Thumbs {
            small: thumb(album, id, Size::Small),
            medium: thumb(album, id, Size::Medium),
            large: thumb(album, id, Size::Large),
        });
        Self { id, name, state, error, thumbs, facts }
    }
}

fn thumb(album: Uuid, photo: Uuid, size: Size) -> String {
    format!("/files/{album}/{photo}/{}.jpg", size.as_str())
}
