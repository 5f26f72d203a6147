//! A photo gallery on Millstream: photos become jobs, jobs become thumbnails, and the page sees it happen.
//!
//! Two binaries share this library. `gallery` serves the page, keeps the originals, writes each photo's row and its
//! [`ProcessPhoto`] in one transaction, relays them, and records the history of the jobs; `gallery-worker` runs [`process_photo`] and [`contact_sheet`]. They share
//! a folder ([`Albums`]) and a Redis, nothing else.

mod album;
mod announce;
mod catalog;
mod events;
mod handlers;
mod jobs;
pub mod picture;
pub mod samples;
mod settings;
mod sweep;
pub mod web;

pub use album::{Album, AlbumError, Albums, Outcome, Photo, Progress, Staged};
pub use catalog::{MIGRATIONS, add_photos};
pub use events::{JobProgress, PhotoReady};
pub use handlers::{App, contact_sheet, process_photo};
pub use jobs::{ContactSheet, ProcessPhoto};
pub use settings::Settings;
pub use sweep::{add_forgotten, settle_dead};
