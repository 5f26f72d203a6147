use millstream_queue::Event;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::picture::Facts;

/// A photo is done, for better or worse. Published, its subject is the album.
///
/// At least once per photo: a job that runs again publishes again, with the same contents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhotoReady {
    /// The album that the photo is in.
    pub album: Uuid,
    /// The photo.
    pub photo: Uuid,
    /// The file name it came with; text from outside, to be shown as text.
    pub name: String,
    /// Whether there is a picture to show.
    pub ok: bool,
    /// Why there is none; present unless `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What is known about the picture; present if `ok`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Facts>,
}

impl Event for PhotoReady {
    const NAME: &'static str = "photo_ready";
}

/// How far an album is. Published after each photo and after the contact sheet; its subject is the album.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobProgress {
    /// The album.
    pub album: Uuid,
    /// Photos that are done, the failed ones among them.
    pub done: u64,
    /// Photos that have no picture and never will.
    pub failed: u64,
    /// All photos of the album.
    pub total: u64,
    /// Whether a contact sheet of exactly `total` photos can be fetched.
    #[serde(default)]
    pub contact_sheet: bool,
}

impl Event for JobProgress {
    const NAME: &'static str = "job_progress";
}
