use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use chrono::{DateTime, Utc};
use millstream_store::Cursor;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::error::id;
use super::{ApiError, Gallery};
use crate::ProcessPhoto;

#[derive(Deserialize)]
pub(super) struct Place {
    after: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Page {
    jobs: Vec<JobView>,
    /// What `after` takes for the page behind this one.
    next: Option<String>,
}

/// A job of the album as its history shows it.
#[derive(Serialize)]
struct JobView {
    id: Uuid,
    kind: String,
    /// The file that it was about.
    photo: Option<String>,
    state: &'static str,
    attempt: u32,
    finished: DateTime<Utc>,
    /// How long the run took that ended it.
    took_ms: Option<i64>,
    error: Option<String>,
    attempts: Vec<AttemptView>,
}

/// One run of a job that had several.
#[derive(Serialize)]
struct AttemptView {
    run: u32,
    state: &'static str,
    finished: DateTime<Utc>,
    error: Option<String>,
}

/// The jobs of an album, the last finished ones first.
pub(super) async fn page(
    State(gallery): State<Arc<Gallery>>,
    Path(album): Path<String>,
    place: Result<Query<Place>, QueryRejection>,
) -> Result<Json<Page>, ApiError> {
    let album = id("an album", &album)?;
    let Query(Place { after }) = place?;
    let names: HashMap<Uuid, String> = {
        let albums = gallery.albums.clone();
        let photos = spawn_blocking(move || albums.album(album).and_then(|_| albums.photos(album))).await??;
        photos.into_iter().map(|photo| (photo.id, photo.name)).collect()
    };
    let mut history = gallery.store.history().tag(album.to_string()).limit(50);
    if let Some(after) = after {
        let cursor: Cursor = after.parse()?;
        history = history.after(&cursor);
    }
    let found = history.await?;
    let mut jobs = Vec::with_capacity(found.rows.len());
    for job in found.rows {
        let photo = job.payload::<ProcessPhoto>().ok().and_then(|job| names.get(&job.photo).cloned());
        let runs = if job.run > 1 { gallery.store.history().attempts(job.id).await? } else { Vec::new() };
        let attempts = runs.into_iter().map(|run| AttemptView {
            run: run.run,
            state: run.state.as_str(),
            finished: run.finished_at,
            error: run.error,
        });
        jobs.push(JobView {
            photo,
            state: job.state.as_str(),
            attempt: job.attempt,
            finished: job.finished_at,
            took_ms: job.started_at.map(|started| (job.finished_at - started).num_milliseconds()),
            attempts: attempts.collect(),
            id: job.id,
            kind: job.kind,
            error: job.error,
        });
    }
    Ok(Json(Page { jobs, next: found.next.map(|next| next.to_string()) }))
}
