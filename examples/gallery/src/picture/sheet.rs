use image::imageops;
use image::{Rgb, RgbImage};

use super::{PictureError, sizes};

/// How many photos a contact sheet shows; of a larger album the first ones.
pub const SHEET_PHOTOS: usize = 400;

const GAP: u32 = 12;
const PAPER: Rgb<u8> = Rgb([24, 24, 27]);

/// Draws the photos, in order, on one sheet and returns it as a JPEG file.
///
/// Each photo keeps its shape. Blocks, for about a millisecond per photo.
pub fn draw_sheet(photos: impl ExactSizeIterator<Item = Vec<u8>>) -> Result<Vec<u8>, PictureError> {
    let count = photos.len().min(SHEET_PHOTOS) as u32;
    let columns = columns(count);
    let rows = count.div_ceil(columns).max(1);
    let cell = cell(columns);
    let mut sheet = RgbImage::from_pixel(columns * (cell + GAP) + GAP, rows * (cell + GAP) + GAP, PAPER);
    for (index, jpeg) in (0..count).zip(photos) {
        let photo =
            image::load_from_memory(&jpeg).map_err(|error| PictureError::Damaged(error.to_string()))?.into_rgb8();
        let photo = sizes::fit(&photo, cell);
        let x = GAP + index % columns * (cell + GAP) + (cell - photo.width()) / 2;
        let y = GAP + index / columns * (cell + GAP) + (cell - photo.height()) / 2;
        imageops::replace(&mut sheet, &photo, x.into(), y.into());
    }
    sizes::encode(&sheet, None)
}

/// Three columns for every two rows, the shape of a sheet that lies on its side.
fn columns(count: u32) -> u32 {
    ((f64::from(count) * 1.5).sqrt().ceil() as u32).clamp(1, count.max(1))
}

/// Photos get smaller as they get more, so that the sheet stays under 4,000 pixels wide.
fn cell(columns: u32) -> u32 {
    (3600 / columns).saturating_sub(GAP).min(260)
}
