//! From an untrusted file to thumbnails and facts. Nothing here knows of jobs, albums or the web.

mod decode;
mod error;
mod exif;
mod facts;
mod palette;
mod perceptual;
mod sheet;
mod sizes;

use std::path::Path;

pub use decode::{Limits, Measured, measure};
pub use error::PictureError;
pub use exif::Exif;
pub use facts::Facts;
pub use sheet::{SHEET_PHOTOS, draw_sheet};
pub use sizes::{Size, Thumbnails};

/// Reads the photo at `original` and returns its thumbnails, upright, and what is known about it.
///
/// Blocks, and is heavy: up to [`Measured::memory`] bytes and a second of a core. Call [`measure`] first
/// where memory matters; the limits are checked here in any case.
pub fn develop(original: &Path, limits: &Limits) -> Result<(Thumbnails, Facts), PictureError> {
    let decoded = decode::decode(original, limits)?;
    let exif = decoded.exif.as_deref().map(exif::read).unwrap_or_default();
    // Shrunk before it is turned: a fifth of the pixels to move, and the same picture.
    let thumbnails = Thumbnails::new(decoded.image, decoded.orientation, decoded.icc);
    let facts = Facts {
        width: if decoded.sideways { decoded.height } else { decoded.width },
        height: if decoded.sideways { decoded.width } else { decoded.height },
        exif,
        palette: palette::of(thumbnails.image(Size::Small)),
        hash: perceptual::hash(thumbnails.image(Size::Small)),
    };
    Ok((thumbnails, facts))
}

#[cfg(test)]
mod tests;
