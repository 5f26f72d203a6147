//! What the gallery makes good that nobody else is left to: crashes between two steps, and jobs that died without
//! their handler's say.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use millstream_queue::{Client, State};
use millstream_store::Store;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::{Album, Albums, Outcome, Photo, ProcessPhoto, add_photos, announce};

/// Adds the photos that a crash left between their folder and their rows, and returns how many. Call it once, at the start.
///
/// Those whose rows were written have their jobs too, so nothing runs twice.
pub async fn add_forgotten(store: &Store, albums: &Albums) -> anyhow::Result<usize> {
    let listing = albums.clone();
    let forgotten = spawn_blocking(move || -> anyhow::Result<Vec<(Album, Vec<Photo>)>> {
        let mut forgotten = Vec::new();
        for album in listing.list()? {
            let mut photos = Vec::new();
            for id in listing.forgotten(album.id)? {
                photos.extend(listing.photo(album.id, id)?);
            }
            forgotten.push((album, photos));
        }
        Ok(forgotten)
    })
    .await??;
    let mut count = 0;
    for (album, photos) in forgotten.into_iter().filter(|(_, photos)| !photos.is_empty()) {
        count += add_photos(store, &album, &photos).await?;
        let albums = albums.clone();
        let ids: Vec<Uuid> = photos.iter().map(|photo| photo.id).collect();
        spawn_blocking(move || albums.pushed(album.id, &ids)).await??;
    }
    Ok(count)
}

/// Settles photos whose jobs have been dead since `since` but which nobody settled: the job timed out too often, or
/// took its workers down with it. The history knows of them, so their albums need not wait for ever.
pub async fn settle_dead(
    client: &Client,
    store: &Store,
    albums: &Albums,
    since: DateTime<Utc>,
) -> anyhow::Result<usize> {
    let mut count = 0;
    let mut cursor = None;
    loop {
        let mut dead = store.history().job::<ProcessPhoto>().state(State::Dead).since(since).limit(200);
        if let Some(cursor) = &cursor {
            dead = dead.after(cursor);
        }
        let page = dead.await?;
        for job in &page.rows {
            let payload = job.payload::<ProcessPhoto>().context("a dead job's payload can't be read")?;
            let error = job.error.as_deref().unwrap_or("unknown error");
            count += usize::from(settle(client, albums, payload, error).await?);
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(count),
        }
    }
}

async fn settle(client: &Client, albums: &Albums, job: ProcessPhoto, error: &str) -> anyhow::Result<bool> {
    let ProcessPhoto { album, photo } = job;
    let outcome = Outcome::Failed(format!("gave up: {error}"));
    let (albums, failed) = (albums.clone(), outcome.clone());
    let settled = spawn_blocking(move || -> anyhow::Result<_> {
        let Some(photo) = albums.photo(album, photo)? else { return Ok(None) };
        if albums.outcome(album, photo.id)?.is_some() {
            return Ok(None);
        }
        let progress = albums.settle(album, photo.id, &failed)?;
        Ok(Some((photo, progress)))
    })
    .await??;
    let Some((photo, progress)) = settled else { return Ok(false) };
    announce::photo(client, album, photo, outcome, progress).await?;
    Ok(true)
}
