//! A photo gallery on Millstream: photos become jobs, jobs become thumbnails, and the page sees it happen.
//!
//! Two binaries share this library. `gallery` serves the page, keeps the originals, pushes one [`ProcessPhoto`] per
//! photo and records the history of the jobs; `gallery-worker` runs [`process_photo`] and [`contact_sheet`]. They share
//! a folder ([`Albums`]) and a Redis, nothing else.

mod album;
mod announce;
mod events;
mod handlers;
mod jobs;
pub mod picture;
pub mod samples;
mod sweep;
pub mod web;

pub use album::{Album, AlbumError, Albums, Outcome, Photo, Progress, Staged};
pub use events::{JobProgress, PhotoReady};
pub use handlers::{App, contact_sheet, process_photo};
pub use jobs::{ContactSheet, ProcessPhoto};
pub use sweep::{push_forgotten, settle_dead};
