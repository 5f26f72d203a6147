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
    #[error("the folder {path:?} can't be read: {cause}")]
    NoFolder {
        /// The folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },

    /// A folder to import has nothing to import.
    #[error("the folder {0:?} has no .jpg, .jpeg, .png or .webp file")]
    EmptyFolder(PathBuf),

    /// A file of the album folder was changed by somebody else.
    #[error("{path:?} can't be understood: {cause}; restore it or remove it")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        cause: serde_json::Error,
    },

    /// The disk.
    #[error("the album folder can't be used: {0}")]
    Io(io::Error),
}

// By hand: the messages have the cause in them, and a chain of causes would say it twice.
impl From<io::Error> for AlbumError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
