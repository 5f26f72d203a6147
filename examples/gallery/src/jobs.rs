use std::time::Duration;

use millstream_queue::Job;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Makes one photo's thumbnails and reads what is known about it.
///
/// The original is in the album's folder before this is pushed, so the job carries only names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessPhoto {
    /// The album that the photo is in.
    pub album: Uuid,
    /// The photo.
    pub photo: Uuid,
}

impl Job for ProcessPhoto {
    const KIND: &'static str = "process_photo";
    const QUEUE: &'static str = "photos";
    const ATTEMPTS: u32 = 5;
    const TIMEOUT: Duration = Duration::from_secs(5 * 60);
}

/// Draws the album's contact sheet, once `photos` photos are done.
///
/// Pushed by the job of the last photo under [`ContactSheet::key`], so that of two workers which both
/// finish last only one push counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContactSheet {
    /// The album to draw.
    pub album: Uuid,
    /// How many photos the album had when it was complete, failed ones included.
    pub photos: u64,
}

impl Job for ContactSheet {
    const KIND: &'static str = "contact_sheet";
    const QUEUE: &'static str = "albums";
    const ATTEMPTS: u32 = 5;
    const TIMEOUT: Duration = Duration::from_secs(5 * 60);
}

impl ContactSheet {
    /// The key to push under: one sheet per album and number of photos.
    pub fn key(&self) -> String {
        format!("{}:{}", self.album, self.photos)
    }
}
