//! The folder that the gallery and its workers share. It is the truth about albums: a photo is in the album
//! when its folder is there, and done when its outcome is.
//!
//! ```text
//! albums/<album>/album.json             title, day of creation
//!               /photos/<photo>/        original, photo.json, small.jpg, medium.jpg, large.jpg
//!               /ready/<photo>.json     what is known about a photo that can be shown
//!               /failed/<photo>.json    why a photo can't be
//!               /unpushed/<photo>       its row and job may not be written yet
//!               /incoming/<photo>/      a photo on its way in, not part of the album yet
//!               /sheet-<photos>.jpg     contact sheet of so many photos
//! ```
//!
//! All files and photo folders appear whole, by rename. Names of albums and photos are UUIDs in canonical
//! form, so no path is ever made of text from outside. Everything here blocks.

mod atomic;
mod error;
mod incoming;
mod outcome;
mod sheet;

use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use error::AlbumError;
pub use incoming::Staged;
pub use outcome::{Outcome, Progress};

use crate::picture::Size;

/// All albums below one folder.
#[derive(Clone, Debug)]
pub struct Albums {
    root: PathBuf,
}

/// One album's own facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Album {
    /// Its name in addresses; ids sort by time of creation.
    pub id: Uuid,
    /// What its maker called it.
    pub title: String,
    /// When it was made.
    pub created: DateTime<Utc>,
}

/// One photo's own facts, known before it is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Photo {
    /// Its name in addresses; ids sort in the order the photos were added.
    pub id: Uuid,
    /// The file name it came with.
    pub name: String,
}

impl Albums {
    /// Uses the folder `data`, creating what is missing.
    pub fn open(data: impl AsRef<Path>) -> Result<Self, AlbumError> {
        let root = data.as_ref().join("albums");
        fs::create_dir_all(&root)?;
        Ok(Self { root })
    }

    /// Creates an empty album.
    pub fn create(&self, title: &str, now: DateTime<Utc>) -> Result<Album, AlbumError> {
        let album = Album { id: Uuid::now_v7(), title: title.to_owned(), created: now };
        let folder = self.folder(album.id);
        for part in ["photos", "ready", "failed", "unpushed", "incoming"] {
            fs::create_dir_all(folder.join(part))?;
        }
        // Last: an album is there when this file is.
        atomic::write_json(&folder.join("album.json"), &album)?;
        Ok(album)
    }

    /// One album, or [`AlbumError::NoAlbum`].
    pub fn album(&self, album: Uuid) -> Result<Album, AlbumError> {
        atomic::read_json(&self.folder(album).join("album.json"))?.ok_or(AlbumError::NoAlbum(album))
    }

    /// All albums, the newest first.
    pub fn list(&self) -> Result<Vec<Album>, AlbumError> {
        let mut albums = Vec::new();
        for id in ids(&self.root)? {
            // An album that is just being made has no album.json yet.
            match self.album(id) {
                Ok(album) => albums.push(album),
                Err(AlbumError::NoAlbum(_)) => {}
                Err(error) => return Err(error),
            }
        }
        albums.reverse();
        Ok(albums)
    }

    /// The photos of an album, in the order they were added.
    pub fn photos(&self, album: Uuid) -> Result<Vec<Photo>, AlbumError> {
        let mut photos = Vec::new();
        for id in ids(&self.folder(album).join("photos"))? {
            photos.extend(self.photo(album, id)?);
        }
        Ok(photos)
    }

    /// One photo, or `None` if the album has none of that id.
    pub fn photo(&self, album: Uuid, photo: Uuid) -> Result<Option<Photo>, AlbumError> {
        atomic::read_json(&self.photo_folder(album, photo).join("photo.json"))
    }

    /// The file as it came in.
    pub fn original(&self, album: Uuid, photo: Uuid) -> PathBuf {
        self.photo_folder(album, photo).join("original")
    }

    /// Where a photo's thumbnail of that size is, once it is ready.
    pub fn thumbnail(&self, album: Uuid, photo: Uuid, size: Size) -> PathBuf {
        self.photo_folder(album, photo).join(format!("{}.jpg", size.as_str()))
    }

    /// Stores a thumbnail.
    pub fn write_thumbnail(&self, album: Uuid, photo: Uuid, size: Size, jpeg: &[u8]) -> Result<(), AlbumError> {
        Ok(atomic::write(&self.thumbnail(album, photo, size), jpeg)?)
    }

    fn folder(&self, album: Uuid) -> PathBuf {
        self.root.join(album.to_string())
    }

    fn photo_folder(&self, album: Uuid, photo: Uuid) -> PathBuf {
        self.folder(album).join("photos").join(photo.to_string())
    }
}

/// The ids that name the entries of `folder`, sorted; none if there is no such folder. Other names (temporary
/// files, a file manager's droppings) are skipped.
fn ids(folder: &Path) -> Result<Vec<Uuid>, AlbumError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        ids.extend(Uuid::parse_str(name.strip_suffix(".json").unwrap_or(&name)).ok());
    }
    ids.sort_unstable();
    Ok(ids)
}

#[cfg(test)]
mod tests;
