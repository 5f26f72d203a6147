use std::io;
use std::path::PathBuf;

use uuid::Uuid;

/// What can go wrong with the album folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AlbumError {
    /// There is no album of that id.
    #[error("there is no album {0}")]
    NoAlbum(Uuid),

    /// The name is not one of a photo.
    #[error("{0:?} is not a photo: .jpg, .jpeg, .png and .webp are")]
    NotAPhotoName(String),

    /// A folder to import can't be read.
    #[error("the folder {path:?} can't be read: {source}")]
    NoFolder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },

    /// A folder to import has nothing to import.
    #[error("the folder {0:?} has no .jpg, .jpeg, .png or .webp file")]
    EmptyFolder(PathBuf),

    /// A file of the album folder was changed by somebody else.
    #[error("{path:?} can't be understood: {source}; restore it or remove it")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: serde_json::Error,
    },

    /// The disk.
    #[error("the album folder can't be used: {0}")]
    Io(#[from] io::Error),
}
