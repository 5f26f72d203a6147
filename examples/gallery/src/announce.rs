use millstream_queue::{Client, Error};
use uuid::Uuid;

use crate::{ContactSheet, JobProgress, Outcome, Photo, PhotoReady, Progress};

/// Tells the world how it ended for a photo whose outcome is written. May be repeated.
pub(crate) async fn photo(
    client: &Client,
    album: Uuid,
    photo: Photo,
    outcome: Outcome,
    progress: Progress,
) -> Result<(), Error> {
    // First, since it is the one that must not be forgotten: should it fail, the job runs again.
    if progress.is_complete() {
        let sheet = ContactSheet { album, photos: progress.total };
        let key = sheet.key();
        client.push(sheet).id(key).tags([album.to_string()]).await?;
    }
    let (facts, error) = match outcome {
        Outcome::Ready(facts) => (Some(facts), None),
        Outcome::Failed(error) => (None, Some(error)),
    };
    let ready = PhotoReady { album, photo: photo.id, name: photo.name, ok: facts.is_some(), error, facts };
    client.publish(ready).subject(album).await?;
    self::progress(client, album, progress, false).await
}

/// Tells how far the album is.
pub(crate) async fn progress(
    client: &Client,
    album: Uuid,
    progress: Progress,
    contact_sheet: bool,
) -> Result<(), Error> {
    let Progress { failed, total, .. } = progress;
    let event = JobProgress { album, done: progress.done(), failed, total, contact_sheet };
    client.publish(event).subject(album).await?;
    Ok(())
}
