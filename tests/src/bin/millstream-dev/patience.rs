//! How long to wait for what.

use std::time::Duration;

use anyhow::{Result, bail};
use chrono::{DateTime, Utc};
use indicatif::ProgressBar;
use millstream_store::Store;
use tokio::time::{Instant, interval, timeout};

use crate::album::{Album, Photo, State};
use crate::events::Listener;
use crate::history;
use crate::verdict::Verdict;

/// How often to ask for what no event tells.
const LOOK: Duration = Duration::from_millis(250);
/// A run in which nothing is done for so long has failed: the jobs of a killed worker are back within 15 s, and a
/// decoder needs seconds for the largest pictures.
const STALLED: Duration = Duration::from_secs(180);
/// Outcomes and events may arrive a little after the pictures that they are about.
const LATE: Duration = Duration::from_secs(30);

/// Waits until the gallery has all `photos` of the album done; `bar` moves with the events.
pub(crate) async fn until_done(
    album: &Album,
    photos: usize,
    listener: &mut Listener,
    bar: &ProgressBar,
) -> Result<State> {
    let mut look = interval(LOOK);
    let mut last_change = (0, Instant::now());
    loop {
        tokio::select! {
            () = listener.changed() => bar.set_position(listener.heard().photos.len() as u64),
            _ = look.tick() => {
                let state = album.state().await?;
                if state.is_finished(photos) {
                    return Ok(state);
                }
                if state.done() != last_change.0 {
                    last_change = (state.done(), Instant::now());
                } else if last_change.1.elapsed() > STALLED {
                    bail!("nothing was done for {} s; {} of {photos} photos are", STALLED.as_secs(), state.done());
                }
            }
        }
    }
}

/// Waits until nothing is missing, or for so long that it will not come.
pub(crate) async fn until_complete(
    store: &Store,
    since: DateTime<Utc>,
    album: &Album,
    photos: &[Photo],
    contact_sheet: bool,
    listener: &mut Listener,
) -> Result<Verdict> {
    let start = Instant::now();
    loop {
        let rows = history::of_album(store, since, &album.id).await?;
        let verdict = Verdict::new(&album.id, photos, contact_sheet, &rows, &listener.heard());
        if verdict.missing().is_empty() || start.elapsed() > LATE {
            return Ok(verdict);
        }
        let _ = timeout(LOOK, listener.changed()).await; // either way it is time to look again
    }
}
