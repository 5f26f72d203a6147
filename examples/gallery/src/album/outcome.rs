use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AlbumError, Albums, atomic, ids};
use crate::picture::Facts;

/// How it ended for a photo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its thumbnails are there, and this is known about it.
    Ready(Facts),
    /// It can't be shown, for this reason.
    Failed(String),
}

/// How far an album is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Photos that can be shown.
    pub ready: u64,
    /// Photos that can't and never will.
    pub failed: u64,
    /// All photos.
    pub total: u64,
}

impl Progress {
    /// Photos with an outcome, good or bad.
    pub fn done(&self) -> u64 {
        self.ready + self.failed
    }

    /// Whether no photo is waiting.
    pub fn is_complete(&self) -> bool {
        self.done() == self.total
    }
}

impl Albums {
    /// Writes a photo's outcome; a second one replaces the first.
    ///
    /// Of several workers that settle the last photos of an album at once, at least one sees the album
    /// complete afterwards, since each counts after writing.
    pub fn settle(&self, album: Uuid, photo: Uuid, outcome: &Outcome) -> Result<Progress, AlbumError> {
        let (folder, other) = match outcome {
            Outcome::Ready(_) => ("ready", "failed"),
            Outcome::Failed(_) => ("failed", "ready"),
        };
        atomic::write_json(&self.outcome_file(album, folder, photo), outcome)?;
        atomic::remove(&self.outcome_file(album, other, photo))?;
        self.progress(album)
    }

    /// A photo's outcome, or `None` while it is waiting.
    pub fn outcome(&self, album: Uuid, photo: Uuid) -> Result<Option<Outcome>, AlbumError> {
        match atomic::read_json(&self.outcome_file(album, "ready", photo))? {
            None => atomic::read_json(&self.outcome_file(album, "failed", photo)),
            ready => Ok(ready),
        }
    }

    /// Counts an album's photos, without opening a file.
    pub fn progress(&self, album: Uuid) -> Result<Progress, AlbumError> {
        let folder = self.folder(album);
        let ready = ids(&folder.join("ready"))?;
        let failed = ids(&folder.join("failed"))?;
        // The total last: a photo that is added meanwhile makes the album incomplete, never done too early.
        let total = ids(&folder.join("photos"))?.len() as u64;
        // While an outcome is being replaced it may stand in both folders.
        let failed = failed.iter().filter(|&id| ready.binary_search(id).is_err()).count() as u64;
        Ok(Progress { ready: ready.len() as u64, failed, total })
    }

    /// The photos that can be shown, in the order they were added.
    pub fn ready(&self, album: Uuid) -> Result<Vec<Uuid>, AlbumError> {
        ids(&self.folder(album).join("ready"))
    }

    fn outcome_file(&self, album: Uuid, folder: &str, photo: Uuid) -> PathBuf {
        self.folder(album).join(folder).join(format!("{photo}.json"))
    }
}
