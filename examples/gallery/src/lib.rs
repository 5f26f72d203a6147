//! A photo gallery on Millstream: photos become jobs, jobs become thumbnails, and the page sees it happen.
mod album;
pub mod picture;
pub mod samples;
pub use album::{Album, AlbumError, Albums, Outcome, Photo, Progress, Staged};
