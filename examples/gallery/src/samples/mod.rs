//! Photographs to try the gallery with: drawn, but with the EXIF block and the orientation of a camera's.

mod exif;
mod scene;

use std::io;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageEncoder};

/// Draws the `number`th landscape and returns it as a camera would save it: a JPEG of `width` x `height`
/// pixels *seen upright*, stored turned and mirrored as `orientation` (1 to 8, EXIF tag 274) says.
///
/// The same arguments give the same bytes. In the upright picture the sky is above, the meadow below, and the
/// sun stands in the upper left, at [`SUN`].
pub fn photograph(number: u32, width: u32, height: u32, orientation: u16) -> io::Result<Vec<u8>> {
    let upright = scene::draw(number, width, height);
    let stored = as_held(upright, orientation);
    let mut jpeg = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut jpeg, 85);
    encoder.set_exif_metadata(exif::block(number, orientation)).map_err(io::Error::other)?;
    let stored = stored.into_rgb8();
    encoder
        .write_image(stored.as_raw(), stored.width(), stored.height(), image::ExtendedColorType::Rgb8)
        .map_err(io::Error::other)?;
    Ok(jpeg)
}

/// Where the middle of the sun is, as parts of width and height.
pub const SUN: (f32, f32) = scene::SUN;

/// The inverse of what a viewer does for that orientation.
fn as_held(upright: DynamicImage, orientation: u16) -> DynamicImage {
    match orientation {
        2 => upright.fliph(),
        3 => upright.rotate180(),
        4 => upright.flipv(),
        5 => upright.rotate90().fliph(),
        6 => upright.rotate270(),
        7 => upright.rotate270().fliph(),
        8 => upright.rotate90(),
        _ => upright,
    }
}
