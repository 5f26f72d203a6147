use std::fs;
use std::sync::Arc;

use millstream_worker as worker;
use millstream_worker::{Context, Failure};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::picture::{self, Facts, Limits, PictureError, SHEET_PHOTOS, Size};
use crate::{Albums, ContactSheet, Outcome, ProcessPhoto, announce};

/// What the handlers share in one worker process.
#[derive(Debug)]
pub struct App {
    albums: Albums,
    limits: Limits,
    /// One permit per MiB that decoding may take in this process at a time.
    memory: Arc<Semaphore>,
}

/// Enough for two of the largest photos that are accepted, or thirty of 12 megapixels.
const MEMORY_MIB: u32 = 1280;

impl App {
    /// Works on these albums, with the default limits for photos.
    pub fn new(albums: Albums) -> Self {
        Self { albums, limits: Limits::default(), memory: Arc::new(Semaphore::new(MEMORY_MIB as usize)) }
    }
}

/// Makes a photo's thumbnails, writes its outcome and tells of it. The job of the last photo pushes the
/// [`ContactSheet`].
///
/// A rerun writes the same files again and tells again. A photo that can't be shown ends its job as dead, with the
/// reason, after it was settled like the others: it holds nobody up.
pub async fn process_photo(job: ProcessPhoto, cx: Context<App>) -> worker::Result {
    let ProcessPhoto { album, photo } = job;
    let albums = cx.app.albums.clone();
    let Some(photo) = blocking(move || albums.photo(album, photo)).await?? else {
        return Err(Failure::cancel(format!("the photo {photo} is no longer in the album {album}")));
    };
    let outcome = match develop(&cx.app, album, photo.id).await {
        Ok(facts) => Outcome::Ready(facts),
        Err(error) if error.is_final() => Outcome::Failed(error.to_string()),
        Err(error) => return Err(error.into()),
    };
    let error = match &outcome {
        Outcome::Failed(error) => Some(format!("{}: {error}", photo.name)),
        Outcome::Ready(_) => None,
    };

    let (albums, id, settled) = (cx.app.albums.clone(), photo.id, outcome.clone());
    let progress = blocking(move || albums.settle(album, id, &settled)).await??;
    announce::photo(&cx.client, album, photo, outcome, progress).await?;
    error.map_or(Ok(()), |error| Err(Failure::dead(error)))
}

/// Draws the album's contact sheet and tells of it.
pub async fn contact_sheet(job: ContactSheet, cx: Context<App>) -> worker::Result {
    let ContactSheet { album, photos } = job;
    let albums = cx.app.albums.clone();
    let (progress, drawn) = blocking(move || -> Result<_, Failure> {
        let ready = albums.ready(album)?;
        let thumbnails = ready.iter().take(SHEET_PHOTOS).map(|&photo| albums.thumbnail(album, photo, Size::Small));
        let thumbnails = thumbnails.map(fs::read).collect::<Result<Vec<_>, _>>()?;
        let drawn = !thumbnails.is_empty(); // an album in which every photo failed has nothing to show
        if drawn {
            albums.write_sheet(album, photos, &picture::draw_sheet(thumbnails.into_iter())?)?;
        }
        let progress = albums.progress(album)?;
        Ok((progress, drawn && progress.total == photos))
    })
    .await??;
    announce::progress(&cx.client, album, progress, drawn).await?;
    Ok(())
}

async fn develop(app: &App, album: Uuid, photo: Uuid) -> Result<Facts, PictureError> {
    let (original, limits) = (app.albums.original(album, photo), app.limits.clone());
    let measured = {
        let (original, limits) = (original.clone(), limits.clone());
        unpanicked(blocking(move || picture::measure(&original, &limits)).await)?
    };
    // Waits here, on no thread, while other photos fill the memory.
    let mib = (measured.memory >> 20) as u32 + 1;
    let room = Arc::clone(&app.memory).acquire_many_owned(mib.min(MEMORY_MIB)).await;
    let albums = app.albums.clone();
    let developed = blocking(move || {
        // Kept by the thread, since it can outlive a job that timed out.
        let _room = room;
        let (thumbnails, facts) = picture::develop(&original, &limits)?;
        for size in Size::ALL {
            albums
                .write_thumbnail(album, photo, size, &thumbnails.jpeg(size)?)
                .map_err(|error| PictureError::Io(std::io::Error::other(error)))?;
        }
        Ok(facts)
    });
    unpanicked(developed.await)
}

/// Keeps heavy work off the threads that everything else runs on.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, tokio::task::JoinError> {
    tokio::task::spawn_blocking(work).await
}

/// A decoder that panics on a file will do so again.
fn unpanicked<T>(joined: Result<Result<T, PictureError>, tokio::task::JoinError>) -> Result<T, PictureError> {
    match joined {
        Ok(result) => result,
        Err(error) if error.is_panic() => Err(PictureError::DecoderPanicked),
        Err(error) => Err(PictureError::Io(std::io::Error::other(error))),
    }
}
