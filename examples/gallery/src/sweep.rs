//! What the gallery makes good that nobody else is left to: crashes between two steps, and jobs that died without
//! their handler's say.

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use millstream_queue::{Client, State};
use millstream_store::Store;
use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::{Albums, Outcome, ProcessPhoto, announce};

/// Pushes the jobs of photos for which a push was never confirmed, and returns how many. Call it once, at the start.
///
/// A job that did reach Redis runs twice then, which does no harm.
pub async fn push_forgotten(client: &Client, albums: &Albums) -> anyhow::Result<usize> {
    let listing = albums.clone();
    let forgotten = spawn_blocking(move || -> anyhow::Result<Vec<(Uuid, Vec<Uuid>)>> {
        let mut forgotten = Vec::new();
        for album in listing.list()? {
            forgotten.push((album.id, listing.forgotten(album.id)?));
        }
        Ok(forgotten)
    })
    .await??;
    let mut count = 0;
    for (album, photos) in forgotten {
        client.push_all(photos.iter().map(|&photo| ProcessPhoto { album, photo })).await?;
        count += photos.len();
        let albums = albums.clone();
        spawn_blocking(move || albums.pushed(album, &photos)).await??;
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
